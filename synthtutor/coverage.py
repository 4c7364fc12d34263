"""Balanced draws over the full product of attributes.

Two counters that run in step visit few of the pairs (28 subjects and 8 misconception types by one
running index meet in 56 of 224 cells, since gcd(28, 8) = 4). Here every cell of the product has a
place in one seeded permutation, and draws walk it by a stride near the golden section, so that any
run of draws is spread evenly, and *growing* a run, by more rows or by more variations a row, never
changes the draws already made.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product
from math import gcd

__all__ = ["Coverage"]

_GOLDEN = 0.6180339887498949


class Coverage:
    """Draws cells of the product of ``attributes`` (name → values), decided by ``seed``."""

    def __init__(self, attributes: Mapping[str, Sequence[str]], *, seed: int = 0) -> None:
        self.names = tuple(attributes)
        self._cells = list(product(*attributes.values()))
        random.Random(f"coverage {seed}").shuffle(self._cells)
        self._stride = _stride(len(self._cells))

    def __len__(self) -> int:
        """How many cells there are."""
        return len(self._cells)

    def draw(self, row: int, variation: int = 0) -> dict[str, str]:
        """The attributes for one variation of one row.

        For one variation, any ``len(self)`` consecutive rows fill every cell once.
        """
        cell = self._cells[(row + variation * self._stride) % len(self._cells)]
        return dict(zip(self.names, cell, strict=True))


def _stride(size: int) -> int:
    wanted = round(size * _GOLDEN) or 1
    return min(
        (step for step in range(1, size + 1) if gcd(step, size) == 1),
        key=lambda step: (abs(step - wanted), step),
    )
