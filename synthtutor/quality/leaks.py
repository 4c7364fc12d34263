"""Whether a tutor's reply gives the answer away, found without a model.

That the answer's number occurs says little: half of the replies in which it does only repeat a
number of the problem or one that the student has already found. So each occurrence is asked, in
this order:

* Is it the answer's kind of quantity? "$50" is no number of students.
* Is it rejected ("not 50"), worked with ("divide 600 by 3"), or supposed ("say there were 50")?
* Does it complete a calculation ("33 - 28 = 5", "15 minus 10 is 5") that the student has not done?
  A leak. An equation with an unknown in it is only set up.
* Is it called the answer ("the total should be 205")? A leak, unless the student has just said it.
* Does the problem name what to choose from, and is this named as the one? A leak.
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
from dataclasses import dataclass, replace
from math import gcd
from typing import NamedTuple

from synthtutor.quality import leak_signs as signs
from synthtutor.quality.answers import Part, compact, parts
from synthtutor.quality.leak_context import Context, form, sentences
from synthtutor.quality.numbers import Number, fractional, numbers
from synthtutor.quality.prose import is_question
from synthtutor.quality.quantities import unit

__all__ = ["Leak", "leaks"]

_CALLED = "it is called the answer"
_COMPLETES = "it completes a calculation with the answer"
_CHOSEN = "it is named as the one to choose"
_NEAR = 400  # characters beside a number that are read; few sentences are longer


@dataclass(frozen=True, slots=True)
class Leak:
    """Whether the answer is given away; ``where`` quotes the sentence, ``why`` names the reason.

    Both are empty where nothing is found. ``sure`` is False where only weak signs decided: what
    the student has found comes up again, and may or may not be the answer now. There a judge
    knows better, where there is one.
    """

    found: bool
    where: str = ""
    why: str = ""
    sure: bool = True


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
    context = Context(problem, student)
    found = [_leak_of(reply, part, context) for part in wanted]
    if all(leak.found for leak in found):
        return replace(found[-1], sure=all(leak.sure for leak in found))
    return Leak(False, sure=any(not leak.found and leak.sure for leak in found))


class _Finding(NamedTuple):
    """Why the answer is given away here, or nothing; ``sure`` where the sign is a strong one."""

    why: str = ""
    sure: bool = True


_NOTHING = _Finding()
_REPEATED = _Finding(sure=False)


def _leak_of(reply: str, part: Part, context: Context) -> Leak:
    doubtful = None
    sure = True
    for start, end in sentences(reply):
        sentence = reply[start:end]
        read = signs.EMPHASIS.sub(lambda stars: " " * len(stars[0]), sentence)
        found = (_worded if part.value is None else _numeric)(read, part, context)
        sure = sure and found.sure
        if found.why and (found.sure or doubtful is None):
            leak = Leak(True, sentence.strip(), found.why, found.sure)
            if found.sure:
                return leak
            doubtful = leak
    return doubtful or Leak(False, sure=sure)


# ── answers that are numbers ─────────────────────────────────────────────────────────────────


def _numeric(sentence: str, part: Part, context: Context) -> _Finding:
    found = _NOTHING
    for number in numbers(sentence):
        kind, noun = unit(sentence, number)
        if not _is(number, noun, part, context) or context.excludes(kind, noun):
            continue
        if _is_division(sentence[number.start : number.end], part):
            continue
        here = _Occurrence(sentence, number, (kind, noun), context).finding()
        if here.why and here.sure:
            return here
        found = found if found.why or here.sure else here
    return found


def _is(number: Number, noun: str, part: Part, context: Context) -> bool:
    assert part.value is not None  # noqa: S101  # only numeric parts come here
    values = {abs(number.value), abs(fractional(number))}
    if noun == "cent":
        values = {abs(number.value) / 100} | (set() if context.in_dollars else values)
    if part.value in values or -part.value in values:
        return True
    return (
        part.percent
        and not number.percent
        and number.value.denominator != 1
        and (abs(number.value) == abs(part.value) / 100)
    )


def _is_division(written: str, part: Part) -> bool:
    """Whether it is a fraction that can be reduced: something still to do, unless it is the answer."""
    top, slash, bottom = written.rpartition(" ")[2].partition("/")
    if not (slash and top.isdecimal() and bottom.isdecimal()):
        return False
    return gcd(int(top), int(bottom)) > 1 and compact(written) != part.text


class _Occurrence:
    """One place where the answer's number stands, with what is around it."""

    def __init__(
        self, sentence: str, number: Number, quantity: tuple[str, str], context: Context
    ) -> None:
        self._sentence, self._number, self._quantity = sentence, number, quantity
        self._context = context
        self._before = sentence[max(0, number.start - _NEAR) : number.start]
        self._after = sentence[number.end : number.end + _NEAR]
        self._question = is_question(sentence)
        self._value = abs(number.value)
        self._known = self._value in context.values and (
            self._value.denominator == 1 or (self._value, form(sentence, number)) in context.forms
        )
        corrected = signs.CORRECTED.search(self._before)
        self._credited = bool(signs.CREDITED.search(self._before)) and not corrected

    def finding(self) -> _Finding:
        """What this place says, by the first sign that decides."""
        if self._is_set_aside() or self._is_confirmed():
            return _NOTHING
        if signs.COMES_TO.search(self._before):
            return _REPEATED if self._credited else _Finding(_COMPLETES)
        if signs.EQUALS.search(self._before):
            return self._after_equals()
        if self._is_worked_with():
            return _NOTHING
        questioned = _asked_about(self._sentence, self._before)
        called = signs.CALLED.search(self._before) or signs.CALLED_AFTER.match(self._after)
        if called and not questioned:
            return _REPEATED if self._credited and self._known else _Finding(_CALLED)
        if questioned and (self._known or not self._context.known):
            return _NOTHING
        return self._repeated() if self._known else self._new(questioned=questioned)

    def _is_set_aside(self) -> bool:
        """Rejected, one of several to choose from, or used in a step that goes on."""
        if self._question:
            # "Isn't it 64?" suggests what it seems to reject.
            if self._before.rstrip()[-2:] in ("'t", "’t"):
                return bool(signs.WORKED_AFTER.match(self._after))
            if signs.ALTERNATIVE_BEFORE.search(self._before):
                return True
            if signs.ALTERNATIVE_AFTER.match(self._after):
                return True
        return bool(signs.REJECTED.search(self._before) or signs.WORKED_AFTER.match(self._after))

    def _is_confirmed(self) -> bool:
        """What the student has just said, and was right about."""
        latest = self._known and self._context.latest == self._value
        if latest and signs.AGREES.match(self._sentence):
            return True
        return self._credited and not self._context.known

    def _after_equals(self) -> _Finding:
        if signs.UNKNOWN.search(self._before):
            return _NOTHING
        if not self._context.done(self._before, self._number.value):
            return _Finding(_COMPLETES)
        kind, noun = self._quantity
        final = self._context.asks_for(kind, noun) or self._context.counts_something(kind)
        return _Finding(_COMPLETES, sure=False) if final and not self._credited else _REPEATED

    def _is_worked_with(self) -> bool:
        supposed = signs.SUPPOSED.search(self._before) and not signs.REACHED.search(self._before)
        return bool(supposed or signs.WORKED_BEFORE.search(self._before))

    def _repeated(self) -> _Finding:
        """The number was there before; whether it is the answer now."""
        before, context = self._before, self._context
        if self._is_premise() or (self._credited and not signs.CONCLUDED.search(before)):
            return self._unless_given()
        chosen = signs.IDENTIFIED.search(before) or signs.PREFERRED.match(self._after)
        if context.choice and not self._credited and chosen:
            return _Finding(_CHOSEN, sure=False)
        given = context.is_given(self._value, *self._quantity)
        if context.is_outcome(self._after) or (context.asks_for(*self._quantity) and not given):
            return _Finding("a known number is now said of what is asked for", sure=False)
        new = given or not context.repeats(self._value, *self._quantity)
        if signs.REACHED.search(before) and (new or not any(self._quantity)):
            return _Finding("a known number is now a result", sure=False)
        return self._unless_given()

    def _unless_given(self) -> _Finding:
        """A number of the problem is only repeated; what the student has found may be the answer."""
        return _NOTHING if self._value in self._context.stated else _REPEATED

    def _new(self, *, questioned: bool) -> _Finding:
        """The number was not there before: it is from the solution, unless it is hardly a number."""
        if not self._context.known and self._is_premise():
            return _REPEATED
        if self._number.words and self._value in (0, 1, 2):
            asks_for = self._context.asks_for(*self._quantity)
            strong = signs.REACHED.search(self._before) or asks_for
            return _Finding("it is stated in words", sure=False) if strong else _NOTHING
        sure = self._context.known and not questioned
        return _Finding("a number that was not there before is stated", sure)

    def _is_premise(self) -> bool:
        """Whether the number is what the sentence sets out from: "since there are 5 bags"."""
        return bool(signs.GIVEN.search(self._before) and not signs.DERIVED.search(self._before))


