"""Calls that wait for a vendor's batch, with a vendor that outlives the process that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from synthtutor.batches import Batched
from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from synthtutor.gathering import BatchPlan
from synthtutor.journal import Call, Journal
from synthtutor.messages import Message, Request, Response, Usage
from synthtutor.provider import BatchLimits, BatchProvider, BatchStatus, Capabilities, Provider
from synthtutor.testing import ScriptedProvider

MODEL = "desk/m"
PLAN = BatchPlan(size=100, wait_s=0.02, poll_s=0.02)

Outcome = Response | ProviderError | None


def answered(request: Request) -> Outcome:
    return Response(f"re: {request.messages[-1].content}", usage=Usage(10, 5), model="m")


@dataclass
class Desk(ScriptedProvider):
    """A vendor's batch desk. ``answer`` None leaves a request without an outcome, as if expired."""

    answer: Callable[[Request], Outcome] = answered
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(50_000, 100.0))
    polls: int = 2  # how often a batch is asked for before it is done
    batches: dict[str, dict[str, Request]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    asked_for: dict[str, int] = field(default_factory=dict)
    faults: list[ProviderError] = field(default_factory=list)  # of the next submissions
    accepts_all_the_same: bool = False
    senseless: int = 0  # how many readings find the line of "bad" to make no sense
    reads: int = 0
    done: bool = True
    submitted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(lambda request: f"live: {request.messages[-1].content}")

    def batch_limits(self) -> BatchLimits:
        return self.limits

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and not self.accepts_all_the_same:
            raise fault
        name = f"batch-{len(self.batches) + 1}"
        self.batches[name], self.labels[label] = dict(requests), name
        self.submitted.set()
        if fault is not None:
            raise fault
        return name

    async def find_batch(
        self,
        label: str,
        custom_ids: Collection[str],  # by label here
        since: datetime,
    ) -> str | None:
        return self.labels.get(label)

    async def batch_status(self, batch: str) -> BatchStatus:
        if batch not in self.batches:
            raise Rejected("no such batch", reason="model", status=404)
        asked = self.asked_for[batch] = self.asked_for.get(batch, 0) + 1
        return BatchStatus(self.done and asked >= self.polls, total=len(self.batches[batch]))

    async def batch_results(self, batch: str) -> AsyncIterator[tuple[str, Outcome]]:
        self.reads += 1
        senseless = self.reads <= self.senseless
        for name, request in reversed(self.batches[batch].items()):
            outcome = self.answer(request)
            if outcome is not None and not (senseless and request.messages[-1].content == "bad"):
                yield name, outcome
        if senseless:
            raise Unreadable("a line makes no sense")

    async def cancel_batch(self, batch: str) -> None:
        del self.batches[batch]

    @property
    def asked(self) -> list[str]:
        """Every request in every batch, as its text."""
        return [r.messages[-1].content for batch in self.batches.values() for r in batch.values()]


def request(text: str = "?") -> Request:
    return Request(MODEL, (Message("user", text),))


@asynccontextmanager
async def at(
    desk: Desk, folder: Path, *, plan: BatchPlan = PLAN, live: Provider | None = None
) -> AsyncIterator[tuple[Batched, Journal, list[str]]]:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240
    warnings: list[str] = []
    async with Journal(folder / "journal.sqlite") as journal:
        await journal.begin("{}")
        batched = Batched(desk, MODEL, plan, live=live, warn=warnings.append)  # type: ignore[arg-type]  # outcomes may be missing
        async with batched.working(journal):
            yield batched, journal, warnings


async def all_of(provider: Provider, *texts: str) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(provider.complete(request(text))) for text in texts]
    return [task.result().text for task in tasks]


async def keep(journal: Journal, response: Response, sample: bytes = b"s" * 16) -> None:
    call = Call(b"k", sample, "sample", "writer", "p", MODEL, b"{}", response, 0.1, 1.0)
    await journal.put(call)


@asynccontextmanager
async def killed_while_waiting(desk: Desk, folder: Path, *texts: str) -> AsyncIterator[None]:
    """A process that hands the calls over and ends before any of them comes back."""
    desk.done = False
    async with at(desk, folder) as (batched, _, _), asyncio.TaskGroup() as group:
        tasks = [group.create_task(batched.complete(request(text))) for text in texts]
        await desk.submitted.wait()
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
    desk.done = True
    yield


def test_the_desk_is_a_batch_provider() -> None:
    assert isinstance(Desk(), BatchProvider)
    assert not isinstance(ScriptedProvider(), BatchProvider)


async def test_calls_made_at_once_go_in_one_batch_and_each_gets_its_own_reply(
    tmp_path: Path,
) -> None:
    desk = Desk()
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a", "b", "c") == ["re: a", "re: b", "re: c"]
        response = await batched.complete(request("d"))
    assert [len(batch) for batch in desk.batches.values()] == [3, 1]
    assert response.batched
    assert response.request_id is not None
    assert response.request_id.startswith("batch-2/")


async def test_equal_requests_are_different_calls(tmp_path: Path) -> None:
    desk = Desk()
    async with at(desk, tmp_path) as (batched, _, _):
        await all_of(batched, "same", "same", "same")
    assert desk.asked == ["same"] * 3


