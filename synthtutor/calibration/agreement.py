"""How far two raters agree, beyond what chance would give them; with bootstrap intervals.

All figures are functions of counts: how often a person said one label and the judge another.
Counts add up, so a resampling of whole groups (conversations, solutions) is a sum of their counts.
The replies to one conversation are not independent, and an interval that took them for so would be
too narrow. Kappa is Cohen's (1960); alpha is Krippendorff's ("Computing Krippendorff's
Alpha-Reliability", 2011), for any number of raters and with missing ratings.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

__all__ = [
    "Counts",
    "accuracy",
    "agreement",
    "bootstrap",
    "cohen_kappa",
    "correlation",
    "krippendorff_alpha",
    "macro_f1",
    "pair_alpha",
    "ranks",
]

Counts = Mapping[Any, float]
Scale = Literal["nominal", "ordinal", "interval"]
Figures = Mapping[str, float | None]


def accuracy(pairs: Counts) -> float | None:
    """The share of pairs (person, judge) that are equal; None of no pairs."""
    total = sum(pairs.values())
    return sum(n for (one, other), n in pairs.items() if one == other) / total if total else None


def macro_f1(pairs: Counts, labels: Sequence[Hashable]) -> float | None:
    """The mean over ``labels`` of F1; a label that neither rater gave has F1 0."""
    if not labels or not sum(pairs.values()):
        return None
    scores = []
    for label in labels:
        both = pairs.get((label, label), 0)
        given = sum(n * ((h == label) + (j == label)) for (h, j), n in pairs.items())
        scores.append(2 * both / given if given else 0.0)
    return math.fsum(scores) / len(labels)


def cohen_kappa(pairs: Counts) -> float | None:
    """Cohen's kappa; None where both raters gave one and the same label to everything."""
    total = sum(pairs.values())
    if not total:
        return None
    people: defaultdict[Hashable, float] = defaultdict(float)
    judge: defaultdict[Hashable, float] = defaultdict(float)
    for (one, other), n in pairs.items():
        people[one] += n
        judge[other] += n
    by_chance = math.fsum(people[label] * judge[label] for label in people) / total**2
    if by_chance >= 1:
        return None
    return ((accuracy(pairs) or 0.0) - by_chance) / (1 - by_chance)


def krippendorff_alpha(
    units: Iterable[Sequence[Any]], scale: Scale = "nominal", order: Sequence[Any] = ()
) -> float | None:
    """Krippendorff's alpha of units, each the ratings that it got (None: this rater gave none).

    ``order`` lists the values of an ordinal scale; without it they are sorted. A unit with fewer
    than two ratings cannot be compared and is left out. None where nothing can vary.
    """
    together: defaultdict[tuple[Any, Any], float] = defaultdict(float)
    for unit in units:
        rated = [value for value in unit if value is not None]
        for at, one in enumerate(rated):
            for other in rated[:at] + rated[at + 1 :]:
                together[one, other] += 1 / (len(rated) - 1)
    return _alpha(together, scale, order)


def pair_alpha(pairs: Counts, scale: Scale = "nominal", order: Sequence[Any] = ()) -> float | None:
    """Alpha of two raters from the counts of their pairs."""
    together: defaultdict[tuple[Any, Any], float] = defaultdict(float)
    for (one, other), n in pairs.items():
        together[one, other] += n
        together[other, one] += n
    return _alpha(together, scale, order)


def agreement(pairs: Counts, labels: Sequence[Hashable]) -> dict[str, float | None]:
    """Accuracy, macro-F1 over ``labels``, kappa and nominal alpha."""
    return {
        "accuracy": accuracy(pairs),
        "macro_f1": macro_f1(pairs, labels),
        "kappa": cohen_kappa(pairs),
        "alpha": pair_alpha(pairs),
    }


def correlation(sums: Counts) -> float | None:
    """Pearson's correlation from the sums ``n``, ``x``, ``y``, ``xx``, ``yy`` and ``xy``."""
    n = sums.get("n", 0)
    if n < 3:
        return None
    across = n * sums.get("xx", 0) - sums.get("x", 0) ** 2
    up = n * sums.get("yy", 0) - sums.get("y", 0) ** 2
    if across <= 1e-9 * n or up <= 1e-9 * n:
        return None
    return (n * sums.get("xy", 0) - sums.get("x", 0) * sums.get("y", 0)) / math.sqrt(across * up)


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's place from 0 (least) to 1; equal values share the middle of theirs."""
    ordered = sorted(values)
    last = max(1, len(values) - 1)
    return [(bisect_left(ordered, v) + bisect_right(ordered, v) - 1) / 2 / last for v in values]


def bootstrap(
    groups: Iterable[Counts],
    figures: Callable[[Counts], Figures],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float] | None]:
    """Percentile intervals of ``figures`` under resampling of whole groups.

    None for a figure that is undefined in a tenth of the resamples or more, and for all of them
    where there are fewer than five groups: so few say nothing about a sixth.
    """
    alike = Counter(frozenset(group.items()) for group in groups if group)
    total = alike.total()
    kinds = sorted(
        alike, key=lambda kind: sorted(map(repr, kind))
    )  # sets have no order of their own
    names = list(figures({}))
    if total < 5:
        return dict.fromkeys(names)
    chance = random.Random(f"bootstrap {seed}")
    weights = [alike[kind] for kind in kinds]
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(resamples):
        drawn = Counter(chance.choices(range(len(kinds)), weights, k=total))
        summed: dict[Any, float] = {}
        for kind, times in drawn.items():
            for key, n in kinds[kind]:
                summed[key] = summed.get(key, 0) + n * times
        for name, value in figures(summed).items():
            if value is not None:
                found[name].append(value)
    return {
        name: _ends(values, level) if len(values) > 0.9 * resamples else None
        for name, values in found.items()
    }


def _ends(values: list[float], level: float) -> tuple[float, float]:
    values.sort()
    last = len(values) - 1
    return values[round((1 - level) / 2 * last)], values[round((1 + level) / 2 * last)]


def _alpha(together: Counts, scale: Scale, order: Sequence[Any]) -> float | None:
    """One less the ratio of the disagreement seen to that expected by chance."""
    often: defaultdict[Any, float] = defaultdict(float)
    for (one, _), n in together.items():
        often[one] += n
    total = math.fsum(often.values())
    distance = _distance(scale, often, order)
    if total <= 1:
        return None
    seen = math.fsum(n * distance(one, other) for (one, other), n in together.items()) / total
    expected = math.fsum(
        often[one] * often[other] * distance(one, other) for one in often for other in often
    ) / (total * (total - 1))
    return 1 - seen / expected if expected else None


def _distance(
    scale: Scale, often: Mapping[Any, float], order: Sequence[Any]
) -> Callable[[Any, Any], float]:
    if scale == "nominal":
        return lambda one, other: float(one != other)
    if scale == "interval":
        return lambda one, other: float((one - other) ** 2)
    places = {value: place for place, value in enumerate(order or sorted(often))}
    counts = [often.get(value, 0.0) for value in places]

    def apart(one: Any, other: Any) -> float:
        low, high = sorted((places[one], places[other]))
        return float((sum(counts[low : high + 1]) - (counts[low] + counts[high]) / 2) ** 2)

    return apart