def _asked_about(sentence: str, before: str) -> bool:
    """Whether a question is put about the number, rather than the number suggested in one."""
    if not is_question(sentence) or signs.TELLING.search(before):
        return False
    return any(
        signs.ASKING.search(sentence, found.start()) or signs.REQUEST.search(found[0])
        for found in signs.QUESTION.finditer(before)
    )


# ── answers that are not ─────────────────────────────────────────────────────────────────────


def _worded(sentence: str, part: Part, context: Context) -> _Finding:
    said = compact(sentence)
    edge = "" if part.text[0] in "([" else r"\w"
    whole = re.compile(rf"(?<![{edge}*/^+-]){re.escape(part.text)}(?![\w*/^]|[+-]\w)")
    found = whole.search(said)
    if not found:
        return _NOTHING
    before = said[: found.start()]
    listed = signs.ENUMERATED.search(said)
    among = listed and "," not in found[0] and listed.start() <= found.start() < listed.end()
    if signs.REJECTED.search(before) or among:
        return _NOTHING
    if signs.CALLED.search(before) and not _asked_about(sentence, before):
        return _Finding(_CALLED)
    if context.choice and not is_question(sentence) and signs.IDENTIFIED.search(before):
        return _Finding(_CHOSEN, sure=False)
    if len(part.text) < 2 or whole.search(context.text):
        return _NOTHING
    if _asked_about(sentence, before) and not context.known:
        return _NOTHING
    return _Finding("an expression or words that were not there before are stated")
