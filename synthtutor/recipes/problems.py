"""What tutoring by problems is about: a problem, a student's wrong way through it, and the dialogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Problem", "Turn", "last_line"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. ``move`` is the tutor's teaching move where the data names it."""

    speaker: Literal["tutor", "student"]
    text: str
    move: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, its gold solution and answer, and a student's wrong way through it.

    ``profile`` is what the data says of the student beforehand. ``notes`` are what somebody wrote
    when the dialogue was over: they may be kept and compared with, and never enter a prompt.
    """

    question: str
    answer: str
    solution: str = ""
    student_solution: str = ""
    turns: tuple[Turn, ...] = ()
    profile: str = ""
    id: str = ""
    source: str = "own"
    notes: Mapping[str, str | float] = field(default_factory=dict)

    def said(self) -> tuple[Turn, ...]:
        """Everything by number: 0 is the student's written solution, 1 the first turn."""
        return (Turn("student", self.student_solution), *self.turns)


def last_line(text: str) -> str:
    """The last line that is not empty: where solutions state their answer."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
