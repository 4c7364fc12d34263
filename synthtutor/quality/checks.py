"""Criteria that need no judge: named checks that say whether a criterion's text holds of a text.

A rubric pack names one as ``name:argument`` under ``check``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import zip_longest

from synthtutor.quality.leaks import leaks
from synthtutor.quality.prose import words
from synthtutor.quality.readability import grade

__all__ = ["CHECKS", "check"]

_TURN = re.compile(r"^(?P<speaker>tutor|teacher|student)\s*:", re.IGNORECASE | re.MULTILINE)


def longer_than(text: str, argument: str) -> bool | None:
    """More than ``argument`` words."""
    return len(words(text)) > int(argument)


def grade_at_most(text: str, argument: str) -> bool | None:
    """A Flesch–Kincaid grade of at most ``argument``; None where there is no prose to measure."""
    found = grade(text)
    return None if found is None else found <= float(argument)


def student_share(text: str, argument: str) -> bool | None:
    """The student's turns hold at least the share ``argument`` of a dialogue's words.

    Turns begin with ``Tutor:``, ``Teacher:`` or ``Student:`` at the start of a line; None where
    there are none.
    """
    turns = list(_TURN.finditer(text))
    counts = {"student": 0, "other": 0}
    for turn, following in zip_longest(turns, turns[1:]):
        said = text[turn.end() : following.start() if following else len(text)]
        who = "student" if turn["speaker"].lower() == "student" else "other"
        counts[who] += len(words(said))
    total = sum(counts.values())
    return counts["student"] >= float(argument) * total if total else None


def no_answer_leak(text: str, argument: str) -> bool | None:
    """The text does not give the answer ``argument`` away; None for an empty one.

    A check is shown the text alone, so what only repeats the problem may count as given away; a
    recipe that knows the problem calls :func:`~synthtutor.quality.leaks.leaks` with it.
    """
    return not leaks(text, argument).found if argument.strip() else None


CHECKS: dict[str, Callable[[str, str], bool | None]] = {
    "longer_than": longer_than,
    "grade_at_most": grade_at_most,
    "student_share": student_share,
    "no_answer_leak": no_answer_leak,
}


def check(name: str, text: str) -> bool | None:
    """Whether ``name:argument`` holds of the text; None where it cannot be told.

    Raises KeyError for a name that there is not.
    """
    function, _, argument = name.partition(":")
    return CHECKS[function](text, argument)
