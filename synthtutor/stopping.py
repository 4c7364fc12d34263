"""How a run is stopped: nothing more is admitted, and what is paid for lands.

`Stop` is the brake, `Gate` the place where it acts: just before a call is sent. Both know each sample
under way, and how many of its calls are at a provider right now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from synthtutor.errors import SynthtutorError
from synthtutor.messages import Request, Response
from synthtutor.provider import Capabilities, Provider

__all__ = ["Flight", "Gate", "Stop", "calls_landed"]


@dataclass(slots=True, eq=False)
class Flight:
    """One sample under way: its task, and how many of its calls are at a provider right now."""

    task: asyncio.Task[None]
    calls: int = 0
    landed: int = 0
    turned_away: bool = False
    landing: set[asyncio.Future[Response]] = field(default_factory=set)

    def drop(self) -> None:
        """End it, and its children's calls under way too."""
        self.task.cancel()
        for call in self.landing:
            call.cancel()


_GRACE_S = 1.0
_flight: ContextVar[Flight] = ContextVar("flight")


def calls_landed() -> int:
    """How many calls of the sample at hand have landed: its claim to go first.

    A sample nearest its end goes before a new one, so that a run that stops early, out of money
    or of patience, has finished as many as it could.
    """
    flight = _flight.get(None)
    return flight.landed if flight is not None else 0


class Stop:
    """The run's brake. ``reason`` is None while it runs."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.error: SynthtutorError | None = None
        self._flights: set[Flight] = set()

    def request(self, reason: str, error: SynthtutorError | None = None) -> None:
        """Admit nothing more and let paid calls land. The first reason given is the one kept."""
        if self.reason is not None:
            return
        self.reason, self.error = reason, error
        for flight in [flight for flight in self._flights if flight.calls == 0]:
            flight.task.cancel()

    def end_soon(self, flight: Flight) -> None:
        """Let a sample whose last paid call has landed be finished and recorded, if it was the last.

        If it was not, the sample's next call ends it; if it waits for a limit or a retry instead,
        this does.
        """

        def end() -> None:
            if flight in self._flights and flight.calls == 0:
                flight.task.cancel()

        asyncio.get_running_loop().call_later(_GRACE_S, end)

    def now(self) -> None:
        """Drop the calls under way too; what was answered is already on its way to the journal."""
        self.request("interrupted")
        for flight in list(self._flights):
            flight.drop()

    def admit(self, _sample: bytes = b"") -> None:
        """Raise CancelledError where no new call may be made."""
        if self.reason is not None:
            flight = _flight.get(None)
            if flight is not None:
                flight.turned_away = True
            raise asyncio.CancelledError(self.reason)

    @contextmanager
    def flying(self, task: asyncio.Task[None]) -> Iterator[Flight]:
        """Know of a sample for as long as it is under way."""
        flight = Flight(task)
        token = _flight.set(flight)
        self._flights.add(flight)
        try:
            yield flight
        finally:
            self._flights.discard(flight)
            _flight.reset(token)


class Gate:
    """The innermost wrapper: the last look before a call is sent, and the count of those that are."""

    def __init__(self, provider: Provider, stop: Stop) -> None:
        self._provider = provider
        self._stop = stop

    async def complete(self, request: Request) -> Response:
        """The provider's reply; a stopped run sends nothing more."""
        self._stop.admit()
        flight = _flight.get(None)
        if flight is None:
            return await self._provider.complete(request)
        flight.calls += 1
        try:
            if asyncio.current_task() is flight.task:
                response = await self._provider.complete(request)
            else:
                response = await self._landed(request, flight)
            flight.landed += 1
            return response  # the count below belongs to both ways out
        finally:
            flight.calls -= 1
            if self._stop.reason is not None and flight.calls == 0:
                self._stop.end_soon(flight)

    async def _landed(self, request: Request, flight: Flight) -> Response:
        """The reply to a sample's child, also where a sibling's failure cancels that child meanwhile.

        It is paid then as well: it goes on to the journal, where the cancellation takes effect.
        """
        child = asyncio.current_task()
        assert child is not None  # noqa: S101  # a coroutine runs in a task
        # Not in the recipe's group, which cancels it; it is over on every way out of here.
        call = asyncio.ensure_future(self._provider.complete(request))  # noqa: TID251
        flight.landing.add(call)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await _over(call)
            child.uncancel()  # one cancellation stays one, wherever it is counted
            child.cancel()
            return call.result()
        finally:
            flight.landing.discard(call)

    def capabilities(self, model: str) -> Capabilities:
        """The provider's."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()


async def _over(call: asyncio.Future[Response]) -> None:
    """Wait until it is; to be cancelled meanwhile ends it at once."""
    try:
        await asyncio.wait([call])
    except asyncio.CancelledError:
        call.cancel()
        await asyncio.wait([call])
