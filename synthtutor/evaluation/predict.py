"""The next tutor turn of each conversation in a file: asked, checked, timed.

It is a recipe, so a prediction run is journaled, resumed, priced and paced like any other, with any
provider. Its samples are never kept: what a model said to a test set is not for training.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import orjson
from pydantic import BaseModel, Field

from synthtutor.errors import ConfigError, InvalidOutput, Rejected
from synthtutor.evaluation.conversations import Conversation, conversations
from synthtutor.messages import Message
from synthtutor.outputs import finished
from synthtutor.quality.answers import parts
from synthtutor.quality.leaks import leaks
from synthtutor.quality.privacy import personal_data
from synthtutor.quality.prose import prose, words
from synthtutor.quality.readability import grade as reading_grade
from synthtutor.reading import Reading
from synthtutor.recipes.belief import Belief, Moment, watching
from synthtutor.recipes.problems import Turn
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.tutoring import Sample

__all__ = [
    "PREDICTION",
    "TOO_HARD_BY",
    "Checks",
    "checks",
    "latency",
    "prediction",
    "predictions",
    "rows",
]

NOT_FOR_TRAINING = "a reply to a test conversation: for evaluation, not for training"
TOO_HARD_BY = (
    1.0  # grades above the student's own at which a reply still counts as readable: assumed
)
_FEW_WORDS = 30  # below this a Flesch–Kincaid grade is mostly noise
CHOICES = {
    "turns": ("last", "all"),
    "system": ("given", "unified"),
    "profile": ("no", "yes"),
    "context": ("none", "given", "reasoner"),
    "grade": ("readability", "model", "none"),
    "timed": ("no", "yes"),
}
# One lock for each run: a run has a loop of its own.
_LOCKS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
T = TypeVar("T")
Source = Literal["given", "readability", "model", "unknown"]


class _Grade(BaseModel):
    """The school year that a student seems to be in."""

    grade: Annotated[int, Field(ge=0, le=12)]


@dataclass(frozen=True, slots=True)
class Checks:
    """What is known of a reply without a model; None where it could not be checked.

    ``reading_grade`` is the Flesch–Kincaid grade; ``age_fit`` says that it is at most
    `TOO_HARD_BY` above the student's, and that nothing personal is told. ``leak`` quotes the
    sentence that gives the answer away, and is empty where none does.
    """

    leaks_answer: bool | None
    leak: str
    reading_grade: float | None
    age_fit: bool | None
    personal_data: Sequence[str]


def rows(options: RowOptions) -> Rows[Conversation]:
    """The conversations of the run's file. Raises ConfigError where it has none."""
    if options.path is None:
        raise ConfigError("which conversations? give a file of them with --test FILE")
    for name, value in options.options.items():
        _chosen(name, value)
    every = options.options.get("turns") == "all"
    return Rows(conversations(options.path, every=every))


async def prediction(session: Session, row: Conversation) -> Sample:
    """Find out the grade and the context where they are wanted, ask the tutor, check the reply."""
    grade, source = await _grade(session, row)
    context = await _context(session, row)
    asked = _asked(session, replace(row, grade=grade, context=context))
    reply, fault = None, ""
    try:
        async with _alone() if session.option("timed") == "yes" else nullcontext():
            reply = await session.generate(str, asked, role="tutor")
    except InvalidOutput as error:
        fault = f"{error.kind}: {error}"
    except Rejected as error:
        if error.reason == "model":  # it would decline every conversation
            raise
        fault = f"rejected ({error.reason}): {error}"
    found = {
        **_plain(row),
        "grade": grade,
        "grade_source": source,
        "context": context,
        "reply": reply,
        **({"fault": fault} if fault else {}),
        **(_as_json(checks(reply, replace(row, grade=grade))) if reply is not None else {}),
    }
    said = [*asked, *([Message("assistant", reply)] if reply is not None else [])]
    return Sample(said, {"prediction": found}, "rejected", [fault or NOT_FOR_TRAINING])


def checks(reply: str, row: Conversation) -> Checks:
    """Whether a reply gives the answer away, and whether it is one for the student's age."""
    leak = None
    if row.answer and parts(row.answer):
        leak = leaks(reply, row.answer, problem=row.problem, student=row.of("user"))
    level = reading_grade(reply)
    personal = sorted({found.kind for found in personal_data(reply)})
    fits = None
    if row.grade is not None and level is not None:
        fits = level <= row.grade + TOO_HARD_BY and not personal
    return Checks(
        leaks_answer=leak.found if leak else None,
        leak=leak.where if leak else "",
        reading_grade=None if level is None else round(level, 2),
        age_fit=fits,
        personal_data=personal,
    )


def predictions(reading: Reading) -> Iterator[dict[str, Any]]:
    """The predictions of a run in the order of their conversations, with the seconds of each.

    ``seconds`` is how long the tutor's answer took, questions asked again included; None for the
    replies of a batch. Context and grade are asked before and not counted. Where ``timed`` is false, other
    calls were under way, and waits for a free slot are in it: it may measure the queue.
    """
    seconds = _seconds(reading)
    for entry in finished(reading, ("rejected", "undetermined")):
        found = entry["metadata"].get("prediction")
        if found is None:
            continue
        lineage = entry["metadata"]["lineage"]
        models = {call["role"]: call["model"] for call in lineage["calls"]}
        yield {
            **found,
            "model": models.get("tutor"),
            **seconds.get(entry["id"], {"seconds": None, "timed": False}),
            "cost_usd": lineage["cost_usd"],
        }


