"""Existing transcripts, with what a K-12 sample says about them: grade, feelings, techniques, outcomes.

One call a transcript, two more at most. The model is shown the turns by number and answers about
them by number; it never writes a turn, so what was said is exactly what was read. Every claim
about a feeling, a technique or the grade comes with words copied from the turn it is about, and a
quote that does not stand there is sent back. The sample is `k12-mix`'s.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from synthtutor.messages import Settings
from synthtutor.quality.readability import grade
from synthtutor.recipes.k12_checks import reading
from synthtutor.recipes.k12_schema import (
    AcademicContext,
    Difficulty,
    EmotionalContext,
    K12Sample,
    Label,
    Level,
    Objectives,
    Share,
    StudentMarks,
    StudentSaid,
    TutorMarks,
    TutorSaid,
    chat,
)
from synthtutor.recipes.problems import Turn
from synthtutor.recipes.recipe import Recipe
from synthtutor.recipes.transcripts import COLUMNS, Transcript, transcript_rows
from synthtutor.session import Session
from synthtutor.tutoring import Outcome, Sample

__all__ = ["ANNOTATE", "Annotation", "annotate", "annotated", "annotation_faults"]

_REASKS = 2
_SETTINGS = Settings(max_tokens=8192, temperature=0.0)
_NEUTRAL = "neutral"
_SAME = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-"})

_Number = Annotated[int, Field(ge=1, description="the number of a turn")]
_Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    Field(description="words copied from that turn"),
]


class Quote(BaseModel):
    """Words of a turn."""

    turn: _Number
    quote: _Words


class StudentNote(StudentMarks):
    """What one of the student's turns shows."""

    turn: _Number
    quote: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=300),
        Field(description="words of that turn that the markers rest on; empty without markers"),
    ]


class TutorNote(TutorMarks):
    """What one of the tutor's turns does."""

    turn: _Number
    quote: _Words


class Annotation(BaseModel):
    """What a transcript shows; levels and intensity from 0 to 1, as they are when it begins."""

    grade_level: Level
    grade_evidence: Annotated[list[Quote], Field(min_length=1, max_length=3)]
    subject: Label
    topic: Label
    difficulty_level: Difficulty
    learning_objective: Label
    student_emotion: Label
    student_emotion_intensity: Share
    emotion_evidence: Annotated[list[Quote], Field(max_length=3)]
    confidence_level: Share
    motivation_level: Share
    tutoring_approach_needed: Label
    student_turns: Annotated[list[StudentNote], Field(min_length=1)]
    tutor_turns: Annotated[list[TutorNote], Field(min_length=1)]
    learning_objectives: Objectives
    emotional_outcomes: Label
    academic_outcomes: Label


async def annotate(session: Session, row: Transcript) -> Sample:
    """One annotated transcript; a rejected one carries what is wrong with its last annotation."""
    faults: list[str] = []
    attempts = 0
    while attempts <= _REASKS and (faults or not attempts):
        attempts += 1
        made = await session.generate(
            Annotation,
            "annotate/annotation.md.j2",
            role="annotator",
            question=row.question,
            work=row.work,
            turns=row.turns,
            faults=faults,
            settings=_SETTINGS,
        )
        if not session.rehearsing:
            faults = annotation_faults(made, row.turns)
    sample = annotated(row, made)
    outcome: Outcome = "rejected" if faults else "kept"
    opening = "\n\n".join(text for text in (row.question, row.work) if text)
    messages = chat(sample, session.render("k12-mix/task.md.j2", sample=sample)[0], opening)
    return Sample(messages, _metadata(row, made, sample, attempts), outcome, faults)


def _metadata(
    row: Transcript, made: Annotation, sample: K12Sample, attempts: int
) -> dict[str, Any]:
    student = grade("\n\n".join(sample.said_by("student")))
    notes: list[StudentNote | TutorNote] = [*made.student_turns, *made.tutor_turns]
    return {
        "file": f"annotated_transcripts/{made.grade_level}",
        "source": row.source,
        "source_id": row.id,
        "subject": made.subject,
        "question": row.question,
        "k12": sample.to_metadata(),
        "evidence": {
            "grade_level": [each.model_dump() for each in made.grade_evidence],
            "student_emotion": [each.model_dump() for each in made.emotion_evidence],
            "turns": [
                {"turn": each.turn, "quote": each.quote}
                for each in sorted(notes, key=lambda each: each.turn)
            ],
        },
        "reading": {
            **reading(sample.said_by("tutor"), made.grade_level).to_metadata(),
            "student_grade": None if student is None else round(student, 2),
        },
        "attempts": attempts,
    }


# ── the sample ───────────────────────────────────────────────────────────────────────────────


