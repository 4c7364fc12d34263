from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.engine import Engine, Finished
from synthtutor.errors import (
    InvalidOutput,
    Rejected,
    Unavailable,
)
from synthtutor.journal import Journal
from synthtutor.messages import Message
from synthtutor.reading import Reading
from synthtutor.session import Session
from synthtutor.sources import BadRow
from synthtutor.stopping import Stop
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.doubles import context, echo, reply

Row = dict[str, Any]
Recipe = Callable[[Session, Any], Awaitable[Sample]]


async def ask_once(session: Session, row: Row) -> Sample:
    text = await session.generate(str, f"question {row['n']}")
    return Sample([Message("user", "q"), Message("assistant", text)], {"n": row["n"]})


def numbered(count: int) -> list[Row]:
    return [{"n": number} for number in range(count)]


@dataclass
class Run:
    """One pass of an engine over rows, on a journal of its own."""

    folder: Path
    provider: ScriptedProvider
    stop: Stop = field(default_factory=Stop)
    finished: list[Finished] = field(default_factory=list)

    async def __call__(
        self, rows: Iterable[Row | BadRow], function: Recipe = ask_once, **options: Any
    ) -> Engine[Any]:
        async with self.opened(function, **options) as engine:
            await engine.run(rows)
        return engine

    @asynccontextmanager
    async def opened(
        self, function: Recipe = ask_once, **options: Any
    ) -> AsyncIterator[Engine[Any]]:
        async with Journal(self.folder / "journal.sqlite", ballast_bytes=0) as journal:
            await journal.begin("{}")
            run = context(journal, self.provider, stop=self.stop)
            yield Engine("r", function, run, self.stop, on_finished=self.finished.append, **options)

    def bodies(self, *outcomes: str) -> list[dict[str, Any]]:
        reading = Reading.open(self.folder / "journal.sqlite")
        try:
            return [orjson.loads(body) for body in reading.samples("sample", *outcomes)]
        finally:
            reading.close()

    def paid(self) -> int:
        reading = Reading.open(self.folder / "journal.sqlite")
        try:
            return reading.totals()[0]
        finally:
            reading.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, ScriptedProvider(echo))


def with_provider(run: Run, script: Any, *, delay_s: float = 0.0) -> Run:
    run.provider = ScriptedProvider(script, delay_s=delay_s)
    return run


# ── rows become samples ──────────────────────────────────────────────────────────────────────


async def test_every_row_becomes_a_sample_with_its_lineage(run: Run) -> None:
    engine = await run(numbered(30), samples_in_flight=7)
    bodies = run.bodies("kept")
    assert [body["metadata"]["n"] for body in bodies] == list(range(30))
    assert len({body["id"] for body in bodies}) == 30
    assert bodies[0]["messages"][-1] == {"role": "assistant", "content": "echo of question 0"}
    assert bodies[0]["metadata"]["lineage"]["recipe"] == "r"
    assert (engine.progress.kept, engine.progress.done, engine.progress.waiting) == (30, 30, 0)
    assert len(run.finished) == 30


async def test_a_second_run_pays_nothing_and_gives_the_same(run: Run) -> None:
    await run(numbered(10))
    before = run.bodies()
    await run(numbered(10), samples_in_flight=1)
    assert run.provider.calls == 10
    assert run.bodies() == before


async def test_duplicate_rows_are_different_samples(run: Run) -> None:
    rows = [{"n": 1}, {"n": 2}, {"n": 1}, {"n": 1}]
    for _ in range(2):
        await run(rows)
    assert len({body["id"] for body in run.bodies()}) == 4
    assert run.provider.calls == 4, "each is asked for itself, and only once"


async def test_a_sample_is_named_by_its_rows_content_and_not_by_its_place(run: Run) -> None:
    await run(numbered(3))
    names = {body["metadata"]["n"]: body["id"] for body in run.bodies()}
    await run([{"n": 2}, {"n": 9}, {"n": 0}])
    assert {body["metadata"]["n"]: body["id"] for body in run.bodies()}.items() >= {
        2: names[2],
        0: names[0],
    }.items()
    assert run.provider.calls == 4


async def test_rows_are_read_only_when_there_is_room(run: Run) -> None:
    read = 0

    def rows() -> Iterator[Row]:
        nonlocal read
        for row in numbered(100):
            read += 1
            most_ahead.append(read - engine.progress.done)
            yield row

    most_ahead: list[int] = []
    async with run.opened(samples_in_flight=5) as engine:
        await engine.run(rows())
    assert max(most_ahead) <= 5 + 2


