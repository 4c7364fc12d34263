"""Sums in a text, such as "4 cats * 2 rabbits/cat = 8 rabbits", worked out exactly."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Equality", "equalities", "worked_out"]

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
# A unit is of letters, but a letter alone is an unknown: "0.1x = 50" is no sum.
_UNIT = r"(?:\s{0,3}(?!(?:times|plus|minus|over|divided|and|or|so|is|rem|remainder)\b)[A-Za-z]{2,}(?:\s?/\s?[A-Za-z]{2,})?)"
# Terms are atomic: spaces belong to whoever comes first, or a long sum would be tried in every way.
_TERM = (
    rf"(?>[(\s]{{0,12}}[-−]?\s?\\?[$£€]?\s?(?:{_NUMBER})(?![A-Za-z]\b|\d)(?:\s?\\?%)?{_UNIT}{{0,3}}"
    r"(?:\s{0,3}\)){0,6})"
)
_OPERATOR = (
    r"\s{0,3}(?:[-+*/×÷−–^]|x(?=[\s\d$(])|\\times|\\cdot|\\div|\btimes\b|\bplus\b|\bminus\b|"
    r"\bdivided\sby\b)"
)
_SUM = rf"(?>{_TERM}(?:{_OPERATOR}{_TERM}){{0,12}})"
_CHAIN = re.compile(rf"(?<![\d.,])(?=[(\d$£€.\\−-]){_SUM}(?:\s{{0,3}}[=≈]\s{{0,3}}{_SUM}){{1,6}}")
_BEFORE = re.compile(
    r"(?:[-+*/×÷−^(.]|\bx|\b\d|\btimes|\bby)\s*$|[A-Za-z]\s?[-+*/]\s*$|\b[A-Za-z]$"
)
_AFTER = re.compile(r"\s*(?:[-+*/×÷^]\s*[\w($]|\(|x\s*\d|\bof\b|%|[A-Za-z]\b(?<=\d[A-Za-z]))")
_TOKEN = re.compile(rf"{_NUMBER}|[-+*/^()%]")
_SPOKEN = {"times": "*", "plus": "+", "minus": "-", "divided by": "/", "\\times": "*"}
_SPOKEN |= {"\\cdot": "*", "\\div": "/", "×": "*", "÷": "/", "−": "-", "–": "-", "\\%": "%"}
_TIMES = re.compile(r"(?<=[\d)%\s])x(?=[\s\d$(])")
_WORD = re.compile(r"/?\s?[A-Za-z]{2,}(?:\s?/\s?[A-Za-z]{2,})?")
_OFF = re.compile(
    rf"\s*(\\?[$£€]?(?:{_NUMBER}){_UNIT}{{0,2}})\s*([-+−–])\s*((?:{_NUMBER})\s?\\?%)\s*"
)
_REMAINDER = re.compile(
    r"\s{0,2},?\s?(?:with\s)?(?:a\s)?(?:[Rr]|rem\.?|remainder)(?:\s(?:of\s)?)?\d"
)
_POINTS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.,])")
_MOST = Fraction(10) ** 12


@dataclass(frozen=True, slots=True)
class Equality:
    """A sum and what it is said to be: ``quote`` as written, the two values, the decimals of the result."""

    quote: str
    left: Fraction
    right: Fraction
    places: int

    @property
    def holds(self) -> bool:
        """Whether it is right, or right when rounded to the decimals that are written.

        To whole numbers nobody rounds silently: 100 / 3 = 33 does not hold. "90 / 300 × 100 = 30%" does.
        """
        if self.left == self.right or (self.left == 100 * self.right and self.quote.endswith("%")):
            return True
        return bool(self.places) and abs(self.left - self.right) <= Fraction(1, 10**self.places)


def equalities(text: str) -> Iterator[Equality]:
    """Every sum in the text that can be worked out, with each value it is said to have.

    Left out: what has an unknown in it, what begins or ends in the middle of something longer, sums
    of different units (1 hour − 30 minutes), and chains without an operation.
    """
    for found in _CHAIN.finditer(text):
        if _BEFORE.search(text[max(0, found.start() - 12) : found.start()]):
            continue
        if _AFTER.match(text, found.end()) or _of_two_units(found[0]):
            continue
        sides = re.split(r"[=≈]", found[0])
        signs = re.findall(r"[=≈]", found[0])
        if _REMAINDER.match(text, found.end()):
            continue
        values = [worked_out(side) for side in sides]
        for at, (left, right) in enumerate(itertools.pairwise(values)):
            if left is None or right is None or not _operates(f"{sides[at]} {sides[at + 1]}"):
                continue
            if left != right and _holds_otherwise(sides[at], sides[at + 1]):
                continue
            if signs[at] == "≈" and abs(left - right) < Fraction(1, 10 ** _places(sides[at + 1])):
                continue
            yield Equality(
                f"{sides[at].strip()} = {sides[at + 1].strip()}",
                left,
                right,
                _places(sides[at + 1]),
            )


def worked_out(text: str) -> Fraction | None:
    """The exact value of a sum of numbers; units are passed over. None where it has none.

    Division by zero, powers above 12 and values above 10^12 have none.
    """
    for spoken, sign in _SPOKEN.items():
        text = text.replace(spoken, sign)
    text = _WORD.sub(" ", _TIMES.sub("*", text))
    tokens = _TOKEN.findall(text)
    if re.sub(r"[\s$£€\\.,:]", "", _TOKEN.sub("", text)) or not tokens:
        return None
    try:
        value, rest = _sum(tokens)
    except (ArithmeticError, ValueError, IndexError):
        return None
    return None if rest or abs(value) > _MOST else value


def _holds_otherwise(left: str, right: str) -> bool:
    """Whether it holds in another way of writing.

    With points between thousands, as in German and Turkish (1.200 - 200 = 1.000), or with a percentage
    that is one of what stands before it (40 - 15% = 34).
    """
    if off := _OFF.fullmatch(left):
        base, part = worked_out(off[1]), worked_out(off[3])
        if base is not None and part is not None:
            return worked_out(right) == base * (1 + (part if off[2] == "+" else -part))
    plain = [_POINTS.sub(lambda found: found[0].replace(".", ""), side) for side in (left, right)]
    return plain != [left, right] and worked_out(plain[0]) == worked_out(plain[1])


def _places(side: str) -> int:
    decimals = re.findall(r"\d\.(\d+)", side)
    return len(decimals[-1]) if decimals and not _operates(side) else 0


def _operates(side: str) -> bool:
    return bool(re.search(rf"\d[^=]*{_OPERATOR}[^=]*\d", side))


_SCALES = {"second": 0, "minute": 0, "hour": 0, "day": 0, "week": 0, "month": 0, "year": 0}
_SCALES |= {
    "cent": 1,
    "dollar": 1,
    "inch": 2,
    "foot": 2,
    "feet": 2,
    "yard": 2,
    "mile": 2,
    "meter": 2,
}
_SCALES |= {
    "centimeter": 2,
    "kilometer": 2,
    "gram": 3,
    "kilogram": 3,
    "ounce": 3,
    "pound": 3,
    "ton": 3,
}
_SCALES |= {"dozen": 4, "percent": 5}


def _of_two_units(chain: str) -> bool:
    """Whether it turns one unit into another, which the numbers alone do not tell."""
    kinds: dict[int, set[str]] = {}
    for word in re.findall(r"[a-z]{3,}", chain.casefold()):
        name = (
            word
            if word in _SCALES
            else word.removesuffix("s").removesuffix("e" if word.endswith("ches") else "")
        )
        if name in _SCALES:
            kinds.setdefault(_SCALES[name], set()).add(name)
    return "dozen" in kinds.get(4, ()) or any(len(names) > 1 for names in kinds.values())


# ── a sum, by precedence: each function returns a value and the tokens that are left ────────────


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign = tokens[0]
        term, tokens = _product(tokens[1:])
        value = value + term if sign == "+" else value - term
    return value, tokens


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _power(tokens)
    while tokens and tokens[0] in "*/(":
        sign = tokens[0]
        factor, tokens = _power(tokens if sign == "(" else tokens[1:])
        value = value / factor if sign == "/" else value * factor
    return value, tokens


def _power(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens[0] == "-":
        value, tokens = _power(tokens[1:])
        return -value, tokens
    value, tokens = _atom(tokens)
    if tokens and tokens[0] == "%":
        value, tokens = value / 100, tokens[1:]
    if tokens and tokens[0] == "^":
        power, tokens = _power(tokens[1:])
        if power.denominator != 1 or abs(power) > 12 or abs(value) > _MOST:
            raise ValueError
        value = value ** int(power)
    return value, tokens


def _atom(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens[0] == "(":
        value, tokens = _sum(tokens[1:])
        if tokens[0] != ")":
            raise ValueError
        return value, tokens[1:]
    return Fraction(tokens[0].replace(",", "")), tokens[1:]
