"""Training, validation and test rows that have no problem, persona or prompt in common.

Rows belong together that share any of several things, each with another row: so groups are what
hangs together by any of them. :mod:`synthtutor.quality.splitting` then assigns whole groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing
from synthtutor.export.lines import write_lines
from synthtutor.quality.contamination import Contamination
from synthtutor.quality.splitting import split
from synthtutor.training.data import Example, digest, said_in, value_at
from synthtutor.training.settings import Settings

__all__ = [
    "GROUPS",
    "STRATA",
    "Division",
    "beside",
    "divide",
    "divided_before",
    "repeated",
    "write_division",
]

SIDES = ("train", "validation", "test")
GROUPS = ("problem_id", "seed_id", "question", "student", "student_id", "persona", "prompt")
STRATA = (
    *("label", "grade", "persona.grade", "student_persona.grade"),
    *("k12.academic_context.grade_level", "subject"),
)

_UNTOLD = ("lineage", "verdicts", "outcome", "reasons", "critical", "critical_needed")


@dataclass(frozen=True, slots=True)
class Division:
    """The rows of each side, and how they came there (the content of ``splits.json``)."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    record: Mapping[str, Any]


def divide(examples: Sequence[Example], settings: Settings) -> Division:
    """Divide by the settings' shares: stratified, and no group on two sides.

    Groups are what shares a value of any field in ``settings.group`` (all of GROUPS that the rows
    have, where none is given); strata are the values of ``settings.stratify`` (the first of STRATA
    that the rows have). Raises ConfigError where a field is in no row, or where the groups are too
    few to give every side a row.
    """
    fields = settings.group or tuple(name for name in GROUPS if _anywhere(examples, name))
    stratum = settings.stratify or next((n for n in STRATA if _anywhere(examples, n)), None)
    for name in (*fields, *([stratum] if stratum else [])):
        if not _anywhere(examples, name):
            raise ConfigError(f"no row has a field {name!r} to divide by")
    groups = _hanging_together(examples, fields)
    divided = split(
        range(len(examples)),
        groups=lambda at: groups[at],
        strata=lambda at: str(value_at(examples[at], stratum)) if stratum else "",
        shares=settings.split,
        seed=settings.seed,
    )
    sides = {name: [examples[at] for at in side] for name, side in zip(SIDES, divided, strict=True)}
    for name, share in zip(SIDES, settings.split, strict=True):
        if share and not sides[name]:
            raise ConfigError(
                f"no rows are left for {name}: {len(examples)} rows hang together in "
                f"{len(set(groups))} groups by {', '.join(fields)}; give more rows, other --group "
                "fields, or --split 1,0,0"
            )
    record = {"groups": list(fields), "stratum": stratum, "seed": settings.seed}
    return Division(**sides, record={**record, **_described(sides), **divided.summary()})


def divided_before(folder: Path, read: Callable[[Path], list[Example]]) -> Division:
    """The sides of a folder that holds train.jsonl and others: the export ``grading`` divides."""
    sides = {
        name: read(path) if (path := folder / f"{name}.jsonl").is_file() else [] for name in SIDES
    }
    return Division(**sides, record={"given": folder.name, **_described(sides)})


def beside(
    examples: Sequence[Example], evaluation: Path, held: Sequence[Example], allowed: bool
) -> Division:
    """All rows to train on, those of another file to validate with.

    Raises ConfigError where training rows repeat the others, unless that is allowed.
    """
    found = repeated(examples, held)
    if found and not allowed:
        where, quote = found[0]
        raise ConfigError(
            f"{len(found)} of {len(examples)} training rows repeat {evaluation}, the first at "
            f"{where}: “{' '.join(quote.split())[:80]}”: leave them out, or give "
            "--allow-contamination"
        )
    sides: dict[str, Sequence[Example]] = {"train": examples, "validation": held, "test": ()}
    record = {"evaluation": str(evaluation), "contaminated_rows": [where for where, _ in found]}
    return Division(**sides, record={**record, **_described(sides)})


def repeated(examples: Sequence[Example], evaluation: Sequence[Example]) -> list[tuple[str, str]]:
    """Training rows that repeat an evaluation row: where each stands, and what it repeats.

    A row repeats another that says the very same, or shares a run of 13 words with it. System
    messages are not compared: they are the same everywhere.
    """
    whole = {digest(said_in(example.row)) for example in evaluation}
    benchmark = Contamination(
        {"evaluation": ["\n".join(said_in(example.row)) for example in evaluation]}
    )
    found = []
    for example in examples:
        said = "\n".join(said_in(example.row))
        overlaps = benchmark.overlaps(said)
        if overlaps or digest(said_in(example.row)) in whole:
            found.append((example.where, overlaps[0].quote if overlaps else said))
    return found


def write_division(division: Division, folder: Path) -> None:
    """Write ``splits.json`` and the rows of each side under ``splits/``.

    With each row stands what is known of its sample (grade, subject, answer, …), for `evaluate`.
    """
    (folder / "splits").mkdir(parents=True, exist_ok=True)
    for name in SIDES:
        rows: Sequence[Example] = getattr(division, name)
        lines = (orjson.dumps(_told(e), option=orjson.OPT_APPEND_NEWLINE) for e in rows)
        write_lines(lines, folder / "splits" / f"{name}.jsonl")
    with replacing(folder / "splits.json") as path:
        path.write_bytes(orjson.dumps(division.record, option=orjson.OPT_INDENT_2))


def _told(example: Example) -> dict[str, Any]:
    known = {name: value for name, value in example.metadata.items() if name not in _UNTOLD}
    return {**example.row, **({"metadata": known} if known else {})}


def _described(sides: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    return {
        "rows": {name: len(side) for name, side in sides.items()},
        "digests": {name: digest([e.row for e in side]) for name, side in sides.items()},
    }


def _anywhere(examples: Sequence[Example], place: str) -> bool:
    return any(value_at(example, place) is not None for example in examples)


def _hanging_together(examples: Sequence[Example], fields: Sequence[str]) -> list[str]:
    """For each row the name of its group: rows that share a value of any field are in one."""
    parent = list(range(len(examples)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple[str, str], int] = {}
    for at, example in enumerate(examples):
        for name in fields:
            value = value_at(example, name)
            if value is not None:
                other = first.setdefault((name, digest(value)), at)
                parent[root(at)] = root(other)
    # Named after its least row, so that the order of the rows does not matter.
    names: dict[int, str] = {}
    for at, example in enumerate(examples):
        row = digest(example.row)
        names[root(at)] = min(names.get(root(at), row), row)
    return [names[root(at)] for at in range(len(examples))]
