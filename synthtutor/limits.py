"""How fast one model is asked: three buckets, an adaptive window of calls in flight, one pause.

The buckets (requests, input tokens, output tokens a minute) are what the user or the vendor
declares; a call reserves its estimate before it is sent and settles the difference after. The
window is what nobody declares: it starts small, grows with every success, and is cut once per
burst of 429s, however many calls of that burst come back. Server errors stop its growth but do
not cut it: an overloaded server says nothing about our own rate. A Retry-After, or headers that
say that nothing is left, pauses every call to the model at once, so that one 429 costs one call.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from synthtutor.errors import RateLimited, Unavailable
from synthtutor.messages import RateLimitStatus, Request, Response
from synthtutor.provider import Capabilities, Provider

__all__ = ["Limited", "Limits", "Window"]

_BURST_S = 1.0


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

    It starts at ``start``, or else at a quarter of ``limit`` (64 at least), and one good round
    trip later it is whole: with a second a reply, a start from 64 would cost a run of 2,000 in
    flight nearly three.
    """

    def __init__(self, limit: int, *, start: int | None = None) -> None:
        self.limit = max(1, limit)
        self.size = float(min(self.limit, start or max(64, limit // 4)))
        self.in_flight = 0
        self._slow_start = True
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrived = 0
        self._sent = 0
        self._cut_at = 0

    async def acquire(self, priority: int = 0) -> int:
        """Wait for a place; the number tells a later failure to which burst it belongs.

        The highest priority goes first, and among equals whoever came first.
        """
        if self.in_flight >= int(self.size) or self._waiters:
            waiter = asyncio.get_running_loop().create_future()
            self._arrived += 1
            heapq.heappush(self._waiters, (-priority, self._arrived, waiter))
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self.release()  # the place was already ours
                raise
        else:
            self.in_flight += 1
        self._sent += 1
        return self._sent

    def release(self) -> None:
        """Give the place back, and hand on what is free."""
        self.in_flight -= 1
        while self._waiters and self.in_flight < int(self.size):
            waiter = heapq.heappop(self._waiters)[2]
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)

    def grow(self) -> None:
        """A call succeeded: fourfold per round trip in slow start, then one more per round trip."""
        self.size = min(self.limit, self.size + (3 if self._slow_start else 1 / self.size))

    def cut(self, sent: int) -> None:
        """A call met a 429: shrink by a third, unless it was sent before the last cut."""
        if sent > self._cut_at:
            self.size = max(1.0, min(self.size, self.in_flight) * 2 / 3)
            self._slow_start = False
            self._cut_at = self._sent

    def hold(self) -> None:
        """A server error: leave slow start."""
        self._slow_start = False


class Limited:
    """A provider asked no faster than ``limits`` and the endpoint allow. One per model.

    ``priority`` is asked for each call: the highest goes first where calls queue.
    """

    def __init__(
        self,
        provider: Provider,
        limits: Limits,
        *,
        priority: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._priority = priority
        self._provider = provider
        self._clock = clock
        self.window = Window(limits.concurrency)
        self._resume_at = 0.0
        self._requests = _bucket(limits.requests_per_minute)
        self._tokens = _bucket(limits.tokens_per_minute)
        self._input = _bucket(limits.input_tokens_per_minute)
        self._output = _bucket(limits.output_tokens_per_minute)
        self._counts_tokens = any((self._tokens, self._input, self._output))

    async def complete(self, request: Request) -> Response:
        """The provider's reply, when there is room for the call."""
        sent = await self.window.acquire(self._priority())
        try:
            reserved = await self._reserve(request)
            response = await self._provider.complete(request)
            self._settle(reserved, response)
        except RateLimited as error:
            self.window.cut(sent)
            if error.retry_after_s is not None:
                self._pause(error.retry_after_s)
            raise
        except Unavailable:
            self.window.hold()
            raise
        finally:
            self.window.release()
        self.window.grow()
        if response.rate_limits is not None:
            self._obey(response.rate_limits)
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
        return max(0.0, self._resume_at - self._clock())

    async def _reserve(self, request: Request) -> tuple[float, float]:
        """Wait until the call may be sent; the tokens (in, out) that were set aside for it."""
        if self._requests is not None:
            await self._requests.reserve(1)
        into = out = 0.0
        if self._counts_tokens:
            into, out = request.estimated_input_tokens(), request.settings.max_tokens / 2
            for bucket, amount in self._amounts(into, out):
                await bucket.reserve(amount)
        # Each turn sleeps the whole pause; another turn only if a later reply has prolonged it.
        while (wait := self.paused_s) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait)
        return into, out

    def _settle(self, reserved: tuple[float, float], response: Response) -> None:
        if self._counts_tokens:
            used = response.usage
            after = self._amounts(used.input_tokens, used.output_tokens)
            for (bucket, before), (_, actual) in zip(self._amounts(*reserved), after, strict=True):
                bucket.settle(before, actual)

    def _amounts(self, into: float, out: float) -> list[tuple[Bucket, float]]:
        pairs = ((self._tokens, into + out), (self._input, into), (self._output, out))
        return [(bucket, amount) for bucket, amount in pairs if bucket is not None]

    def _pause(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, self._clock() + seconds)

    def _obey(self, status: RateLimitStatus) -> None:
        for remaining, reset_s in (
            (status.requests_remaining, status.requests_reset_s),
            (status.tokens_remaining, status.tokens_reset_s),
            (status.input_tokens_remaining, status.input_tokens_reset_s),
            (status.output_tokens_remaining, status.output_tokens_reset_s),
        ):
            if remaining == 0 and reset_s:
                self._pause(reset_s)


def _bucket(per_minute: float | None) -> Bucket | None:
    return Bucket(per_minute) if per_minute else None
