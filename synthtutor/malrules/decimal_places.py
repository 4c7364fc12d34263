"""Misconceptions about decimals and percentages."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from synthtutor.malrules.rule import Kind, Numbers, Way, malrule, plain, way

__all__ = ["DECIMAL_SUM"]

_RESNICK = (
    "Resnick et al. (1989), Conceptual bases of arithmetic errors: the case of decimal fractions"
)


def _below_one(chance: Random) -> Numbers:
    p, q = chance.sample((1, 2, 3), 2)
    return (
        10 * chance.randint(0, 10 ** (p - 1) - 1) + chance.randint(1, 9),
        p,
        10 * chance.randint(0, 10 ** (q - 1) - 1) + chance.randint(1, 9),
        q,
    )


def _written(m: int, p: int) -> str:
    return f"{m // 10**p}.{m % 10**p:0{p}d}"


def _larger_decimal(m: int, p: int, n: int, q: int) -> Way:
    places = max(p, q)
    one, other = m * 10 ** (places - p), n * 10 ** (places - q)
    said = _written(m, p) if one >= other else _written(n, q)
    steps = f"With {places} places they are {_written(one, places)} and {_written(other, places)}."
    return way(Fraction(max(one, other), 10**places), steps, f"{said} is greater.", said=said)


DECIMAL_ORDER = Kind(
    "comparison of decimals",
    "{} or {}",
    _below_one,
    _larger_decimal,
    question="Which number is greater, {}?",
    fields="dd",
)


@malrule(DECIMAL_ORDER, "decimals", grades=(4, 7), source=_RESNICK)
def longer_is_larger(m: int, p: int, n: int, q: int) -> Way:
    """What comes after the point is a whole number, so the one with more digits is larger."""
    chosen, places = (m, p) if m >= n else (n, q)
    return way(
        Fraction(chosen, 10**places),
        f"{max(m, n)} is more than {min(m, n)}",
        said=_written(chosen, places),
    )


@malrule(DECIMAL_ORDER, "decimals", grades=(4, 7), source=_RESNICK)
def shorter_is_larger(m: int, p: int, n: int, q: int) -> Way:
    """More digits after the point mean smaller pieces, so the shorter number is larger."""
    if p == q:
        return _larger_decimal(m, p, n, q)
    chosen, places = (m, p) if p < q else (n, q)
    return way(
        Fraction(chosen, 10**places),
        f"{_written(chosen, places)} has fewer places, so its pieces are bigger",
        said=_written(chosen, places),
    )


def _uneven(chance: Random) -> Numbers:
    p, q = chance.sample((1, 2), 2)
    return chance.randint(11, 99), p, chance.randint(11, 99), q


def _tenths(chance: Random) -> Numbers:
    return (
        chance.randint(1, 9) * 10 + chance.randint(3, 9),
        1,
        chance.randint(1, 9) * 10 + chance.randint(3, 9),
        1,
    )


def _decimal_sum(m: int, p: int, n: int, q: int) -> Way:
    places = max(p, q)
    one, other = m * 10 ** (places - p), n * 10 ** (places - q)
    total = Fraction(one + other, 10**places)
    said = plain(total, decimal=True)
    return way(
        total,
        f"Point under point: {_written(one, places)} + {_written(other, places)} = {said}.",
        said=said,
    )


DECIMAL_SUM = Kind("addition of decimals", "{} + {}", _uneven, _decimal_sum, fields="dd")


@malrule(DECIMAL_SUM, "decimals", grades=(4, 7))
def aligns_the_last_digits(m: int, p: int, n: int, q: int) -> Way:
    """As with whole numbers, the last digits go under each other; the point is put in afterwards."""
    places = max(p, q)
    said = _written(m + n, places)
    return way(
        Fraction(m + n, 10**places), f"{m} + {n} = {m + n}", f"With the point: {said}", said=said
    )


@malrule(DECIMAL_SUM, "decimals", grades=(4, 7), draw=_tenths)
def point_splits_two_numbers(m: int, p: int, n: int, q: int) -> Way:
    """The point separates two whole numbers, and each is added separately."""
    (a, b), (c, d) = divmod(m, 10**p), divmod(n, 10**q)
    said = f"{a + c}.{b + d}"
    return way(
        Fraction(said),
        f"Before the point: {a} + {c} = {a + c}",
        f"After the point: {b} + {d} = {b + d}",
        said=said,
    )


TIMES_TEN = Kind(
    "decimal times ten",
    "{} × 10",
    lambda chance: (chance.randint(11, 999), chance.randint(1, 2)),
    lambda m, p: way(
        Fraction(10 * m, 10**p),
        "Every digit moves one place to the left.",
        said=plain(Fraction(10 * m, 10**p), decimal=True),
    ),
    fields="d",
)
DECIMAL_PRODUCT = Kind(
    "product of decimals",
    "{} × {}",
    lambda chance: (chance.randint(2, 9), 1, chance.randint(2, 9), 1),
    lambda m, p, n, q: way(
        Fraction(m * n, 10 ** (p + q)),
        f"{m} × {n} = {m * n}, in pieces of size {plain(Fraction(1, 10 ** (p + q)), decimal=True)}.",
        said=plain(Fraction(m * n, 10 ** (p + q)), decimal=True),
    ),
    fields="dd",
)


@malrule(TIMES_TEN, "decimals", grades=(4, 7))
def ten_adds_a_zero(m: int, p: int) -> Way:
    """To multiply by ten, you write a zero at the end."""
    said = f"{_written(m, p)}0"
    return way(Fraction(m, 10**p), f"A zero at the end of {_written(m, p)}: {said}", said=said)


@malrule(DECIMAL_PRODUCT, "decimals", grades=(5, 7))
def product_keeps_the_places(m: int, p: int, n: int, q: int) -> Way:
    """The result has as many decimal places as the numbers have, even in a product."""
    places = max(p, q)
    said = _written(m * n, places)
    return way(
        Fraction(m * n, 10**places),
        f"{m} × {n} = {m * n}",
        f"With {places} place after the point: {said}",
        said=said,
    )


# ── percentages ──────────────────────────────────────────────────────────────────────────────


def _price(chance: Random) -> Numbers:
    return 20 * chance.randint(2, 20), 5 * chance.randint(1, 7)


def _reduced(price: int, percent: int) -> Way:
    off = Fraction(price * percent, 100)
    return way(
        price - off,
        f"{percent}% of {price} is {plain(off, decimal=True)}.",
        f"{price} - {plain(off, decimal=True)} = {plain(price - off, decimal=True)}.",
        said=plain(price - off, decimal=True),
    )


def _up_and_down(price: int, percent: int) -> Way:
    up = price * (1 + Fraction(percent, 100))
    now = up * (1 - Fraction(percent, 100))
    return way(
        now,
        f"First it rises to {plain(up, decimal=True)}.",
        f"{percent}% of that is more than before, so it falls to {plain(now, decimal=True)}.",
        said=plain(now, decimal=True),
    )


_REDUCTION = "A jacket costs {} dollars and is now sold at {}% off"
REDUCTION = Kind(
    "price reduction",
    _REDUCTION,
    _price,
    _reduced,
    question="{}. How many dollars does it cost now?",
)
UP_AND_DOWN = Kind(
    "percentage up and down",
    "A ticket costs {} dollars. Its price rises by {}%, and later falls by the same percentage",
    _price,
    _up_and_down,
    question="{}. How many dollars does it cost in the end?",
)
PERCENT_OF = Kind(
    "percentage",
    "{}% of {}",
    lambda chance: (5 * chance.randint(1, 10), 20 * chance.randint(2, 20)),
    lambda p, n: way(
        Fraction(p * n, 100),
        f"1% of {n} is {plain(Fraction(n, 100), decimal=True)}, and {p}% is {p} times that.",
        said=plain(Fraction(p * n, 100), decimal=True),
    ),
)


@malrule(REDUCTION, "percentages", grades=(6, 9))
def percent_is_an_amount(price: int, percent: int) -> Way:
    """The number before the percent sign says how many dollars are taken off."""
    return way(price - percent, f"{price} - {percent} = {price - percent}")


@malrule(UP_AND_DOWN, "percentages", grades=(6, 10))
def same_percentages_cancel(price: int, percent: int) -> Way:
    """Going up and down by the same percentage brings you back to where you started."""
    return way(price, f"+{percent}% and -{percent}% cancel, so it is {price} again")


@malrule(PERCENT_OF, "percentages", grades=(6, 9))
def divides_by_the_percentage(p: int, n: int) -> Way:
    """You find ten percent by dividing by ten, so you find any percentage by dividing by it."""
    return way(Fraction(n, p), f"{n} ÷ {p} = {Fraction(n, p)}")
