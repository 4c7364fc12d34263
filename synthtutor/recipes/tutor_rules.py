"""The rules that a tutor's turn must keep, checked without a model.

One or two sentences, at most one question or next step, never the final answer. Whether a sentence
asks for something is told from its question mark or its first word, which is a rule of thumb.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from synthtutor.quality.answers import parts
from synthtutor.quality.leaks import Leak, leaks
from synthtutor.quality.numbers import numbers
from synthtutor.quality.prose import is_question, sentences
from synthtutor.recipes.problems import Turn
from synthtutor.recipes.verification import agreement

__all__ = ["MOST_SENTENCES", "concludes", "leak_of", "same_answer", "states", "tutor_faults"]

MOST_SENTENCES = 2
_MARK = re.compile("[?？؟]")
_STEP = re.compile(
    r"(?:(?:now|then|next|first|please|so)[, ]+)*(?:add|apply|calculate|check|compare|complete|compute|"
    r"count|divide|draw|estimate|evaluate|explain|find|fill|multiply|redo|replace|rewrite|show|simplify|"
    r"solve|subtract|tell|test|try|use|work|write)\b",
    re.IGNORECASE,
)


def tutor_faults(text: str, leak: Leak | None = None) -> list[str]:
    """What is wrong with a tutor's turn, in words that it can be asked again with.

    ``leak`` is what was found of the final answer in it. The faults do not name the answer.
    """
    found = []
    spoken = sentences(text)
    if not spoken:
        found.append("says nothing in words")
    if len(spoken) > MOST_SENTENCES:
        found.append(f"has {len(spoken)} sentences; say it in one or two")
    if _asks(text, spoken) > 1:
        found.append("asks for more than one thing; keep one question or one next step")
    if leak is not None and leak.found:
        why = f" ({leak.why})" if leak.why else ""  # none where a judge alone saw it
        found.append(f"gives the final answer away{why}; leave it to the student")
    return found


def leak_of(text: str, question: str, answer: str, said: Sequence[Turn]) -> Leak:
    """Whether the text tells the final answer to a student who has not said it."""
    student = "\n".join(turn.text for turn in said if turn.speaker == "student")
    return leaks(text, answer, problem=question, student=student)


def same_answer(found: str, gold: str) -> bool:
    """Whether two answers are the same number or, where one is none, the same words."""
    agrees = agreement(found, gold)
    return found.strip().casefold() == gold.strip().casefold() if agrees is None else agrees


def states(text: str, answer: str) -> bool:
    """Whether the text has the answer in it, as it is written or as a number of the same value."""
    written = re.escape(answer.strip())
    if written and re.search(rf"(?<![\w.,/-]){written}(?![\w/]|[.,]\d)", text, re.IGNORECASE):
        return True
    values: set[Fraction] = {number.value for number in numbers(text)}
    return any(part.value in values for part in parts(answer) if part.value is not None)


def concludes(text: str, answer: str) -> bool:
    """Whether a student's turn ends in the answer: as a whole, or by the last number that it states."""
    if same_answer(text, answer):
        return True
    wanted, stated = parts(answer), [number.value for number in numbers(text)]
    values = [part.value for part in wanted if part.value is not None]
    return 0 < len(wanted) == len(values) and sorted(stated[-len(values) :]) == sorted(values)


def _asks(text: str, spoken: Sequence[str]) -> int:
    steps = sum(
        bool(_STEP.match(sentence.strip())) for sentence in spoken if not is_question(sentence)
    )
    return len(_MARK.findall(text)) + steps
