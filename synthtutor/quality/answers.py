"""What an answer says: its parts, each a number or, where it is none, an expression or words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from synthtutor.quality.numbers import MONEY, numbers
from synthtutor.quality.quantities import unit

__all__ = ["Part", "compact", "parts"]

_LATEX = re.compile(r"\\(?:left|right|displaystyle|quad|qquad|[,;:! ])")
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed|fbox|operatorname)\s*\{([^{}]*)\}")
_FRAC = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_SIGNS = {"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "\\cdot": "*", "\\times": "*"}
_SIGNS |= {"\\div": "/", "**": "^", "√": "sqrt", "\\sqrt": "sqrt", "\\pi": "pi", "π": "pi"}
_SIGNS |= {"²": "^2", "³": "^3", "{": "(", "}": ")", "\\": ""}
_TIGHT = re.compile(r"\s*([-+*/^=(){}\[\],<>≤≥])\s*")
_LEAD = re.compile(
    r"^\s*(?:(?:(?:so|thus|hence|therefore)[, ]+)?(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=))\s*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r";|\b(?:and|or)\b|,\s+|\n+|(?<=\d),(?!\d{3})|\\quad", re.IGNORECASE)
_NAME = re.compile(r"^\s*([A-Za-z]\w{0,2})\s*=\s*")
# What may stand beside the number of a numeric answer: its unit, of letters of any script. A lone
# letter is one where it is a unit's sign, or of a script in which words may be that short.
_BESIDE = re.compile(
    rf"^[\s{MONEY}.:°¢]*(?:[^\W\d_][^\W\d_'’]+(?:\^?[23]|[²³])?[\s./-]*|(?<![A-Za-z])[mglhsLCFK](?![A-Za-z])"
    r"(?:(?<=m)(?:\^?[23]|[²³]))?[\s./-]*|[^\W\d_\u0000-\u03ff]|[°\s.])*$"
)
_AMOUNT = re.compile(rf"^[\s{MONEY}~≈=]*$")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")
_EMPHASIS = re.compile(r"^(\*{1,3})(.*\S)\1$", re.DOTALL)
_THOUSANDS = re.compile(r"(?<![\d.,/])\d{1,3}(?: \d{3})+(?![\d/])")
# "1.234,50" can be read in one way only.
_CONTINENTAL = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d+(?![\d.,])")
_SCIENTIFIC = re.compile(r"^([-−]?\d+(?:\.\d+)?)e([-+]?\d{1,2})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer: ``value`` where it is a number, ``text`` tidied in any case.

    ``name`` is the unknown it is the value of ("x" in "x = 5"), or empty. ``places`` counts the
    decimals that are written; ``noun`` is the thing or the unit that is counted, or empty.
    """

    text: str
    value: Fraction | None = None
    name: str = ""
    percent: bool = False
    money: bool = False
    places: int = 0
    noun: str = ""


def parts(answer: str) -> tuple[Part, ...]:
    r"""The parts of an answer such as "600", "x = 2, y = 3", "\\boxed{\\frac{1}{2}}" or "Tuesday".

    Units and "the answer is" are left out. What is in brackets, such as a point, is one part. Of a
    worked solution the last line is the answer, or what follows ``####``.
    """
    text = _LEAD.sub("", _plain(answer.rpartition("####")[2])).strip()
    text = _THOUSANDS.sub(lambda found: found[0].replace(" ", ""), text)
    text = _CONTINENTAL.sub(lambda found: found[0].replace(".", "").replace(",", "."), text)
    if not text:
        return ()
    whole = _part(text)
    if whole.value is not None:
        return (whole,)
    pieces = [piece for piece in _BETWEEN.split(text) if piece.strip()]
    split = tuple(_part(piece) for piece in pieces)
    if len(split) > 1 and not text.startswith(("(", "[")) and all(map(_whole, split)):
        return split
    return (_part(text.splitlines()[-1]),)


def compact(text: str) -> str:
    """An expression in one way of writing: no dollars or LaTeX, no spaces beside signs, no case."""
    text = _plain(text)
    text = _FRAC.sub(r"(\1)/(\2)", text)
    text = _ROOT.sub(r"sqrt(\1)", text)
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    text = re.sub(r"\((\w+)\)", r"\1", text)
    return " ".join(_TIGHT.sub(r"\1", text).casefold().split())


def _plain(text: str) -> str:
    before = None
    while before != text:  # \boxed{\text{…}}: from the inside out
        before, text = text, _TEXT.sub(r"\1", text)
    text = re.sub(r"\\boxed\s*\{(.*)\}", r"\1", text, flags=re.DOTALL)
    text = _DEGREES.sub("°", _EMPHASIS.sub(r"\2", text.strip()))
    text = re.sub(r"\\[()\[\]]|\$\$", " ", _LATEX.sub(" ", text))
    text = re.sub(r"\$(?!\s?[\d.])", " ", re.sub(r"^\$(.*[^\d\s.].*)\$$", r"\1", text.strip()))
    return text.strip().rstrip(".").strip()


def _whole(part: Part) -> bool:
    return part.value is not None


def _part(piece: str) -> Part:
    piece = piece.strip()
    named = _NAME.match(piece)
    name, rest = (named[1], piece[named.end() :]) if named else ("", piece)
    if power := _SCIENTIFIC.match(rest.strip()):
        value = Fraction(power[1].replace("−", "-")) * Fraction(10) ** int(power[2])
        return Part(compact(rest), value, name)
    found = list(numbers(rest))
    if len(found) == 1:
        (number,) = found
        before, after = rest[: number.start], rest[number.end :]
        if (_AMOUNT.match(before) and _BESIDE.match(after)) or (
            number.words and not before.strip()
        ):
            return Part(
                compact(rest),
                number.value,
                name,
                number.percent,
                number.money,
                number.places,
                unit(rest, number)[1],
            )
    return Part(compact(rest), name=name)
