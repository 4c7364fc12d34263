from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import (
    BudgetExceeded,
    ConfigError,
    JournalError,
    Rejected,
    SynthtutorError,
    Unauthorized,
)
from synthtutor.messages import Message, Request, Response
from synthtutor.session import Session
from synthtutor.stopping import Gate, Stop
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.doubles import echo, reply
from tests.test_engine import Row, Run, ask_once, numbered, with_provider


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, ScriptedProvider(echo))


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
    with_provider(run, lambda _: reply("No.", finish="refusal"))
    engine = await run(numbered(1000), samples_in_flight=1)
    assert run.stop.reason is not None
    assert "too many failures: 5 of 5" in run.stop.reason
    assert "refused" in run.stop.reason
    assert engine.progress.done == 5


async def test_rejections_stop_it_too(run: Run) -> None:
    with_provider(run, lambda _: Rejected("no"))
    engine = await run(numbered(1000), samples_in_flight=1)
    assert run.stop.reason is not None
    assert "rejected (request): no" in run.stop.reason
    assert engine.progress.done <= 20


async def test_rejections_that_overtake_answers_do_not_stop_it(run: Run) -> None:
    answered = asyncio.Event()

    class Quick(ScriptedProvider):
        async def complete(self, request: Request) -> Response:
            number = int(request.messages[0].content.split()[-1])
            if number < 25:
                raise Rejected("no")
            await answered.wait()
            return reply("ok")

    run.provider = Quick()
    async with run.opened(samples_in_flight=64) as engine, asyncio.TaskGroup() as group:
        task = group.create_task(engine.run(numbered(64)))
        while engine.progress.failed < 25:  # noqa: ASYNC110  # until the rejected are recorded
            await asyncio.sleep(0.001)
        answered.set()
        await task
    assert run.stop.reason is None
    assert (engine.progress.failed, engine.progress.kept) == (25, 39)


def third_refused(request: Request) -> str | Response:
    number = int(request.messages[0].content.split()[-1])
    return reply("No.", finish="refusal") if number % 3 == 0 else "ok"


async def test_failures_below_the_share_do_not_stop_it(run: Run) -> None:
    with_provider(run, third_refused)
    engine = await run(numbered(60), max_failed=0.5, samples_in_flight=1)
    assert run.stop.reason is None
    assert (engine.progress.failed, engine.progress.kept) == (20, 40)


async def test_the_share_of_failures_is_the_users(run: Run) -> None:
    with_provider(run, third_refused)
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
