"""What a run has used so far, and the budget it may not pass.

Money is reserved when a call is dispatched (its counted input and all the output it is allowed)
and settled when its reply lands. A call that does not fit waits while other calls are in flight,
since they mostly come back cheaper than reserved; when nothing is in flight, nothing will, and
the run is over its budget.

What an earlier process has left in batches at a vendor is held from the start: it will be billed,
whoever asks for it. The call that takes its place in the batch takes over what is held for it.

A reservation is an upper bound only where `max_tokens` bounds the reply and the prompt is not
longer than it was counted. Where a bill proves it wrong, all reservations of that model grow.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from synthtutor.errors import BudgetExceeded
from synthtutor.messages import Request, Response, Usage
from synthtutor.prices import Price
from synthtutor.provider import Capabilities, Provider

__all__ = ["Meter", "Metered", "Reservation", "worst_case"]

# Some vendors let a model think beyond max_tokens, by about so much; others count it in.
_THOUGHT_BEYOND = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384}


def worst_case(request: Request) -> tuple[int, int]:
    """(input, output) tokens that the request should take at most."""
    settings = request.settings
    beyond = _THOUGHT_BEYOND.get(settings.reasoning_effort or "", 0)
    return request.estimated_input_tokens(), max(1, settings.max_tokens + beyond)


@dataclass(slots=True, eq=False)
class Reservation:
    """What is set aside for one call: ``usd`` and ``tokens``, from (input, output) at most."""

    model: str
    price: Price
    batched: bool
    most: tuple[int, int]
    usd: float = 0.0
    tokens: int = 0
    _at: tuple[float, float] | None = None

    def weigh(self, factors: tuple[float, float]) -> None:
        """Set the amounts for counts that are off by these factors (input, output)."""
        if factors == self._at:
            return
        self._at = factors
        into, out = (math.ceil(n * factor) for n, factor in zip(self.most, factors, strict=True))
        dearest = (Usage(into, out), Usage(into, out, cache_write_tokens=into))
        self.usd = max(self.price.cost(usage, batched=self.batched) or 0.0 for usage in dearest)
        self.tokens = into + out


@dataclass(slots=True)
class Meter:
    """Calls, tokens and US dollars of a run, earlier sessions included.

    ``spent_usd`` covers the calls whose price is known; ``unpriced_calls`` counts the others.
    ``held_usd`` is for calls that earlier processes left in batches and no one has asked for yet;
    while some are held and nothing else is in flight, a call that does not fit is refused only
    after ``patience_s`` seconds.
    """

    budget_usd: float | None = None
    max_tokens_total: int | None = None
    patience_s: float = 5.0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    spent_usd: float = 0.0
    unpriced_calls: int = 0
    reserved_usd: float = 0.0
    reserved_tokens: int = 0
    held_usd: float = 0.0
    held_tokens: int = 0
    in_flight: int = 0
    _open: set[Reservation] = field(default_factory=set)
    _held: dict[str, list[Reservation]] = field(default_factory=dict)
    _factors: dict[str, tuple[float, float]] = field(default_factory=dict)
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def bounded(self) -> bool:
        """Whether there is a budget to keep."""
        return self.budget_usd is not None or self.max_tokens_total is not None

    async def reserve(
        self, request: Request, price: Price, *, batched: bool = False
    ) -> Reservation | None:
        """Set aside what the call could cost at most; None where there is no budget to keep.

        Raises BudgetExceeded when it does not fit and no call in flight can make room.
        """
        if not self.bounded:
            return None
        one = self._taken_over(request) if self._held else None
        if one is None:
            one = Reservation(request.model, price, batched, worst_case(request))
            while not self._fits(one):
                await self._room(one)
        self._open.add(one)
        self.reserved_usd += one.usd
        self.reserved_tokens += one.tokens
        return one

    def release(self, reserved: Reservation) -> None:
        """Give a reservation back and let waiting calls look again."""
        self._open.discard(reserved)
        self.reserved_tokens -= reserved.tokens
        self.reserved_usd = self.reserved_usd - reserved.usd if self._open else 0.0
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def hold(self, digest: str, one: Reservation) -> None:
        """Count a call that is in a batch of an earlier process, until it is asked for."""
        one.weigh(self._factor(one.model))
        self._held.setdefault(digest, []).append(one)
        self.held_usd += one.usd
        self.held_tokens += one.tokens

    def learn(self, model: str, most: tuple[int, int], used: Usage) -> None:
        """Grow the model's reservations, those in force too, where a bill was above its own."""
        before = self._factor(model)
        seen = used.input_tokens / most[0], used.output_tokens / most[1]
        if seen[0] <= before[0] and seen[1] <= before[1]:
            return
        # In steps of a twentieth, since all that is in flight is weighed again at each.
        into, out = (max(was, math.ceil(x * 20) / 20) for was, x in zip(before, seen, strict=True))
        self._factors[model] = into, out
        for one in self._open:
            if one.model == model:
                usd, tokens = one.usd, one.tokens
                one.weigh((into, out))
                self.reserved_usd += one.usd - usd
                self.reserved_tokens += one.tokens - tokens

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Book a reply."""
        self.calls += 1
        self.usage += usage
        if cost_usd is None:
            self.unpriced_calls += 1
        else:
            self.spent_usd += cost_usd

    def _factor(self, model: str) -> tuple[float, float]:
        return self._factors.get(model, (1.0, 1.0))

    def _taken_over(self, request: Request) -> Reservation | None:
        """What is held for this very request."""
        found = self._held.get(request.digest().hex())
        if not found:
            return None
        one = found.pop()
        if not found:
            del self._held[request.digest().hex()]
        self.held_usd = self.held_usd - one.usd if self._held else 0.0
        self.held_tokens -= one.tokens
        return one

    async def _room(self, one: Reservation) -> None:
        """Wait until there may be room for it."""
        if not self._open and not self._held:
            raise BudgetExceeded(self._refusal(one))
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(None if self._open else self.patience_s):
                await waiter
        except TimeoutError:
            if not self._open:  # nobody asks for what is held
                raise BudgetExceeded(self._refusal(one)) from None

    def _fits(self, one: Reservation) -> bool:
        one.weigh(self._factor(one.model))
        committed = self.spent_usd + self.reserved_usd + self.held_usd + one.usd
        if self.budget_usd is not None and committed > self.budget_usd:
            return False
        used = self.usage.total_tokens + self.reserved_tokens + self.held_tokens + one.tokens
        return self.max_tokens_total is None or used <= self.max_tokens_total

    def _refusal(self, one: Reservation) -> str:
        left = self.spent_usd + self.held_usd + one.usd
        if self.budget_usd is not None and left > self.budget_usd:
            held = f", batches under way may cost ${self.held_usd:.4f}" if self._held else ""
            return (
                f"budget of ${self.budget_usd:.2f}: ${self.spent_usd:.4f} are spent{held} "
                f"and the next call could cost ${one.usd:.4f}"
            )
        held = f", batches under way may use {self.held_tokens:,}" if self._held else ""
        return (
            f"limit of {self.max_tokens_total:,} tokens: {self.usage.total_tokens:,} are used{held} "
            f"and the next call could use {one.tokens:,}"
        )


class Metered:
    """A provider whose calls are reserved and settled on a meter, at half the price if ``batched``."""

    def __init__(
        self, provider: Provider, meter: Meter, price: Price, *, batched: bool = False
    ) -> None:
        self._provider = provider
        self._meter = meter
        self._price = price
        self._batched = batched

    async def complete(self, request: Request) -> Response:
        """The provider's reply, booked."""
        meter = self._meter
        reserved = await meter.reserve(request, self._price, batched=self._batched)
        meter.in_flight += 1
        try:
            response = await self._provider.complete(request)
            meter.add(response.usage, self._price.cost(response.usage, batched=response.batched))
            if reserved is not None:
                meter.learn(request.model, reserved.most, response.usage)
        finally:
            meter.in_flight -= 1
            if reserved is not None:
                meter.release(reserved)
        return response

    def capabilities(self, model: str) -> Capabilities:
        """The provider's."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()
