from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.engine import Engine, Finished, Gate, Stop
from synthtutor.errors import (
    BudgetExceeded,
    ConfigError,
    InvalidOutput,
    JournalError,
    Rejected,
    SynthtutorError,
    Unauthorized,
    Unavailable,
)
from synthtutor.journal import Journal, Reading
from synthtutor.messages import Message, Request, Response
from synthtutor.session import Session
from synthtutor.sources import BadRow
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
        self, function: Recipe = ask_once, *, retry_failed: bool = False, **options: Any
    ) -> AsyncIterator[Engine[Any]]:
        async with Journal(self.folder / "journal.sqlite", ballast_bytes=0) as journal:
            await journal.begin("{}")
            run = context(journal, self.provider, stop=self.stop, retry_failed=retry_failed)
            yield Engine(
                "r", function, run, self.stop, on_finished=self.finished.append, **options
            )

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
        return made if row["n"] == 1 else await ask_once(session, row)  # type: ignore[no-any-return]

    await run(numbered(3), sometimes)
    assert len(run.bodies("kept")) == 2
    assert len(run.bodies("failed")) == 1


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


# ── what stops a run ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "error", [Unauthorized("bad key"), Rejected("no such model", reason="model")]
)
async def test_what_would_fail_every_row_stops_the_run_and_paid_calls_land(
    run: Run, error: SynthtutorError
) -> None:
    sixth = asyncio.Event()

    class Failing(ScriptedProvider):
        async def complete(self, request: Request) -> Response:
            number = self.calls
            self.calls += 1
            if number == 5:
                sixth.set()
                raise error
            if number > 0:
                await sixth.wait()
                await asyncio.sleep(0.01)  # still under way when the run stops
            return reply("paid")

    run.provider = Failing()
    await run(numbered(1000), samples_in_flight=8)
    assert run.stop.error is error
    assert run.provider.calls < 20, "the other rows were not asked"
    assert run.paid() == run.provider.calls - 1, "every reply that came is in the journal"
    assert run.bodies("failed") == []


async def test_an_error_of_the_configuration_stops_the_run(run: Run) -> None:
    async def misconfigured(session: Session, row: Row) -> Sample:
        await session.generate(str, "hi", role="student")
        raise AssertionError("unreachable")

    await run(numbered(50), misconfigured)
    assert isinstance(run.stop.error, ConfigError)
    assert "student" in str(run.stop.error)


async def test_one_child_that_stops_the_run_wins_over_one_that_fails_the_row(run: Run) -> None:
    async def parallel(session: Session, row: Row) -> Sample:
        async def child(error: Exception) -> None:
            raise error

        async with asyncio.TaskGroup() as group:
            group.create_task(child(ZeroDivisionError()))
            group.create_task(child(Unauthorized("bad key")))
        raise AssertionError("unreachable")

    await run(numbered(2), parallel)
    assert isinstance(run.stop.error, Unauthorized)


async def test_over_its_budget_a_run_stops_and_keeps_what_it_has(run: Run) -> None:
    def script(request: Request) -> str | Exception:
        return BudgetExceeded("spent") if "question 7" in request.messages[0].content else "ok"

    with_provider(run, script)
    await run(numbered(1000), samples_in_flight=1)
    assert run.stop.reason == "budget"
    assert isinstance(run.stop.error, BudgetExceeded)
    assert len(run.bodies("kept")) == 7
    assert run.bodies("failed") == []


async def test_too_many_failures_stop_the_run_early(run: Run) -> None:
    with_provider(run, lambda _: Rejected("no"))
    engine = await run(numbered(1000), samples_in_flight=1)
    assert run.stop.reason is not None
    assert "too many failures: 5 of 5" in run.stop.reason
    assert "rejected (request): no" in run.stop.reason
    assert engine.progress.done == 5


async def test_failures_below_the_share_do_not_stop_it(run: Run) -> None:
    def script(request: Request) -> str | Exception:
        number = int(request.messages[0].content.split()[-1])
        return Rejected("no") if number % 3 == 0 else "ok"

    with_provider(run, script)
    engine = await run(numbered(60), max_failed=0.5, samples_in_flight=1)
    assert run.stop.reason is None
    assert (engine.progress.failed, engine.progress.kept) == (20, 40)


async def test_the_share_of_failures_is_the_users(run: Run) -> None:
    def script(request: Request) -> str | Exception:
        number = int(request.messages[0].content.split()[-1])
        return Rejected("no") if number % 3 == 0 else "ok"

    with_provider(run, script)
    engine = await run(numbered(60), max_failed=0.2, judge_after=20, samples_in_flight=1)
    assert run.stop.reason is not None
    assert 20 <= engine.progress.done < 30


