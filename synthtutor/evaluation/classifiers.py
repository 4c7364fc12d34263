"""A classifier beside the labels of its test file: accuracy, macro-F1, κ and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthtutor.calibration.agreement import accuracy, bootstrap, cohen_kappa, macro_f1
from synthtutor.errors import ConfigError
from synthtutor.evaluation.scores import Figure, ends_of_share
from synthtutor.sources import BadRow, read_rows

__all__ = ["Classification", "classification", "labelled"]


@dataclass(frozen=True, slots=True)
class Classification:
    """A classifier's figures; ``confusion[label][prediction]`` counts.

    ``majority`` has the figures of always saying the commonest label, which anything worth having
    must beat. ``classes`` has precision, recall, F1 and support of each label; None where nothing was
    predicted or nothing is there.
    """

    rows: int
    labels: Sequence[str]
    accuracy: Figure
    macro_f1: Figure
    kappa: Figure
    majority_label: str
    majority: Mapping[str, float | None]
    classes: Mapping[str, Mapping[str, float | int | None]]
    confusion: Mapping[str, Mapping[str, int]]


def labelled(
    path: Path, label: str, prediction: str, group: str | None = None
) -> list[tuple[str, str, str]]:
    """(label, prediction, group) of each row; without a group column each row is its own.

    Raises ConfigError naming the row and the column where one is missing.
    """
    found = []
    for number, row in enumerate(read_rows(path)):
        if isinstance(row, BadRow):
            raise ConfigError(f"{row.where}: {row.reason}")
        for column in filter(None, (label, prediction, group)):
            if row.get(column) is None or str(row[column]).strip() == "":
                raise ConfigError(
                    f"{row.where}: no {column}; name the columns with --label and --prediction"
                )
        said = str(row[label]).strip(), str(row[prediction]).strip()
        found.append((*said, str(row[group]) if group else str(number)))
    if not found:
        raise ConfigError(f"{path}: there are no rows")
    return found


def classification(
    rows: Sequence[tuple[str, str, str]], *, resamples: int = 1000, seed: int = 0
) -> Classification:
    """The figures of (label, prediction, group) triples; intervals resample whole groups."""
    labels = sorted({each for row in rows for each in row[:2]}, key=_order)
    pairs = Counter((one, other) for one, other, _ in rows)
    groups: dict[str, Counter[tuple[str, str]]] = {}
    for one, other, group in rows:
        groups.setdefault(group, Counter())[one, other] += 1

    def figures(counts: Mapping[Any, float]) -> dict[str, float | None]:
        return {
            "accuracy": accuracy(counts),
            "macro_f1": macro_f1(counts, labels),
            "kappa": cohen_kappa(counts),
        }

    ends = bootstrap(groups.values(), figures, resamples=resamples, seed=seed)
    values = figures(pairs)
    ends["accuracy"] = ends_of_share(values["accuracy"], ends["accuracy"], len(groups))
    told = {}
    for name, value in values.items():
        low, high = ends[name] or (None, None)
        told[name] = Figure(None if value is None else round(value, 4), low, high, len(rows))
    support = Counter(one for one, _, _ in rows)
    commonest = min(support, key=lambda name: (-support[name], _order(name)))
    always = Counter({(one, commonest): n for one, n in support.items()})
    return Classification(
        rows=len(rows),
        labels=labels,
        **told,
        majority_label=commonest,
        majority={"accuracy": accuracy(always), "macro_f1": macro_f1(always, labels)},
        classes={name: _class(name, pairs) for name in labels},
        confusion={one: {other: pairs[one, other] for other in labels} for one in labels},
    )


def _class(name: str, pairs: Mapping[tuple[str, str], int]) -> dict[str, float | int | None]:
    both = pairs.get((name, name), 0)
    there = sum(n for (one, _), n in pairs.items() if one == name)
    said = sum(n for (_, other), n in pairs.items() if other == name)
    return {
        "precision": round(both / said, 4) if said else None,
        "recall": round(both / there, 4) if there else None,
        "f1": round(2 * both / (there + said), 4) if there + said else None,
        "support": there,
    }


def _order(label: str) -> tuple[int, float, str]:
    """Numbers by size, then words."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label
