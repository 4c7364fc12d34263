"""How numbers are spread, from a stream of them."""

from __future__ import annotations

from collections import Counter
from math import ceil

__all__ = ["Distribution"]


class Distribution:
    """Counts numbers rounded to ``step``: as many counters as there are different ones, not numbers.

    Mean, least and greatest are exact; percentiles are to the nearest ``step``.
    """

    def __init__(self, step: float = 1) -> None:
        self._step = step
        self._counts: Counter[int] = Counter()
        self._sum = 0.0
        self._least = float("inf")
        self._greatest = float("-inf")

    def add(self, number: float) -> None:
        """Count one number."""
        self._counts[round(number / self._step)] += 1
        self._sum += number
        self._least = min(self._least, number)
        self._greatest = max(self._greatest, number)

    def summary(self) -> dict[str, float | int | None]:
        """``n``, ``mean``, ``min``, ``p10``, ``p50``, ``p90``, ``max``; None where n is 0."""
        n = self._counts.total()
        if not n:
            return dict.fromkeys(("mean", "min", "p10", "p50", "p90", "max")) | {"n": 0}
        p10, p50, p90 = self._percentiles(n, (0.1, 0.5, 0.9))
        return {
            "n": n,
            "mean": round(self._sum / n, 3),
            "min": round(self._least, 3),
            "p10": p10,
            "p50": p50,
            "p90": p90,
            "max": round(self._greatest, 3),
        }

    def _percentiles(self, n: int, shares: tuple[float, ...]) -> list[float]:
        ranks = [ceil(share * n) for share in shares]
        found: list[float] = []
        seen = 0
        for bucket, count in sorted(self._counts.items()):
            seen += count
            while len(found) < len(ranks) and seen >= ranks[len(found)]:
                # The rounding of a bucket's edge must not leave the range of the numbers.
                value = min(max(bucket * self._step, self._least), self._greatest)
                found.append(round(value, 3))
        return found
