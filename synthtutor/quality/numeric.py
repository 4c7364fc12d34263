"""Whether two answers are the same, and the first step of a solution whose arithmetic is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from synthtutor.quality.answers import Part, parts
from synthtutor.quality.arithmetic import equalities, worked_out

__all__ = ["WrongStep", "first_wrong_step", "read_otherwise", "same_answer"]

# A pattern, the marks between its thousands, and its decimal mark.
_OTHER_READINGS = (
    (re.compile(r"((?<![\d.,])\d+,\d+(?![\d.,]))"), ".", ","),
    (re.compile(r"((?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.,]))"), ".", ","),
    (re.compile(r"((?<![\d.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,]))"), ",", "."),
)


@dataclass(frozen=True, slots=True)
class WrongStep:
    """``index`` counts steps from 0; ``quote`` is the sum as written, ``value`` what it comes to."""

    index: int
    quote: str
    value: Fraction


def same_answer(one: str, other: str) -> bool:
    r"""Whether two answers say the same, as numbers where they are numbers.

    "1/2", "0.5", "50%", "$\\\\boxed{\\\\frac{1}{2}}$" and "one half" are the same; so are "2,500 pens"
    and "2500": units are passed over, so 5 cm is 5 m here. A decimal that goes on for ever may be
    rounded to two or more places: "0.33" is 1/3 and "0.3" is not. "50" is "50%", since one of the
    two may have left the sign to the question. Several parts may come in any order unless each
    names its unknown or its thing. What is no number must be written alike, apart from spaces, LaTeX and case;
    :class:`~synthtutor.quality.symbolic.Equivalence` knows algebra. An empty answer is the same as
    none.
    """
    left, right = parts(one), parts(other)
    if not left or len(left) != len(right):
        return False
    marked = _marks(left, right)
    rest = list(right)
    for part in left:
        fitting = (at for at, each in enumerate(rest) if not marked or marked(part) == marked(each))
        found = next((at for at in fitting if _same(part, rest[at])), None)
        if found is None:
            return False
        rest.pop(found)
    return True


def first_wrong_step(steps: Sequence[str]) -> WrongStep | None:
    """The first sum in the steps whose result is wrong; None where all that can be checked hold.

    Only arithmetic is checked, "3 × 12 = 35" and chains of it: a right sum of the wrong numbers is a
    wrong step that this does not see. Sums with unknowns or with units to convert are passed over.
    """
    for index, step in enumerate(steps):
        for equality in equalities(step):
            if not equality.holds:
                return WrongStep(index, equality.quote, equality.left)
    return None


def read_otherwise(one: str, other: str) -> bool:
    """Whether two answers that are not the same would be if one has a decimal comma.

    "3,5" is three and a half in Turkish and in French and two numbers here, and "1.234" more than a
    thousand in German: whoever compares such answers cannot know. Indian groups count too (1,23,456).
    """
    readings = [(one, each) for each in _readings(other)]
    readings += [(each, other) for each in _readings(one)]
    return any(same_answer(left, right) for left, right in readings)


def _readings(text: str) -> Iterator[str]:
    for pattern, without, point in _OTHER_READINGS:
        if pattern.search(text):
            yield "".join(
                piece.replace(without, "").replace(point, ".") if at % 2 else piece
                for at, piece in enumerate(pattern.split(text))
            )


def _marks(left: Sequence[Part], right: Sequence[Part]) -> Callable[[Part], str] | None:
    """What tells several parts apart, beside their values: their unknowns or their things."""
    for mark in (_name, _noun):
        told = sorted(map(mark, left))
        if "" not in told and told == sorted(map(mark, right)):
            return mark
    both = len(left) > 1 and all(map(_name, (*left, *right)))
    return _name if both else None


def _name(part: Part) -> str:
    return part.name


def _noun(part: Part) -> str:
    return part.noun


def _same(one: Part, other: Part) -> bool:
    left, right = _value(one), _value(other)
    if left is None or right is None:
        return one.text == other.text
    if one.percent != other.percent and one.value == other.value:
        return True
    return left == right or _rounded(left, one, right) or _rounded(right, other, left)


def _value(part: Part) -> Fraction | None:
    if part.value is None:
        return worked_out(part.text)
    return part.value / 100 if part.percent else part.value


def _rounded(value: Fraction, part: Part, exact: Fraction) -> bool:
    places = part.places + 2 * part.percent
    if places < 2 or _ends(exact):
        return False
    return abs(value - exact) <= Fraction(1, 2 * 10**places)


def _ends(value: Fraction) -> bool:
    """Whether the decimals of a fraction end."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1
