"""Fifty questions and answers about each student, in five batches of ten: one a category.

A sample is a batch, because the batch is what one call writes and one call judges: a sample a pair
would pay for both ten times, and a sample a student would lose fifty pairs to one bad call. Its
messages are its pairs, one exchange after the other; ``metadata.exchanges`` says that they are
independent of each other, so that they are exported as one instruction row each.

Each pair is checked by code (the id in the question; ids, names, numbers and times in the answer,
against its own profile and everybody else's), and what fails is written anew, twice at most. The
judge then looks for claims without a basis in each answer, and such a pair is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from synthtutor.errors import ConfigError
from synthtutor.judge import Judgement
from synthtutor.messages import Message, Settings
from synthtutor.recipes.facts import Facts, Roster, answer_faults, question_faults
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.rubric import Criterion
from synthtutor.session import Session
from synthtutor.sources import BadRow, Record, read_rows
from synthtutor.tutoring import Outcome, Sample

__all__ = ["CATEGORIES", "PERSONA_QA", "Pair", "Pairs", "Row", "persona_qa"]

BATCH = 10
_REASKS = 2
_MOST_TOLD = 12  # faults that a writer is shown at once

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "basic information": "name, age, class, syllabus, interests, hobbies, study routine",
        "academic performance": "marks by subject, how they moved, strengths, struggles",
        "emotional and social": "character, feelings, behaviour in a group",
        "motivations": "what draws the student in, what holds them back, how they learn best",
        "teacher and student perspectives": "what a teacher would note, what the student would say",
    }
)


class Pair(BaseModel):
    """A question about the student, and its answer."""

    # No limits of length: ten times over, they make a grammar that a local model chokes on.
    question: Annotated[str, StringConstraints(strip_whitespace=True)]
    answer: Annotated[str, StringConstraints(strip_whitespace=True)]


class Pairs(BaseModel):
    """Questions with their answers."""

    pairs: list[Pair] = Field(min_length=1, max_length=BATCH)


class Ten(Pairs):
    """Ten questions with their answers."""

    # What comes of fewer or more is used: the rest is asked for anew.
    pairs: list[Pair] = Field(
        min_length=1,
        max_length=2 * BATCH,
        json_schema_extra={"minItems": BATCH, "maxItems": BATCH},
    )


class Row(BaseModel):
    """A student, a category, and which ten of it these are.

    ``roster`` is the same for all rows and is no part of what a row is: a file that grows keeps
    the samples it has.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    student: str
    profile: dict[str, Any]
    category: str
    variation: int = 0
    roster: Roster = Field(default_factory=Roster, exclude=True, repr=False)


@dataclass(slots=True)
class _Work:
    """The pairs so far: those that passed, and what was wrong with the others."""

    accepted: list[Pair]
    dropped: list[dict[str, Any]]

    def sort(self, pairs: list[Pair], own: Facts, roster: Roster, *, trust: bool) -> list[str]:
        """Put new pairs where they belong; the faults found."""
        faults: list[str] = []
        for pair in pairs:
            if len(self.accepted) == BATCH:
                break
            found = [] if trust else self._faults(pair, own, roster)
            if found:
                self.dropped.append({**pair.model_dump(), "faults": found})
                faults += found
            else:
                self.accepted.append(pair)
        return list(dict.fromkeys(faults))[:_MOST_TOLD]

    def _faults(self, pair: Pair, own: Facts, roster: Roster) -> list[str]:
        asked = {_same(accepted.question) for accepted in self.accepted}
        twice = ["the question was asked before"] if _same(pair.question) in asked else []
        wrong = [] if pair.answer else ["the answer is empty"]
        wrong += answer_faults(pair.question, pair.answer, own, roster)
        return [*question_faults(pair.question, own), *twice, *wrong]


async def persona_qa(session: Session, row: Row) -> Sample:
    """Ten pairs of one category about one student; those that fail a check are left out."""
    own = Facts.of(row.student, row.profile)
    profile = orjson.dumps(row.profile, option=orjson.OPT_INDENT_2).decode()
    work = await _written(session, row, own, profile)
    metadata: dict[str, Any] = {
        "student_id": row.student,
        "category": row.category,
        "variation": row.variation,
        "exchanges": "independent",
        "pairs_wanted": BATCH,
    }
    outcome: Outcome = "kept" if work.accepted else "rejected"
    reasons = () if work.accepted else tuple(sorted({f for d in work.dropped for f in d["faults"]}))
    if work.accepted and session.option("judge") != "no":
        judged = await _judged(session, work.accepted, row, profile)
        outcome, reasons = judged.score.outcome, judged.score.reasons
        metadata |= judged.to_metadata()
        if outcome == "kept":
            _drop(work, judged)
    return Sample(
        messages=[message for pair in work.accepted for message in _said(pair)],
        metadata={**metadata, "pairs": len(work.accepted), "dropped": work.dropped},
        outcome=outcome,
        reasons=reasons,
    )


def _said(pair: Pair) -> tuple[Message, Message]:
    return Message("user", pair.question), Message("assistant", pair.answer)


