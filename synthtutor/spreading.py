"""Some of many rows, one out of each stretch of them, without knowing how many there will be.

Every so-many-th row is a bad choice where rows repeat with a period: of right and wrong answers in
turn it takes the right ones only (W. G. Cochran, *Sampling Techniques*, 3rd ed., 1977, sections 8.1
and 8.7). Here each stretch gives one of its rows by chance, which is Cochran's stratified random
sampling with one unit per stratum: spread as evenly, and without a period.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Generic, TypeVar

__all__ = ["Spread", "spread"]

T = TypeVar("T")


class Spread(Generic[T]):
    """``count`` of the items that are added (or all, of fewer), in their order.

    Keeps at most eight times as many. The same items and ``seed`` give the same choice.
    """

    def __init__(self, count: int, seed: str) -> None:
        self._count = count
        self._chance = random.Random(f"spread {seed}")
        self._kept: list[T] = []
        self._width = 1  # items in each stretch; the last may have fewer
        self._seen = 0

    def add(self, item: T) -> None:
        """The next one."""
        place = self._seen % self._width
        self._seen += 1
        if place == 0:
            if len(self._kept) == 8 * self._count:
                self._merge()
            self._kept.append(item)
        elif self._chance.randrange(place + 1) == 0:
            self._kept[-1] = item

    def _merge(self) -> None:
        """Stretches twice as wide, each with one of its halves' choices."""
        pairs = zip(self._kept[::2], self._kept[1::2], strict=True)
        self._kept = [self._chance.choice(pair) for pair in pairs]
        self._width *= 2

    def chosen(self) -> list[T]:
        """The choice so far."""
        kept, count = self._kept, self._count
        if len(kept) <= count:
            return list(kept)
        ends = [place * len(kept) // count for place in range(count + 1)]
        return [kept[self._chance.randrange(start, end)] for start, end in pairwise(ends)]


def spread(items: Iterable[T], count: int, seed: str) -> list[T]:
    """``count`` of the items (or all, of fewer), one out of each stretch, in their order."""
    made = Spread[T](count, seed)
    for item in items:
        made.add(item)
    return made.chosen()
