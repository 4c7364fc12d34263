"""What an executable misconception is: a rule that computes the wrong answer, and says how.

A `Kind` is a sort of task with its right way. A `Malrule` is a wrong way through tasks of one
kind. Both are computed from the same operands, so a simulated student can be asked anything of
that kind and stays true to what it believes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from random import Random

__all__ = ["Case", "Kind", "Malrule", "Numbers", "Way", "malrule", "plain", "way"]

Numbers = tuple[int, ...]

_TRIES = 1000
_SIGNS = {"-": "[-−–]", "×": "[×x*·]", "÷": "[÷/:]", "√": "√"}
_OPERATORS = "+-−–×*·÷/^=(√"


@dataclass(frozen=True, slots=True)
class Way:
    """A way through a task: its result, its steps, and the result as it is written."""

    value: Fraction
    steps: tuple[str, ...]
    said: str


def way(value: Fraction | int, *steps: str, said: str = "") -> Way:
    """A way; ``said`` is how the result is written where it is not in lowest terms."""
    exact = Fraction(value)
    return Way(exact, steps, said or plain(exact))


def plain(value: Fraction | int, *, decimal: bool = False) -> str:
    """A number as a student writes it: ``7``, ``-3/4``, or ``0.75`` where ``decimal`` is wished."""
    value = Fraction(value)
    if decimal and value.denominator != 1:
        return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of task: what it looks like, how operands are drawn, and the right way.

    ``expression`` has a place ``{}`` for each operand. In ``fields`` an ``i`` is a whole number
    and a ``d`` a decimal, which is two operands: its digits and how many stand after the point.
    """

    name: str
    expression: str
    draw: Callable[[Random], Numbers]
    right: Callable[..., Way]
    question: str = "What is {}?"
    fields: str = ""

    def write(self, numbers: Numbers) -> str:
        """The expression with these operands."""
        left = iter(numbers)
        texts = [
            _decimal(next(left), next(left)) if field == "d" else str(next(left))
            for field in self._fields
        ]
        return self.expression.format(*texts)

    def ask(self, numbers: Numbers) -> str:
        """The task in words."""
        return self.question.format(self.write(numbers))

    def find(self, text: str) -> Iterator[tuple[str, Numbers]]:
        """The tasks of this kind that a text poses: each as written here, with its operands."""
        for found in _pattern(self.expression, self._fields).finditer(text):
            if _stands_alone(text, found):
                numbers: list[int] = []
                for field, digits in zip(self._fields, found.groups(), strict=True):
                    numbers += _operands(field, digits)
                yield self.write(tuple(numbers)), tuple(numbers)

    @property
    def _fields(self) -> str:
        return self.fields or "i" * self.expression.count("{}")


@dataclass(frozen=True, slots=True)
class Case:
    """One task with the right way through it and the wrong one."""

    malrule: str
    numbers: Numbers
    question: str
    right: Way
    wrong: Way


@dataclass(frozen=True, slots=True)
class Malrule:
    """A misconception that can be executed.

    ``belief`` is what the student holds to be true, in one sentence; ``grades`` the first and the
    last school year in which one may meet it (this library's estimate); ``source`` where the
    literature describes it, empty where it is from classroom lore.
    """

    name: str
    topic: str
    kind: Kind
    belief: str
    apply: Callable[..., Way]
    grades: tuple[int, int]
    source: str = ""
    draw: Callable[[Random], Numbers] | None = None

    def case(self, chance: Random) -> Case:
        """A task on which this rule goes wrong; the same generator state gives the same task."""
        draw = self.draw or self.kind.draw
        for _ in range(_TRIES):
            made = self.on(draw(chance))
            if made.wrong.value != made.right.value:
                return made
        raise AssertionError(f"{self.name}: no task in {_TRIES} on which it goes wrong")

    def on(self, numbers: Numbers) -> Case:
        """The task with these operands, on which the rule may by luck be right."""
        right, wrong = self.kind.right(*numbers), self.apply(*numbers)
        return Case(self.name, numbers, self.kind.ask(numbers), right, wrong)

    def answers(self, text: str) -> list[tuple[str, Case]]:
        """What a student who holds the rule makes of each task of its kind in the text."""
        found = []
        for written, numbers in self.kind.find(text):
            try:
                found.append((written, self.on(numbers)))
            except (
                ArithmeticError,
                ValueError,
            ):  # no task that has an answer: 3/0, 5 - 9 in columns
                continue
        return found


def malrule(
    kind: Kind,
    topic: str,
    *,
    grades: tuple[int, int],
    source: str = "",
    draw: Callable[[Random], Numbers] | None = None,
) -> Callable[[Callable[..., Way]], Malrule]:
    """Make a function from operands to a wrong way a `Malrule`; its docstring is the belief."""

    def make(function: Callable[..., Way]) -> Malrule:
        name = function.__name__.replace("_", "-")
        belief = (function.__doc__ or "").strip()
        return Malrule(name, topic, kind, belief, function, grades, source, draw)

    return make


# ── expressions in texts ─────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=256)
def _pattern(expression: str, fields: str) -> re.Pattern[str]:
    pieces = expression.split("{}")
    written = [_loosely(pieces[0])]
    for field, piece in zip(fields, pieces[1:], strict=True):
        written += [r"(\d+\.\d+)" if field == "d" else r"(\d+)", _loosely(piece)]
    return re.compile(rf"(?<![\w.]){''.join(written)}(?![\w]|\.\d)")


def _loosely(piece: str) -> str:
    """The piece's pattern: spaces as one likes beside signs, signs in each way of writing."""
    return "".join(
        r"\s+" if sign == " " and not _beside_sign(piece, place) else _one(sign)
        for place, sign in enumerate(piece)
    )


def _beside_sign(piece: str, place: int) -> bool:
    return any(not near.isalpha() for near in piece[max(0, place - 1) : place + 2].replace(" ", ""))


def _one(sign: str) -> str:
    if sign == " ":
        return r"\s*"
    if sign.isalnum() or sign in "?,.%":
        return re.escape(sign)
    return rf"\s*{_SIGNS.get(sign, re.escape(sign))}\s*"


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    """Whether it is no part of a longer expression, and its result is not told beside it."""
    before, after = text[: found.start()].rstrip(), text[found.end() :].lstrip()
    if before[-1:] and before[-1:] in _OPERATORS and before[-1:] != "(":
        return False
    if after[:1] == "=":
        blank = after[1:].lstrip()  # "9 + 9 = ? + 11" does not ask for 9 + 9
        rest = blank[1:].lstrip(" ?_…")[:1]
        return blank[:1] in ("", "?", "_", "…") and (not rest or rest not in _OPERATORS)
    return not after[:1] or after[:1] not in _OPERATORS


def _operands(field: str, digits: str) -> list[int]:
    if field != "d":
        return [int(digits)]
    _, _, places = digits.partition(".")
    return [int(digits.replace(".", "")), len(places)]


def _decimal(digits: int, places: int) -> str:
    whole, rest = divmod(digits, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)
