"""How far the mean of a few figures lets one be off: what the width of an estimate is made of.

What a sample costs has a long tail to one side. Student's interval is symmetric, and of twenty
lognormal figures with a variation of 1.0 its upper end is too low in one case of nine. Hall's
transformation (P. Hall, "On the removal of skewness by transformation", J. R. Stat. Soc. B 54,
1992) moves both ends by the skewness that the figures have themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["interval", "needed", "slope_of", "student"]


def student(freedom: int) -> float:
    """Student's t for 95 %, both sides together, as a series; within 3 % from 2 degrees of freedom on."""
    return 1.96 + 2.372 / freedom + 2.822 / freedom**2 + 2.556 / freedom**3


def interval(figures: Sequence[float], more: int, *, also: float = 0.0) -> tuple[float, float]:
    """How far below and above its mean the mean of ``more`` further figures will be, 19 times in 20.

    Both ends are uncertain: the mean of the known ones, and that of those to come. ``also`` is a
    standard error from elsewhere that comes on top. Takes three figures or more; both ends are 0
    or more.
    """
    n = len(figures)
    mean = math.fsum(figures) / n
    around = [figure - mean for figure in figures]
    deviation = math.sqrt(math.fsum(each**2 for each in around) / (n - 1))
    if deviation <= 1e-12 * abs(mean):
        return 1.96 * also, 1.96 * also
    error = math.sqrt(1 / n + 1 / max(1, more) + (also / deviation) ** 2)
    skew = math.fsum((each / deviation) ** 3 for each in around) / n / ((n - 1) / n) ** 1.5
    far = student(n - 1) * error
    low, high = _bent(far, skew, n), -_bent(-far, skew, n)
    return max(0.0, low * deviation), max(0.0, high * deviation)


def needed(figures: Sequence[float], share: float, of: int) -> int:
    """How many of ``of`` such figures must be known for their sum to be within ``share``, 19 times in 20.

    At least 3, at most all. Takes two figures or more.
    """
    n = len(figures)
    mean = math.fsum(figures) / n
    variance = math.fsum((figure - mean) ** 2 for figure in figures) / (n - 1)
    if not mean or not of:
        return min(3, of)
    endless = 1.96**2 * variance / (share * mean) ** 2
    return min(of, max(3, math.ceil(endless / (1 + endless / of))))


def slope_of(known: Sequence[float], figures: Sequence[float]) -> float:
    """The slope of the straight line through pairs, where it is more than chance; else 0.

    That is: from 8 pairs on, and where it is at least twice its standard error. It is then less
    steep by the share of it that chance explains, so that a few pairs do not make a steep rule.
    """
    n = len(known)
    middle, mean = math.fsum(known) / n, math.fsum(figures) / n
    wide = math.fsum((x - middle) ** 2 for x in known)
    tall = math.fsum((y - mean) ** 2 for y in figures)
    if n < 8 or wide <= 1e-12 * n * middle**2 or tall <= 1e-12 * n * mean**2:
        return 0.0
    both = math.fsum((x - middle) * (y - mean) for x, y in zip(known, figures, strict=True))
    explained = min(1.0, both**2 / wide / tall)
    by_chance = (1 - explained) / (n - 2)
    if explained < 4 * by_chance:
        return 0.0
    return both / wide * (1 - by_chance / explained)


def _bent(far: float, skew: float, n: int) -> float:
    """Hall's inverse transformation; the identity where there is no skewness."""
    if abs(skew) < 1e-6:
        return far
    inside = 1 + skew * (far - skew / (6 * n))
    return 3 / skew * (math.copysign(abs(inside) ** (1 / 3), inside) - 1)
