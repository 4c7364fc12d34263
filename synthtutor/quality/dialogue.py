"""How a tutoring dialogue goes: who talks, who asks, and whether hints become more specific."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from synthtutor.errors import ConfigError
from synthtutor.quality.numbers import numbers
from synthtutor.quality.prose import words

__all__ = ["DialogueMeasures", "measured"]

_SPEAKERS = {"tutor": "tutor", "teacher": "tutor", "assistant": "tutor"}
_SPEAKERS |= {"student": "student", "user": "student", "learner": "student"}
_QUESTION = re.compile(r"\?(?=[\"'”’)*\s]|$)")
_COMMON_WORDS = (
    "the and for that this with you your are was were has have had will would can could should what how "
    "why when where which who there their they them then than from into each some all any not but our out "
    "its his her she him just now let get got one two does did done been being so is it he we in on of to "
    "as at by an or if do be up no yes find need needs more many much total number amount"
)
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True)
class DialogueMeasures:
    """One dialogue in numbers; None where there is nothing to measure.

    Words are what stands between spaces, sums too. ``tutor_share`` is the tutor's share of all words;
    ``question_share`` the share of the tutor's turns with a question in them, ``questions_per_turn`` how many there are
    on average. ``specificity`` has one figure per tutor turn: how much of what only the solution says
    (its numbers and content words that are not in the problem) stands in the turn and was not said
    by the student before, as a share of the solution. ``ladder`` is the rank correlation (Kendall's
    tau-b, −1 to 1) of that with the order of the turns: near 1 hints grow more specific, near −1 the
    tutor begins by telling. It needs three tutor turns, not all equally specific; below six it is
    noise more than not.
    """

    turns: int
    tutor_turns: int
    student_turns: int
    tutor_words: int
    student_words: int
    tutor_share: float | None
    question_share: float | None
    questions_per_turn: float | None
    specificity: tuple[float, ...] | None
    ladder: float | None


def measured(
    turns: Iterable[tuple[str, str]], *, problem: str = "", solution: str = ""
) -> DialogueMeasures:
    """Measure a dialogue given as (speaker, text): tutor, teacher or assistant; student, learner or user.

    Turns of a ``system`` are passed over. Without ``solution`` there is no ladder. Raises ConfigError
    for another speaker.
    """
    said = [(_side(speaker), text) for speaker, text in turns if speaker.casefold() != "system"]
    tutor = [text for side, text in said if side == "tutor"]
    student = [text for side, text in said if side == "student"]
    tutor_words, student_words = _words(tutor), _words(student)
    asked = [len(_QUESTION.findall(text)) for text in tutor]
    specificity = _specificity(said, problem, solution)
    return DialogueMeasures(
        turns=len(said),
        tutor_turns=len(tutor),
        student_turns=len(student),
        tutor_words=tutor_words,
        student_words=student_words,
        tutor_share=_share(tutor_words, tutor_words + student_words),
        question_share=_share(sum(map(bool, asked)), len(tutor)),
        questions_per_turn=_share(sum(asked), len(tutor)),
        specificity=specificity,
        ladder=None if specificity is None else _tau(specificity),
    )


def _side(speaker: str) -> str:
    side = _SPEAKERS.get(speaker.casefold())
    if side is None:
        raise ConfigError(f"a turn is of a tutor or a student, not of {speaker!r}")
    return side


def _words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _specificity(
    said: Sequence[tuple[str, str]], problem: str, solution: str
) -> tuple[float, ...] | None:
    own = _content(solution) - _content(problem)
    if not own:
        return None
    found: list[float] = []
    known: set[str] = set()
    for side, text in said:
        if side == "tutor":
            found.append(round(len(own & _content(text) - known) / len(own), 4))
        else:
            known |= _content(text)
    return tuple(found)


def _content(text: str) -> set[str]:
    spoken = {word for word in words(text.casefold()) if len(word) > 2 and word not in _COMMON}
    return spoken | {str(number.value) for number in numbers(text)}


def _tau(values: Sequence[float]) -> float | None:
    """Kendall's tau-b of the values with their order, which has no ties."""
    if len(values) < 3 or len(set(values)) == 1:
        return None
    pairs = list(combinations(values, 2))
    rising = sum(one < other for one, other in pairs)
    falling = sum(one > other for one, other in pairs)
    return round((rising - falling) / sqrt(len(pairs) * (rising + falling)), 4)
