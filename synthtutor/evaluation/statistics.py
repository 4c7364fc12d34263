"""Two systems on the same students: paired tests and an effect size, by scipy.

The differences are the data: second system less first, one for each student. Shapiro and Wilk
(1965) asks whether they could be normal, Wilcoxon (1945) whether their centre is zero, and Cohen's d
says how far from it. Cohen's d has several forms for paired data. The one here is d_z, the mean
difference over the standard deviation of the differences (Lakens 2013, "Calculating and reporting
effect sizes to facilitate cumulative science", Frontiers in Psychology 4:863, eq. 6); d_av, over the
mean of the two standard deviations (his eq. 10), stands beside it, since it can be compared with
effects between groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from synthtutor.errors import ConfigError

__all__ = [
    "Paired",
    "TooFew",
    "Wilcoxon",
    "friedman",
    "holm",
    "needs_scipy",
    "paired",
    "wilcoxon",
]

LEAST = 3  # Shapiro and Wilk's test knows no fewer, and nobody should compare fewer
_EXACT = 50  # scipy's own bound for the exact distribution
_PERMUTED = 13  # 2^13 signs are quickly gone through


class TooFew(ConfigError):
    """Fewer pairs than anything can be said of."""


@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """The signed-rank test. ``w`` is the smaller sum of ranks; None where every difference is zero.

    Zeros say nothing of a direction and are left out (Wilcoxon's own way); ``zeros`` and ``ties``
    count them and the differences that share their size with another. ``method`` says where p is
    from: ``exact`` (all signs, no ties), ``permutation`` (all signs of tied ranks, up to 13 of
    them), or ``normal`` (the approximation, corrected for ties and continuity).
    """

    w: float | None
    p: float | None
    method: Literal["exact", "permutation", "normal", "none"]
    zeros: int
    ties: int


@dataclass(frozen=True, slots=True)
class Paired:
    """``differences`` are second less first. None where a figure is not defined, as d of equal pairs.

    ``d_z_interval`` is the 95 % percentile bootstrap interval over students; it is None where more than a
    tenth of the resamples have no d.
    """

    n: int
    means: tuple[float, float]
    deviations: tuple[float, float]
    medians: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float] | None
    shapiro_w: float | None
    shapiro_p: float | None
    wilcoxon: Wilcoxon
    d_z: float | None
    d_z_interval: tuple[float, float] | None
    d_av: float | None
    resamples: int


def paired(
    first: Sequence[float], second: Sequence[float], *, resamples: int = 5000, seed: int = 0
) -> Paired:
    """Everything about pairs. Raises TooFew for fewer than three, ConfigError without scipy.

    Raises ValueError where the two are not equally many.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores are no pairs")
    if len(first) < LEAST:
        raise TooFew(f"{len(first)} students are in both: at least {LEAST} are needed to compare")
    numpy, stats = _scipy()
    one, other = numpy.asarray(first, float), numpy.asarray(second, float)
    around = other - one
    spread = float(around.std(ddof=1))
    flat = spread <= 1e-12 * max(1.0, float(numpy.abs(around).max()))
    shapiro = None if flat else stats.shapiro(around)
    both = (float(one.std(ddof=1)) + float(other.std(ddof=1))) / 2
    mean = float(around.mean())
    difference, effect = _bootstrapped(around, resamples, seed)
    return Paired(
        n=len(around),
        means=(float(one.mean()), float(other.mean())),
        deviations=(float(one.std(ddof=1)), float(other.std(ddof=1))),
        medians=(float(numpy.median(one)), float(numpy.median(other))),
        difference=mean,
        difference_interval=difference,
        shapiro_w=None if shapiro is None else float(shapiro.statistic),
        shapiro_p=None if shapiro is None else float(shapiro.pvalue),
        wilcoxon=wilcoxon(first, second),
        d_z=None if flat else mean / spread,
        d_z_interval=None if flat else effect,
        d_av=mean / both if both > 0 else None,
        resamples=resamples,
    )


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> Wilcoxon:
    """The two-sided signed-rank test of pairs; no p where no difference is left."""
    numpy, stats = _scipy()
    around = numpy.asarray(second, float) - numpy.asarray(first, float)
    # 7.3 − 7.1 and 6.3 − 6.1 are the same difference, whatever the last bits of them say.
    around = numpy.round(around, 9)
    told = around[around != 0]
    sizes = sorted(abs(float(each)) for each in told)
    tied = {one for one, other in pairwise(sizes) if one == other}
    ties = sum(size in tied for size in sizes)
    zeros = len(around) - len(told)
    if not len(told):
        return Wilcoxon(None, None, "none", zeros, 0)
    method: Literal["exact", "permutation", "normal"]
    if not ties and len(told) <= _EXACT:
        method, found = "exact", stats.wilcoxon(told, method="exact")
    elif len(told) <= _PERMUTED:
        every = stats.PermutationMethod(n_resamples=numpy.inf)
        method, found = "permutation", stats.wilcoxon(told, method=every)
    else:
        method, found = "normal", stats.wilcoxon(told, method="asymptotic", correction=True)
    return Wilcoxon(float(found.statistic), float(found.pvalue), method, zeros, ties)


def friedman(systems: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Friedman's (1937) chi-square and p of three systems or more; None where nothing differs."""
    numpy, stats = _scipy()
    table = numpy.round(numpy.asarray(systems, float), 9)  # as differences are, or ties are lost
    if (table == table[0]).all():
        return None
    found = stats.friedmanchisquare(*table)
    return float(found.statistic), float(found.pvalue)


def holm(values: Mapping[Any, float | None]) -> dict[Any, float | None]:
    """p-values corrected for their number (Holm 1979, step-down); those without a p stay without."""
    known = sorted((p, number) for number, p in enumerate(values.values()) if p is not None)
    adjusted: dict[int, float] = {}
    least = 0.0
    for place, (p, number) in enumerate(known):
        least = max(least, min(1.0, (len(known) - place) * p))
        adjusted[number] = least
    return {name: adjusted.get(number) for number, name in enumerate(values)}


def needs_scipy() -> None:
    """Raise ConfigError, saying how to install it, where scipy is not there."""
    _scipy()


def _bootstrapped(
    around: Any, resamples: int, seed: int
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Percentile intervals of the mean difference and of d_z under resampling of students."""
    numpy, _ = _scipy()
    chance = numpy.random.default_rng(seed)
    drawn = around[chance.integers(0, len(around), size=(resamples, len(around)))]
    means, spreads = drawn.mean(axis=1), drawn.std(axis=1, ddof=1)
    usable = spreads > 1e-12
    effects = means[usable] / spreads[usable]
    enough = len(effects) >= 0.9 * resamples and len(effects) > 0
    return _ends(means), _ends(effects) if enough else None


def _ends(values: Any) -> tuple[float, float]:
    numpy, _ = _scipy()
    low, high = numpy.percentile(values, [2.5, 97.5])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("scores must be finite numbers")
    return float(low), float(high)


def _scipy() -> tuple[Any, Any]:
    try:
        import numpy
        from scipy import stats
    except ImportError as error:
        raise ConfigError(
            f'comparing needs {error.name}: pip install "synthtutor[evaluation]"'
        ) from None
    return numpy, stats
