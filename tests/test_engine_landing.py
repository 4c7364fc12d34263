"""A reply that is on its way is paid: whatever ends its sample or its run, it lands in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synthtutor.api import arun
from synthtutor.engine import Finished
from synthtutor.errors import InvalidOutput
from synthtutor.messages import Message, Request, Response
from synthtutor.recipes.recipe import recipe
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.doubles import echo, reply
from tests.test_engine import Recipe, Row, Run, ask_once, numbered


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, ScriptedProvider(echo))


class Slow(ScriptedProvider):
    """``refused`` is refused once all have asked; the others answer when they are let go."""

    def __init__(self, calls: int = 2) -> None:
        super().__init__(echo)
        self.all_asked = asyncio.Barrier(calls)
        self.go = asyncio.Event()

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        await self.all_asked.wait()
        if "refused" in request.messages[-1].content:
            return reply("No.", finish="refusal")
        await self.go.wait()
        return reply("paid")


class Held(ScriptedProvider):
    """Replies are held back until they are let go."""

    def __init__(self) -> None:
        super().__init__(echo)
        self.asked = 0
        self.go = asyncio.Event()

    async def complete(self, request: Request) -> Response:
        self.asked += 1
        await self.go.wait()
        return await super().complete(request)


def in_two_branches(failed: Callable[[], None] = lambda: None) -> Recipe:
    """A recipe of two children that ask at once; ``failed`` is called when the refused one fails."""

    async def recipe(session: Session, row: Row) -> Sample:
        async def child(name: str) -> None:
            try:
                await session.branch(name).generate(str, f"{row['n']} {name}")
            except InvalidOutput:
                failed()
                raise

        async with asyncio.TaskGroup() as group:
            group.create_task(child("answered"))
            group.create_task(child("refused"))
        raise AssertionError("one child fails")

    return recipe


def soon(act: Callable[[], object]) -> None:
    """When what goes on now has had its effects."""
    asyncio.get_running_loop().call_later(0.02, act)


# ── one child of a sample fails ──────────────────────────────────────────────────────────────


async def test_a_siblings_reply_lands_when_one_child_fails(run: Run) -> None:
    run.provider = slow = Slow()
    async with asyncio.timeout(30):
        await run(numbered(1), in_two_branches(lambda: soon(slow.go.set)))
    assert (slow.calls, run.paid()) == (2, 2)
    assert run.bodies("failed")[0]["metadata"]["reasons"] == [
        "refused: the model declined to answer"
    ]


async def test_a_failed_sample_of_two_branches_is_not_paid_again(run: Run) -> None:
    for _ in range(2):
        run.provider = slow = Slow()
        recipe_ = in_two_branches(lambda: soon(slow.go.set))  # noqa: B023  # used in this turn
        async with asyncio.timeout(30):
            await run(numbered(1), recipe_)
    assert (slow.calls, run.paid()) == (0, 2), "both replies are replayed"


async def test_a_stop_now_does_not_wait_for_a_sibling(run: Run) -> None:
    run.provider = Slow()
    async with asyncio.timeout(30):
        await run(numbered(1), in_two_branches(lambda: soon(run.stop.now)))
    assert run.paid() == 1, "the refusal; the other never came"
    assert len(run.bodies("failed")) == 1, "for the refusal"


async def test_a_child_that_was_not_let_ask_makes_no_finished_sample(run: Run) -> None:
    run.provider = held = Held()

    async def forgiving(session: Session, row: Row) -> Sample:
        said: list[Message] = []

        async def child(name: str) -> None:
            mine = session.branch(name)
            if name == "late":
                while held.asked == 0:  # noqa: ASYNC110  # until the other is under way
                    await asyncio.sleep(0.001)
                run.stop.request("interrupted")
                soon(held.go.set)
            said.append(Message("assistant", await mine.generate(str, name)))

        async with asyncio.TaskGroup() as group:
            for name in ("early", "late"):
                group.create_task(child(name))
        return Sample(said)

    await run(numbered(1), forgiving)
    assert (held.asked, run.paid()) == (1, 1)
    assert run.bodies() == [], "half of it was never asked"


# ── the run ends by somebody else's error ────────────────────────────────────────────────────


async def test_rows_that_raise_let_paid_calls_land_and_are_heard_of(run: Run) -> None:
    run.provider = held = Held()

    def rows() -> Iterator[Row]:
        yield from numbered(3)
        soon(held.go.set)
        raise ZeroDivisionError("in the caller's own generator")

    with pytest.raises(ZeroDivisionError):
        await run(rows())
    assert run.paid() == held.asked
    assert len(run.bodies("kept")) == held.asked


async def test_a_listener_that_raises_lets_paid_calls_land_and_is_heard_of(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo, delay_s=0.02)

    def listener(_: Finished) -> None:
        raise ZeroDivisionError("in the caller's own function")

    @recipe(name="once")
    async def once(session: Session, row: dict[str, Any]) -> Sample:
        return await ask_once(session, row)

    options: dict[str, Any] = {"models": "scripted/m", "out": tmp_path, "rows": numbered(20)}
    with pytest.raises(ZeroDivisionError):
        await arun(
            once, **options, providers={"scripted": provider}, on_finished=listener, concurrency=4
        )
    again = ScriptedProvider(echo)
    await arun(once, **options, providers={"scripted": again})
    assert provider.calls + again.calls == 20, "nothing was asked twice"


async def test_a_cancelled_run_lets_paid_calls_land(run: Run) -> None:
    run.provider = held = Held()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(run(numbered(100), samples_in_flight=5))
        while held.asked < 5:  # noqa: ASYNC110  # until all of them are under way
            await asyncio.sleep(0.001)
        task.cancel()
        soon(held.go.set)
    assert task.cancelled()
    assert (held.asked, run.paid()) == (5, 5)


async def test_a_run_that_is_cancelled_twice_ends_at_once(run: Run) -> None:
    run.provider = held = Held()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(run(numbered(100), samples_in_flight=5))
        while held.asked < 5:  # noqa: ASYNC110  # until all of them are under way
            await asyncio.sleep(0.001)
        task.cancel()
        soon(task.cancel)
    assert task.cancelled()
    assert (held.asked, run.paid()) == (5, 0)


# ── what a recipe gives back ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [None, 7, ["text"]])
async def test_a_message_without_text_fails_its_row_alone(run: Run, content: Any) -> None:
    async def careless(session: Session, row: Row) -> Sample:
        made = await ask_once(session, row)
        return made if row["n"] else Sample([Message("assistant", content)])

    await run(numbered(3), careless)
    assert len(run.bodies("kept")) == 2
    (failed,) = run.bodies("failed")
    assert "is no text" in failed["metadata"]["reasons"][0]


async def test_a_text_that_utf_8_cannot_hold_fails_its_row_alone(run: Run) -> None:
    async def broken(session: Session, row: Row) -> Sample:
        await ask_once(session, row)
        raise InvalidOutput("\ud83d", kind="unparsable", text="\ud83d")

    await run(numbered(2), broken, max_failed=1.0)
    assert len(run.bodies("failed")) == 2
