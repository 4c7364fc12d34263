r"""The numbers that a text states, each with its value and place.

Digits with thousands separators and decimals, fractions (``3/4``, ``1 1/2``, ``½``,
``\\frac{3}{4}``), percentages, amounts of money, and numbers in words up to the millions. What is
written with digits but states no number is left out: ordinals, marks of lists, "step 2", clock
times and ratios, exponents, and coefficients such as the 2 of ``2x``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Number", "fractional", "numbers"]

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_NAMES = {name: value for value, name in enumerate(_ONES)} | {
    name: 10 * tens for tens, name in enumerate(_TENS, 2)
}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"eighth": 8, "tenth": 10}
_GLYPHS = {"½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4)}
_GLYPHS |= {"⅓": Fraction(1, 3), "⅔": Fraction(2, 3), "⅕": Fraction(1, 5), "⅛": Fraction(1, 8)}

_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+"
_NAME = "|".join(sorted(_NAMES, key=len, reverse=True))
_SCALE = "|".join(_SCALES)
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_NUMBER = re.compile(
    rf"""
    (?P<minus>(?<![\w)\]}}%.\-−–])[-−–](?=[$£€.\d\\]))?
    (?P<money>\\?[$£€]\s?)?
    (?:
      (?:(?P<whole>\d+)\s?)?\\[dt]?frac\s?(?:\{{(?P<over>\d+)\}}\{{(?P<under>\d+)\}}|(?P<o>\d)(?P<u>\d))
    | (?<![\w.^:/])(?<!\^\{{)
      (?:
        (?P<mixed>\d{{1,6}})[ ](?P<part>\d{{1,4}})/(?P<of>\d{{1,4}})(?![\w/.]*\d)
      | (?P<top>\d+)/(?P<bottom>\d+)(?![\d/]|\.\d|\s?[=*×÷+])
      | (?P<digits>{_DIGITS})(?P<glyph>[½¼¾⅓⅔⅕⅛])?
        (?:[ ](?P<scale>hundred|thousand|million)\b)?
        (?!\d|:\d|st\b|nd\b|rd\b|th\b|[\^²³]|[abcnpqrtuvwxyzk](?![A-Za-z]))
      | (?P<only>[½¼¾⅓⅔⅕⅛])
      )
    | (?<![\w-])(?P<count>an?|one|two|three|four|five|seven)[ -](?P<share>{_PART})s?(?![\w-])
    | (?<![\w-])(?P<words>(?:(?:{_NAME}|an?(?=\s(?:{_SCALE})))(?:[ -](?:and[ ])?(?:{_NAME}|{_SCALE}))*))
      (?![\w-]*th\b|\w|-\w)(?:[ ]and[ ](?P<plus>an?|one|two|three)[ -](?P<plus_share>{_PART})s?(?![\w-]))?
    )
    (?P<percent>\s?\\?%|\s+per\s?cent\b)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What numbers are the names of things, not amounts.
_LABEL = re.compile(
    r"(?:\b(?:steps?|questions?|problems?|parts?|options?|equations?|examples?|figures?|grades?|"
    r"chapters?|hints?|no\.|lines?|cases?|methods?|points?)\s*\(?|#)$",
    re.IGNORECASE,
)
_MARK = re.compile(r"(?:^|\n)[ \t>*]*\(?$")
_AFTER_MARK = re.compile(r"[.)](?:\s|\*)|:\s")

_LONGEST = 200  # characters; Python refuses to read numbers of thousands of digits


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: ``text[start:end]``, with its sign of money or percent.

    ``value`` is as written: 50 for "50 %". ``words`` says that it is spelt out; ``places`` is how
    many decimals are written.
    """

    value: Fraction
    start: int
    end: int
    money: bool = False
    percent: bool = False
    words: bool = False
    places: int = 0


def numbers(text: str) -> Iterator[Number]:
    """Every number that the text states, in order."""
    for found in _NUMBER.finditer(text):
        value = _value(found)
        if value is None or _is_label(text, found):
            continue
        digits = found["digits"] or ""
        yield Number(
            -value if found["minus"] else value,
            found.start(),
            found.end(),
            money=found["money"] is not None,
            percent=found["percent"] is not None,
            words=bool(found["words"] or found["count"]),
            places=len(digits.partition(".")[2]),
        )


def fractional(number: Number) -> Fraction:
    """The value with a percentage as the fraction that it is: 1/2 for "50 %"."""
    return number.value / 100 if number.percent else number.value


def _value(found: re.Match[str]) -> Fraction | None:
    if len(found[0]) > _LONGEST:
        return None
    if found["words"]:
        return _spelt(found["words"].casefold()) + _share(found["plus"], found["plus_share"])
    if found["count"]:
        return _share(found["count"], found["share"])
    if found["digits"]:
        value = Fraction(found["digits"].replace(",", "")) + _GLYPHS.get(found["glyph"] or "", 0)
        return value * _SCALES.get((found["scale"] or "").casefold(), 1)
    if found["only"]:
        return _GLYPHS[found["only"]]
    whole = found["whole"] or found["mixed"] or "0"
    over = found["over"] or found["o"] or found["part"] or found["top"]
    under = int(found["under"] or found["u"] or found["of"] or found["bottom"])
    # "21/3" is a division that somebody has yet to do; "3/4" is a number.
    if not under or (found["bottom"] and int(over) % under == 0):
        return None
    return int(whole) + Fraction(int(over), under)


def _share(count: str | None, share: str | None) -> Fraction:
    """The value of "a half" or "two thirds"; 0 without one."""
    if count is None or share is None:
        return Fraction(0)
    return Fraction(_NAMES.get(count.casefold(), 1), _PARTS[share.casefold()])


def _spelt(name: str) -> int:
    total = current = 0
    for word in re.split(r"[ -]", name):
        if word in _SCALES and _SCALES[word] > 100:
            total, current = total + max(current, 1) * _SCALES[word], 0
        elif word in _SCALES:
            current = max(current, 1) * 100
        elif word in _NAMES:
            current += _NAMES[word]
        elif word in ("a", "an"):
            current = 1
    return total + current


def _is_label(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - 24) : found.start()]
    if _LABEL.search(before):
        return True
    return bool(_MARK.search(before) and _AFTER_MARK.match(text, found.end()))
