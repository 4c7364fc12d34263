"""Misconceptions about letters, equations, brackets, powers and roots."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from random import Random

from synthtutor.malrules.rule import Kind, Numbers, Way, malrule, way

__all__ = ["LINEAR"]

_MATZ = "Matz (1982), Towards a process model for high school algebra errors"
_SLEEMAN = "Sleeman (1984), An attempt to understand students' understanding of basic algebra"
_BOOTH = "Booth (1984), Algebra: children's strategies and errors"
_SOLVE = "Solve {} for x."


# ── equations ────────────────────────────────────────────────────────────────────────────────


def _bracketed(chance: Random) -> Numbers:
    a, b, x = chance.randint(2, 9), chance.randint(1, 9), chance.randint(1, 9)
    return a, b, a * (x + b)


def _shifted(chance: Random) -> Numbers:
    a = chance.randint(2, 30)
    return a, a + chance.randint(1, 30)


def _multiple(chance: Random) -> Numbers:
    a = chance.randint(2, 9)
    return a, a * chance.randint(2, 12)


def _linear(chance: Random) -> Numbers:
    a, b = chance.randint(2, 12), chance.randint(2, 9)
    return a, b, a + b * chance.randint(2, 9)


def _solved_bracket(a: int, b: int, c: int) -> Way:
    return way(
        Fraction(c, a) - b,
        f"Divide both sides by {a}: x + {b} = {Fraction(c, a)}.",
        f"Take {b} from both sides: x = {Fraction(c, a) - b}.",
    )


def _solved_shift(a: int, b: int) -> Way:
    return way(b - a, f"Take {a} from both sides: x = {b} - {a} = {b - a}.")


def _solved_multiple(a: int, b: int) -> Way:
    return way(Fraction(b, a), f"Divide both sides by {a}: x = {b} ÷ {a} = {Fraction(b, a)}.")


def _solved_linear(a: int, b: int, c: int) -> Way:
    return way(
        Fraction(c - a, b),
        f"Take {a} from both sides: {b}x = {c - a}.",
        f"Divide both sides by {b}: x = {Fraction(c - a, b)}.",
    )


BRACKET = Kind(
    "equation with a bracket", "{}(x + {}) = {}", _bracketed, _solved_bracket, question=_SOLVE
)
SHIFT = Kind("equation with a sum", "x + {} = {}", _shifted, _solved_shift, question=_SOLVE)
MULTIPLE = Kind(
    "equation with a multiple", "{}x = {}", _multiple, _solved_multiple, question=_SOLVE
)
LINEAR = Kind("equation in two steps", "{} + {}x = {}", _linear, _solved_linear, question=_SOLVE)


@malrule(BRACKET, "equations", grades=(6, 9), source=_SLEEMAN)
def multiplies_the_first_only(a: int, b: int, c: int) -> Way:
    """The number in front of a bracket multiplies only what is next to it, the first term."""
    return way(
        Fraction(c - b, a),
        f"{a}(x + {b}) is {a}x + {b}",
        f"{a}x = {c} - {b} = {c - b}",
        f"x = {Fraction(c - b, a)}",
    )


@malrule(SHIFT, "equations", grades=(6, 9), source=_SLEEMAN)
def moves_without_changing_sign(a: int, b: int) -> Way:
    """I can move a number to the other side of an equation just as it is."""
    return way(a + b, f"I move the {a} over: x = {b} + {a}", f"x = {a + b}")


@malrule(MULTIPLE, "equations", grades=(6, 9))
def takes_the_coefficient_away(a: int, b: int) -> Way:
    """The number beside x is in the way, so I subtract it from the other side."""
    return way(b - a, f"{b} - {a} = {b - a}", f"x = {b - a}")


@malrule(MULTIPLE, "equations", grades=(6, 9))
def divides_the_wrong_way(a: int, b: int) -> Way:
    """To get x alone, I divide the number beside it by the number on the other side."""
    return way(Fraction(a, b), f"x = {a} ÷ {b} = {Fraction(a, b)}")


@malrule(LINEAR, "equations", grades=(6, 9), source=_BOOTH)
def joins_unlike_terms(a: int, b: int, c: int) -> Way:
    """A sum has to be worked out, so I add a plain number to the number of x's."""
    return way(
        Fraction(c, a + b),
        f"{a} + {b}x is {a + b}x",
        f"{a + b}x = {c}",
        f"x = {Fraction(c, a + b)}",
    )


# ── letters and brackets ─────────────────────────────────────────────────────────────────────


def _small(chance: Random) -> Numbers:
    return chance.randint(2, 9), chance.randint(2, 9)


_VALUE = "What is the value of {}?"
SQUARE_OF_SUM = Kind(
    "square of a sum",
    "(x + {})^2 when x = {}",
    _small,
    lambda a, x: way(
        (x + a) ** 2, f"The bracket is {x} + {a} = {x + a}.", f"{x + a} × {x + a} = {(x + a) ** 2}."
    ),
    question=_VALUE,
)
TERM = Kind(
    "value of a term",
    "{}x when x = {}",
    _small,
    lambda a, x: way(a * x, f"{a}x means {a} × x.", f"{a} × {x} = {a * x}."),
    question=_VALUE,
)
NEGATIVE_SQUARE = Kind(
    "negative of a square",
    "-x^2 when x = {}",
    lambda chance: (chance.randint(2, 12),),
    lambda x: way(-x * x, f"x^2 is {x * x}.", f"Its opposite is {-x * x}."),
    question=_VALUE,
)
MINUS_BRACKET = Kind(
    "minus before a bracket",
    "{} - (x - {}) when x = {}",
    lambda chance: (chance.randint(10, 30), chance.randint(1, 9), chance.randint(2, 15)),
    lambda a, b, x: way(
        a - (x - b), f"The bracket is {x} - {b} = {x - b}.", f"{a} - ({x - b}) = {a - (x - b)}."
    ),
    question=_VALUE,
)


