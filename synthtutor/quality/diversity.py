"""Distinct-n: what share of all runs of n words are different ones.

An exact count would hold every run of the corpus. Here a run is remembered only if the last k
bits of its number are zero, and k grows whenever more than ``capacity`` runs are remembered; the
count is then what is left times 2^k. Up to ``capacity`` different runs it is exact, beyond that
within about 1 % (1/√capacity is 0.4 %).
"""

from __future__ import annotations

from collections.abc import Sequence

from synthtutor.quality.shingles import shingles, tokens

__all__ = ["Diversity"]


class Diversity:
    """Distinct-1, -2 and -3 over all texts added. Falls with the size of a corpus: compare like with like."""

    def __init__(self, sizes: Sequence[int] = (1, 2, 3), *, capacity: int = 1 << 16) -> None:
        self._runs = {size: _Distinct(capacity) for size in sizes}

    def add(self, text: str) -> None:
        """Count one text's runs of words."""
        numbers = tokens(text)
        for size, runs in self._runs.items():
            runs.add(shingles(numbers, size))

    def summary(self) -> dict[str, dict[str, float | int | None]]:
        """By ``distinct_1``, …: ``share`` (None where there is no text), ``different``, ``all``."""
        return {f"distinct_{size}": runs.summary() for size, runs in self._runs.items()}


class _Distinct:
    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._mask = 0
        self._kept: set[int] = set()
        self._all = 0

    def add(self, runs: list[int]) -> None:
        self._all += len(runs)
        mask = self._mask
        self._kept.update([run for run in runs if not run & mask] if mask else runs)
        while len(self._kept) > self._capacity:
            self._mask = mask = self._mask * 2 + 1
            self._kept = {run for run in self._kept if not run & mask}

    def summary(self) -> dict[str, float | int | None]:
        different = min(len(self._kept) * (self._mask + 1), self._all)
        share = round(different / self._all, 4) if self._all else None
        return {"share": share, "different": different, "all": self._all}
