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
from unicodedata import numeric

from synthtutor.quality.prose import UNSPACED

__all__ = ["MONEY", "Number", "fractional", "numbers"]

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
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "fourth": 4, "third": 3, "fifth": 5, "sixth": 6}
_PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12}
_PARTS |= {"fifteenth": 15, "sixteenth": 16, "twentieth": 20, "hundredth": 100, "thousandth": 1000}
_GLYPHS = {glyph: Fraction(numeric(glyph)).limit_denominator(10) for glyph in "½¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"}
MONEY = "$£€¥₹₺₩₽₦₫₱₪฿₴"  # signs of currencies, for a class of characters

# Points between digits of thousands that nobody takes for a list: spaces that do not break, and
# apostrophes as in Switzerland.
_APART = "\u00a0\u202f\u2009'’"
_GLYPH = f"[{''.join(_GLYPHS)}]"
_DIGITS = (
    rf"\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?!\d)|\d{{1,3}}(?:[{_APART}]\d{{3}})+(?:\.\d+)?(?!\d)"
    r"|\d+(?:[.٫]\d+)?|\.\d+"
)
_DIGIT = "|".join(_ONES[1:10])
_ONE = "|".join(reversed(_ONES))
_SMALL = rf"(?:(?:{'|'.join(_TENS)})(?:[ -](?:{_DIGIT})\b)?|(?:{_ONE})\b)"
_HUNDREDS = (
    rf"(?:{_SMALL}(?:[ -]hundred\b)?|an?[ ]hundred\b)"
    rf"(?:(?<=hundred)[ -](?:and[ ])?{_SMALL}(?![ -]hundred))?"
)
_WORDS = (
    rf"(?:{_HUNDREDS}|an?(?=[ ](?:thousand|million)))"
    rf"(?:[ -](?:thousand|million)\b(?:[ -](?:and[ ])?{_HUNDREDS})?)*"
)
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_NTHS = "|".join(f"{name}s" for name in sorted(_PARTS) if _PARTS[name] not in (2, 4))
_NUMBER = re.compile(
    rf"""
    (?P<minus>(?<![\w)\]}}%.\-−–])[-−–](?=[{MONEY}.\d\\])|\b(?:minus|negative)[ ](?=[{MONEY}.\d\\]|{_WORDS}))?
    (?P<money>\\?[{MONEY}]\s?)?
    (?:
      (?:(?P<whole>\d+)\s?)?\\[dt]?frac\s?(?:\{{(?P<over>\d+)\}}\{{(?P<under>\d+)\}}|(?P<o>\d)(?P<u>\d))
    | (?<![^\W{UNSPACED}])(?<![.^:/])(?<!\^\{{)
      (?:
        (?P<mixed>\d{{1,6}})[ ](?P<part>\d{{1,4}})[/⁄∕](?P<of>\d{{1,4}})(?![\w/.]*\d)
      | (?P<top>\d+)(?:[/⁄∕]|[ ]over[ ](?=\d))(?P<bottom>\d+)(?![\d/]|\.\d|\s?[=*×÷+])
      | (?P<nth>\d{{1,6}})[ -](?P<nths>{_NTHS})\b
      | (?P<digits>{_DIGITS})(?:[ ]?(?P<glyph>{_GLYPH}))?
        (?:[ ](?P<scale>hundred|thousand|million)\b)?
        (?:[ ]and[ ](?P<more>an?|one|two|three)[ -](?P<more_share>{_PART})s?(?![\w-]))?
        (?!\d|:\d|st\b|nd\b|rd\b|th\b|[\^²³]|[abcnpqrtuvwxyzk](?![A-Za-z]))
      | (?P<only>{_GLYPH})
      )
    | (?<![\w-])(?P<point>{_SMALL}[ ]point(?:[ ](?:zero|{_DIGIT})\b)+)
    | (?<![\w-])(?P<and_half>(?:an?|one)[ ][a-z]+[ ]and[ ]a[ ]half)\b
    | (?<![\w-])(?P<count>an?|one|(?:{_ONE})(?=-|[ ](?:{_PART})s?(?<=s)\b))[ -](?P<share>{_PART})s?(?![\w-])
    | (?<![\w-])(?P<words>{_WORDS})
      (?![\w-]*th\b|\w|-\w)(?:[ ]and[ ](?P<plus>an?|one|two|three)[ -](?P<plus_share>{_PART})s?(?![\w-]))?
    )
    (?:(?:[ ](?:dollars?|euros?|pounds?))?[ ]and[ ](?P<cents>\d{{1,2}}|{_SMALL})[ ](?:cents?|pence)\b)?
    (?P<percent>\s?\\?%|\s+per\s?cent\b)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
# "12 minus 3" takes away; "it is minus 3" has a sign.
_OPERAND = re.compile(
    r"(?:^|[.,;:!?(=\[]|\b(?:is|be|are|was|get|gets|got|equals?|to|answer|of|and|or|by|times|from|at|not|than|"
    r"with|a|makes?|gives?|reach|have|says?|into|find|on|number))[\s*\"'“]*$",
    re.IGNORECASE,
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
        sign = found["minus"] or ""
        taken = len(sign) > 1 and not _is_sign(text, found)
        digits = found["digits"] or ""
        yield Number(
            -value if sign and not taken else value,
            found.start() + len(sign) * taken,
            found.end(),
            money=bool(found["money"] or found["cents"]),
            percent=found["percent"] is not None,
            words=any(found[name] for name in ("words", "count", "point", "and_half")),
            places=len(re.split(r"[.٫]", digits)[1]) if re.search(r"[.٫]", digits) else 0,
        )


def fractional(number: Number) -> Fraction:
    """The value with a percentage as the fraction that it is: 1/2 for "50 %"."""
    return number.value / 100 if number.percent else number.value


def _value(found: re.Match[str]) -> Fraction | None:
    if len(found[0]) > _LONGEST:
        return None
    value, cents = _amount(found), found["cents"]
    if value is None or not cents:
        return value
    return value + Fraction(int(cents) if cents.isdecimal() else _spelt(cents.casefold()), 100)


def _amount(found: re.Match[str]) -> Fraction | None:
    if found["and_half"]:  # "an hour and a half"
        return Fraction(3, 2)
    if found["point"]:
        whole, _, digits = found["point"].casefold().partition(" point ")
        decimals = "".join(str(_NAMES[digit]) for digit in digits.split())
        return Fraction(f"{_spelt(whole)}.{decimals}")
    if found["words"]:
        return _spelt(found["words"].casefold()) + _share(found["plus"], found["plus_share"])
    if found["count"]:
        return _share(found["count"], found["share"])
    if found["nth"]:
        return Fraction(int(found["nth"]), _PARTS[found["nths"].casefold().removesuffix("s")])
    if found["digits"]:
        plain = re.sub(rf"[,{_APART}]", "", found["digits"]).replace("٫", ".")
        value = Fraction(plain) + _GLYPHS.get(found["glyph"] or "", 0)
        value *= _SCALES.get((found["scale"] or "").casefold(), 1)
        return value + _share(found["more"], found["more_share"])
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
    return Fraction(_spelt(count.casefold()), _PARTS[share.casefold()])


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


def _is_sign(text: str, found: re.Match[str]) -> bool:
    """Whether "minus" before a number is its sign, and not what is done with it; "negative" is."""
    before = text[max(0, found.start() - 24) : found.start()]
    return found["minus"][0] in "nN" or bool(_OPERAND.search(before))


def _is_label(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - 24) : found.start()]
    if _LABEL.search(before):
        return True
    return bool(_MARK.search(before) and _AFTER_MARK.match(text, found.end()))
