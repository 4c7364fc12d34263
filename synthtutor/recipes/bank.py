"""The seed bank: our own questions, misconceptions and gold replies, one YAML file per subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from synthtutor.defects import Gold
from synthtutor.rubric import Criterion
from synthtutor.tutoring import SUBJECTS

__all__ = ["Seed", "bank", "gold", "golds", "own_criteria"]

_FOLDER = Path(__file__).parent / "seeds"


@dataclass(frozen=True, slots=True)
class Seed:
    """A question, its first explanation, a confused follow-up, and what a good reply does.

    ``rubric`` holds plain criteria (text, weight, dimension, skill, negated). ``subject`` and
    ``misconception_type`` may be empty for a user's own seeds.
    """

    question: str
    first_explanation: str
    follow_up: str
    rubric: Sequence[dict[str, Any]] = ()
    subject: str = ""
    topic: str = ""
    misconception_type: str = ""
    id: str = ""


@lru_cache(maxsize=1)
def bank() -> tuple[Seed, ...]:
    """All seeds, turn by turn: the first of each subject, then the second of each, and so on."""
    subjects = [_subject(subject)[0] for subject in SUBJECTS]
    return tuple(seeds[turn] for turn in range(len(subjects[0])) for seeds in subjects)


@lru_cache(maxsize=64)
def gold(subject: str) -> tuple[Seed, Gold]:
    """The subject's gold reply, with the seed that it answers."""
    return _subject(subject)[1]


def golds() -> list[tuple[Seed, Gold]]:
    """Every subject's gold reply with its seed."""
    return [gold(subject) for subject in SUBJECTS]


def own_criteria(rubric: Sequence[dict[str, Any]]) -> list[Criterion]:
    """A seed's or a scenario's plain criteria as criteria with ids in their order."""
    return [
        Criterion(
            id=f"c{number}",
            text=str(entry["text"]),
            weight=int(entry["weight"]),
            dimension=str(entry.get("dimension") or "own"),
            skill=str(entry.get("skill") or ""),
            negated=bool(entry.get("negated", False)),
        )
        for number, entry in enumerate(rubric, 1)
    ]


@lru_cache(maxsize=64)
def _subject(subject: str) -> tuple[tuple[Seed, ...], tuple[Seed, Gold]]:
    text = (_FOLDER / f"{subject}.yaml").read_text(encoding="utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    misconceptions = {entry["id"]: entry["misconception"].strip() for entry in data["seeds"]}
    seeds = {
        entry["id"]: Seed(
            question=entry["question"].strip(),
            first_explanation=entry["first_explanation"].strip(),
            follow_up=entry["follow_up"].strip(),
            rubric=tuple(entry["rubric"]),
            subject=subject,
            topic=entry["topic"],
            misconception_type=entry["misconception_type"],
            id=entry["id"],
        )
        for entry in data["seeds"]
    }
    model = data["gold"]
    seed = seeds[model["seed"]]
    made = Gold(
        subject=subject,
        follow_up=seed.follow_up,
        misconception=misconceptions[seed.id],
        **{key: value.strip() for key, value in model.items() if key != "seed"},
    )
    return tuple(seeds.values()), (seed, made)