def _alone() -> asyncio.Lock:
    """Held by the one tutor that is being asked, so that its seconds are its own."""
    return _LOCKS.setdefault(asyncio.get_running_loop(), asyncio.Lock())


# ── what the tutor is told ───────────────────────────────────────────────────────────────────


def _asked(session: Session, row: Conversation) -> list[Message]:
    """The conversation as it is sent; its own messages unchanged where nothing is to be added."""
    unified = session.option("system") == "unified"
    profile = row.profile if session.option("profile") == "yes" else ""
    context = row.context if (session.option("context") or "none") != "none" else ""
    own = [said.content for said in row.said if said.role == "system"]
    rest = [Message(s.role, s.content) for s in row.said if s.role != "system"]  # type: ignore[arg-type]  # read as one of three
    if not (unified or profile or context):
        return [*(Message("system", text) for text in own), *rest]
    (system,) = session.render(
        "evaluation/tutor.md.j2",
        unified=unified,
        own="\n\n".join(own),
        grade=row.grade if unified else None,
        problem=row.problem,
        profile=profile,
        context=context,
    )
    return [system, *rest]


async def _grade(session: Session, row: Conversation) -> tuple[int | None, Source]:
    how = session.option("grade") or "readability"
    if row.grade is not None:
        return row.grade, "given"
    if how == "model":
        try:
            found = await session.generate(
                _Grade,
                "evaluation/grade.md.j2",
                role="grader",
                problem=row.problem,
                transcript=row.transcript,
            )
        except (InvalidOutput, Rejected) as error:
            return _nothing_said(error, (None, "unknown"))
        return found.grade, "model"
    said = row.of("user")
    if how == "readability" and len(words(prose(said))) >= _FEW_WORDS:
        level = reading_grade(said)
        if level is not None:
            return min(12, max(0, round(level))), "readability"
    return None, "unknown"


def _nothing_said(error: Exception, instead: T) -> T:
    """What stands for an answer that was not given; raises where the model would decline every one."""
    if isinstance(error, Rejected) and error.reason == "model":
        raise error
    return instead


async def _context(session: Session, row: Conversation) -> str:
    """What a reasoner notes of the student before the tutor speaks, and on what evidence."""
    if session.option("context") != "reasoner":
        return row.context
    speakers: Mapping[str, Literal["student", "tutor"]] = {"user": "student", "assistant": "tutor"}
    said = [Turn(speakers[s.role], s.content) for s in row.said if s.role in speakers]
    moment = Moment.after(len(said) - 1, said, 0, f"{row.problem}\n{row.answer}")
    try:
        with watching(moment):
            belief = await session.generate(
                Belief,
                "reasoner/belief.md.j2",
                role="reasoner",
                question=row.problem,
                solution=row.answer,
                said=said,
                since=0,
                before="",
            )
    except (InvalidOutput, Rejected) as error:
        return _nothing_said(error, "")  # no belief with sound evidence: the tutor is told nothing
    return belief.model_dump_json()


# ── figures ──────────────────────────────────────────────────────────────────────────────────


def _seconds(reading: Reading) -> dict[str, dict[str, Any]]:
    """``seconds`` and ``timed`` of the tutor's calls by sample, of the pass in which it answered."""
    passes = reading.connection.execute("SELECT pass, configuration FROM passes")
    alone = {n for n, text in passes if orjson.loads(text)["options"].get("timed") == "yes"}
    found = reading.connection.execute(
        "SELECT sample, pass, total(seconds), max(batched) FROM calls AS call "
        "WHERE kind = 'sample' AND role = 'tutor' AND pass = (SELECT max(pass) FROM calls AS other "
        "WHERE other.sample = call.sample AND other.role = 'tutor') GROUP BY sample"
    )
    return {
        sample.hex(): {
            "seconds": None if batched else round(seconds, 4),
            "timed": number in alone and not batched,
        }
        for sample, number, seconds, batched in found
    }


def latency(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """``count``, ``mean``, ``median`` and ``p95`` (nearest rank), in seconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {"count": 0, "mean": None, "median": None, "p95": None}
    return {
        "count": len(ordered),
        "mean": round(math.fsum(ordered) / len(ordered), 4),
        "median": ordered[math.ceil(0.5 * len(ordered)) - 1],
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
    }


def _plain(row: Conversation) -> dict[str, Any]:
    said = [{"role": each.role, "content": each.content} for each in row.said]
    names = ("id", "student", "reference", "problem", "answer", "subject", "feeling", "profile")
    return {"messages": said, **{name: getattr(row, name) for name in names}}


def _as_json(found: Checks) -> dict[str, Any]:
    return dict(orjson.loads(orjson.dumps(found)))


def _chosen(name: str, value: str) -> None:
    if value not in CHOICES[name]:
        raise ConfigError(f"option {name}={value}: choose one of {', '.join(CHOICES[name])}")


PREDICTION: Recipe[Conversation] = Recipe(
    name="prediction",
    function=prediction,
    rows=rows,
    summary="The next tutor turn of each conversation in a file, checked and timed.",
    roles=("tutor", "reasoner", "grader"),
    output_tokens={
        "messages": 90,
        "reasoner/belief.md.j2": 220,
        "evaluation/grade.md.j2": 8,
    },
    options={
        "turns": "last (one reply a conversation) or all (one for each tutor turn) [last]",
        "system": "given (the conversation's own) or unified (the same for every system) [given]",
        "profile": "yes tells the tutor the student's profile [no]",
        "context": "none, given (as the file has it) or reasoner (asked of that role) [none]",
        "grade": "where it is missing: readability, model (the role grader) or none [readability]",
        "timed": "yes asks the tutor one call at a time, so that seconds are its own [no]",
    },
)