async def test_a_batch_holds_no_more_calls_than_the_plan_and_the_vendor_allow(
    tmp_path: Path,
) -> None:
    for most in (BatchPlan(4, 0.02, 0.02), BatchPlan(100, 0.02, 0.02)):
        desk = Desk(limits=BatchLimits(5, 100.0))
        async with at(desk, tmp_path / str(most.size), plan=most) as (batched, _, _):
            await all_of(batched, *map(str, range(11)))
        sizes = [len(batch) for batch in desk.batches.values()]
        assert max(sizes) == min(5, most.size)
        assert sorted(desk.asked, key=int) == list(map(str, range(11)))


async def test_a_batch_holds_no_more_bytes_than_the_vendor_allows(tmp_path: Path) -> None:
    desk = Desk(limits=BatchLimits(100, 0.01))
    async with at(desk, tmp_path) as (batched, _, _):
        await all_of(batched, *(str(n) * 3000 for n in range(6)))
    assert len(desk.batches) >= 3
    for batch in desk.batches.values():
        assert sum(len(r.to_json()) for r in batch.values()) <= 10_000


async def test_what_expired_is_asked_again_in_the_next_batch(tmp_path: Path) -> None:
    tries: dict[str, int] = {}

    def forgetful(request: Request) -> Outcome:
        text = request.messages[-1].content
        tries[text] = tries.get(text, 0) + 1
        if text == "b" and tries[text] < 3:
            return None if tries[text] == 1 else Unavailable("overloaded")
        return answered(request)

    desk = Desk(answer=forgetful)
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a", "b") == ["re: a", "re: b"]
    assert desk.asked == ["a", "b", "b", "b"]


async def test_what_never_comes_fails_with_the_reason(tmp_path: Path) -> None:
    desk = Desk(answer=lambda _: None)
    async with at(desk, tmp_path) as (batched, _, _):
        with pytest.raises(Unavailable, match=r"no answer in 4 batches.*ended without an answer"):
            await batched.complete(request())
    assert len(desk.batches) == 4


async def test_results_with_a_senseless_line_are_read_again(tmp_path: Path) -> None:
    desk = Desk(senseless=3)
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a", "bad", "b") == ["re: a", "re: bad", "re: b"]
    assert (desk.reads, len(desk.batches)) == (4, 1)


async def test_a_line_that_never_makes_sense_has_its_call_asked_again_and_its_money_held(
    tmp_path: Path,
) -> None:
    desk = Desk(senseless=5)
    async with at(desk, tmp_path) as (batched, journal, warnings):
        assert await all_of(batched, "a", "bad", "b") == ["re: a", "re: bad", "re: b"]
        first = journal.batches(MODEL)[0]
        held = [most for item, most in zip(first.items, first.worst, strict=True) if "-1" in item]
    assert desk.asked == ["a", "bad", "b", "bad"]
    assert "calls asked again: 1" in warnings[-1]
    assert held[0][1] > 0


@pytest.mark.parametrize("error", [Rejected("too long", reason="context"), Unauthorized("no")])
async def test_an_error_of_one_call_is_that_calls_own(tmp_path: Path, error: ProviderError) -> None:
    desk = Desk(answer=lambda r: error if r.messages[-1].content == "bad" else answered(r))
    async with at(desk, tmp_path) as (batched, _, _):
        async with asyncio.TaskGroup() as group:
            good = group.create_task(batched.complete(request("good")))
            with pytest.raises(type(error), match=str(error)):
                await batched.complete(request("bad"))
        assert good.result().text == "re: good"


async def test_a_submission_that_was_refused_fails_its_calls(tmp_path: Path) -> None:
    desk = Desk(faults=[Rejected("no such model", reason="model")])
    async with at(desk, tmp_path) as (batched, _, _):
        with pytest.raises(Rejected, match="no such model"):
            await batched.complete(request())


async def test_a_submission_is_repeated_after_a_fault(tmp_path: Path) -> None:
    faults: list[ProviderError] = [RateLimited("slow", retry_after_s=0.01)] * 8
    desk = Desk(faults=[*faults, Unavailable("down", retry_after_s=0.0)])
    async with at(desk, tmp_path) as (batched, _, warnings):
        assert await all_of(batched, "a") == ["re: a"]
    assert len(desk.batches) == 1
    assert len(warnings) == 9
    assert "down" in warnings[-1]


async def test_a_submission_whose_answer_was_lost_is_found_and_not_repeated(
    tmp_path: Path,
) -> None:
    desk = Desk(faults=[Unavailable("reset", retry_after_s=0.0)], accepts_all_the_same=True)
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a", "b") == ["re: a", "re: b"]
    assert len(desk.batches) == 1


async def test_a_new_process_picks_up_the_batch_of_the_old(tmp_path: Path) -> None:
    desk = Desk()
    async with killed_while_waiting(desk, tmp_path, "a", "b", "b"):
        pass
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "b", "a", "b", "new") == ["re: b", "re: a", "re: b", "re: new"]
    assert sorted(desk.asked) == ["a", "b", "b", "new"]


