"""An evaluation: everything that is known of a system's replies, as one value and one JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.evaluation.classifiers import Classification
from synthtutor.evaluation.conversations import Conversation
from synthtutor.evaluation.goals import Goal, Reached, reached
from synthtutor.evaluation.predict import TOO_HARD_BY, checks, latency
from synthtutor.evaluation.scales import GradedPack
from synthtutor.evaluation.scores import (
    Figure,
    ScaleFigures,
    broken_down,
    scale_figures,
    share,
)
from synthtutor.evaluation.text_measures import text_measures
from synthtutor.sources import BadRow, read_rows

__all__ = ["Evaluation", "Extras", "Judged", "evaluate", "extras_of"]

Levels = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge gave: levels by the reply's id and the scale's, and the packs it was asked."""

    judge: str
    packs: Sequence[GradedPack]
    levels: Levels


@dataclass(frozen=True, slots=True)
class Extras:
    """What a file says beside the replies: who made each, and how long it took (seconds).

    ``waited`` says that some were asked beside others, so that waits may be in their seconds.
    """

    models: Mapping[str, int] = field(default_factory=dict)
    seconds: Sequence[float] = ()
    waited: bool = False
    grade_sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one system. What was not measured is None; ``notes`` say what to mind."""

    title: str
    replies: int
    missing: int
    students: int
    models: Mapping[str, int]
    judge: str | None
    packs: Sequence[str]
    scales: Mapping[str, ScaleFigures]
    by: Mapping[str, Any]
    checks: Mapping[str, Figure]
    latency: Mapping[str, float | int | None]
    text: Mapping[str, Any] | None
    classifier: Classification | None
    goals: Sequence[Reached]
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        found = asdict(self)
        found["goals"] = [
            {
                **reached.goal.model_dump(),
                **{k: v for k, v in asdict(reached).items() if k != "goal"},
            }
            for reached in self.goals
        ]
        return found


def extras_of(path: Path) -> Extras:
    """The fields ``model``, ``seconds``, ``timed`` and ``grade_source`` of a file of replies."""
    models: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    seconds, waited = [], False
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise ConfigError(f"{row.where}: {row.reason}")
        if row.get("model"):
            models[str(row["model"])] += 1
        if row.get("grade_source"):
            sources[str(row["grade_source"])] += 1
        took = row.get("seconds")
        if isinstance(took, int | float) and not isinstance(took, bool):
            seconds.append(float(took))
            waited |= row.get("timed") is not True
    return Extras(dict(models), seconds, waited, dict(sources))


def evaluate(
    title: str,
    rows: Sequence[Conversation],
    *,
    extras: Extras = Extras(),
    judged: Judged | None = None,
    classifier: Classification | None = None,
    goals: Sequence[Goal] = (),
    text: bool = True,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Put the figures together. Raises ConfigError where ``text`` needs a library that is not there.

    ``text`` measures the replies that have a reference; where none has one, nothing is measured.
    """
    answered = [row for row in rows if row.reply is not None]
    scales = [scale for pack in judged.packs for scale in pack.scales] if judged else []
    levels: Levels = judged.levels if judged else {}
    compared = [(row.reply or "", row.reference) for row in answered if row.reference]
    figures = {
        scale.id: scale_figures(scale, rows, levels, resamples=resamples, seed=seed)
        for scale in scales
    }
    found = Evaluation(
        title=title,
        replies=len(answered),
        missing=len(rows) - len(answered),
        students=len({row.student for row in rows}),
        models=extras.models,
        judge=judged.judge if judged else None,
        packs=[pack.label for pack in judged.packs] if judged else [],
        scales=figures,
        by=broken_down(answered, levels, scales) if scales else {},
        checks=_checked(answered, resamples=resamples, seed=seed),
        latency=latency(extras.seconds),
        text=text_measures(*map(list, zip(*compared, strict=True))) if text and compared else None,
        classifier=classifier,
        goals=(),
        notes=_notes(rows, extras, judged, figures),
    )
    values = found.to_dict()
    return Evaluation(**{**_fields(found), "goals": reached(goals, values)})


def _fields(found: Evaluation) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Evaluation.__dataclass_fields__}


def _checked(rows: Sequence[Conversation], *, resamples: int, seed: int) -> dict[str, Figure]:
    """Shares by code checks, each of the replies that could be checked."""
    told = [(row, checks(row.reply or "", row)) for row in rows]
    leak = [(r.student, c.leaks_answer) for r, c in told if c.leaks_answer is not None]
    fits = [(r.student, c.age_fit) for r, c in told if c.age_fit is not None]
    private = [(r.student, bool(c.personal_data)) for r, c in told]
    shares = {"leaks_answer": leak, "age_fit": fits, "personal_data": private}
    return {n: share(found, resamples=resamples, seed=seed) for n, found in shares.items()}


def _notes(
    rows: Sequence[Conversation],
    extras: Extras,
    judged: Judged | None,
    figures: Mapping[str, ScaleFigures],
) -> list[str]:
    notes = []
    students = len({row.student for row in rows})
    if judged and judged.judge in extras.models:
        notes.append(
            f"the judge {judged.judge} also wrote replies: it may favour its own; take another"
        )
    if judged and any(each.answered < each.asked for each in figures.values()):
        notes.append("the judge left scales without a level: see answered of asked")
    if judged and students < 5:
        notes.append(f"{students} students are too few for an interval: five are the least")
    if judged:
        notes.append("levels are one judge's opinion; calibrate it before you rely on them")
    if extras.waited:
        notes.append("waits for a free slot may be in the seconds: ask with predict --timed")
    guessed = extras.grade_sources.get("readability", 0)
    if guessed:
        notes.append(f"{guessed} grades were guessed from the student's own writing")
    if any(row.grade is not None for row in rows):
        notes.append(
            f"age fit: a Flesch–Kincaid grade of at most {TOO_HARD_BY:g} above the student's, which "
            "is noisy for short replies, and no personal data; the bound is assumed"
        )
    return notes
