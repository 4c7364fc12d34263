"""One judged item, and figures with intervals from the counts of groups of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthtutor.calibration.agreement import Counts, bootstrap
from synthtutor.calibration.labels import Dimension

__all__ = ["Figure", "Intervals", "Judged", "grouped", "summed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval; None where it is undefined or there is too little data."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(slots=True)
class Judged:
    """One labelled item with the judge's answers."""

    group: str
    writer: str
    words: int
    human: Mapping[str, str]
    asks: Mapping[str, Mapping[str, Any]]

    def said(self, choice: Dimension, ask: str = "first") -> str | None:
        """The judge's label when it was asked ``first``, ``again`` or ``reversed``."""
        return choice.label(self.asks[ask]["observed"])


@dataclass(frozen=True, slots=True)
class Intervals:
    """How figures get their intervals: by so many resamples of the groups, from a seed."""

    resamples: int = 1000
    seed: int = 0

    def of(
        self, groups: Sequence[Counts], figures: Callable[[Counts], Mapping[str, float | None]]
    ) -> dict[str, Figure]:
        """The figures of all groups together, each with its interval."""
        ends = bootstrap(groups, figures, resamples=self.resamples, seed=self.seed)
        values = figures(summed(groups))
        return {name: Figure(value, *(ends[name] or ())) for name, value in values.items()}

    def one(self, groups: Sequence[Counts], figure: Callable[[Counts], float | None]) -> Figure:
        """As `of`, for a single figure."""
        return self.of(groups, lambda counts: {"": figure(counts)})[""]


def grouped(entries: Iterable[tuple[str, Any]]) -> list[Counts]:
    """How often each key occurs in each group, from (group, key)."""
    groups: dict[str, Counter[Any]] = {}
    for group, key in entries:
        groups.setdefault(group, Counter())[key] += 1
    return list(groups.values())


def summed(groups: Sequence[Counts]) -> dict[Any, float]:
    """The counts of all groups together."""
    whole: dict[Any, float] = {}
    for group in groups:
        for key, n in group.items():
            whole[key] = whole.get(key, 0) + n
    return whole