async def test_garbage_is_collected_rarely_while_samples_are_made_and_as_before_afterwards(
    run: Run,
) -> None:
    before, during = gc.get_threshold(), []

    async def look(session: Session, row: Row) -> Sample:
        during.append(gc.get_threshold()[0])
        return await ask_once(session, row)

    await run(numbered(2), look)
    assert min(during) > before[0]
    assert gc.get_threshold() == before


async def test_garbage_collection_that_is_switched_off_stays_off(run: Run) -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        await run(numbered(2))
        assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


async def test_a_dry_engine_records_nothing(run: Run) -> None:
    await run(numbered(3))
    await run(numbered(2), dry=True)
    assert len(run.bodies()) == 3
    assert run.provider.calls == 3


# ── a sample fails alone ─────────────────────────────────────────────────────────────────────


async def test_a_bad_row_is_kept_with_its_reason_and_the_run_goes_on(run: Run) -> None:
    await run([{"n": 0}, BadRow("rows.csv, line 3", "not CSV"), {"n": 1}])
    (failed,) = run.bodies("failed")
    assert "not CSV" in failed["metadata"]["reasons"][0]
    assert failed["metadata"]["row"] == "rows.csv, line 3"
    assert len(run.bodies("kept")) == 2
    assert run.stop.reason is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("down"), "unavailable: down"),
        (Rejected("too long", reason="context"), "rejected (context): too long"),
        (InvalidOutput("no JSON", kind="unparsable", text="Hm."), "unparsable: no JSON"),
        (ZeroDivisionError("oops"), "the recipe raised ZeroDivisionError: oops"),
        (ValueError("half a pair: \ud83d"), "the recipe raised ValueError: half a pair: \ufffd"),
    ],
)
async def test_what_a_recipe_raises_becomes_the_reason_of_its_sample(
    run: Run, error: Exception, reason: str
) -> None:
    async def sometimes(session: Session, row: Row) -> Sample:
        if row["n"] == 1:
            raise error
        return await ask_once(session, row)

    await run(numbered(4), sometimes)
    (failed,) = run.bodies("failed")
    assert failed["metadata"]["reasons"][0].startswith(reason)
    assert failed["messages"] == []
    assert len(run.bodies("kept")) == 3


async def test_a_bug_in_a_recipe_is_shown_with_its_line(run: Run) -> None:
    async def buggy(session: Session, row: Row) -> Sample:
        return row["missing"]  # type: ignore[no-any-return]

    await run(numbered(1), buggy)
    assert "test_engine.py, line" in run.bodies("failed")[0]["metadata"]["reasons"][0]


async def test_the_text_of_an_invalid_reply_is_kept_with_the_sample(run: Run) -> None:
    with_provider(run, lambda _: reply("I can't.", finish="refusal"))
    await run(numbered(1))
    (failed,) = run.bodies("failed")
    assert failed["metadata"]["text"] == "I can't."
    assert failed["metadata"]["lineage"]["output_tokens"] == 10


@pytest.mark.parametrize(
    "made",
    [
        None,
        Sample([Message("user", "x")], {"x": object()}),
        Sample([Message("user", "x")], {"x": {1, 2}}),
        Sample(None),  # type: ignore[arg-type]
        Sample([], outcome="good"),  # type: ignore[arg-type]
    ],
)
async def test_a_recipe_that_returns_no_sample_of_json_fails_alone(run: Run, made: Any) -> None:
    async def sometimes(session: Session, row: Row) -> Sample:
        return made if row["n"] == 1 else await ask_once(session, row)

    await run(numbered(3), sometimes)
    assert len(run.bodies("kept")) == 2
    assert len(run.bodies("failed")) == 1


async def test_a_recipe_that_returns_nothing_is_told_what_to_return(run: Run) -> None:
    async def forgetful(session: Session, row: Row) -> Any:
        await ask_once(session, row)

    await run(numbered(1), forgetful)
    (failed,) = run.bodies("failed")
    assert failed["metadata"]["reasons"] == ["the recipe returned NoneType; return a Sample"]


async def test_errors_of_children_fail_their_sample(run: Run) -> None:
    async def parallel(session: Session, row: Row) -> Sample:
        async def child(name: str) -> None:
            await session.branch(name).generate(str, name)
            raise ZeroDivisionError(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(child("a"))
            group.create_task(child("b"))
        raise AssertionError("unreachable")

    await run(numbered(2), parallel)
    assert len(run.bodies("failed")) == 2
    assert "ZeroDivisionError" in run.bodies("failed")[0]["metadata"]["reasons"][0]
