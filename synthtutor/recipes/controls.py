"""Planted defects: gold texts, sound and corrupted, that show what a judge catches.

A keep rate says nothing about a judge that keeps everything. So each run has its judge look at
texts whose faults are known, because they were put there without a model. A judge that finds the
fault in the sound text too has not caught anything: both are judged.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from synthtutor.defects import DEFECTS, Gold, original, plant
from synthtutor.judge import Judgement
from synthtutor.messages import Message
from synthtutor.recipes.bank import Seed, golds
from synthtutor.rubric import Rubric
from synthtutor.session import Session
from synthtutor.tutoring import Sample

__all__ = ["ControlRow", "control", "control_rows"]


@dataclass(frozen=True, slots=True)
class ControlRow:
    """A gold with one defect to plant, and the criteria whose verdict must flip."""

    seed: Seed
    gold: Gold
    defect: str
    must_flip: tuple[str, ...]


def control_rows(rubric: Rubric, count: int, seed: int) -> Iterator[ControlRow]:
    """Draw ``count`` controls: the pack's in turn, over the subjects' golds in a seeded order."""
    models = golds()
    random.Random(f"controls {seed}").shuffle(models)
    for number in range(count if rubric.controls else 0):
        example, gold = models[number % len(models)]
        chosen = rubric.controls[number % len(rubric.controls)]
        yield ControlRow(example, gold, chosen.mutate, chosen.must_flip)


async def control(session: Session, row: ControlRow) -> Sample:
    """Judge the text with and without the defect.

    ``caught`` is True where every criterion in question passes on the sound text and fails on the
    corrupted one, and None where the judge left one of them unanswered.
    """
    text = plant(row.defect, row.gold)
    about_reply = DEFECTS[row.defect].corrupts == "reply"
    prompt = "student" if about_reply else "explained"
    context = session.render(f"misconception/{prompt}.md.j2", case=row.seed)[0].content
    sound = await session.judge(original(row.defect, row.gold), session.rubric, context=context)
    planted = await session.judge(text, session.rubric, context=context)
    before, after = _passed(sound, row.must_flip), _passed(planted, row.must_flip)
    answered = None not in (*before, *after)
    return Sample(
        messages=[Message("user", context), Message("assistant", text)],
        metadata={
            "subject": row.gold.subject,
            "defect": row.defect,
            "must_flip": list(row.must_flip),
            "caught": all(before) and not any(after) if answered else None,
            "sound_outcome": sound.score.outcome,
            **planted.to_metadata(),
        },
        outcome=planted.score.outcome,
        reasons=planted.score.reasons,
    )


def _passed(judged: Judgement, names: tuple[str, ...]) -> list[bool | None]:
    return [judged.verdicts[name].passed(judged.rubric.criterion(name)) for name in names]