def _cancelling(chance: Random) -> Numbers:
    a = chance.randint(2, 6)
    return a, a * chance.randint(1, 6), a, chance.randint(2, 9)


QUOTIENT = Kind(
    "quotient of a sum",
    "({}x + {})/{} when x = {}",
    _cancelling,
    lambda a, b, c, x: way(
        Fraction(a * x + b, c),
        f"The top is {a} × {x} + {b} = {a * x + b}.",
        f"{a * x + b} ÷ {c} = {Fraction(a * x + b, c)}.",
    ),
    question=_VALUE,
)


@malrule(SQUARE_OF_SUM, "algebra", grades=(8, 11), source=_MATZ)
def squares_term_by_term(a: int, x: int) -> Way:
    """You square a bracket term by term, so (x + a)^2 is x^2 + a^2."""
    return way(
        x * x + a * a, f"(x + {a})^2 = x^2 + {a * a}", f"{x * x} + {a * a} = {x * x + a * a}"
    )


@malrule(TERM, "algebra", grades=(6, 8), source=_MATZ)
def letter_is_a_digit(a: int, x: int) -> Way:
    """A letter beside a number stands for a digit, so I write the value in its place."""
    return way(int(f"{a}{x}"), f"In {a}x I put {x} for the x: {a}{x}")


@malrule(NEGATIVE_SQUARE, "algebra", grades=(7, 11))
def squares_the_minus_too(x: int) -> Way:
    """The minus belongs to x, so it is squared with it and goes away."""
    return way(x * x, f"(-{x}) × (-{x}) = {x * x}")


@malrule(MINUS_BRACKET, "algebra", grades=(7, 9))
def minus_reaches_the_first_only(a: int, b: int, x: int) -> Way:
    """A minus in front of a bracket applies only to the first term in it; the rest stays as it is."""
    return way(a - x - b, f"{a} - (x - {b}) = {a} - x - {b}", f"{a} - {x} - {b} = {a - x - b}")


@malrule(QUOTIENT, "algebra", grades=(8, 11), source=_MATZ)
def cancels_in_one_term(a: int, b: int, c: int, x: int) -> Way:
    """What appears above and below can be crossed out, wherever it is in a sum."""
    total = Fraction(a * x, c) + b
    return way(total, f"I cross out the {c}: {Fraction(a, c) * x} + {b}", f"That makes {total}")


# ── powers and roots ─────────────────────────────────────────────────────────────────────────

_TRIPLES = ((3, 4), (6, 8), (5, 12), (8, 15), (9, 12), (12, 16), (7, 24), (15, 20), (10, 24))


def _squares(chance: Random) -> Numbers:
    a, b = chance.sample(chance.choice(_TRIPLES), 2)
    return a * a, b * b


def _powers(chance: Random) -> Numbers:
    base = chance.randint(2, 4)
    return base, chance.randint(1, 3), base, chance.randint(2, 3)


def _root(a: int, b: int) -> Way:
    _whole(a + b)
    return way(
        isqrt(a + b), f"Under the root is {a} + {b} = {a + b}.", f"√{a + b} = {isqrt(a + b)}."
    )


def _whole(square: int) -> int:
    root = isqrt(square)
    if root * root != square:
        raise ValueError(f"{square} is no square")
    return root


ROOT_OF_SUM = Kind("root of a sum", "√({} + {})", _squares, _root)
POWERS = Kind(
    "product of powers",
    "{}^{} × {}^{}",
    _powers,
    lambda a, m, b, n: way(
        a**m * b**n,
        f"{' × '.join([str(a)] * m)} times {' × '.join([str(b)] * n)}.",
        f"{a**m} × {b**n} = {a**m * b**n}.",
    ),
)
ZEROTH = Kind(
    "power of zero",
    "{}^0",
    lambda chance: (chance.randint(2, 20),),
    lambda a: way(1, f"{a}^1 = {a}, and going one step down divides by {a}: {a}^0 = 1."),
)


@malrule(ROOT_OF_SUM, "algebra", grades=(8, 11), source=_MATZ)
def root_term_by_term(a: int, b: int) -> Way:
    """The root of a sum is the sum of the roots."""
    one, other = _whole(a), _whole(b)
    return way(one + other, f"√{a} = {one}", f"√{b} = {other}", f"{one} + {other} = {one + other}")


@malrule(POWERS, "powers", grades=(7, 10))
def multiplies_the_exponents(a: int, m: int, b: int, n: int) -> Way:
    """When you multiply powers, you multiply their exponents."""
    if a != b:
        raise ValueError("the rule is about powers of one number")
    return way(a ** (m * n), f"{m} × {n} = {m * n}", f"{a}^{m * n} = {a ** (m * n)}")


@malrule(ZEROTH, "powers", grades=(7, 10))
def zeroth_power_is_zero(a: int) -> Way:
    """With an exponent of 0 there is nothing to multiply, so the result is 0."""
    return way(0, f"{a} taken 0 times is 0")
