"""Calls that wait until there are enough of them for a batch, or until no more come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from synthtutor.errors import ProviderError
from synthtutor.messages import Request, Response
from synthtutor.provider import BatchLimits

__all__ = ["BatchPlan", "Gathered", "Waiting"]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How calls gather. A batch goes off with ``size`` calls, or when none came for ``wait_s`` seconds.

    It is asked after every ``poll_s`` seconds, more often at first.
    """

    size: int = 10_000
    wait_s: float = 5.0
    poll_s: float = 30.0


@dataclass(slots=True, eq=False)
class Waiting:
    """One call that waits. It comes to a response, or to the error that ends this attempt."""

    request: Request
    size: int
    outcome: asyncio.Future[Response | ProviderError]

    def resolve(self, outcome: Response | ProviderError) -> None:
        """End the wait with the outcome, unless it has ended."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        """End the wait with an error that ends the run's call too, unless it has ended."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


class Gathered:
    """The calls that are in no batch yet."""

    def __init__(self, plan: BatchPlan, limits: Callable[[], BatchLimits]) -> None:
        self._plan = plan
        self._limits = limits
        self._waiting: list[Waiting] = []
        self._arrived = asyncio.Event()

    def add(self, waiting: Waiting) -> None:
        """One more."""
        self._waiting.append(waiting)
        self._arrived.set()

    async def next(self) -> list[Waiting]:
        """Those for the next batch, when it is time for it; none where all were given up meanwhile."""
        await self._arrived.wait()
        await self._quiet()
        return self._taken()

    async def _quiet(self) -> None:
        """Wait until a batch is full, or no call has come for a while, or some have waited long."""
        size = min(self._plan.size, self._limits().requests)
        loop = asyncio.get_running_loop()
        latest = loop.time() + 12 * self._plan.wait_s
        while len(self._waiting) < size:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(min(latest, loop.time() + self._plan.wait_s)):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _taken(self) -> list[Waiting]:
        """As many of the gathered as one batch may hold; the others stay."""
        limits = self._limits()
        room, most = limits.megabytes * 1e6 * 0.8, min(self._plan.size, limits.requests)
        here = [waiting for waiting in self._waiting if not waiting.outcome.done()]
        taken: list[Waiting] = []
        for waiting in here:
            if len(taken) == most or (taken and waiting.size > room):
                break
            taken.append(waiting)
            room -= waiting.size
        self._waiting = here[len(taken) :]
        (self._arrived.set if self._waiting else self._arrived.clear)()
        return taken
