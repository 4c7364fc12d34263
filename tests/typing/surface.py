"""What a type checker knows of a recipe. Checked by mypy with the rest; never imported."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, assert_type

from pydantic import BaseModel

from synthtutor import Message, Recipe, Result, Sample, Session, arun, recipe, run, running
from synthtutor.engine import Finished
from synthtutor.judge import Judgement


class Persona(BaseModel):
    name: str
    age: int


@dataclass
class Point:
    x: int


async def a_reply_has_the_type_that_was_asked_for(session: Session) -> None:
    assert_type(await session.generate(Persona, "p.j2", seed=1), Persona)
    assert_type(await session.generate(str, "Say yes."), str)
    assert_type(await session.generate(Point, [Message("user", "?")], role="student"), Point)
    persona = await session.branch("a").generate(Persona, "p.j2")
    assert_type(persona.age, int)
    assert_type(await session.judge("text", session.rubric), Judgement)


@recipe
async def bare(session: Session, row: dict[str, Any]) -> Sample:
    return Sample([Message("user", row["q"])])


@recipe
async def of_rows_with_a_type(session: Session, row: Point) -> Sample:
    return Sample([Message("user", str(row.x))])


@recipe(name="with-arguments", roles=("student",))
async def with_arguments(session: Session, row: Point) -> Sample:
    return Sample([Message("user", str(row.x))])


assert_type(bare, Recipe[dict[str, Any]])
assert_type(of_rows_with_a_type, Recipe[Point])
assert_type(with_arguments, Recipe[Point])
assert_type(run(bare, models="a/b", out="o"), Result)


async def in_async_code() -> None:
    assert_type(await arun(bare, models={"writer": "a/b"}, out="o", n=3), Result)
    async with running(bare, models="a/b", out="o") as samples:
        assert_type(samples, AsyncIterator[Finished])
        async for sample in samples:
            assert_type(sample, Finished)
