"""What a K-12 conversation is held to without a model: its reading level, its form, and privacy.

The reading level is the Flesch–Kincaid grade of all that the tutor says as one text. It may lie
``SLACK`` school years above the student's own, because the grade of some hundred words is that
noisy and a listener follows more than a reader; the slack is our assumption. There is no lower
bound: plain words suit everybody. Above school, and below ``LEAST_WORDS`` words, nothing is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from synthtutor.quality.privacy import personal_data
from synthtutor.quality.prose import words
from synthtutor.quality.readability import grade
from synthtutor.recipes.k12_schema import GRADES, Conversation

__all__ = ["LEAST_WORDS", "SLACK", "Reading", "conversation_faults", "reading"]

SLACK = 3
LEAST_WORDS = 30
_HIGHEST = {"elementary": "5", "middle_school": "8", "high_school": "12"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text's measured school grade, and the highest that suits; None: not measurable, no bound."""

    grade: float | None
    highest: float | None
    words: int

    @property
    def fits(self) -> bool | None:
        """Whether the text suits; None where that cannot be told."""
        if self.grade is None or self.highest is None or self.words < LEAST_WORDS:
            return None
        return self.grade <= self.highest

    def to_metadata(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "fits": self.fits}


def reading(said: Sequence[str], suits: str) -> Reading:
    """How hard to read the tutor's turns are, for a grade or a grade level."""
    text = "\n\n".join(said)
    found = grade(text)
    year = GRADES.get(_HIGHEST.get(suits, suits))
    highest = float(year + SLACK) if year is not None and year <= 12 else None
    return Reading(None if found is None else round(found, 2), highest, len(words(text)))


def conversation_faults(made: Conversation, *, suits: str, technique: str) -> list[str]:
    """What is wrong with a written conversation, each in words that the writer can be shown."""
    return [*_form(made, technique), *_level(made, suits), *_privacy(made)]


def _form(made: Conversation, technique: str) -> Iterator[str]:
    if technique not in {each.tutor.teaching_technique for each in made.exchanges}:
        yield f"one turn of the tutor must use the technique {technique}"
    if not made.exchanges[0].student.emotional_markers:
        yield "the student's first turn must show the feeling, and its emotional_markers name it"


def _level(made: Conversation, suits: str) -> Iterator[str]:
    found = reading([each.tutor.message for each in made.exchanges], suits)
    if found.fits is False:
        yield (
            f"the tutor's words read at school grade {found.grade:.0f}, and at most "
            f"{found.highest:.0f} suits: use shorter sentences and plainer words"
        )


def _privacy(made: Conversation) -> Iterator[str]:
    for each in made.exchanges:
        for message in (each.student.message, each.tutor.message):
            for found in personal_data(message):
                yield f"no turn may hold personal data: {found.kind.replace('_', ' ')} {found.quote!r}"
