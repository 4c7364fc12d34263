"""Balanced draws over the full product of attributes.

Two counters that run in step visit few of the pairs (28 subjects and 8 misconception types by one
running index meet in 56 of 224 cells, since gcd(28, 8) = 4), and a shuffled list of all cells holds
some values far more often than others until it is nearly used up. Here the cells come in rounds: in a
round the attribute with the most values takes each of them once, and the others take theirs by the
rows of random Latin squares (Fisher 1935, "The Design of Experiments"), another column each round.
So each value of each attribute occurs about as often as any other *in whatever number of rows is
drawn*, and all cells of the product occur before one comes again.

Variations walk the same order by a stride near the golden section. *Growing* a run, by more rows or by
more variations a row, never changes the draws already made.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import gcd

__all__ = ["Coverage"]

_GOLDEN = 0.6180339887498949


class Coverage:
    """Draws cells of the product of ``attributes`` (name → values), decided by ``seed``."""

    def __init__(self, attributes: Mapping[str, Sequence[str]], *, seed: int = 0) -> None:
        self.names = tuple(attributes)
        self._values = tuple(map(tuple, attributes.values()))
        self._cells = _order(
            [len(each) for each in self._values], random.Random(f"coverage {seed}")
        )
        self._stride = _stride(len(self._cells))

    def __len__(self) -> int:
        """How many cells there are."""
        return len(self._cells)

    def draw(self, row: int, variation: int = 0) -> dict[str, str]:
        """The attributes for one variation of one row.

        For one variation, any ``len(self)`` consecutive rows fill every cell once.
        """
        places = self._cells[(row + variation * self._stride) % len(self._cells)]
        cell = (values[at] for values, at in zip(self._values, places, strict=True))
        return dict(zip(self.names, cell, strict=True))


def _order(sizes: Sequence[int], chance: random.Random) -> list[tuple[int, ...]]:
    """Every cell of the product once, as places in its attributes, each round balanced in itself."""
    if not sizes or not all(sizes):
        return [] if sizes else [()]
    lead = max(range(len(sizes)), key=lambda at: (sizes[at], -at))
    size, others = sizes[lead], [*sizes[:lead], *sizes[lead + 1 :]]
    names = chance.sample(range(size), size)
    tables = [_latin(size, of, chance) for of in others]
    cells = []
    for columns in _order(others, chance):
        start = chance.randrange(size)
        for place in (*range(start, size), *range(start)):
            taken = [table[place][column] for table, column in zip(tables, columns, strict=True)]
            cells.append((*taken[:lead], names[place], *taken[lead:]))
    return cells


def _latin(rows: int, of: int, chance: random.Random) -> list[list[int]]:
    """So many rows of Latin squares below each other, each square with rows, columns and names mixed."""
    table: list[list[int]] = []
    while len(table) < rows:
        across, down, names = (chance.sample(range(of), of) for _ in range(3))
        table += [[names[(row + column) % of] for column in across] for row in down]
    return table[:rows]


def _stride(size: int) -> int:
    wanted = round(size * _GOLDEN) or 1
    return min(
        (step for step in range(1, size + 1) if gcd(step, size) == 1),
        key=lambda step: (abs(step - wanted), step),
    )
