"""Planted defects: gold replies, sound and corrupted, that show what a judge catches.

A keep rate says nothing about a judge that keeps everything. So each run has its judge look at
replies whose faults are known, because they were put there without a model, and at sound ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from synthtutor.defects import Gold, plant
from synthtutor.messages import Message
from synthtutor.recipes.bank import Seed, golds
from synthtutor.rubric import Rubric
from synthtutor.session import Session
from synthtutor.tutoring import Sample

__all__ = ["ControlRow", "control", "control_rows"]


@dataclass(frozen=True, slots=True)
class ControlRow:
    """A gold reply with one defect, or with none (``defect`` is empty)."""

    seed: Seed
    gold: Gold
    defect: str
    must_flip: tuple[str, ...]


def control_rows(rubric: Rubric, count: int, seed: int) -> Iterator[ControlRow]:
    """The pack's controls in turn, one in four sound, over the subjects' gold replies."""
    if not rubric.controls:
        return
    models = golds()
    random.Random(f"controls {seed}").shuffle(models)
    planted = 0
    for number in range(count):
        example, gold = models[number % len(models)]
        if number % 4 == 3:
            yield ControlRow(example, gold, "", ())
            continue
        chosen = rubric.controls[planted % len(rubric.controls)]
        planted += 1
        yield ControlRow(example, gold, chosen.mutate, tuple(chosen.must_flip))


async def control(session: Session, row: ControlRow) -> Sample:
    """The judge's verdict on the reply, and whether it caught what was planted.

    ``caught`` is None where the judge did not answer on the criterion in question.
    """
    text = plant(row.defect, row.gold) if row.defect else row.gold.reply
    student = session.render("misconception/student.md.j2", case=row.seed)[0].content
    judged = await session.judge(text, session.rubric, context=student)
    caught: bool | None = None
    if row.defect:
        passed = [
            judged.verdicts[name].passed(criterion)
            for name in row.must_flip
            for criterion in session.rubric.criteria
            if criterion.id == name
        ]
        caught = None if None in passed else not any(passed)
    return Sample(
        messages=[Message("user", student), Message("assistant", text)],
        metadata={
            "subject": row.gold.subject,
            "defect": row.defect,
            "must_flip": list(row.must_flip),
            "caught": caught,
            **judged.to_metadata(),
        },
        outcome=judged.score.outcome,
        reasons=judged.score.reasons,
    )
