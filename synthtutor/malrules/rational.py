"""Misconceptions about fractions and mixed numbers."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from random import Random

from synthtutor.malrules.rule import Kind, Numbers, Way, malrule, way

__all__ = ["FRACTION_SUM"]

_CSMS = "Hart (ed., 1981), Children's understanding of mathematics: 11-16"


def _fraction(chance: Random) -> Numbers:
    bottom = chance.randint(2, 9)
    return chance.randint(1, bottom - 1), bottom


def _two(chance: Random) -> Numbers:
    """Two proper fractions with different denominators."""
    b, d = chance.sample(range(2, 10), 2)
    return chance.randint(1, b - 1), b, chance.randint(1, d - 1), d


def _alike(chance: Random) -> Numbers:
    a, b = _fraction(chance)
    return a, b, chance.randint(1, b - 1), b


def _added(a: int, b: int, c: int, d: int) -> Way:
    bottom = lcm(b, d)
    left, right = a * bottom // b, c * bottom // d
    total = Fraction(a, b) + Fraction(c, d)
    return way(
        total,
        f"In parts of the same size: {a}/{b} = {left}/{bottom} and {c}/{d} = {right}/{bottom}.",
        f"{left}/{bottom} + {right}/{bottom} = {left + right}/{bottom} = {total}.",
    )


FRACTION_SUM = Kind("addition of fractions", "{}/{} + {}/{}", _two, _added)
FRACTION_PRODUCT = Kind(
    "product of fractions",
    "{}/{} × {}/{}",
    _alike,
    lambda a, b, c, d: way(
        Fraction(a * c, b * d),
        f"{a} × {c} = {a * c} parts of size 1/{b} × 1/{d} = 1/{b * d}.",
        f"{a * c}/{b * d} = {Fraction(a * c, b * d)}.",
    ),
)
FRACTION_QUOTIENT = Kind(
    "quotient of fractions",
    "{}/{} ÷ {}/{}",
    _two,
    lambda a, b, c, d: way(
        Fraction(a * d, b * c),
        f"Dividing by {c}/{d} is the same as multiplying by {d}/{c}.",
        f"{a}/{b} × {d}/{c} = {Fraction(a * d, b * c)}.",
    ),
)


@malrule(FRACTION_SUM, "fractions", grades=(4, 8), source=_CSMS)
def adds_tops_and_bottoms(a: int, b: int, c: int, d: int) -> Way:
    """A fraction is two numbers, so I add the tops and add the bottoms."""
    top, bottom = a + c, b + d
    return way(
        Fraction(top, bottom), f"{a} + {c} = {top}", f"{b} + {d} = {bottom}", said=f"{top}/{bottom}"
    )


@malrule(FRACTION_SUM, "fractions", grades=(4, 8))
def changes_bottoms_only(a: int, b: int, c: int, d: int) -> Way:
    """To add fractions I write the common denominator under both; the tops stay as they are."""
    top, bottom = a + c, lcm(b, d)
    return way(
        Fraction(top, bottom),
        f"The common denominator is {bottom}: {a}/{bottom} + {c}/{bottom}",
        f"{a} + {c} = {top}",
        said=f"{top}/{bottom}",
    )


@malrule(FRACTION_PRODUCT, "fractions", grades=(5, 7))
def product_keeps_the_bottom(a: int, b: int, c: int, d: int) -> Way:
    """With the same denominator, you work with the tops only, even when multiplying."""
    bottom = lcm(b, d)
    left, right = a * bottom // b, c * bottom // d
    return way(
        Fraction(left * right, bottom),
        f"{left} × {right} = {left * right}",
        f"The bottom stays {bottom}",
        said=f"{left * right}/{bottom}",
    )


@malrule(FRACTION_QUOTIENT, "fractions", grades=(5, 8))
def turns_the_first_over(a: int, b: int, c: int, d: int) -> Way:
    """To divide fractions, I flip the first one and multiply."""
    return way(
        Fraction(b * c, a * d),
        f"{a}/{b} flipped is {b}/{a}",
        f"{b}/{a} × {c}/{d} = {b * c}/{a * d}",
        said=f"{b * c}/{a * d}",
    )


WHOLE_TIMES = Kind(
    "multiple of a fraction",
    "{} × {}/{}",
    lambda chance: (chance.randint(2, 9), *_fraction(chance)),
    lambda n, a, b: way(
        Fraction(n * a, b),
        f"{n} times {a} parts are {n * a} parts of size 1/{b}.",
        f"{n * a}/{b} = {Fraction(n * a, b)}.",
    ),
)


@malrule(WHOLE_TIMES, "fractions", grades=(4, 7))
def multiplies_top_and_bottom(n: int, a: int, b: int) -> Way:
    """A whole number multiplies both numbers of a fraction."""
    return way(
        Fraction(a, b), f"{n} × {a} = {n * a}", f"{n} × {b} = {n * b}", said=f"{n * a}/{n * b}"
    )


def _mixed_pair(chance: Random) -> Numbers:
    b = chance.randint(3, 9)
    a, c = sorted(chance.sample(range(1, b), 2))
    v = chance.randint(1, 5)
    return v + chance.randint(1, 5), a, b, v, c, b


def _mixed_difference(w: int, a: int, b: int, v: int, c: int, d: int) -> Way:
    left = w + Fraction(a, b)
    right = v + Fraction(c, d)
    total = left - right
    return way(
        total,
        f"As single fractions: {w} {a}/{b} = {left} and {v} {c}/{d} = {right}.",
        f"{left} - {right} = {total}.",
    )


MIXED_DIFFERENCE = Kind(
    "subtraction of mixed numbers", "{} {}/{} - {} {}/{}", _mixed_pair, _mixed_difference
)
IMPROPER = Kind(
    "mixed number",
    "{} {}/{}",
    lambda chance: (chance.randint(2, 9), *_fraction(chance)),
    lambda w, a, b: way(
        w + Fraction(a, b),
        f"{w} wholes are {w * b}/{b}.",
        f"{w * b}/{b} + {a}/{b} = {w + Fraction(a, b)}.",
    ),
    question="Write {} as a single fraction.",
)


@malrule(MIXED_DIFFERENCE, "fractions", grades=(4, 7))
def smaller_part_from_larger(w: int, a: int, b: int, v: int, c: int, d: int) -> Way:
    """I subtract the wholes, and with the fraction parts I take the smaller from the larger."""
    one, other = sorted((Fraction(a, b), Fraction(c, d)))
    total = w - v + other - one
    return way(
        total, f"{w} - {v} = {w - v}", f"{other} - {one} = {other - one}", f"Together {total}"
    )


@malrule(IMPROPER, "fractions", grades=(4, 6))
def adds_the_whole_to_the_top(w: int, a: int, b: int) -> Way:
    """The whole number belongs to the top, so I add it there."""
    return way(
        Fraction(w + a, b), f"{w} + {a} = {w + a}", f"The bottom is {b}", said=f"{w + a}/{b}"
    )


def _same_top(chance: Random) -> Numbers:
    b, d = chance.sample(range(3, 13), 2)
    a = chance.randint(1, min(b, d) - 1)
    return a, b, a, d


def _greater(a: int, b: int, c: int, d: int) -> Way:
    one, other = Fraction(a, b), Fraction(c, d)
    said = f"{a}/{b}" if one >= other else f"{c}/{d}"
    return way(
        max(one, other),
        f"{a}/{b} is {a * d}/{b * d}, and {c}/{d} is {c * b}/{b * d}.",
        f"{said} is greater.",
        said=said,
    )


FRACTION_ORDER = Kind(
    "comparison of fractions",
    "{}/{} or {}/{}",
    _same_top,
    _greater,
    question="Which number is greater, {}?",
)


@malrule(FRACTION_ORDER, "fractions", grades=(3, 6))
def larger_bottom_is_larger(a: int, b: int, c: int, d: int) -> Way:
    """The fraction with the larger denominator is larger, because its number is larger."""
    top, bottom = (a, b) if b >= d else (c, d)
    return way(
        Fraction(top, bottom), f"{max(b, d)} is more than {min(b, d)}", said=f"{top}/{bottom}"
    )