async def test_a_reply_that_is_journaled_is_not_given_twice(tmp_path: Path) -> None:
    """Two equal calls in one batch: the first process journals one reply, the second takes the other."""
    served = iter(("first", "second"))
    texts: dict[int, str] = {}

    def once(request: Request) -> Outcome:
        return Response(texts.setdefault(id(request), next(served, "?")), model="m")

    desk = Desk(answer=once)
    async with at(desk, tmp_path) as (batched, journal, _):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(batched.complete(request("same"))) for _ in range(2)]
        await keep(journal, tasks[0].result())  # the process ends before the other is kept
    async with at(desk, tmp_path) as (batched, _, _):
        again = await batched.complete(request("same"))
        assert again == tasks[1].result()
        assert len(desk.batches) == 1
        await batched.complete(request("same"))
        assert len(desk.batches) == 2, "both replies are taken: a third is a new call"


async def test_a_process_that_ended_before_it_submitted_submits_anew(tmp_path: Path) -> None:
    desk = Desk()
    async with Journal(tmp_path / "journal.sqlite") as journal:
        await journal.begin("{}")
        await journal.plan_batch("lost", MODEL, [f"{request('a').digest().hex()}-0"])
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a") == ["re: a"]
    assert desk.asked == ["a"]
    async with at(desk, tmp_path) as (_, journal, _):
        assert [batch.label for batch in journal.batches(MODEL)] != ["lost"]


async def test_a_process_that_ended_while_it_submitted_finds_its_batch(tmp_path: Path) -> None:
    desk = Desk()
    item = f"{request('a').digest().hex()}-0"
    async with Journal(tmp_path / "journal.sqlite") as journal:
        await journal.begin("{}")
        await journal.plan_batch("planned", MODEL, [item])
    await desk.submit_batch("planned", {item: request("a")})
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a") == ["re: a"]
    assert len(desk.batches) == 1


async def test_results_that_the_vendor_has_dropped_are_asked_for_again(tmp_path: Path) -> None:
    desk = Desk()
    async with killed_while_waiting(desk, tmp_path, "a"):
        desk.batches.clear()
    async with at(desk, tmp_path) as (batched, _, warnings):
        assert await all_of(batched, "a") == ["re: a"]
    assert "gone" in warnings[0]


async def test_calls_that_come_late_still_get_what_an_old_batch_holds(tmp_path: Path) -> None:
    desk = Desk()
    async with killed_while_waiting(desk, tmp_path, "a", "b", "c"):
        pass
    async with at(desk, tmp_path) as (batched, _, _):
        assert await all_of(batched, "a") == ["re: a"]
        looked = sum(desk.asked_for.values())
        assert await all_of(batched, "b", "c") == ["re: b", "re: c"]
        assert sum(desk.asked_for.values()) == looked, "the results were read once"
    assert len(desk.batches) == 1


async def test_without_batches_the_old_ones_are_still_collected(tmp_path: Path) -> None:
    desk = Desk()
    async with killed_while_waiting(desk, tmp_path, "a"):
        pass
    async with at(desk, tmp_path, live=desk) as (batched, _, _):
        assert await all_of(batched, "a", "b") == ["re: a", "live: b"]
    assert len(desk.batches) == 1


async def test_polling_goes_on_through_faults(tmp_path: Path) -> None:
    class Flaky(Desk):
        async def batch_status(self, batch: str) -> BatchStatus:
            status = await super().batch_status(batch)
            if self.asked_for[batch] < 4:
                raise Unavailable("down")
            return status

    desk = Flaky()
    async with at(desk, tmp_path) as (batched, _, warnings):
        assert await all_of(batched, "a") == ["re: a"]
    assert len(warnings) == 3


async def test_a_handing_over_is_let_to_end_when_the_process_is_told_to_stop(
    tmp_path: Path,
) -> None:
    class Slow(Desk):
        async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
            name = await super().submit_batch(label, requests)
            await asyncio.sleep(0.2)
            return name

    desk = Slow(done=False)
    async with at(desk, tmp_path) as (batched, _, _), asyncio.TaskGroup() as group:
        task = group.create_task(batched.complete(request("a")))
        await desk.submitted.wait()
        task.cancel()
    async with at(desk, tmp_path) as (_, journal, _):
        (batch,) = journal.batches(MODEL)
        assert (batch.state, batch.vendor_id) == ("submitted", "batch-1")


async def test_what_is_raised_inside_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="own"):
        async with at(Desk(), tmp_path):
            raise KeyError("own")


async def test_a_cancelled_call_is_not_submitted(tmp_path: Path) -> None:
    desk = Desk()
    async with at(desk, tmp_path) as (batched, _, _), asyncio.TaskGroup() as group:
        task = group.create_task(batched.complete(request("dropped")))
        await asyncio.sleep(0)
        task.cancel()
        await group.create_task(batched.complete(request("kept")))
    assert desk.asked == ["kept"]


async def test_capabilities_are_the_providers() -> None:
    desk = Desk()
    assert isinstance(Batched(desk, MODEL, PLAN).capabilities("m"), Capabilities)  # type: ignore[arg-type]