async def test_rows_that_cannot_be_read_stop_it(run: Run) -> None:
    def rows() -> Iterator[Row]:
        yield from numbered(3)
        raise ConfigError("rows.parquet: not Parquet")

    await run(rows())
    assert isinstance(run.stop.error, ConfigError)


async def test_a_row_that_is_no_json_stops_it_with_one_clear_error(run: Run) -> None:
    await run([{"n": 0}, {"n": object()}])
    assert isinstance(run.stop.error, ConfigError)
    assert "a row must be" in str(run.stop.error)


async def test_a_journal_that_cannot_be_written_stops_it(run: Run) -> None:
    async with run.opened(samples_in_flight=2) as engine:
        journal = engine.context.journal
        journal._write("DROP TABLE samples", ())
        await engine.run(numbered(100))
    assert isinstance(run.stop.error, JournalError)
    assert run.provider.calls < 20


# ── stopping on request ──────────────────────────────────────────────────────────────────────


class Held(ScriptedProvider):
    """Calls wait until they are let go."""

    def __init__(self) -> None:
        super().__init__(echo)
        self.go = asyncio.Event()
        self.under_way = asyncio.Semaphore(0)

    async def complete(self, request: Request) -> Response:
        self.under_way.release()
        await self.go.wait()
        return await super().complete(request)


async def stopped(run: Run, stopping: Callable[[Held], None], **options: Any) -> Held:
    """A run of 100 rows, five at once, stopped when all five are under way."""
    run.provider = held = Held()

    async def stop() -> None:
        for _ in range(5):
            await held.under_way.acquire()
        stopping(held)

    async with asyncio.TaskGroup() as group:
        group.create_task(stop())
        await run(numbered(100), samples_in_flight=5, **options)
    return held


async def test_a_requested_stop_lets_paid_calls_land(run: Run) -> None:
    def stopping(held: Held) -> None:
        run.stop.request("interrupted")
        asyncio.get_running_loop().call_later(0.01, held.go.set)

    held = await stopped(run, stopping)
    assert (held.calls, run.paid()) == (5, 5)
    assert run.stop.reason == "interrupted"


async def test_a_run_that_was_stopped_resumes_without_paying_twice(run: Run) -> None:
    def stopping(held: Held) -> None:
        run.stop.request("interrupted")
        held.go.set()

    await stopped(run, stopping)
    again = Run(run.folder, ScriptedProvider(echo))
    await again(numbered(100))
    assert again.provider.calls == 95
    assert len(again.bodies("kept")) == 100


async def test_a_stop_now_drops_the_calls_under_way(run: Run) -> None:
    async with asyncio.timeout(30):
        held = await stopped(run, lambda _held: run.stop.now())
    assert (held.calls, run.paid()) == (0, 0)
    assert run.stop.reason == "interrupted"


async def test_a_stop_while_samples_wait_for_their_turn_does_not_wait_for_them(run: Run) -> None:
    # One call at a time: the others wait in front of the provider, as they do at a limit.
    turn = asyncio.Lock()

    async def in_turn(session: Session, row: Row) -> Sample:
        async with turn:
            return await ask_once(session, row)

    run.provider = held = Held()

    async def stop() -> None:
        await held.under_way.acquire()
        run.stop.request("interrupted")
        held.go.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(stop())
        await run(numbered(20), in_turn, samples_in_flight=10)
    assert (held.calls, run.paid()) == (1, 1)


async def test_the_first_reason_is_the_one_kept() -> None:
    stop = Stop()
    stop.request("budget", BudgetExceeded("spent"))
    stop.request("failed", Unauthorized("bad key"))
    assert stop.reason == "budget"
    assert isinstance(stop.error, BudgetExceeded)


async def test_children_of_a_sample_land_too_when_it_is_stopped(run: Run) -> None:
    async def parallel(session: Session, row: Row) -> Sample:
        async def child(name: str) -> None:
            await session.branch(name).generate(str, f"{row['n']} {name}")

        async with asyncio.TaskGroup() as group:
            for name in "abcde":
                group.create_task(child(name))
        return await ask_once(session, row)

    run.provider = held = Held()

    async def stop() -> None:
        for _ in range(5):
            await held.under_way.acquire()
        run.stop.request("interrupted")
        held.go.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(stop())
        await run(numbered(5), parallel, samples_in_flight=1)
    assert (held.calls, run.paid()) == (5, 5)
    assert run.bodies() == []


async def test_a_gate_that_is_shut_sends_nothing() -> None:
    stop, provider = Stop(), ScriptedProvider(echo)
    gate = Gate(provider, stop)
    request = Request("s/m", [Message("user", "hi")])
    await gate.complete(request)
    stop.request("interrupted")
    with pytest.raises(asyncio.CancelledError):
        await gate.complete(request)
    assert provider.calls == 1
    assert gate.capabilities("m") is provider.capabilities("m")
    await gate.aclose()
