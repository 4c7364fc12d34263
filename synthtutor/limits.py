"""How fast one model is asked: three buckets, an adaptive window of calls in flight, one pace.

The buckets (requests, input tokens, output tokens a minute) are what the user declares; a call
reserves its estimate before it is sent and settles the difference after. What the server declares,
or shows by refusing, is in `Pacing`: one pace and one pause for all calls to the model, so that one
429 costs one call. The window grows with every success, and is cut once per burst of 429s that the
pace does not explain, however many calls of that burst come back. Server errors hold its growth but
do not cut it: an overloaded server says nothing about our own rate. Calls queue in one line, the
highest priority first, until window and pace have room for them.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from synthtutor.errors import RateLimited, Unavailable
from synthtutor.messages import Request, Response
from synthtutor.pacing import Cost, Pacing
from synthtutor.provider import Capabilities, Provider

__all__ = ["Limited", "Limits", "Window"]

_BURST_S = 1.0
_FIRST_CALLS = 4
_ONE = Cost()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may ask of one model. None: not limited. ``tokens_per_minute`` is input and output."""

    concurrency: int = 50
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None


class Bucket:
    """A token bucket that settles: what was reserved too much or too little carries over."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        # aiolimiter lets a whole window pass at once, so a short window is a small burst.
        self._burst = max(1.0, per_minute / 60 * _BURST_S)
        self._limiter = AsyncLimiter(self._burst, self._burst / per_minute * 60)
        self._carry = 0.0

    async def reserve(self, amount: float) -> None:
        """Wait until ``amount`` may pass. More than one burst is taken in parts."""
        amount, self._carry = amount + self._carry, 0.0
        if amount < 0:
            self._carry, amount = amount, 0.0
        while amount > 0:
            part = min(amount, self._burst)
            await self._limiter.acquire(part)
            amount -= part

    def settle(self, reserved: float, actual: float) -> None:
        """Let the next reservation pay the difference."""
        self._carry += actual - reserved


class Window:
    """How many calls are in flight: slow start, one cut per burst, additive growth.

    It starts at ``start`` and grows with every success. Without one it is whole at once: an
    endpoint of one's own has no rate limits, and with a second a reply a start from 64 would cost a
    run of 2,000 in flight three.
    """

    def __init__(
        self,
        limit: int,
        *,
        start: int | None = None,
        wait_s: Callable[[Cost], float] = lambda _cost: 0.0,
        take: Callable[[Cost], None] = lambda _cost: None,
    ) -> None:
        self.limit = max(1, limit)
        self.size = float(min(self.limit, start or limit))
        self.in_flight = 0
        self._wait_s = wait_s
        self._take = take
        self._slow_start = True
        self._was = 0.0
        self._still = 0
        self._waiters: list[tuple[int, int, Cost, asyncio.Future[None]]] = []
        self._arrived = 0
        self._sent = 0
        self._cut_at = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    async def acquire(self, priority: int = 0, cost: Cost = _ONE) -> int:
        """Wait for a place; the number tells a later failure to which burst it belongs.

        The highest priority goes first, and among equals whoever came first.
        """
        if self._waiters or self.in_flight >= int(self.size) or self._wait_s(cost) > 0:
            waiter = asyncio.get_running_loop().create_future()
            self._arrived += 1
            heapq.heappush(self._waiters, (-priority, self._arrived, cost, waiter))
            self._admit()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self.release()  # the place was already ours
                raise
        else:
            self.in_flight += 1
            self._take(cost)
        self._sent += 1
        return self._sent

    def release(self) -> None:
        """Give the place back, and hand on what is free."""
        self.in_flight -= 1
        if self._waiters:
            self._admit()

    def _admit(self) -> None:
        """Let in whoever may go now; look again when the next one may."""
        while self._waiters and self.in_flight < int(self.size):
            *_, cost, waiter = self._waiters[0]
            if not waiter.done():
                wait_s = self._wait_s(cost)
                if wait_s > 0:
                    self._look_again(wait_s)
                    return
                self.in_flight += 1
                self._take(cost)
                waiter.set_result(None)
            heapq.heappop(self._waiters)

    def _look_again(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + wait_s
        if self._timer is not None:
            if self._due <= at:
                return
            self._timer.cancel()
        # Not the timer's own when(): uvloop has none for what is due at once.
        self._timer, self._due = loop.call_at(at, self._woken), at

    def _woken(self) -> None:
        self._timer = None
        self._admit()

    def grow(self) -> None:
        """A call succeeded: fourfold per round trip in slow start, then one more per round trip.

        After a cut half of what was lost comes back with each round trip, one at least.
        """
        if self._still:
            self._still -= 1
            return
        more = 3.0 if self._slow_start else max(1.0, (self._was - self.size) / 2) / self.size
        self.size = min(self.limit, self.size + more)

    def cut(self, sent: int) -> None:
        """A call met a 429: shrink by a third, unless it was sent before the last cut."""
        if sent > self._cut_at:
            self._was = self.size
            self.size = max(1.0, min(self.size, self.in_flight) * 2 / 3)
            self._slow_start = False
            self._cut_at = self._sent

    def hold(self) -> None:
        """A server error: the next few successes do not count. One in five ends all growth."""
        self._still = min(self._still + 4, self.in_flight + 4)


class Limited:
    """A provider asked no faster than ``limits`` and the endpoint allow. One per model.

    ``priority`` is asked for each call: the highest goes first where calls queue. ``careful``
    begins with a handful of calls, and with more as replies come: for endpoints that limit rates,
    until they have said how. A server of one's own has no such limits, and gets its calls at once.
    ``warn`` is told, once, of a call that takes minutes of the user's own limit.
    """

    def __init__(
        self,
        provider: Provider,
        limits: Limits,
        *,
        priority: Callable[[], int] = lambda: 0,
        careful: bool = False,
        clock: Callable[[], float] = time.monotonic,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._priority = priority
        self._warn: Callable[[str], None] | None = warn
        self._provider = provider
        self.pacing = Pacing(clock, careful=careful)
        self.window = Window(
            limits.concurrency,
            start=_FIRST_CALLS if careful else None,
            wait_s=self.pacing.wait_s,
            take=self.pacing.take,
        )
        self._requests = _bucket(limits.requests_per_minute)
        self._tokens = _bucket(limits.tokens_per_minute)
        self._input = _bucket(limits.input_tokens_per_minute)
        self._output = _bucket(limits.output_tokens_per_minute)
        self._counts_tokens = any((self._tokens, self._input, self._output))

    async def complete(self, request: Request) -> Response:
        """The provider's reply, when there is room for the call."""
        cost = _ONE
        if self._counts_tokens or self.pacing.counts_tokens:
            cost = Cost(request.estimated_input_tokens(), request.settings.max_tokens / 2)
        sent = await self.window.acquire(self._priority(), cost)
        ticket = None
        try:
            if self._counts_tokens or self._requests is not None:
                self._tell(request.model, cost)
                await self._reserve(cost)
            ticket = self.pacing.ticket()
            response = await self._provider.complete(request)
            self.pacing.answered(ticket, response.rate_limits)
            self.window.grow()
        except RateLimited as error:
            if ticket is not None and self.pacing.refused(ticket, error.retry_after_s):
                self.window.cut(sent)
            raise
        except Unavailable:
            self.window.hold()
            raise
        finally:
            self.window.release()
        if self._counts_tokens:
            self._settle(cost, response)
        return response

    def capabilities(self, model: str) -> Capabilities:
        """The provider's."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()

    @property
    def paused_s(self) -> float:
        """Seconds until the model may be asked again; 0 when it may be now."""
        return self.pacing.paused_s

    async def _reserve(self, cost: Cost) -> None:
        """Wait until the call is within what the user declared, and no pause has come meanwhile."""
        if self._requests is not None:
            await self._requests.reserve(1)
        for bucket, amount in self._amounts(cost.into, cost.out):
            await bucket.reserve(amount)
        # Each turn sleeps the whole pause; another turn only if a later reply has prolonged it.
        while (wait := self.paused_s) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait)

    def _tell(self, model: str, cost: Cost) -> None:
        """Say, the first time, that a single call takes more than a minute of what was declared."""
        if self._warn is None:
            return
        for bucket, amount in self._amounts(cost.into, cost.out):
            if amount > bucket.per_minute:
                self._warn(
                    f"a call to {model} is expected to take {amount:,.0f} tokens: under a limit of "
                    f"{bucket.per_minute:,.0f} a minute it waits for {amount / bucket.per_minute:,.0f} "
                    "minutes; give a higher limit or a smaller max_tokens"
                )
                self._warn = None
                return

    def _settle(self, reserved: Cost, response: Response) -> None:
        used = response.usage
        after = self._amounts(used.input_tokens, used.output_tokens)
        before = self._amounts(reserved.into, reserved.out)
        for (bucket, expected), (_, actual) in zip(before, after, strict=True):
            bucket.settle(expected, actual)

    def _amounts(self, into: float, out: float) -> list[tuple[Bucket, float]]:
        pairs = ((self._tokens, into + out), (self._input, into), (self._output, out))
        return [(bucket, amount) for bucket, amount in pairs if bucket is not None]


def _bucket(per_minute: float | None) -> Bucket | None:
    return Bucket(per_minute) if per_minute else None
