"""What a sample was drawn for (subject, persona, grade, …), found in whatever metadata a recipe writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Axes", "attributes", "axes_of", "in_order", "readable"]

_NESTED = ("persona", "draw", "malrule", "learner", "profile")
_KNOWN = (
    ("subject", "misconception_type"),
    ("malrule.name", "persona.grade"),
    ("draw.temperament", "draw.class_level"),
    ("student_id", "category"),
)
_GRADES = ("grade", "grade_level", "class_level", "school_year")
# Told of a sample by the machinery, not drawn for it.
_BOOKKEEPING = frozenset(
    ("outcome", "rubric", "critical", "critical_needed", "weighted", "variation", "attempts")
)
_LONGEST = 60
_VALUES = range(2, 31)


@dataclass(frozen=True, slots=True)
class Axes:
    """The attributes of a run's coverage matrix, and the one that lengths are shown by.

    None where the samples have none. ``group_is_grade`` says that the last is a school grade.
    """

    row: str | None = None
    column: str | None = None
    group: str | None = None

    @property
    def group_is_grade(self) -> bool:
        """Whether lengths are shown by school grade."""
        return self.group is not None and _last(self.group) in _GRADES


def attributes(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The short texts and whole numbers in a sample's metadata; nested ones as ``persona.grade``."""
    found = _scalars(metadata, "")
    for name in _NESTED:
        inner = metadata.get(name)
        if isinstance(inner, Mapping):
            found |= _scalars(inner, f"{name}.")
    return found


def axes_of(samples: Sequence[Mapping[str, str]]) -> Axes:
    """The axes for samples with these attributes, judged by a number of them.

    Pairs that the shipped recipes draw come first; else the two attributes with 2 to 30 values
    that most samples have, by name.
    """
    counts: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for sample in samples:
        for name, value in sample.items():
            counts[name] = counts.get(name, 0) + 1
            values.setdefault(name, set()).add(value)
    usual = [name for name, count in counts.items() if 2 * count >= len(samples)]
    row, column = next(((a, b) for a, b in _KNOWN if a in usual and b in usual), (None, None))
    if row is None:
        drawn = sorted(n for n in usual if _is_drawn(n) and len(values[n]) in _VALUES)
        row, column = (*drawn[:2], None, None)[:2]
    grade = next((name for name in sorted(usual) if _last(name) in _GRADES), None)
    return Axes(row, column, grade or row)


def readable(name: str) -> str:
    """An attribute's name in words: ``persona.grade`` is grade."""
    return {"malrule.name": "misconception"}.get(name, _last(name).replace("_", " "))


def in_order(values: Sequence[str]) -> list[str]:
    """Numbers by size, before texts by letter."""
    return sorted(values, key=lambda value: (not _number(value), _size(value), value))


def _scalars(found: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {
        f"{prefix}{name}": str(value)
        for name, value in found.items()
        if isinstance(value, str | int)
        and not isinstance(value, bool)
        and 0 < len(str(value)) <= _LONGEST
    }


def _is_drawn(name: str) -> bool:
    return name not in _BOOKKEEPING and not name.endswith("_id")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _size(value: str) -> int:
    return int(value) if _number(value) else 0