async def _written(session: Session, row: Row, own: Facts, profile: str) -> _Work:
    """Up to ten pairs that pass; each call asks only for those that are still missing."""
    work = _Work([], [])
    faults: list[str] = []
    for attempt in range(_REASKS + 1):
        made = await session.generate(
            Pairs if attempt else Ten,
            "persona_qa/pairs.md.j2",
            id=row.student,
            profile=profile,
            categories=CATEGORIES,
            category=row.category,
            variation=row.variation,
            count=BATCH - len(work.accepted),
            accepted=[pair.question for pair in work.accepted],
            faults=faults,
            settings=Settings(max_tokens=2400, temperature=0.8),
        )
        faults = work.sort(made.pairs, own, row.roster, trust=session.rehearsing)
        if len(work.accepted) == BATCH or session.rehearsing:
            break
    return work


async def _judged(session: Session, pairs: list[Pair], row: Row, profile: str) -> Judgement:
    claims = [
        Criterion(
            id=f"a{number}",
            text=f"Answer {number} makes a claim about the student that has no basis in the profile.",
            weight=-1,  # critical, but one of ten is no reason to lose the other nine
            critical=True,
            dimension="support",
        )
        for number in range(1, len(pairs) + 1)
    ]
    text = session.render("persona_qa/pairs_judged.md.j2", pairs=pairs)[0].content
    shown = session.render("persona_qa/profile.md.j2", id=row.student, profile=profile)[0].content
    return await session.judge(text, session.rubric.extended(claims), context=shown)


def _drop(work: _Work, judged: Judgement) -> None:
    """Leave out the pairs whose answer the judge found without a basis."""
    kept = []
    for number, pair in enumerate(work.accepted, 1):
        name = f"own.a{number}"
        if judged.verdicts[name].passed(judged.rubric.criterion(name)):
            kept.append(pair)
        else:
            found = ["the judge finds a claim that has no basis in the profile"]
            work.dropped.append({**pair.model_dump(), "faults": found})
    work.accepted = kept


def _same(question: str) -> str:
    return " ".join(question.casefold().split()).rstrip("?. ")


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(options: RowOptions) -> Rows[Row]:
    """Every student's five categories; with ``per_seed``, so many tens of each, on the outside.

    The file is read once beforehand, for everybody's ids and names. Raises ConfigError where
    there is no file.
    """
    judge, path = options.options.get("judge", "yes"), options.path
    if judge not in ("yes", "no"):
        raise ConfigError(f"option judge={judge!r}: choose yes or no")
    if path is None:
        raise ConfigError(
            "persona-qa asks about profiles: give --rows FILE, the samples.jsonl of a personas run "
            "or profiles of your own"
        )
    roster = Roster()
    students = 0
    for found in _students(path):
        if isinstance(found, tuple):
            roster.add(*found)
            students += 1
    tens = options.per_seed or 1
    return Rows(_rows(path, roster, tens), students * len(CATEGORIES) * tens)


def _rows(path: Path, roster: Roster, tens: int) -> Iterator[Row | BadRow]:
    for variation in range(tens):
        for found in _students(path):
            if isinstance(found, BadRow):
                if variation == 0:
                    yield found
                continue
            student, profile = found
            for category in CATEGORIES:
                yield Row.model_construct(
                    student=student,
                    profile=profile,
                    category=category,
                    variation=variation,
                    roster=roster,
                )


def _students(path: Path) -> Iterator[tuple[str, dict[str, Any]] | BadRow]:
    seen: set[str] = set()
    for record in read_rows(path):
        if isinstance(record, BadRow):
            yield record
            continue
        found = _student(record)
        if isinstance(found, tuple) and found[0] in seen:
            found = BadRow(record.where, f"the id {found[0]} was there before")
        elif isinstance(found, tuple):
            seen.add(found[0])
        yield found


def _student(record: Record) -> tuple[str, dict[str, Any]] | BadRow:
    """Id and profile of a line of samples.jsonl, or of a record whose fields are the profile."""
    metadata = record.get("metadata")
    if isinstance(metadata, dict):
        profile, student = metadata.get("profile"), metadata.get("student_id")
        if not isinstance(profile, dict) or not student:
            return BadRow(record.where, "a sample without metadata.profile and metadata.student_id")
        return str(student), profile
    student = next((record[name] for name in ("student_id", "id") if record.get(name)), None)
    if student is None:
        return BadRow(record.where, "no student_id: a profile of your own has student_id or id")
    fields = {name: _value(value) for name, value in record.items()}
    profile = {name: value for name, value in fields.items() if name not in ("student_id", "id")}
    if not any(value not in ("", None) for value in profile.values()):
        return BadRow(record.where, "nothing is known of the student but the id")
    return str(student), profile


def _value(value: Any) -> Any:
    """A CSV's lists and objects are JSON in a field, and its whole numbers are numbers."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text[:1] in ("[", "{"):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return int(text) if text.isascii() and text.isdigit() and not text.startswith("0") else text


PERSONA_QA: Recipe[Row] = Recipe(
    name="persona-qa",
    function=persona_qa,
    rows=rows,
    summary="Questions and answers about each student profile, every answer checked against it.",
    roles=("writer", "judge"),
    rubric="persona-answers",
    output_tokens={"persona_qa/pairs.md.j2": 620},
    options={"judge": "no leaves the judge out: only what code can check is checked (default yes)"},
)
