"""A tutor's reply to a student who has understood the first explanation in a wrong way.

Three calls a sample. *scenario* writes a new question, its explanation and a confused follow-up in
a subject and misconception type drawn from all 224 cells, with a rubric of its own and a seed as
the example; *reply* answers it as a tutor who does not see that rubric; *judge* looks at both the
rubric pack and the scenario's own criteria. In mode ``answer`` the seed's own question, follow-up
and rubric are used, and only the reply is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StringConstraints

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError, RubricError
from synthtutor.messages import Message, Settings
from synthtutor.recipes.bank import Seed, bank, gold, own_criteria
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.sources import BadRow, Record, read_rows
from synthtutor.tutorbench import from_tutorbench
from synthtutor.tutoring import MISCONCEPTION_TYPES, SUBJECTS, Sample

__all__ = ["MISCONCEPTION", "Row", "Scenario", "misconception"]

_COLUMNS = ("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS")


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to make: a seed, the drawn cell, and the number of the variation."""

    seed: Seed
    subject: str
    misconception_type: str
    variation: int = 0
    mode: str = "scenario"


def _text(most: int) -> Any:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most)


class ScenarioCriterion(BaseModel):
    """One statement about a good or a bad reply."""

    text: Annotated[str, _text(300)]
    kind: Literal["wanted", "fault"]
    critical: bool


class Scenario(BaseModel):
    """A new tutoring situation with its own rubric."""

    topic: Annotated[str, _text(120)]
    question: Annotated[str, _text(1500)]
    first_explanation: Annotated[str, _text(3000)]
    follow_up: Annotated[str, _text(1000)]
    rubric: Annotated[list[ScenarioCriterion], Field(min_length=3, max_length=6)]


async def misconception(session: Session, row: Row) -> Sample:
    """One sample: the student's situation, the tutor's reply, and the verdict on it."""
    case = row.seed if row.mode == "answer" else await _scenario(session, row)
    example, model = _example(row)
    reply = await session.generate(
        str,
        "misconception/reply.md.j2",
        case=case,
        example=example,
        gold=model,
        rubric=case.rubric if session.option("rubric_in_prompt") == "yes" else (),
        settings=Settings(max_tokens=1200, temperature=0.8),
    )
    rubric = session.rubric.extended(own_criteria(case.rubric))
    student = session.render("misconception/student.md.j2", case=case)[0].content
    judged = await session.judge(reply, rubric, context=student)
    return Sample(
        messages=[
            session.render("misconception/tutor.md.j2")[0],
            Message("user", student),
            Message("assistant", reply),
        ],
        metadata={
            "subject": case.subject,
            "topic": case.topic,
            "misconception_type": case.misconception_type,
            "mode": row.mode,
            "variation": row.variation,
            "seed_id": row.seed.id,
            "scenario": {
                "question": case.question,
                "first_explanation": case.first_explanation,
                "follow_up": case.follow_up,
            },
            "rubrics": [dict(entry) for entry in case.rubric],
            **judged.to_metadata(),
        },
        outcome=judged.score.outcome,
        reasons=judged.score.reasons,
    )


async def _scenario(session: Session, row: Row) -> Seed:
    made = await session.generate(
        Scenario,
        "misconception/scenario.md.j2",
        subject=row.subject.replace("_", " "),
        misconception_type=row.misconception_type.replace("_", " "),
        description=MISCONCEPTION_TYPES[row.misconception_type],
        seed=row.seed,
        settings=Settings(max_tokens=1600, temperature=1.0),
    )
    rubric = tuple(
        {
            "text": criterion.text,
            "weight": (5 if criterion.critical else 1) * (1 if criterion.kind == "wanted" else -1),
            "dimension": "own",
        }
        for criterion in made.rubric
    )
    return Seed(
        question=made.question,
        first_explanation=made.first_explanation,
        follow_up=made.follow_up,
        rubric=rubric,
        subject=row.subject,
        topic=made.topic,
        misconception_type=row.misconception_type,
    )


def _example(row: Row) -> tuple[Seed, Any]:
    """A gold reply to show the writer: of the drawn subject, but never the answer to this very seed."""
    subject = row.subject if row.subject in SUBJECTS else SUBJECTS[0]
    if row.mode == "answer" and gold(subject)[0].id == row.seed.id:
        subject = SUBJECTS[(SUBJECTS.index(subject) + 1) % len(SUBJECTS)]
    return gold(subject)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(options: RowOptions) -> Rows[Row]:
    """Seeds × variations, each with its cell; seeds are the user's file or the bank.

    Variations run on the outside (every seed once, then every seed again), so that raising
    ``per_seed`` adds rows at the end and changes none.
    """
    shown = options.options.get("rubric_in_prompt", "no")
    if shown not in ("yes", "no"):
        raise ConfigError(f"option rubric_in_prompt={shown!r}: choose yes or no")
    mode = options.mode or "scenario"
    coverage = Coverage(
        {"subject": SUBJECTS, "misconception_type": tuple(MISCONCEPTION_TYPES)}, seed=options.seed
    )
    if options.path is None:
        seeds = bank()
        made = _bank_rows(coverage, mode, options.per_seed)
        total = len(seeds) * options.per_seed if options.per_seed else None
        return Rows(made, total)
    return Rows(_file_rows(options.path, coverage, mode, options.per_seed or 1))


