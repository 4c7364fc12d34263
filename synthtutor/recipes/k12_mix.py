"""Tutoring conversations for every school grade, by the quotas of a data plan.

One call a conversation, two more at most where it breaks a rule that code can check, and one of
the judge. A row is a slot of the plan (`synthtutor.recipes.quotas`): its file, and a grade,
subject, topic, feeling, teaching technique, difficulty and length drawn for it. What was drawn is
the sample's label; the writer adds the labels of the turns that it writes. Conversations that
come out nearly alike are rejected when the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.messages import Settings
from synthtutor.quality.alike import Alike
from synthtutor.quality.duplicates import Duplicates
from synthtutor.recipes.k12_checks import conversation_faults, reading
from synthtutor.recipes.k12_schema import (
    GRADES,
    TECHNIQUES,
    AcademicContext,
    Conversation,
    EmotionalContext,
    K12Sample,
    StudentSaid,
    TutorSaid,
    chat,
    conversation_of,
    level_of,
    transcript,
)
from synthtutor.recipes.quotas import DataPlan, Row, builtin_plan, load_plan
from synthtutor.recipes.quotas import rows as slots
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.tutoring import Sample

__all__ = ["K12_MIX", "NEAR_DUPLICATE", "k12_mix", "reject_near_duplicates", "rows"]

NEAR_DUPLICATE = "near-duplicate of an earlier conversation"
_REASKS = 2
_SIMILAR = 0.6
_SETTINGS = Settings(max_tokens=4096, temperature=1.0)
_DRAWN = ("grade", "subject", "emotion", "technique", "difficulty", "intensity", "exchanges")
_GROUPS = (
    ("grade", "subject", "emotion"),
    ("technique", "difficulty", "intensity"),
    ("topic", "exchanges"),
)


async def k12_mix(session: Session, row: Row) -> Sample:
    """One conversation; a rejected one carries what is wrong with its last attempt."""
    draw, faults, attempts = row.draw, list[str](), 0
    type_ = conversation_of(int(draw["exchanges"]))
    told = {
        **draw,
        "level": level_of(draw["grade"]),
        "technique_means": TECHNIQUES[draw["technique"]],
    }
    while attempts <= _REASKS and (faults or not attempts):
        attempts += 1
        made = await session.generate(
            type_,
            "k12-mix/conversation.md.j2",
            about=row.about,
            draw=told,
            extra={name: draw[name] for name in draw if name not in (*_DRAWN, "topic")},
            faults=faults,
            settings=_SETTINGS,
        )
        if not session.rehearsing:
            faults = conversation_faults(made, suits=draw["grade"], technique=draw["technique"])
    return await _judged(session, row, _sample(row, made), faults, attempts)


def _sample(row: Row, made: Conversation) -> K12Sample:
    draw = row.draw
    said: list[StudentSaid | TutorSaid] = []
    for each in made.exchanges:
        said += [
            StudentSaid(**each.student.model_dump()),
            TutorSaid(**each.tutor.model_dump()),
        ]
    return K12Sample(
        conversation_id=f"{row.file}_{row.number + 1:06d}",
        scenario=row.file,
        academic_context=AcademicContext(
            grade_level=level_of(draw["grade"]),
            subject=draw["subject"],
            topic=draw["topic"],
            difficulty_level=draw["difficulty"],
            learning_objective=made.learning_objective,
        ),
        emotional_context=EmotionalContext(
            student_emotion=draw["emotion"],
            student_emotion_intensity=float(draw["intensity"]),
            confidence_level=made.confidence_level,
            motivation_level=made.motivation_level,
            tutoring_approach_needed=made.tutoring_approach_needed,
        ),
        conversation=said,
        learning_objectives=made.learning_objectives,
        emotional_outcomes=made.emotional_outcomes,
        academic_outcomes=made.academic_outcomes,
    )


async def _judged(
    session: Session, row: Row, sample: K12Sample, faults: list[str], attempts: int
) -> Sample:
    metadata: dict[str, Any] = {
        "file": f"{row.folder}/{row.file}",
        "grade": row.draw["grade"],
        "subject": row.draw["subject"],
        "draw": dict(row.draw),
        "k12": sample.to_metadata(),
        "reading": reading(sample.said_by("tutor"), row.draw["grade"]).to_metadata(),
        "attempts": attempts,
    }
    messages = chat(sample, session.render("k12-mix/task.md.j2", sample=sample)[0])
    if faults or session.option("judge") == "no":
        return Sample(messages, metadata, "rejected" if faults else "kept", faults)
    context = session.render("k12-mix/judged.md.j2", sample=sample, row=row)[0].content
    judged = await session.judge(transcript(sample), session.rubric, context=context)
    return Sample(
        messages, {**metadata, **judged.to_metadata()}, judged.score.outcome, judged.score.reasons
    )


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(options: RowOptions) -> Rows[Row]:
    """The plan's slots, in the order that keeps its proportions.

    Raises ConfigError for rows from elsewhere, and for a plan that cannot be drawn from.
    """
    if options.path is not None or options.per_seed is not None:
        raise ConfigError(
            "k12-mix makes its rows from a plan: leave out --rows and --per-seed; say how many with "
            "-n, and give a plan of your own with --option plan=FILE"
        )
    if options.options.get("judge", "yes") not in ("yes", "no"):
        raise ConfigError(f"option judge={options.options['judge']!r}: choose yes or no")
    path = options.options.get("plan")
    plan = load_plan(Path(path)) if path else builtin_plan()
    _check(plan, path or plan.id)
    numbered = plan.model_copy(update={"draw": {**plan.draw, "topic": _numbers(plan)}})
    return Rows(_with_topics(plan, slots(numbered, _GROUPS, seed=options.seed)), plan.total)


def _numbers(plan: DataPlan) -> tuple[str, ...]:
    levels = next(iter(plan.topics.values()))
    return tuple(map(str, range(len(next(iter(levels.values()))))))


def _with_topics(plan: DataPlan, drawn: Iterator[Row]) -> Iterator[Row]:
    """A topic is drawn by its number; which one that is depends on subject and grade."""
    for row in drawn:
        topics = plan.topics[row.draw["subject"]][level_of(row.draw["grade"])]
        draw = {**row.draw, "topic": topics[int(row.draw["topic"])]}
        yield Row(row.folder, row.file, row.number, row.about, draw)


def _check(plan: DataPlan, name: str) -> None:
    """Raise ConfigError for a value that no slot could be made of."""
    for where, draw in _draws(plan):
        if missing := [each for each in _DRAWN if each not in draw]:
            raise ConfigError(f"plan {name}: {where}: draw lacks {', '.join(missing)}")
        for field, allowed in _ALLOWED.items():
            if wrong := [value for value in draw[field] if value not in allowed]:
                raise ConfigError(
                    f"plan {name}: {where}: {field} {wrong[0]!r}: choose of {', '.join(allowed)}"
                )
        if wrong := [value for value in draw["intensity"] if not _is_share(value)]:
            raise ConfigError(f"plan {name}: {where}: intensity {wrong[0]!r}: give 0 to 1")
        for subject in draw["subject"]:
            for level in sorted({level_of(grade) for grade in draw["grade"]}):
                if level not in plan.topics.get(subject, {}):
                    raise ConfigError(f"plan {name}: topics: {subject} has none for {level}")


_ALLOWED = {
    "grade": tuple(GRADES),
    "technique": tuple(TECHNIQUES),
    "difficulty": ("beginner", "intermediate", "advanced"),
    "exchanges": tuple(map(str, range(1, 9))),
}


def _draws(plan: DataPlan) -> Iterator[tuple[str, dict[str, tuple[str, ...]]]]:
    for folder, each in plan.folders.items():
        for name, file in each.files.items():
            yield f"{folder}/{name}", {**plan.draw, **file.draw}


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


# ── across rows ──────────────────────────────────────────────────────────────────────────────


def reject_near_duplicates(
    samples: Iterable[dict[str, Any]], *, threshold: float = _SIMILAR
) -> Iterator[dict[str, Any]]:
    """The finished samples, with each kept conversation rejected that nearly repeats an earlier kept one.

    They come in the order of their rows. ``threshold`` is the share of three-word runs in common
    (0 to 1), exact against the first 5,000 and estimated against the next 50,000. What an
    earlier look rejected is looked at anew.
    """
    exact, estimated = Alike(threshold=threshold), Duplicates(threshold=threshold)
    for sample in samples:
        metadata = sample.get("metadata") or {}
        again = metadata.get("reasons") == [NEAR_DUPLICATE]
        if "k12" not in metadata or not (again or metadata.get("outcome") == "kept"):
            yield sample
            continue
        sound = {key: value for key, value in metadata.items() if key != "near_duplicate_of"}
        name = str(metadata["k12"]["conversation_id"])
        text = "\n".join(turn["message"] for turn in metadata["k12"]["conversation"])
        original = exact.add(text, name) or estimated.add(text, name)
        verdict: dict[str, Any] = {"outcome": "kept", "reasons": []}
        if original is not None:
            verdict = {"outcome": "rejected", "reasons": [NEAR_DUPLICATE]}
            verdict["near_duplicate_of"] = original
        yield {**sample, "metadata": {**sound, **verdict}}


K12_MIX: Recipe[Row] = Recipe(
    name="k12-mix",
    function=k12_mix,
    rows=rows,
    summary="Tutoring conversations for every grade, by the quotas of a data plan of 230,000.",
    roles=("writer", "judge"),
    rubric="k12-conversation",
    across=reject_near_duplicates,
    output_tokens={"k12-mix/conversation.md.j2": 800},
    options={
        "plan": "YAML file of your own folders, files, sizes and draws (default: the TARA plan)",
        "judge": "no leaves out the judge: only code decides (default yes)",
    },
)
