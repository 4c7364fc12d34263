"""What a report counts in one pass over a run's samples, beside what ``statistics.json`` holds.

Every counter is bounded, so that memory stays flat however many samples there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from synthtutor.quality.distribution import Distribution
from synthtutor.quality.readability import grade
from synthtutor.report.attributes import Axes, attributes, axes_of

__all__ = ["SCORE_BINS", "Group", "Tally"]

SCORE_BINS = 10
_LOOKED_AT_FIRST = 500
_MOST_CELLS = 20_000
_MOST_GROUPS = 200


@dataclass(slots=True)
class Group:
    """The assistant's turns in kept samples of one grade: their words, and their reading grade."""

    words: Distribution = field(default_factory=Distribution)
    grades: Distribution = field(default_factory=lambda: Distribution(step=0.1))


@dataclass(slots=True)
class Tally:
    """Counts made while samples pass through.

    ``cells`` maps (row value, column value) of ``axes`` to how many were made and kept; ``scores``
    maps an outcome to the weighted scores in tenths, of the ``scored`` samples that have one;
    ``groups`` are measured on every ``every``-th kept sample. ``demonstration`` names the models in
    samples that are marked as not to be trained on.
    """

    every: int = 1
    axes: Axes = field(default_factory=Axes)
    cells: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    scores: dict[str, Counter[int]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    demonstration: set[str] = field(default_factory=set)
    rubrics: Counter[str] = field(default_factory=Counter)
    scored: int = 0
    measured: int = 0
    without_cell: int = 0
    _kept: int = 0

    def through(self, samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The samples as they come, each counted; the first few hundred decide on the axes."""
        rest = iter(samples)
        first = list(islice(rest, _LOOKED_AT_FIRST))
        answered = [s["metadata"] for s in first if s["metadata"].get("outcome") != "failed"]
        self.axes = axes_of([attributes(metadata) for metadata in answered])
        for sample in chain(first, rest):
            self._add(sample)
            yield sample

    def _add(self, sample: dict[str, Any]) -> None:
        metadata = sample["metadata"]
        outcome = str(metadata.get("outcome"))
        drawn = attributes(metadata)
        self._cover(drawn, outcome)
        self._score(metadata, outcome)
        lineage = metadata.get("lineage") or {}
        if lineage.get("demonstration_only"):
            self.demonstration.update(str(call["model"]) for call in lineage.get("calls") or [])
        if isinstance(rubric := metadata.get("rubric"), str):
            self.rubrics[rubric] += rubric in self.rubrics or len(self.rubrics) < _MOST_GROUPS
        if outcome == "kept":
            if self._kept % self.every == 0:
                self._measure(sample, drawn)
            self._kept += 1

    def _cover(self, drawn: Mapping[str, str], outcome: str) -> None:
        row, column = drawn.get(self.axes.row or ""), drawn.get(self.axes.column or "")
        if row is None or (column is None and self.axes.column is not None):
            self.without_cell += 1
            return
        cell = row, column or ""
        if cell not in self.cells and len(self.cells) >= _MOST_CELLS:
            self.without_cell += 1
            return
        counts = self.cells.setdefault(cell, Counter())
        counts["made"] += 1
        counts["kept"] += outcome == "kept"

    def _score(self, metadata: Mapping[str, Any], outcome: str) -> None:
        weighted = metadata.get("weighted")
        if isinstance(weighted, int | float) and not isinstance(weighted, bool):
            at = min(SCORE_BINS - 1, max(0, int(weighted * SCORE_BINS + 1e-9)))
            self.scores.setdefault(outcome, Counter())[at] += 1
            self.scored += 1

    def _measure(self, sample: Mapping[str, Any], drawn: Mapping[str, str]) -> None:
        name = drawn.get(self.axes.group or "", "all" if self.axes.group is None else "not told")
        if name not in self.groups and len(self.groups) >= _MOST_GROUPS:
            return
        group = self.groups.setdefault(name, Group())
        self.measured += 1
        for message in sample.get("messages") or []:
            if message["role"] == "assistant":
                group.words.add(len(message["content"].split()))
                if (found := grade(message["content"])) is not None:
                    group.grades.add(found)