def _bank_rows(coverage: Coverage, mode: str, per_seed: int | None) -> Iterator[Row]:
    """Endless without ``per_seed``. The example is of the drawn subject; in ``answer`` it decides."""
    seeds = bank()
    by_subject = {name: [seed for seed in seeds if seed.subject == name] for name in SUBJECTS}
    count = 0
    while per_seed is None or count < per_seed * len(seeds):
        variation, turn = divmod(count, len(seeds))
        if mode == "answer":
            seed = seeds[turn]
            yield Row(seed, seed.subject, seed.misconception_type, variation, mode)
        else:
            cell = coverage.draw(count)
            alike = by_subject[cell["subject"]]
            example = alike[(count // len(coverage)) % len(alike)]
            yield Row(example, cell["subject"], cell["misconception_type"], variation, mode)
        count += 1


def _file_rows(path: Path, coverage: Coverage, mode: str, per_seed: int) -> Iterator[Row | BadRow]:
    for variation in range(per_seed):
        number = -1
        for record in read_rows(path):
            if isinstance(record, BadRow):
                if variation == 0:
                    yield record
                continue
            number += 1
            seed = _seed(record)
            if isinstance(seed, BadRow):
                if variation == 0:
                    yield seed
                continue
            if mode == "answer":
                yield Row(seed, seed.subject, seed.misconception_type, variation, mode)
            else:
                cell = coverage.draw(number, variation)
                yield Row(seed, cell["subject"], cell["misconception_type"], variation, mode)


def _seed(record: Record) -> Seed | BadRow:
    """A seed from TutorBench's columns or from our own field names."""
    where = record.where
    if "PROMPT" in record:
        missing = [name for name in _COLUMNS if not str(record.get(name) or "").strip()]
        if missing:
            return BadRow(where, f"column {missing[0]} is empty or missing")
        try:
            criteria = from_tutorbench(record["RUBRICS"], id=where)
        except RubricError as error:
            return BadRow(where, str(error))
        rubric = tuple(
            {
                "text": c.text,
                "weight": c.weight,
                "dimension": c.dimension,
                "skill": c.skill,
                "negated": c.negated,
            }
            for c in criteria
        )
        return Seed(
            question=str(record["PROMPT"]).strip(),
            first_explanation=str(record["UC1_INITIAL_EXPLANATION"]).strip(),
            follow_up=str(record["FOLLOW_UP_PROMPT"]).strip(),
            rubric=rubric,
            subject=str(record.get("SUBJECT") or "").strip(),
            id=str(record.get("TASK_ID") or "").strip(),
        )
    return _own_seed(record)


def _own_seed(record: Record) -> Seed | BadRow:
    wanted = ("question", "first_explanation", "follow_up")
    for name in wanted:
        if not str(record.get(name) or "").strip():
            also = f"{', '.join(wanted)}, or {', '.join(_COLUMNS)}"
            return BadRow(record.where, f"no {name}: a seed has {also}")
    fields = {name: record[name] for name in Seed.__dataclass_fields__ if record.get(name)}
    try:
        if isinstance(fields.get("rubric"), str):  # in a CSV the rubric is JSON in a field
            fields["rubric"] = orjson.loads(fields["rubric"])
        own_criteria(fields.get("rubric", ()))
    except (KeyError, TypeError, ValueError) as error:
        return BadRow(record.where, f"rubric: {error}")
    return Seed(**fields)


MISCONCEPTION: Recipe[Row] = Recipe(
    name="misconception",
    function=misconception,
    rows=rows,
    summary="A tutor's reply that repairs a student's misconception, judged by rubric.",
    roles=("writer", "judge"),
    rubric="misconception-repair",
    chat_roles=("system", "user", "assistant"),
    cells=len(SUBJECTS) * len(MISCONCEPTION_TYPES),
    modes=("scenario", "answer"),
    output_tokens={"misconception/scenario.md.j2": 420, "misconception/reply.md.j2": 190},
    options={"rubric_in_prompt": "yes lets the writer see the scenario's rubric (default no)"},
)
