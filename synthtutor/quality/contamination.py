"""Whether a text repeats a benchmark, by runs of words.

A run of thirteen words that a training text shares with a benchmark is taken for contamination, as
Brown et al. did (2020, "Language Models are Few-Shot Learners", appendix C). Words are compared
without case and punctuation, numbers as they stand: a problem with other numbers, or in other
words, is not found. The benchmark's runs are kept as numbers of eight bytes, in one array.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synthtutor.errors import ConfigError
from synthtutor.quality.shingles import located, shingles

__all__ = ["Contamination", "Overlap"]

_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Overlap:
    """A stretch of a text that a benchmark has too: ``text[start:end]`` is ``quote``, of ``words``."""

    benchmark: str
    start: int
    end: int
    words: int
    quote: str


class Contamination:
    """Looks texts up in benchmarks, given by name as the texts of their items.

    A run is ``words`` long; an item of fewer words, but at least eight, is one run as a whole. About
    eight bytes are held for each run; where they would be more than ``capacity``, only one in 2, 4,
    8, … is kept, which still finds whole items, but misses overlaps that are hardly longer than a
    run, and quotes less of the others; ``kept_share`` says which. Reading takes ten times the memory
    for a moment, 160 MB with the capacity given. Raises ConfigError where ``words``
    is below eight.
    """

    def __init__(
        self,
        benchmarks: Mapping[str, Iterable[str]],
        *,
        words: int = 13,
        capacity: int = 2_000_000,
    ) -> None:
        if words < _SHORTEST:
            raise ConfigError(f"runs of {words} words are in any text; use {_SHORTEST} or more")
        self._words = words
        self._mask = 0
        self._capacity = capacity
        self._runs: dict[str, dict[int, array[int]]] = {}
        for name, items in benchmarks.items():
            self._runs[name] = self._read(items)

    @property
    def kept_share(self) -> float:
        """What share of the runs is kept: 1 unless there were more than ``capacity``."""
        return 1 / (self._mask + 1)

    def overlaps(self, text: str) -> list[Overlap]:
        """Where the text repeats a benchmark, by place; runs that touch are one overlap."""
        words = located(text)
        numbers = [number for number, _, _ in words]
        found: list[Overlap] = []
        for name, sizes in self._runs.items():
            covered = [False] * len(words)
            for size, runs in sizes.items():
                for at, run in enumerate(shingles(numbers, size)):
                    if not run & self._mask and _holds(runs, run):
                        covered[at : at + size] = [True] * size
            found += [
                Overlap(
                    name, words[a][1], words[b - 1][2], b - a, text[words[a][1] : words[b - 1][2]]
                )
                for a, b in _stretches(covered)
            ]
        return sorted(found, key=lambda overlap: (overlap.start, overlap.benchmark))

    def _read(self, items: Iterable[str]) -> dict[int, array[int]]:
        read: dict[int, array[int]] = {}
        limit = self._capacity
        for item in items:
            numbers = [number for number, _, _ in located(item)]
            size = min(self._words, len(numbers))
            if size < _SHORTEST:
                continue
            runs = [run for run in shingles(numbers, size) if not run & self._mask]
            read.setdefault(size, array("Q")).extend(runs)
            if self._held(read) > limit:
                self._shrink(read)
                # Where equal runs or the mask do not make room, the next look is not at the next item.
                limit = max(self._capacity, self._held(read) + self._capacity // 8)
        return {size: _tidy(runs, self._mask) for size, runs in read.items()}

    def _held(self, read: dict[int, array[int]]) -> int:
        return sum(len(runs) for sizes in (*self._runs.values(), read) for runs in sizes.values())

    def _shrink(self, read: dict[int, array[int]]) -> None:
        everything = (*self._runs.values(), read)
        for sizes in everything:
            for size, runs in sizes.items():
                sizes[size] = _tidy(runs, self._mask)
        while self._held(read) > self._capacity:
            self._mask = self._mask * 2 + 1
            for sizes in everything:
                for size, runs in sizes.items():
                    sizes[size] = array("Q", [run for run in runs if not run & self._mask])


def _tidy(runs: array[int], mask: int) -> array[int]:
    return array("Q", sorted({run for run in runs if not run & mask}))


def _holds(runs: array[int], run: int) -> bool:
    at = bisect_left(runs, run)
    return at < len(runs) and runs[at] == run


def _stretches(covered: list[bool]) -> Iterable[tuple[int, int]]:
    start: int | None = None
    for at, is_covered in enumerate([*covered, False]):
        if is_covered and start is None:
            start = at
        elif not is_covered and start is not None:
            yield start, at
            start = None
