"""The work that is measured: rows of about 500 tokens in and 400 out, in recipes of 1 or 3 calls."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from pydantic import BaseModel

from synthtutor.config import RunConfig
from synthtutor.engine import Engine
from synthtutor.errors import SynthtutorError
from synthtutor.messages import Message, Request, Settings
from synthtutor.provider import Capabilities
from synthtutor.recipes.recipe import Recipe, recipe
from synthtutor.runs import Live, opened
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample

__all__ = [
    "PROMPT",
    "REPLY",
    "Lesson",
    "asking",
    "engine",
    "live",
    "never",
    "rows",
    "scripted",
    "varied",
    "varied_rows",
]

_WORDS = [
    a + b for a in ("ra", "ti", "co", "fra", "po") for b in ("nal", "mon", "ver", "lex", "sum")
]
_SENTENCE = "A student adds the numerators and the denominators and is sure of the result. "
PROMPT = (_SENTENCE * 26)[:2000]
_SAID = "Which of the two pieces is larger, and how would you show it with a drawing? "
REPLY = (_SAID * 21)[:1600]


class Lesson(BaseModel):
    """A structured reply of the size that recipes ask for."""

    topic: str
    explanation: str
    question: str
    steps: list[str]
    difficulty: int
    solved: bool


_LESSON = orjson.dumps(
    Lesson(
        topic="adding fractions",
        explanation=REPLY[:900],
        question=REPLY[:200],
        steps=[REPLY[:100]] * 4,
        difficulty=3,
        solved=False,
    ).model_dump()
).decode()


def answer(request: Request) -> str:
    """A ready-made reply, so that what is measured is the path and not the making of text."""
    return REPLY if request.schema is None else _LESSON


def unlike(seed: object, words: int = 250) -> str:
    """A text like no other: what near-duplicate detection and distinct-n have to remember."""
    return " ".join(random.Random(str(seed)).choices(_WORDS, k=words)) + "."


def varied(request: Request) -> str:
    """A reply that is like no other."""
    return unlike(request.digest())


def never(request: Request) -> Exception:
    """For replays: nothing may be asked."""
    return SynthtutorError(f"a replay asked {request.model}")


def scripted(script: Any = answer) -> ScriptedProvider:
    """A provider that answers at once and remembers nothing."""
    return ScriptedProvider(script, keep=False, capabilities=Capabilities(free=True))


def asking(calls: int, type_: type[Any]) -> Recipe[dict[str, Any]]:
    """A recipe of ``calls`` calls in a row, for text (``str``) or for a model."""

    @recipe(name=f"{calls}-{type_.__name__}")
    async def ask(session: Session, row: dict[str, Any]) -> Sample:
        for turn in range(calls):
            question = f"{row['question']}\nTurn {turn}"
            said = await session.generate(type_, question, settings=Settings(max_tokens=600))
        reply = said if isinstance(said, str) else said.question
        return Sample(messages=[Message("user", question), Message("assistant", reply)])

    return ask


def varied_rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows that share nothing."""
    for number in range(count):
        yield {"question": unlike(number, 100)}


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows that differ in their last characters, made when they are needed."""
    for number in range(count):
        yield {"question": f"{PROMPT}\nRow {number}"}


@asynccontextmanager
async def live(
    asked: Recipe[Any],
    provider: Any,
    *,
    source: Any = (),
    folder: Path | None = None,
    **options: Any,
) -> AsyncIterator[Live]:
    """A real run, with all its wrappers and its journal on disk, in a folder that is then removed."""
    config = RunConfig.checked(
        {"recipe": asked.name, "models": {"default": "scripted/m"}, **options}
    )
    with TemporaryDirectory(prefix="synthtutor-benchmark-") as temporary:
        async with opened(
            config,
            folder or Path(temporary),
            recipe=asked,
            rows=source,
            providers={"scripted": provider},
        ) as run:
            yield run


def engine(run: Live) -> Engine[Any]:
    """The run's engine alone: rows in, records in the journal, no files written at the end."""
    return Engine(
        run.recipe.name,
        run.recipe.function,
        run.context,
        run.stop,
        samples_in_flight=2 * run.config.concurrency,
        progress=run.progress,
    )
