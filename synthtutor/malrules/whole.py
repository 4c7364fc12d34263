"""Misconceptions about whole numbers: columns, the order of operations, the signs of numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import zip_longest
from random import Random

from synthtutor.malrules.rule import Kind, Numbers, Way, malrule, way

__all__ = ["ADDITION", "SUBTRACTION"]

_BUGS = "Brown & Burton (1978), Diagnostic models for procedural bugs in basic mathematical skills"


def _columns(*numbers: int) -> list[tuple[int, ...]]:
    """The digits column by column, units first."""
    rows = [[int(digit) for digit in reversed(str(number))] for number in numbers]
    return list(zip_longest(*rows, fillvalue=0))


def _number(digits: list[int]) -> int:
    return sum(digit * 10**place for place, digit in enumerate(digits))


# ── subtraction ──────────────────────────────────────────────────────────────────────────────


def _subtraction(chance: Random) -> Numbers:
    a = chance.randint(200, 999)
    return a, chance.randint(11, a - 10)


def _with_zero(chance: Random) -> Numbers:
    """A zero among the tens of the upper number, and none below it."""
    a = 100 * chance.randint(2, 9) + chance.randint(1, 8)
    return a, 10 * chance.randint(1, 9) + chance.randint(1, 9)


def _difference(a: int, b: int) -> Way:
    return way(
        a - b,
        f"Where the upper digit of a column is too small, regroup one from the next place as ten: {a} - {b}.",
        f"{a} - {b} = {a - b}, because {b} + {a - b} = {a}.",
    )


SUBTRACTION = Kind("subtraction", "{} - {}", _subtraction, _difference)


def _descending(a: int, b: int) -> None:
    if a < b:
        raise ValueError("columns are for taking the smaller number from the larger")


@malrule(SUBTRACTION, "subtraction", grades=(2, 4), source=_BUGS)
def smaller_from_larger(a: int, b: int) -> Way:
    """In every column I take the smaller digit from the larger one, whichever is on top."""
    _descending(a, b)
    steps, digits = [], []
    for upper, lower in _columns(a, b):
        digits.append(abs(upper - lower))
        steps.append(f"{max(upper, lower)} - {min(upper, lower)} = {digits[-1]}")
    return way(_number(digits), *steps, f"{a} - {b} = {_number(digits)}")


@malrule(SUBTRACTION, "subtraction", grades=(2, 4), source=_BUGS)
def borrows_without_paying(a: int, b: int) -> Way:
    """When the upper digit is too small, I put a 1 in front of it, and the next column stays as it is."""
    _descending(a, b)
    steps, digits = [], []
    for upper, lower in _columns(a, b):
        taken = upper + 10 if upper < lower else upper
        digits.append(taken - lower)
        steps.append(f"{taken} - {lower} = {digits[-1]}")
    return way(_number(digits), *steps, f"{a} - {b} = {_number(digits)}")


@malrule(SUBTRACTION, "subtraction", grades=(2, 4), source=_BUGS, draw=_with_zero)
def zero_minus_is_the_digit(a: int, b: int) -> Way:
    """Nothing can be taken from 0, so under a 0 I write the lower digit."""
    _descending(a, b)
    upper, lower = (list(row) for row in zip(*_columns(a, b), strict=True))
    steps, digits = [], []
    for place, below in enumerate(lower):
        if upper[place] == 0 and below:
            digits.append(below)
        else:
            if upper[place] < below:
                _open(upper, place, stops_at_zero=False, zeros=())
            digits.append(upper[place] - below)
        steps.append(f"{upper[place]} - {below} = {digits[-1]}")
    return way(_number(digits), *steps, f"{a} - {b} = {_number(digits)}")


@malrule(SUBTRACTION, "subtraction", grades=(2, 5), source=_BUGS, draw=_with_zero)
def borrows_from_zero(a: int, b: int) -> Way:
    """When I borrow from a 0, it becomes a 9, and that is all; nothing to its left changes."""
    _descending(a, b)
    upper, lower = (list(row) for row in zip(*_columns(a, b), strict=True))
    steps, digits = [], []
    for place, below in enumerate(lower):
        if upper[place] < below:
            _open(upper, place, stops_at_zero=True, zeros=tuple(upper))
        digits.append(upper[place] - below)
        steps.append(f"{upper[place]} - {below} = {digits[-1]}")
    return way(_number(digits), *steps, f"{a} - {b} = {_number(digits)}")


def _open(upper: list[int], place: int, *, stops_at_zero: bool, zeros: Numbers) -> None:
    """Give the place ten more, from the next one that has something to give."""
    giver = place + 1
    while giver < len(upper) and upper[giver] == 0:
        upper[giver] = 9
        giver += 1
        if stops_at_zero:
            break
    if giver < len(upper) and not (stops_at_zero and 0 in zeros[place + 1 : giver]):
        upper[giver] -= 1
    upper[place] += 10


# ── addition and multiplication ──────────────────────────────────────────────────────────────


def _two_digits(chance: Random) -> Numbers:
    return chance.randint(13, 98), chance.randint(13, 98)


def _sum(a: int, b: int) -> Way:
    ones = a % 10 + b % 10
    carried = f", so {ones // 10} is carried" if ones > 9 else ""
    return way(a + b, f"The ones: {a % 10} + {b % 10} = {ones}{carried}.", f"{a} + {b} = {a + b}.")


ADDITION = Kind("addition", "{} + {}", _two_digits, _sum)


@malrule(ADDITION, "addition", grades=(1, 3))
def forgets_the_carry(a: int, b: int) -> Way:
    """Only one digit fits under a column, so I write the last digit of each sum and move on."""
    *columns, (first, second) = _columns(a, b)
    digits = [(upper + lower) % 10 for upper, lower in columns]
    steps = [f"{upper} + {lower}: I write {(upper + lower) % 10}" for upper, lower in columns]
    total = _number(digits) + (first + second) * 10 ** len(columns)
    return way(total, *steps, f"{first} + {second} = {first + second}", f"{a} + {b} = {total}")


@malrule(ADDITION, "addition", grades=(1, 3))
def writes_both_digits(a: int, b: int) -> Way:
    """The whole sum of a column belongs under that column, even when it has two digits."""
    sums = [upper + lower for upper, lower in _columns(a, b)]
    steps = [f"{upper} + {lower} = {upper + lower}" for upper, lower in _columns(a, b)]
    total = int("".join(str(each) for each in reversed(sums)))
    return way(total, *steps, f"{a} + {b} = {total}")


def _product(a: int, b: int) -> Way:
    tens, ones = b - b % 10, b % 10
    parts = f"{a} × {tens} + {a} × {ones} = {a * tens} + {a * ones}"
    return way(a * b, f"{a} × {b} = {parts}.", f"{a} × {b} = {a * b}.")


PRODUCT = Kind("multiplication", "{} × {}", _two_digits, _product)
TIMES_ZERO = Kind(
    "product with zero",
    "{} × 0",
    lambda chance: (chance.randint(2, 99),),
    lambda a: way(0, f"{a} × 0 is {a} groups of nothing: 0."),
)


@malrule(PRODUCT, "multiplication", grades=(3, 5))
def multiplies_like_digits_only(a: int, b: int) -> Way:
    """To multiply, I multiply the tens by the tens and the ones by the ones, just as when I add."""
    tens, ones = (a // 10) * (b // 10), (a % 10) * (b % 10)
    total = 100 * tens + ones
    return way(
        total,
        f"Tens: {a // 10} × {b // 10} = {tens}, that is {100 * tens}",
        f"Ones: {a % 10} × {b % 10} = {ones}",
        f"{100 * tens} + {ones} = {total}",
    )


@malrule(TIMES_ZERO, "multiplication", grades=(2, 4))
def times_zero_changes_nothing(a: int) -> Way:
    """Zero is nothing, so multiplying by 0 leaves a number as it was."""
    return way(a, f"× 0 does nothing, so {a} × 0 = {a}")


def _unequal_division(chance: Random) -> Numbers:
    a = chance.randint(2, 9)
    return a, a * chance.randint(2, 9)


def _quotient(a: int, b: int) -> Way:
    return way(
        Fraction(a, b), f"{a} shared among {b} is {a}/{b} each.", f"{a} ÷ {b} = {Fraction(a, b)}."
    )


DIVISION = Kind("division", "{} ÷ {}", _unequal_division, _quotient)


@malrule(
    DIVISION,
    "division",
    grades=(3, 6),
    source="Fischbein, Deri, Nello & Marino (1985), The role of implicit models in solving verbal problems",
)
def larger_by_smaller(a: int, b: int) -> Way:
    """You always divide the larger number by the smaller one, whichever order they are in."""
    large, small = max(a, b), min(a, b)
    return way(Fraction(large, small), f"{large} ÷ {small} = {Fraction(large, small)}")


# ── several operations ───────────────────────────────────────────────────────────────────────


def _three(chance: Random) -> Numbers:
    return chance.randint(2, 12), chance.randint(2, 9), chance.randint(2, 9)


ORDER = Kind(
    "order of operations",
    "{} + {} × {}",
    _three,
    lambda a, b, c: way(
        a + b * c, f"The product first: {b} × {c} = {b * c}.", f"{a} + {b * c} = {a + b * c}."
    ),
)


@malrule(ORDER, "order of operations", grades=(4, 7))
def left_to_right(a: int, b: int, c: int) -> Way:
    """Calculations are done from left to right, whatever the operations are."""
    return way((a + b) * c, f"{a} + {b} = {a + b}", f"{a + b} × {c} = {(a + b) * c}")


def _balance(chance: Random) -> Numbers:
    a, b = chance.randint(3, 15), chance.randint(3, 15)
    return a, b, chance.randint(2, a + b - 1)


BALANCE = Kind(
    "missing number",
    "{} + {} = ? + {}",
    _balance,
    lambda a, b, c: way(
        a + b - c,
        f"The left side is {a + b}.",
        f"{a + b} - {c} = {a + b - c} makes the right side equal.",
    ),
    question="Which number stands for the question mark in {}?",
)


@malrule(
    BALANCE,
    "equality",
    grades=(1, 6),
    source="Falkner, Levi & Carpenter (1999), Children's understanding of equality",
)
def equals_means_the_answer_comes_next(a: int, b: int, c: int) -> Way:  # noqa: ARG001  # what stands after it is not looked at
    """The equals sign tells me to write the answer to what comes before it."""
    return way(a + b, f"{a} + {b} = {a + b}, so {a + b} comes after the equals sign")


POWER = Kind(
    "power",
    "{}^{}",
    lambda chance: (chance.randint(2, 9), chance.randint(2, 4)),
    lambda a, n: way(a**n, f"{a}^{n} is {' × '.join([str(a)] * n)} = {a**n}."),
)


@malrule(POWER, "powers", grades=(5, 8))
def power_is_a_product(a: int, n: int) -> Way:
    """The small raised number says what to multiply by, so 5^3 is 5 times 3."""
    return way(a * n, f"{a}^{n} = {a} × {n} = {a * n}")


# ── signs ────────────────────────────────────────────────────────────────────────────────────


def _pair(chance: Random) -> Numbers:
    return chance.randint(2, 15), chance.randint(2, 15)


MINUS_NEGATIVE = Kind(
    "subtraction of a negative",
    "{} - (-{})",
    _pair,
    lambda a, b: way(
        a + b, f"Taking away -{b} is the same as adding {b}.", f"{a} + {b} = {a + b}."
    ),
)
NEGATIVE_PRODUCT = Kind(
    "product of negatives",
    "(-{}) × (-{})",
    _pair,
    lambda a, b: way(a * b, f"The opposite of {a} × (-{b}) = {-a * b} is {a * b}."),
)
NEGATIVE_SUM = Kind(
    "sum with a negative",
    "-{} + {}",
    _pair,
    lambda a, b: way(
        b - a, f"Start at -{a} and go up {b} on the number line.", f"-{a} + {b} = {b - a}."
    ),
)


def _unequal(chance: Random) -> Numbers:
    a, b = chance.sample(range(2, 30), 2)
    return a, b


LARGER_NEGATIVE = Kind(
    "comparison of negatives",
    "-{} or -{}",
    _unequal,
    lambda a, b: way(
        -min(a, b), f"On the number line -{min(a, b)} lies to the right of -{max(a, b)}."
    ),
    question="Which number is greater, {}?",
)


@malrule(MINUS_NEGATIVE, "negative numbers", grades=(6, 8))
def minus_minus_is_minus(a: int, b: int) -> Way:
    """A minus means taking away, and a second minus just says the same thing again."""
    return way(a - b, f"{a} - (-{b}) is {a} - {b}", f"{a} - {b} = {a - b}")


@malrule(NEGATIVE_PRODUCT, "negative numbers", grades=(6, 8))
def negatives_stay_negative(a: int, b: int) -> Way:
    """If both numbers are negative, the result is negative too."""
    return way(-a * b, f"{a} × {b} = {a * b}", f"Both are negative, so it is {-a * b}")


@malrule(NEGATIVE_SUM, "negative numbers", grades=(6, 8))
def adds_and_keeps_the_minus(a: int, b: int) -> Way:
    """Adding makes more, so I add the numbers and keep the minus in front."""
    return way(-(a + b), f"{a} + {b} = {a + b}", f"With the minus it is {-(a + b)}")


@malrule(LARGER_NEGATIVE, "negative numbers", grades=(5, 7))
def size_without_sign(a: int, b: int) -> Way:
    """Of two negative numbers, the one with the bigger digits is the greater one."""
    return way(-max(a, b), f"{max(a, b)} is more than {min(a, b)}, so -{max(a, b)} is greater")
