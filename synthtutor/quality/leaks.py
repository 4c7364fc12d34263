"""Whether a tutor's reply gives the answer away, found without a model.

That the answer's number occurs says little: half of the replies in which it does only repeat a
number of the problem or one that the student has already found. So each occurrence is asked, in
this order:

* Is it the answer's kind of quantity? "$50" is no number of students.
* Is it rejected ("not 50"), worked with ("divide 600 by 3"), or supposed ("say there were 50")?
* Does it complete a calculation ("33 - 28 = 5") that the student has not done? A leak.
* Is it called the answer ("the total should be 205")? A leak, unless the student has just said it.
* Does it repeat a quantity, number and unit, of the problem or of the student? No leak.
* Is the number known, but now of the thing that is asked for ("so Steve needs 7 weeks"), or a
  conclusion? A leak.
* Is the number new? A leak: it can only have come from the solution.

An answer of several parts is given away when all of them are. An answer that is no number is
looked for as an expression or as words. What the rules cannot see: an answer that is described
("twice your result"), and a step that leaves nothing to find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from synthtutor.quality import leak_signs as signs
from synthtutor.quality.answers import Part, compact, parts
from synthtutor.quality.numbers import Number, fractional, numbers
from synthtutor.quality.quantities import asked, quantities, unit

__all__ = ["Leak", "leaks"]

_NEAR = 400  # characters beside a number that are read; few sentences are longer


@dataclass(frozen=True, slots=True)
class Leak:
    """Whether the answer is given away; ``where`` quotes the sentence, ``why`` names the reason.

    Both are empty where nothing is found.
    """

    found: bool
    where: str = ""
    why: str = ""


def leaks(reply: str, answer: str, *, problem: str = "", student: str = "") -> Leak:
    """Whether ``reply`` gives ``answer`` away to somebody who has seen ``problem``.

    ``student`` is what has been said so far, the student's solution included; the latest comes
    last. Without it and the problem, what is only repeated cannot be told from what is given away,
    and more is found. Raises ValueError for an answer without content.

    The rules are this library's own; docs/quality.md has what they were measured at.
    """
    wanted = parts(answer)
    if not wanted:
        raise ValueError("an empty answer cannot be given away")
    context = _Context(problem, student)
    found = Leak(False)
    for part in wanted:
        found = _leak_of(reply, part, context)
        if not found.found:
            return Leak(False)
    return found


class _Context:
    """What the student has in front of them."""

    def __init__(self, problem: str, student: str) -> None:
        self.kind, self.noun = asked(problem)
        self.known = bool(problem.strip() or student.strip())
        given = f"{problem}\n{student}"
        self.values = {abs(each.value) for each in quantities(given)}
        self._given = _named(problem)
        # What somebody denied or only asked about is not yet anybody's.
        self._said = _named("".join(_held(student)))
        said = [abs(number.value) for number in numbers(student)]
        self.latest = said[-1] if said else None
        self._sums = _plain_sum(given)
        self.text = compact(given)
        self._outcome = signs.OUTCOME.search(problem[problem.rfind(". ", 0, -2) :])
        self._sums = _plain_sum(given)
        self.text = compact(f"{problem}\n{student}")

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
        return bool(found and self._outcome and found[0][:4] == self._outcome[0][:4])

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

    def excludes(self, kind: str, noun: str) -> bool:
        """Whether a quantity is of another thing than the problem names, whatever its number."""
        if not self.noun or kind in ("", "rate", "speed") or noun == self.noun:
            return False
        return kind != self.kind or kind in ("time", "length", "mass", "volume")


def _name(kind: str, noun: str) -> str:
    return noun if noun and kind not in ("speed", "rate", "money") else kind


def _named(text: str) -> set[tuple[Fraction, str]]:
    return {(abs(each.value), _name(each.kind, each.noun)) for each in quantities(text)}


def _held(text: str) -> Iterator[str]:
    for start, end in _sentences(text):
        if not text[start:end].rstrip().endswith("?"):
            yield signs.DENIED.sub(" ", text[start:end])


def _leak_of(reply: str, part: Part, context: _Context) -> Leak:
    for start, end in _sentences(reply):
        sentence = reply[start:end]
        why = _numeric(sentence, part, context) if part.value is not None else ""
        why = why or (_worded(sentence, part, context) if part.value is None else "")
        if why:
            return Leak(True, sentence.strip(), why)
    return Leak(False)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for mark in signs.END.finditer(text):
        if signs.SHORT.search(text[start : mark.end()]):
            continue
        yield start, mark.end()
        start = mark.end()
    if text[start:].strip():
        yield start, len(text)


# ── answers that are numbers ─────────────────────────────────────────────────────────────────


def _numeric(sentence: str, part: Part, context: _Context) -> str:
    for number in numbers(sentence):
        kind, noun = unit(sentence, number)
        if not _is(number, noun, part) or context.excludes(kind, noun):
            continue
        why = _reason(sentence, number, (kind, noun), context)
        if why:
            return why
    return ""


def _is(number: Number, noun: str, part: Part) -> bool:
    assert part.value is not None  # noqa: S101  # only numeric parts come here
    values = {abs(number.value), abs(fractional(number))}
    if noun == "cent":
        values.add(abs(number.value) / 100)
    if part.value in values or -part.value in values:
        return True
    return (
        part.percent
        and not number.percent
        and number.value.denominator != 1
        and (abs(number.value) == abs(part.value) / 100)
    )


def _reason(sentence: str, number: Number, quantity: tuple[str, str], context: _Context) -> str:
    before = sentence[max(0, number.start - _NEAR) : number.start]
    after = sentence[number.end : number.end + _NEAR]
    suggested = sentence.rstrip().endswith("?") and before.rstrip()[-2:] in ("'t", "’t")
    if (signs.REJECTED.search(before) and not suggested) or signs.WORKED_AFTER.match(after):
        return ""
    value = number.value
    credited = bool(signs.CREDITED.search(before)) and not signs.CORRECTED.search(before)
    known = abs(value) in context.values
    confirms = known and context.latest == abs(value) and bool(signs.AGREES.match(sentence))
    if confirms or (credited and not context.known):
        return ""
    if signs.EQUALS.search(before):
        done = context.done(before, value) and (credited or not context.asks_for(*quantity))
        return "" if done else "it completes a calculation with the answer"
    supposed = signs.SUPPOSED.search(before) and not signs.REACHED.search(before)
    if signs.WORKED_BEFORE.search(before) or supposed:
        return ""
    questioned = _asked_about(sentence, before)
    if (signs.CALLED.search(before) or signs.CALLED_AFTER.match(after)) and not questioned:
        return "" if credited and known else "it is called the answer"
    if questioned and (known or not context.known):
        return ""
    if not known:
        return _new(before, number, quantity, context)
    return _known(before, after, value, quantity, context, credited=credited)


def _known(
    before: str,
    after: str,
    value: Fraction,
    quantity: tuple[str, str],
    context: _Context,
    *,
    credited: bool,
) -> str:
    """Why a number that was there before is the answer now."""
    if (signs.GIVEN.search(before) and not signs.DERIVED.search(before)) or (
        credited and not signs.CONCLUDED.search(before)
    ):
        return ""
    given = context.is_given(value, *quantity)
    if context.is_outcome(after) or (context.asks_for(*quantity) and not given):
        return "a known number is now said of what is asked for"
    if signs.REACHED.search(before) and (
        given or not context.repeats(value, *quantity) or not any(quantity)
    ):
        return "a known number is now a result"
    return ""


def _new(before: str, number: Number, quantity: tuple[str, str], context: _Context) -> str:
    """The number was not there before: it is from the solution, unless it is hardly a number."""
    if number.words and number.value in (0, 1, 2):
        strong = signs.REACHED.search(before) or context.asks_for(*quantity)
        return "it is stated in words" if strong else ""
    return "a number that was not there before is stated"


def _asked_about(sentence: str, before: str) -> bool:
    """Whether a question is put about the number, rather than the number suggested in one."""
    if not sentence.rstrip(" \t\n\"'”’)*").endswith("?") or signs.TELLING.search(before):
        return False
    return any(
        signs.ASKING.search(sentence, found.start()) or signs.REQUEST.search(found[0])
        for found in signs.QUESTION.finditer(before)
    )


def _plain_sum(text: str) -> str:
    """Sums without units and in one way of writing; what is no sum becomes spaces."""
    text = text.replace("−", "-").replace("–", "-").replace("×", "*").replace("÷", "/")
    text = re.sub(r"(?<=[\d)\s])x(?=[\s\d(])", "*", signs.PER.sub("", text))
    return signs.TIGHT.sub(r"\1", signs.NOT_SUM.sub(" ", text).replace(",", "")).strip()


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    return f"{float(value):g}"


# ── answers that are not ─────────────────────────────────────────────────────────────────────


def _worded(sentence: str, part: Part, context: _Context) -> str:
    said = compact(sentence)
    edge = "" if part.text[0] in "([" else r"\w"
    whole = re.compile(rf"(?<![{edge}*/^+-]){re.escape(part.text)}(?![\w*/^]|[+-]\w)")
    found = whole.search(said)
    if not found:
        return ""
    before = said[: found.start()]
    if signs.REJECTED.search(before):
        return ""
    if signs.CALLED.search(before) and not _asked_about(sentence, before):
        return "it is called the answer"
    if len(part.text) < 2 or whole.search(context.text):
        return ""
    if _asked_about(sentence, before) and not context.known:
        return ""
    return "an expression or words that were not there before are stated"
