"""What a number is a number of: its unit, and the unit that a problem asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from synthtutor.quality.numbers import Number, numbers

__all__ = ["Quantity", "asked", "quantities", "unit"]

_KINDS = {
    "money": "dollar cent buck euro pence",
    "time": "second minute hour day week month year sec min hr century decade",
    "length": "mile kilometer kilometre meter metre centimeter centimetre inch feet foot yard km cm mm m ft",
    "mass": "kilogram gram ounce kg g lb ton tonne lbs",
    "volume": "liter litre gallon quart pint milliliter ml l",
    "angle": "degree radian",
    "speed": "mph kph kmh knot",
    "percent": "percent percentage",
}
_KIND = {word: kind for kind, names in _KINDS.items() for word in names.split()}
_IRREGULAR = {"feet": "foot", "inches": "inch", "people": "person", "children": "child"}
_IRREGULAR |= {"men": "man", "women": "woman", "mins": "minute", "min": "minute", "hrs": "hour"}
_IRREGULAR |= {
    "hr": "hour",
    "sec": "second",
    "secs": "second",
    "km": "kilometer",
    "cm": "centimeter",
}
_AFTER = re.compile(r"[ -]{0,2}[a-z]+(?:(?:\s|-|\s?/\s?)[a-z]+){0,4}", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+|/", re.IGNORECASE)
_MODIFIERS = frozenset(
    [
        "more",
        "less",
        "fewer",
        "other",
        "total",
        "full",
        "extra",
        "additional",
        "new",
        "remaining",
        "different",
        "whole",
        "such",
    ]
)
# A word that ends what is counted: "he ate 5 and left".
_ENDS = frozenset(
    [
        "of",
        "the",
        "a",
        "an",
        "times",
        "that",
        "which",
        "who",
        "is",
        "are",
        "was",
        "were",
        "will",
        "would",
        "and",
        "or",
        "to",
        "in",
        "on",
        "at",
        "for",
        "from",
        "with",
        "by",
        "as",
        "so",
        "if",
        "but",
        "not",
        "it",
        "he",
        "she",
        "they",
        "we",
        "you",
        "can",
        "could",
        "should",
        "has",
        "have",
        "had",
        "left",
        "instead",
        "per",
        "each",
        "x",
        "because",
        "since",
        "than",
        "when",
        "then",
        "how",
        "do",
        "does",
        "did",
        "must",
        "out",
        "what",
        "minus",
        "plus",
        "multiplied",
        "divided",
        "equals",
    ]
)
_ASKED = re.compile(
    r"\bhow\s+many\s+(?:more\s+|fewer\s+|total\s+|of\s+(?:the|his|her|their)\s+|full\s+)*"
    r"(?P<noun>(?:[a-z]+\s+)?[a-z]+)"
    r"|\bnumber\s+of\s+(?P<numbered>(?:[a-z]+\s+)?[a-z]+)"
    r"|\b(?P<percent>what\s+percent|percentage)"
    r"|\b(?P<speed>how\s+fast|(?:what|average|new|final)\s+(?:\w+\s+)?speed)"
    r"|\b(?P<time>how\s+(?:long|old|much\s+(?:longer|older|(?:more\s+)?time)))\b"
    r"|\b(?P<length>how\s+(?:much\s+)?(?:far|tall|high|wid|short)(?:er?)?|how\s+much\s+further)\b"
    r"|\b(?P<money>how\s+much\s+(?:\w+\s+){0,3}?(?:money|cost|pay|spend|spent|earn|paid|worth|charge|save|profit)"
    r"|(?:what|how\s+much)\b[^.?!]{0,60}\b(?:cost|costs|price|profit|earnings|bill|revenue|salary))",
    re.IGNORECASE,
)

_LAST = re.compile(r"(?:[^.?!]|\.\d|[.?!](?!\s|$))*[.?!]*$")
_HOW_MUCH = re.compile(r"\bhow\s+much\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit: ``kind`` (money, time, speed, …) or empty, and ``noun``, its singular."""

    value: Fraction
    kind: str
    noun: str


def quantities(text: str) -> Iterator[Quantity]:
    """Every quantity that the text states, in order."""
    for number in numbers(text):
        yield Quantity(number.value, *unit(text, number))


def unit(text: str, number: Number) -> tuple[str, str]:
    """The kind and the noun of a number in its text; both empty where it stands alone."""
    if number.percent:
        return "percent", ""
    if number.money:
        return "money", ""
    found = _AFTER.match(text, number.end)
    return _named(_WORD.findall(found[0].casefold())) if found else ("", "")


def asked(problem: str) -> tuple[str, str]:
    """The kind and the noun that a problem's last question asks for; empty where it is not told."""
    last = ("money", "") if "$" in problem and _HOW_MUCH.search(problem) else ("", "")
    for found in _ASKED.finditer(_LAST.search(problem.strip())[0]):  # type: ignore[index]
        name = found.lastgroup or ""
        if name in ("noun", "numbered"):
            kind, noun = _named(found[name].casefold().split())
            last = (kind or "count", noun)
        else:
            last = (name, "")
    return last


def _named(words: list[str]) -> tuple[str, str]:
    at = next((at for at, word in enumerate(words) if word not in _MODIFIERS), len(words))
    if at == len(words) or words[at] in _ENDS:
        return "", ""
    noun = _stem(words[at])
    kind = _KIND.get(noun, "")
    per = words[at + 1 : at + 2] and words[at + 1] in ("per", "a", "an", "/", "each", "every")
    if per and _KIND.get(_stem("".join(words[at + 2 : at + 3]))) == "time":
        return ("speed" if kind == "length" else "rate"), noun
    return kind, noun


def _stem(word: str) -> str:
    low = word.casefold()
    if low in _IRREGULAR:
        return _IRREGULAR[low]
    if low.endswith("ies") and len(low) > 4:
        return low[:-3] + "y"
    if low.endswith(("ches", "shes", "xes", "sses", "oes")):
        return low[:-2]
    if low.endswith("ie") and len(low) > 4:
        return low[:-2] + "y"
    return low[:-1] if low.endswith("s") and not low.endswith("ss") and len(low) > 2 else low
