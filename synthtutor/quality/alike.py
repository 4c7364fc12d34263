"""Texts that share most of their runs of words with an earlier one, found exactly.

`synthtutor.quality.duplicates` estimates, in bounded memory, for any number of long texts; of pairs
just above its threshold it misses some. This is for sets of some thousand short texts from
which near-duplicates are *rejected*, where a missed one stays. Two sets of runs can only have
enough in common if they share one of the first few in any fixed order (prefix filtering), so only
those are looked up, and what is found is compared exactly.
"""

from __future__ import annotations

from math import ceil

from synthtutor.quality.shingles import shingles, tokens

__all__ = ["Alike"]

_WORDS = 3
_ALMOST = 1e-9  # so that 0.6 of 5 runs is 3, whatever 0.6 is in binary


class Alike:
    """Names the earlier text that shares at least ``threshold`` (0 to 1) of its runs of three words.

    The share is the Jaccard index: runs in common by runs of either. The first of its kind is the
    original; only originals are remembered, about 5 KB each, and no more than ``capacity``.
    """

    def __init__(self, *, threshold: float = 0.6, capacity: int = 5_000) -> None:
        self._capacity = capacity
        self._threshold = threshold - _ALMOST
        self._originals: list[tuple[str, frozenset[int]]] = []
        self._index: dict[int, list[int]] = {}

    def add(self, text: str, name: str) -> str | None:
        """The name of the original that the text is most like, the earliest of equals; None without one."""
        numbers = tokens(text)
        runs = frozenset(shingles(numbers, max(1, min(_WORDS, len(numbers)))))
        if not runs:
            return None
        first = sorted(runs)[: len(runs) - ceil(self._threshold * len(runs)) + 1]
        found = {place for run in first for place in self._index.get(run, ())}
        best = max(((self._shared(runs, place), -place) for place in found), default=(0.0, 0))
        if best[0] >= self._threshold:
            return self._originals[-best[1]][0]
        if len(self._originals) == self._capacity:
            return None
        for run in first:
            self._index.setdefault(run, []).append(len(self._originals))
        self._originals.append((name, runs))
        return None

    def _shared(self, runs: frozenset[int], place: int) -> float:
        other = self._originals[place][1]
        common = len(runs & other)
        return common / (len(runs) + len(other) - common)