def annotated(row: Transcript, made: Annotation) -> K12Sample:
    """The transcript in the K-12 schema: its own turns, with the annotation's notes."""
    return K12Sample(
        conversation_id=row.id,
        scenario=f"{made.subject}_transcript",
        academic_context=AcademicContext(
            **made.model_dump(include=set(AcademicContext.model_fields))
        ),
        emotional_context=EmotionalContext(
            **made.model_dump(include=set(EmotionalContext.model_fields))
        ),
        conversation=[_said(number, turn, made) for number, turn in enumerate(row.turns, 1)],
        learning_objectives=made.learning_objectives,
        emotional_outcomes=made.emotional_outcomes,
        academic_outcomes=made.academic_outcomes,
    )


def _said(number: int, turn: Turn, made: Annotation) -> StudentSaid | TutorSaid:
    """The turn with its note; the message is the row's, whatever the note says."""
    if turn.speaker == "student":
        for note in made.student_turns:
            if note.turn == number:
                marks = note.model_dump(include=set(StudentMarks.model_fields))
                return StudentSaid(message=turn.text, **marks)
        none: list[str] = []
        return StudentSaid(
            message=turn.text,
            emotional_markers=none,
            academic_indicators=none,
            learning_signals=none,
        )
    for answer in made.tutor_turns:
        if answer.turn == number:
            marks = answer.model_dump(include=set(TutorMarks.model_fields))
            return TutorSaid(message=turn.text, **marks)
    return TutorSaid(
        message=turn.text,
        emotional_response=_NEUTRAL,
        teaching_technique="none",
        academic_strategy="none",
        confidence_building=[],
    )


# ── what an annotation is held to ────────────────────────────────────────────────────────────


def annotation_faults(made: Annotation, turns: Sequence[Turn]) -> list[str]:
    """What is wrong with an annotation, each in words that the model can be shown."""
    return [*_coverage(made, turns), *_notes(made, turns), *_evidence(made, turns)]


def _coverage(made: Annotation, turns: Sequence[Turn]) -> Iterator[str]:
    noted = {
        "student": [note.turn for note in made.student_turns],
        "tutor": [note.turn for note in made.tutor_turns],
    }
    for speaker, found in noted.items():
        wanted = [number for number, turn in enumerate(turns, 1) if turn.speaker == speaker]
        if missing := sorted(set(wanted) - set(found)):
            yield f"{speaker}_turns lacks turn {_listed(missing)}"
        if foreign := sorted(set(found) - set(wanted)):
            yield f"{speaker}_turns names turn {_listed(foreign)}, not the {speaker}'s"
        if twice := sorted({number for number in found if found.count(number) > 1}):
            yield f"{speaker}_turns names turn {_listed(twice)} more than once"


def _notes(made: Annotation, turns: Sequence[Turn]) -> Iterator[str]:
    for note in made.student_turns:
        if note.emotional_markers and not note.quote:
            yield f"turn {note.turn} has emotional_markers and no quote that shows them"
        elif note.quote:
            yield from _quoted(note.turn, note.quote, turns)
    for answer in made.tutor_turns:
        yield from _quoted(answer.turn, answer.quote, turns)


def _evidence(made: Annotation, turns: Sequence[Turn]) -> Iterator[str]:
    for each in (*made.grade_evidence, *made.emotion_evidence):
        yield from _quoted(each.turn, each.quote, turns)
    for each in made.emotion_evidence:
        if each.turn <= len(turns) and turns[each.turn - 1].speaker != "student":
            yield f"emotion_evidence: turn {each.turn} is the tutor's; quote the student"
    if not made.emotion_evidence and made.student_emotion != _NEUTRAL:
        yield f"student_emotion {made.student_emotion} has no evidence; quote it or say {_NEUTRAL}"


def _quoted(number: int, quote: str, turns: Sequence[Turn]) -> Iterator[str]:
    if number > len(turns):
        yield f"there is no turn {number}"
    elif not _stands(quote, turns[number - 1].text):
        yield f"the quote {quote[:60]!r} does not occur in turn {number}; copy its words"


def _stands(quote: str, text: str) -> bool:
    """Whether the words stand there, whole, whatever their case, spaces, quotes and dashes are."""
    words = re.findall(r"\S+", _plain(quote).strip("\"' .…"))
    if not words:
        return False
    run = r"\s+".join(map(re.escape, words))
    return re.search(rf"(?<!\w){run}(?!\w)", _plain(text)) is not None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_SAME).casefold()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


ANNOTATE: Recipe[Transcript] = Recipe(
    name="annotate",
    function=annotate,
    rows=transcript_rows,
    summary="Existing transcripts with grade, feelings, techniques and outcomes, quoted as evidence.",
    roles=("annotator",),
    output_tokens={"annotate/annotation.md.j2": 1100},
    options=COLUMNS,
)
