"""What a run has used so far, and the budget it may not pass.

Money is reserved when a call is dispatched (its counted input and all the output it is allowed)
and settled when its reply lands. A call that does not fit waits while other calls are in flight,
since they mostly come back cheaper than reserved; when nothing is in flight, nothing will, and
the run is over its budget.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from synthtutor.errors import BudgetExceeded
from synthtutor.messages import Request, Response, Usage
from synthtutor.prices import Price
from synthtutor.provider import Capabilities, Provider

__all__ = ["Meter", "Metered"]


@dataclass(slots=True)
class Meter:
    """Calls, tokens and US dollars of a run, earlier sessions included.

    ``spent_usd`` covers the calls whose price is known; ``unpriced_calls`` counts the others.
    """

    budget_usd: float | None = None
    max_tokens_total: int | None = None
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    spent_usd: float = 0.0
    unpriced_calls: int = 0
    reserved_usd: float = 0.0
    reserved_tokens: int = 0
    in_flight: int = 0
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def bounded(self) -> bool:
        """Whether there is a budget to keep."""
        return self.budget_usd is not None or self.max_tokens_total is not None

    async def reserve(
        self, request: Request, price: Price, *, batched: bool = False
    ) -> tuple[float, int]:
        """Set aside what the call could cost at most: (dollars, tokens).

        Raises BudgetExceeded when it does not fit and no call in flight can make room.
        """
        if not self.bounded:
            return 0.0, 0
        worst = Usage(request.estimated_input_tokens(), request.settings.max_tokens)
        dollars = price.cost(worst, batched=batched) or 0.0
        while not self._fits(dollars, worst.total_tokens):
            if self.reserved_tokens == 0:
                raise BudgetExceeded(self._refusal(dollars, worst.total_tokens))
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        self.reserved_usd += dollars
        self.reserved_tokens += worst.total_tokens
        return dollars, worst.total_tokens

    def release(self, reserved: tuple[float, int]) -> None:
        """Give a reservation back and let waiting calls look again."""
        self.reserved_tokens -= reserved[1]
        self.reserved_usd = self.reserved_usd - reserved[0] if self.reserved_tokens else 0.0
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Book a reply."""
        self.calls += 1
        self.usage += usage
        if cost_usd is None:
            self.unpriced_calls += 1
        else:
            self.spent_usd += cost_usd

    def _fits(self, dollars: float, tokens: int) -> bool:
        if (
            self.budget_usd is not None
            and self.spent_usd + self.reserved_usd + dollars > self.budget_usd
        ):
            return False
        used = self.usage.total_tokens + self.reserved_tokens + tokens
        return self.max_tokens_total is None or used <= self.max_tokens_total

    def _refusal(self, dollars: float, tokens: int) -> str:
        if self.budget_usd is not None and self.spent_usd + dollars > self.budget_usd:
            return (
                f"budget of ${self.budget_usd:.2f}: ${self.spent_usd:.4f} are spent "
                f"and the next call could cost ${dollars:.4f}"
            )
        return (
            f"limit of {self.max_tokens_total:,} tokens: {self.usage.total_tokens:,} are used "
            f"and the next call could use {tokens:,}"
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
        reserved = await self._meter.reserve(request, self._price, batched=self._batched)
        self._meter.in_flight += 1
        try:
            response = await self._provider.complete(request)
            self._meter.add(
                response.usage, self._price.cost(response.usage, batched=response.batched)
            )
        finally:
            self._meter.in_flight -= 1
            if self._meter.bounded:
                self._meter.release(reserved)
        return response

    def capabilities(self, model: str) -> Capabilities:
        """The provider's."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()
