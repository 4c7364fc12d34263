"""Graded answers as a data set for a grader: training, validation and test, alike and balanced.

Rows of one problem or article stay on one side, labels are spread alike over the sides, and on
each side every label has as many rows as the rarest that occurs there. What is too many is not
lost: it stands in ``surplus/`` under the name of its side, so that whoever wants more rows than
balance can add them without a problem coming to stand on two sides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.columns import library
from synthtutor.export.destination import replacing_folder, unwritable
from synthtutor.export.huggingface import without_bars
from synthtutor.export.lines import encode
from synthtutor.quality.splitting import Split, split

__all__ = ["SIDES", "grading"]

SIDES = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
_KNOWN_BY = ("splits.json",)


@dataclass(frozen=True, slots=True)
class _Row:
    """What decides where a row goes; its text waits in a file."""

    label: int
    group: str
    rank: bytes


def grading(
    samples: Iterable[dict[str, Any]],
    path: str | Path,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    balanced: bool = True,
) -> int:
    """Write a folder of ``{"input", "label"}`` lines for each side; how many rows, surplus left out.

    ``train.jsonl``, ``validation.jsonl``, ``test.jsonl``, ``surplus/`` and ``splits.json``, which
    tells what came of shares, labels and groups. With the ``data`` extra the folder is also one
    that ``datasets.load_from_disk`` opens. Raises ConfigError for a sample without a label,
    where all labels are the same and are to be balanced, and for shares that do not add up to 1.
    """
    with (
        replacing_folder(path, known_by=_KNOWN_BY) as folder,
        TemporaryDirectory(prefix=".spool-", dir=folder.parent) as spooled,
    ):
        spool = Path(spooled) / "rows"
        rows = _spooled(samples, spool)
        if balanced:
            _check_labels(rows)
        sides = split(
            range(len(rows)),
            groups=lambda at: rows[at].group,
            strata=lambda at: str(rows[at].label),
            shares=shares,
            seed=seed,
        )
        kept = [_balanced(side, rows) if balanced else set(side) for side in sides]
        try:
            _write(spool, sides, kept, folder)
            has_set = find_spec("datasets") is not None
            told = _told(sides, kept, rows, seed) | {"hf_dataset": has_set}
            (folder / "splits.json").write_bytes(orjson.dumps(told, option=_PRETTY))
        except OSError as error:
            raise unwritable(path, error) from error
        if has_set:
            _write_set(folder, Path(spooled))
    return sum(map(len, kept))


_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def _spooled(samples: Iterable[dict[str, Any]], spool: Path) -> list[_Row]:
    rows = []
    try:
        with spool.open("xb") as file:
            for sample in samples:
                row, line = _row(sample)
                rows.append(row)
                file.write(line)
    except OSError as error:
        raise unwritable(spool, error) from error
    return rows


def _row(sample: dict[str, Any]) -> tuple[_Row, bytes]:
    metadata = sample.get("metadata") or {}
    found, label = metadata.get("grading"), metadata.get("label")
    if not isinstance(found, dict) or not isinstance(label, int):
        raise ConfigError(
            f"sample {sample.get('id')!r} has no label: only runs of the recipes math-grading and "
            "essay-grading can be exported as grading"
        )
    line = encode({"input": found["input"], "label": label}, name=sample.get("id"))
    return _Row(label, str(found["group"]), blake2b(line, digest_size=8).digest()), line


def _check_labels(rows: Sequence[_Row]) -> None:
    if rows and len(labels := {row.label for row in rows}) == 1:
        raise ConfigError(
            f"all {len(rows)} kept samples have the label {labels.pop()}: a grader learns nothing from "
            "one label; look in rejected.jsonl for why there is no other"
        )


def _balanced(side: Sequence[int], rows: Sequence[_Row]) -> set[int]:
    """As many rows of each label as there are of the rarest; which, is decided by their content."""
    by_label: dict[int, list[int]] = defaultdict(list)
    for at in side:
        by_label[rows[at].label].append(at)
    least = min(map(len, by_label.values()), default=0)
    chosen: set[int] = set()
    for places in by_label.values():
        chosen.update(sorted(places, key=lambda at: (rows[at].rank, at))[:least])
    return chosen


def _write(spool: Path, sides: Split[int], kept: Sequence[set[int]], folder: Path) -> None:
    (folder / "surplus").mkdir(parents=True)
    side_of = {at: number for number, side in enumerate(sides) for at in side}
    with ExitStack() as stack:

        def opened(*names: str) -> BinaryIO:
            return stack.enter_context(folder.joinpath(*names).open("xb"))

        chosen = [opened(f"{name}.jsonl") for name in SIDES]
        surplus = [opened("surplus", f"{name}.jsonl") for name in SIDES]
        for at, line in enumerate(stack.enter_context(spool.open("rb"))):
            side = side_of[at]
            (chosen if at in kept[side] else surplus)[side].write(line)


def _told(
    sides: Split[int], kept: Sequence[set[int]], rows: Sequence[_Row], seed: int
) -> dict[str, Any]:
    """What came of it: per side its rows by label, and what is in surplus."""
    found = sides.summary()
    told = {}
    for name, side, chosen, whole in zip(SIDES, sides, kept, found["sides"], strict=True):
        labels = Counter(str(rows[at].label) for at in side if at in chosen)
        told[name] = {
            "rows": len(chosen),
            "labels": dict(sorted(labels.items())),
            "lacks": sorted({str(row.label) for row in rows} - labels.keys()),
            "surplus": len(side) - len(chosen),
            "groups": whole["groups"],
            "wanted_share": whole["wanted"],
            "share_before_balancing": whole["share"],
            "labels_before_balancing": whole["strata"],
        }
    return {"seed": seed, "sides": told, "worst_label": found["worst_stratum"]}


def _write_set(folder: Path, spool: Path) -> None:
    """The three files once more, as the folder of a ``datasets.DatasetDict``."""
    datasets = library("datasets")
    features = datasets.Features(
        {"input": datasets.Value("string"), "label": datasets.Value("int64")}
    )
    with without_bars(datasets):
        for name in SIDES:
            file = folder / f"{name}.jsonl"
            if file.stat().st_size:
                made = datasets.Dataset.from_generator(
                    _lines,
                    gen_kwargs={"file": str(file)},
                    features=features,
                    cache_dir=str(spool / f"cache-{name}"),
                    fingerprint=f"synthtutor-{name}",
                )
            else:
                made = datasets.Dataset.from_dict({"input": [], "label": []}, features=features)
            made.save_to_disk(str(folder / name), num_shards=None if file.stat().st_size else 1)
    (folder / "dataset_dict.json").write_bytes(orjson.dumps({"splits": list(SIDES)}))


def _lines(file: str) -> Iterator[dict[str, Any]]:
    with Path(file).open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)
