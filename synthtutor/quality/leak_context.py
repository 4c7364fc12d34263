"""What a tutor's reply is read against: the problem, and all that has been said so far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property

from synthtutor.quality import leak_signs as signs
from synthtutor.quality.answers import compact
from synthtutor.quality.numbers import Number, numbers
from synthtutor.quality.prose import is_question
from synthtutor.quality.quantities import asked, quantities

__all__ = ["Context", "form", "sentences"]

_DOLLARS = re.compile(r"\bdollars?\b[^.?!]*\?", re.IGNORECASE)


class Context:
    """What the student has in front of them, and what is asked for.

    ``known`` says that there is anything to read against.
    """

    def __init__(self, problem: str, student: str) -> None:
        # Most replies do not have the answer in them: what follows is read when it is asked for.
        self._problem, self._student = problem, student
        self.known = bool(problem.strip() or student.strip())

    @cached_property
    def kind(self) -> str:
        """The kind of quantity that is asked for; empty where it is not told."""
        return self._asked[0]

    @cached_property
    def noun(self) -> str:
        """The thing of which a number is asked for; empty where it is not told."""
        return self._asked[1]

    @cached_property
    def in_dollars(self) -> bool:
        """Whether dollars are asked for, and so not cents."""
        return self.kind == "money" and bool(_DOLLARS.search(self._problem))

    @cached_property
    def choice(self) -> bool:
        """Whether the problem names what to choose from."""
        return bool(signs.CHOICE.search(self._problem))

    @cached_property
    def text(self) -> str:
        """All of it, as answers that are no numbers are compared."""
        return compact(f"{self._problem}\n{self._student}")

    @cached_property
    def stated(self) -> frozenset[Fraction]:
        """The numbers of the problem."""
        return frozenset(value for value, _ in self._given)

    @cached_property
    def values(self) -> frozenset[Fraction]:
        """The numbers that were there before."""
        return self.stated | {abs(number.value) for number in self._numbers}

    @cached_property
    def forms(self) -> frozenset[tuple[Fraction, str]]:
        """The numbers that are no whole ones, in the forms in which they were there before."""
        found = [(self._problem, each) for each in numbers(self._problem)]
        found += [(self._student, each) for each in self._numbers]
        return frozenset((abs(each.value), form(text, each)) for text, each in found)

    @cached_property
    def latest(self) -> Fraction | None:
        """The number that was said last."""
        return abs(self._numbers[-1].value) if self._numbers else None

    @cached_property
    def _asked(self) -> tuple[str, str]:
        return asked(self._problem)

    @cached_property
    def _numbers(self) -> list[Number]:
        return list(numbers(self._student))

    @cached_property
    def _given(self) -> set[tuple[Fraction, str]]:
        return _named(self._problem)

    @cached_property
    def _said(self) -> set[tuple[Fraction, str]]:
        # What somebody denied or only asked about is not yet anybody's.
        return _named("".join(_held(self._student)))

    @cached_property
    def _sums(self) -> str:
        return _plain_sum(f"{self._problem}\n{self._student}")

    @cached_property
    def _outcome(self) -> str:
        found = signs.OUTCOME.search(self._problem[self._problem.rfind(". ", 0, -2) :])
        return found[0][:4] if found else ""

    def is_given(self, value: Fraction, kind: str, noun: str) -> bool:
        """Whether the problem states the quantity."""
        return (abs(value), _name(kind, noun)) in self._given

    def repeats(self, value: Fraction, kind: str, noun: str) -> bool:
        """Whether the quantity was there; a bare number is the one that was there."""
        name = _name(kind, noun)
        return not name or (abs(value), name) in self._given | self._said

    def is_outcome(self, after: str) -> bool:
        """Whether what follows a number says what the problem asks: "5 apples left"."""
        found = signs.OUTCOME.search(re.split(r"[.,;!?]", after)[0][:40])
        return found is not None and found[0][:4] == self._outcome

    def done(self, before: str, value: Fraction) -> bool:
        """Whether the calculation that ends in a sign of equality was already there, with this result."""
        calculation = signs.SUM.search(signs.ASIDE.sub("", before))
        if not calculation:
            return False
        whole = re.escape(f"{_plain_sum(calculation[0])}{_written(value)}")
        return bool(re.search(rf"(?<![\d.]){whole}(?!\d|\.\d)", self._sums))

    def asks_for(self, kind: str, noun: str) -> bool:
        """Whether a quantity is of the thing that the problem asks for."""
        return bool(noun and noun == self.noun) or bool(kind and kind == self.kind != "count")

    def counts_something(self, kind: str) -> bool:
        """Whether a bare number may be the count that the problem asks for without naming a thing."""
        return self.kind == "count" and not self.noun and not kind

    def excludes(self, kind: str, noun: str) -> bool:
        """Whether a quantity is of another thing than the problem names, whatever its number."""
        if kind in ("", "rate", "speed") or (noun and noun == self.noun):
            return False
        if not self.noun:
            measured = self.kind not in ("", "count", "rate", "speed", "percent")
            long = (self.kind, kind) == ("time", "length")  # "how long" asks for either
            return measured and kind not in (self.kind, "percent") and not long
        return kind != self.kind or kind in ("time", "length", "mass", "volume")


def form(text: str, number: Number) -> str:
    """In which form a number is written: "1/2", "2/4", a decimal and percent are four of one half."""
    written = text[number.start : number.end]
    if number.percent or number.value.denominator == 1:
        return "percent" if number.percent else ""
    return compact(written) if "/" in written or "frac" in written else "decimal"


def _name(kind: str, noun: str) -> str:
    return noun if noun and kind not in ("speed", "rate", "money") else kind


def _named(text: str) -> set[tuple[Fraction, str]]:
    return {(abs(each.value), _name(each.kind, each.noun)) for each in quantities(text)}


def _held(text: str) -> Iterator[str]:
    for start, end in sentences(text):
        if not is_question(text[start:end]):
            yield signs.DENIED.sub(" ", text[start:end])


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence of the text begins and ends; lines end sentences too."""
    start = 0
    for mark in signs.END.finditer(text):
        if signs.SHORT.search(text[start : mark.end()]):
            continue
        yield start, mark.end()
        start = mark.end()
    if text[start:].strip():
        yield start, len(text)


def _plain_sum(text: str) -> str:
    """Sums without units and in one way of writing; what is no sum becomes spaces."""
    text = text.replace("−", "-").replace("–", "-").replace("×", "*").replace("÷", "/")
    text = re.sub(r"(?<=[\d)\s])x(?=[\s\d(])", "*", signs.PER.sub("", text))
    return signs.TIGHT.sub(r"\1", signs.NOT_SUM.sub(" ", text).replace(",", "")).strip()


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):g}"
