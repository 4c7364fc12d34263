"""The sample of the K-12 data plan: a conversation with what each turn shows, and what it is about.

Field names are those of the TARA Student Model Training Guide, so that its readers can load the
files. `Conversation` is what a writer is asked for, `K12Sample` what is exported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from synthtutor.messages import Message

__all__ = [
    "GRADES",
    "TECHNIQUES",
    "AcademicContext",
    "Conversation",
    "EmotionalContext",
    "Exchange",
    "K12Sample",
    "Label",
    "Level",
    "Share",
    "StudentMarks",
    "StudentTurn",
    "Technique",
    "TutorMarks",
    "TutorTurn",
    "chat",
    "conversation_of",
    "level_of",
    "transcript",
]

# A grade's school year; the last two are no school years, and only say which comes first.
GRADES: Mapping[str, int] = MappingProxyType(
    {
        "kindergarten": 0,
        **{str(year): year for year in range(1, 13)},
        "undergraduate": 13,
        "graduate": 14,
    }
)
TECHNIQUES: Mapping[str, str] = MappingProxyType(
    {
        "scaffolding": "cuts the task into steps that the student can take",
        "guiding_question": "asks a question that leads the student to see it",
        "worked_example": "works through a similar case and leaves the student's own to them",
        "concrete_example": "connects the idea to an object or a case that the student knows",
        "visual_representation": "has the student draw, or reads a picture, table or number line",
        "error_analysis": "examines with the student where and why a step went wrong",
        "retrieval_practice": "has the student recall what was learned before",
        "think_aloud": "thinks aloud while taking one step",
        "reframing": "shows a setback or a feeling in a different light",
        "goal_setting": "agrees with the student what to do next, and by when",
        "direct_explanation": "explains or tells",
        "feedback": "says what is right or wrong in what the student did",
        "none": "only greets, thanks or manages the conversation",
    }
)

Level = Literal["elementary", "middle_school", "high_school", "undergraduate", "graduate"]
Technique = Literal[
    "scaffolding",
    "guiding_question",
    "worked_example",
    "concrete_example",
    "visual_representation",
    "error_analysis",
    "retrieval_practice",
    "think_aloud",
    "reframing",
    "goal_setting",
    "direct_explanation",
    "feedback",
    "none",
]
Difficulty = Literal["beginner", "intermediate", "advanced"]


def _as_label(value: object) -> object:
    """``Self-doubt, again`` as ``self_doubt_again``: models write labels in every way."""
    return re.sub(r"\W+", "_", value.casefold()).strip("_") if isinstance(value, str) else value


Label = Annotated[
    str,
    BeforeValidator(_as_label),
    StringConstraints(min_length=1, max_length=80),
    Field(description="a few words in snake_case"),
]
Labels = Annotated[list[Label], Field(max_length=5)]
Objectives = Annotated[list[Label], Field(min_length=1, max_length=5)]
Share = Annotated[float, Field(ge=0, le=1)]
_Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1200)]


def level_of(grade: str) -> Level:
    """The grade level of a grade. Raises KeyError for what is no grade."""
    year = GRADES[grade]
    if year <= 5:
        return "elementary"
    if year <= 8:
        return "middle_school"
    if year <= 12:
        return "high_school"
    return "undergraduate" if grade == "undergraduate" else "graduate"


# ── what a writer is asked for ───────────────────────────────────────────────────────────────


class StudentMarks(BaseModel):
    """What a student's turn shows."""

    emotional_markers: Labels
    academic_indicators: Labels
    learning_signals: Labels


class TutorMarks(BaseModel):
    """What a tutor's turn does."""

    emotional_response: Label
    teaching_technique: Technique
    academic_strategy: Label
    confidence_building: Labels


class StudentTurn(StudentMarks):
    """What the student says, and what it shows."""

    message: _Message


class TutorTurn(TutorMarks):
    """What the tutor says, and what it does."""

    message: _Message


class Exchange(BaseModel):
    """The student speaks, the tutor answers."""

    student: StudentTurn
    tutor: TutorTurn


class Conversation(BaseModel):
    """A conversation that the student begins and the tutor ends.

    The levels are the student's when the conversation begins.
    """

    learning_objective: Label
    tutoring_approach_needed: Label
    confidence_level: Share
    motivation_level: Share
    exchanges: Annotated[list[Exchange], Field(min_length=1, max_length=8)]
    learning_objectives: Objectives
    emotional_outcomes: Label
    academic_outcomes: Label


@lru_cache(maxsize=8)
def conversation_of(exchanges: int) -> type[Conversation]:
    """A conversation of so many exchanges, so that the form that is asked for says how many."""
    exact = Annotated[list[Exchange], Field(min_length=exchanges, max_length=exchanges)]
    return create_model("Conversation", __base__=Conversation, exchanges=(exact, ...))


# ── what is exported ─────────────────────────────────────────────────────────────────────────


class _Exported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AcademicContext(_Exported):
    """What is learned, by whom. ``difficulty_level`` is for this grade."""

    grade_level: Level
    subject: str
    topic: str
    difficulty_level: Difficulty
    learning_objective: str


class EmotionalContext(_Exported):
    """How the student feels when the conversation begins; levels and intensity from 0 to 1."""

    student_emotion: str
    student_emotion_intensity: Share
    confidence_level: Share
    motivation_level: Share
    tutoring_approach_needed: str


class StudentSaid(_Exported):
    """A student's turn; the message is as it was said."""

    speaker: Literal["student"] = "student"
    message: str
    emotional_markers: list[str]
    academic_indicators: list[str]
    learning_signals: list[str]


class TutorSaid(_Exported):
    """A tutor's turn; the message is as it was said."""

    speaker: Literal["tutor"] = "tutor"
    message: str
    emotional_response: str
    teaching_technique: Technique
    academic_strategy: str
    confidence_building: list[str]


Said = Annotated[StudentSaid | TutorSaid, Field(discriminator="speaker")]


class K12Sample(_Exported):
    """One line of the data set."""

    conversation_id: str
    scenario: str
    participants: tuple[Literal["tutor"], Literal["student"]] = ("tutor", "student")
    academic_context: AcademicContext
    emotional_context: EmotionalContext
    conversation: Annotated[list[Said], Field(min_length=1)]
    learning_objectives: list[str]
    emotional_outcomes: str
    academic_outcomes: str

    def said_by(self, speaker: str) -> list[str]:
        """The messages of one side."""
        return [turn.message for turn in self.conversation if turn.speaker == speaker]

    def to_metadata(self) -> dict[str, Any]:
        """As JSON values."""
        return self.model_dump(mode="json")


def transcript(sample: K12Sample) -> str:
    """The conversation as a script: a line begins with who speaks."""
    sides = {"student": "Student", "tutor": "Tutor"}
    return "\n".join(f"{sides[turn.speaker]}: {turn.message}" for turn in sample.conversation)


def chat(sample: K12Sample, system: Message, opening: str = "") -> list[Message]:
    """The conversation as a chat that a tutor is trained on: it begins with the student and ends with the tutor.

    Adjoining turns of one side are one message. ``opening`` is what the student had in hand before
    a tutor who speaks first; without it, what such a tutor says first is left out.
    """
    messages = [system]
    if opening and sample.conversation[0].speaker == "tutor":
        messages.append(Message("user", opening))
    for turn in sample.conversation:
        role: Literal["user", "assistant"] = "user" if turn.speaker == "student" else "assistant"
        if role == "assistant" and len(messages) == 1:
            continue
        if messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n\n{turn.message}")
        else:
            messages.append(Message(role, turn.message))
    return messages[:-1] if messages[-1].role == "user" else messages
