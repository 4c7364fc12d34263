"""Calls that go to a vendor's batch API: half the price, hours later, and nothing lost in between.

To a recipe nothing changes: its sample waits at its next call. `Batched` gathers the calls of all
waiting samples into batches, hands them over, looks after them and gives each sample its reply,
so a recipe of many turns goes in waves, a batch a turn.

What makes it safe to end the process at any moment:

* A batch is journaled before it is submitted. If the vendor's answer is lost, the batch is looked
  for by its label before anything is submitted again.
* Samples run again after a restart and make the same requests; a request whose digest is in a
  batch of an earlier process takes its place there and is not asked anew.
* A reply is journaled by its sample as any other. Which items of a batch have been used is read
  from the replies in the journal themselves, so the two cannot disagree.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Retryable,
    Unavailable,
    Unreadable,
)
from synthtutor.gathering import BatchPlan, Gathered, Waiting
from synthtutor.journal import BatchRecord, Journal
from synthtutor.messages import Request, Response
from synthtutor.meter import worst_case
from synthtutor.provider import BatchProvider, BatchStatus, Capabilities, Provider

__all__ = ["Batched", "Batching"]

_ASKED_AT_MOST = 4  # in how many batches one call may be before it fails
_SUBMITTED_AT_MOST = 6
_READ_AT_MOST = 5
_HANDED_OVER_WITHIN_S = 30.0
_CLOCKS_DIFFER_BY = timedelta(minutes=15)


class Batching(Provider, BatchProvider, Protocol):
    """A provider that has a batch API."""


@dataclass(slots=True, eq=False)
class Batch:
    """A batch under way, as this process knows it."""

    label: str
    planned_at: float
    items: list[str]
    vendor_id: str | None = None
    resumed: bool = False
    status: BatchStatus | None = None
    lost: bool = False
    unclaimed: dict[str, Response | ProviderError] = field(default_factory=dict)
    _waiting: dict[str, Waiting] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None


class Batched:
    """A provider whose calls to one model wait for batches. Use it inside ``async with working()``.

    With ``live`` nothing new is batched: only what an earlier process left in batches is taken
    from there, and everything else is asked of ``live``.
    """

    def __init__(
        self,
        provider: Batching,
        model: str,
        plan: BatchPlan,
        *,
        live: Provider | None = None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.plan = plan
        self.under_way: list[Batch] = []
        self._provider = provider
        self._model = model
        self._live = live
        self._warn = warn
        self._left: dict[str, list[tuple[Batch, str]]] = {}
        self._gathered = Gathered(plan, provider.batch_limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._handing_over: set[asyncio.Future[None]] = set()
        self._closing = False

    async def complete(self, request: Request) -> Response:
        """The reply, when its batch has come back.

        A request that expired or failed on the way is put into the next batch, a few times.
        """
        last: ProviderError | None = None
        for _ in range(_ASKED_AT_MOST):
            waiting = self._placed(request)
            if waiting is None:
                assert self._live is not None  # noqa: S101  # what is not placed is asked live
                return await self._live.complete(request)
            outcome = await waiting.outcome
            if isinstance(outcome, Response):
                return outcome
            if not isinstance(outcome, Retryable):
                raise outcome
            last = outcome
        raise Unavailable(f"no answer in {_ASKED_AT_MOST} batches, the last because: {last}")

    def capabilities(self, model: str) -> Capabilities:
        """The provider's, with nothing in the way of many calls at once."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()

    @asynccontextmanager
    async def working(self, journal: Journal) -> AsyncIterator[Self]:
        """Gather and collect for as long as the block lasts; earlier batches are in ``journal``.

        A batch that is just being handed over when the block ends gets the time to be.
        """
        self._journal = journal
        for record in journal.batches(self._model):
            self._remember(record)
        raised: BaseException | None = None
        async with asyncio.TaskGroup() as group:
            self._group = group
            if self._live is None:
                self._spawn(self._gather())
            try:
                yield self
            except BaseException as error:  # the group would wrap it, and it is none of its own
                raised = error
            if self._handing_over:
                await asyncio.wait(self._handing_over, timeout=_HANDED_OVER_WITHIN_S)
            self._closing = True
            for task in self._tasks:
                task.cancel()
        if raised is not None:
            raise raised

    # ── where a call waits ───────────────────────────────────────────────────────────────────

    def _placed(self, request: Request) -> Waiting | None:
        """In a batch of an earlier process, or among the gathered; None where it is asked live."""
        waiting = Waiting(request, 0, asyncio.get_running_loop().create_future())
        left = self._left.get(_name(request))
        while left:
            batch, item = left.pop(0)
            if batch.lost:
                continue
            outcome = batch.unclaimed.pop(item, None)
            if outcome is not None:
                waiting.resolve(outcome)
            else:
                batch._waiting[item] = waiting
                self._look_after(batch)
            return waiting
        if self._live is not None:
            return None
        waiting.size = len(request.to_json())
        self._gathered.add(waiting)
        return waiting

    def _remember(self, record: BatchRecord) -> None:
        batch = Batch(record.label, record.at, list(record.items), record.vendor_id, resumed=True)
        for item in batch.items:
            self._left.setdefault(item.partition("-")[0], []).append((batch, item))

    # ── gathering ────────────────────────────────────────────────────────────────────────────

    async def _gather(self) -> None:
        while True:
            waiting = await self._gathered.next()
            if waiting:
                self._look_after(self._new_batch(waiting))

    def _new_batch(self, waiting: list[Waiting]) -> Batch:
        named = {f"{_name(one.request)}-{nth}": one for nth, one in enumerate(waiting)}
        batch = Batch(f"synthtutor-{secrets.token_hex(8)}", time.time(), list(named))
        batch._waiting = named
        return batch

    # ── one batch ────────────────────────────────────────────────────────────────────────────

    def _look_after(self, batch: Batch) -> None:
        if batch._task is None or batch._task.done():
            batch._task = self._spawn(self._looked_after(batch))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _looked_after(self, batch: Batch) -> None:
        self.under_way.append(batch)
        try:
            if batch.vendor_id is None:
                await self._hand_over(batch)
            if not batch.lost:
                await self._collect(batch)
        except Rejected as error:
            if not batch.resumed:
                self._fail(batch, error)
            else:  # results are not kept for ever
                self._warn(f"batch {batch.vendor_id} is gone: {error}")
                batch.unclaimed.clear()
                self._give_up(batch, str(error))
                await self._journal.batch_is(batch.label, "lost")
        except Exception as error:  # whatever it is, the samples that wait must hear of it
            self._fail(batch, error)
        finally:
            self.under_way.remove(batch)

    async def _hand_over(self, batch: Batch) -> None:
        """Give the batch its vendor's id, or mark it lost."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handing_over.add(over)
        try:
            if batch.resumed:
                batch.vendor_id = await self._found(batch)
            else:
                worst = [worst_case(batch._waiting[item].request) for item in batch.items]
                await self._journal.plan_batch(batch.label, self._model, batch.items, worst)
                batch.vendor_id = await self._submit(batch)
            batch.lost = batch.vendor_id is None
            state = "lost" if batch.lost else "submitted"
            await self._journal.batch_is(batch.label, state, batch.vendor_id)
        finally:
            self._handing_over.discard(over)
            over.set_result(None)
        if batch.lost:
            self._give_up(batch, "the batch was never submitted")

    async def _submit(self, batch: Batch) -> str:
        """Submit it once: after a fault it is looked for before it is submitted again."""
        requests = {item: waiting.request for item, waiting in batch._waiting.items()}
        faults = 0
        while True:
            try:
                return await self._provider.submit_batch(batch.label, requests)
            except Retryable as error:
                self._warn(f"a batch could not be submitted: {error}")
                faults += not isinstance(error, RateLimited)
                if faults == _SUBMITTED_AT_MOST:
                    raise
                await self._pause(error, faults)
                found = None if isinstance(error, RateLimited) else await self._found(batch)
                if found is not None:
                    return found

    async def _found(self, batch: Batch) -> str | None:
        """The vendor's id of a batch that may have been submitted."""
        since = datetime.fromtimestamp(batch.planned_at, UTC) - _CLOCKS_DIFFER_BY
        faults = 0
        while True:
            try:
                return await self._provider.find_batch(batch.label, batch.items, since)
            except Retryable as error:  # without an answer nothing may be submitted again
                self._warn(f"a batch could not be looked for: {error}")
                faults += 1
                await self._pause(error, faults)

    async def _collect(self, batch: Batch) -> None:
        """Ask how it stands until it is done, then give each call its outcome."""
        assert batch.vendor_id is not None  # noqa: S101  # it was handed over
        pause_s = self.plan.poll_s / 16
        reads = 0
        while True:
            try:
                batch.status = await self._provider.batch_status(batch.vendor_id)
                if batch.status.done:
                    reads += 1
                    await self._deliver(batch, batch.vendor_id, last=reads >= _READ_AT_MOST)
                    return
            except Retryable as error:  # it runs at the vendor whether we can ask or not
                if not isinstance(error, Unreadable):
                    reads = 0
                self._warn(f"batch {batch.vendor_id} could not be asked for: {error}")
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, self.plan.poll_s)

    async def _deliver(self, batch: Batch, vendor_id: str, *, last: bool) -> None:
        """Read the results. Raises Unreadable where some make no sense, but not the ``last`` time."""
        known = set(batch.items) if batch.resumed else set()
        billed, unanswered = set[str](), set(batch.items)
        try:
            async for item, outcome in self._provider.batch_results(vendor_id):
                unanswered.discard(item)
                if isinstance(outcome, Response):
                    billed.add(item)
                    outcome = replace(outcome, batched=True, request_id=f"{vendor_id}/{item}")
                waiting = batch._waiting.pop(item, None)
                if waiting is not None:
                    waiting.resolve(outcome)
                elif item in known:
                    batch.unclaimed[item] = outcome
        except Unreadable as error:
            if not last:
                raise
            billed |= unanswered  # the vendor may have answered them, and bill it
            self._warn(f"batch {vendor_id}: {error}; calls asked again: {len(unanswered)}")
        detail = batch.status.detail if batch.status else None
        self._give_up(batch, detail or "the batch ended without an answer to this call")
        await self._journal.batch_ended(batch.label, billed)

    def _fail(self, batch: Batch, error: Exception) -> None:
        waiting, batch._waiting = batch._waiting, {}
        for one in waiting.values():
            one.fail(error)

    def _give_up(self, batch: Batch, reason: str) -> None:
        """Let the calls that the batch did not answer be asked again."""
        batch.lost = batch.lost or not batch.unclaimed
        waiting, batch._waiting = batch._waiting, {}
        for one in waiting.values():
            one.resolve(Unavailable(reason))

    async def _pause(self, error: Retryable, faults: int) -> None:
        wait_s = error.retry_after_s
        backoff_s = min(self.plan.poll_s, 0.5 * 2 ** min(faults, 10))
        await self._sleep(backoff_s if wait_s is None else wait_s)

    async def _sleep(self, seconds: float) -> None:
        # A transport in Rust may swallow a cancellation that comes as its answer does.
        if self._closing:
            raise asyncio.CancelledError
        await asyncio.sleep(seconds)


def _name(request: Request) -> str:
    return request.digest().hex()
