"""What the core's tests share: scripted roles, and a loop whose clock is not the wall's."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from synthtutor.journal import Journal
from synthtutor.messages import Request, Response, Usage
from synthtutor.prices import FREE, Price
from synthtutor.prompts import Prompts
from synthtutor.provider import Provider
from synthtutor.session import Role, RunContext
from synthtutor.stopping import Gate, Stop
from synthtutor.testing import ScriptedProvider

T = TypeVar("T")

PRICED = Price("given", per_million=(1.0, 2.0))


class Answer(BaseModel):
    """The smallest structured reply."""

    words: str
    number: int


def echo(request: Request) -> str:
    """An answer that depends on nothing but the last message."""
    return f"echo of {request.messages[-1].content}"


def reply(text: str, *, out: int = 10, **more: Any) -> Response:
    """A reply of 100 tokens in and ``out`` tokens out."""
    return Response(text, usage=Usage(100, out), model="m", **more)


def in_turn(
    *answers: str | Response | Exception,
) -> Callable[[Request], str | Response | Exception]:
    """A script that gives one answer after the other, and fails where they run out."""
    left = iter(answers)
    return lambda _request: next(left)


def roles(provider: Provider, *names: str, price: Price = FREE, **more: Any) -> dict[str, Role]:
    """Roles that one provider plays under the model ``scripted/m``."""
    capabilities = provider.capabilities("m")
    return {
        name: Role("scripted/m", provider, capabilities, price, **more)
        for name in names or ("writer", "judge")
    }


def context(
    journal: Journal,
    provider: ScriptedProvider,
    *,
    stop: Stop | None = None,
    price: Price = FREE,
    overrides: Mapping[str, Any] | None = None,
    **more: Any,
) -> RunContext:
    """A run's context around a scripted provider, gated by ``stop`` where one is given."""
    asked: Provider = provider if stop is None else Gate(provider, stop)
    if stop is not None:
        more["admit"] = stop.admit
    players = roles(asked, price=price, overrides=overrides or {})
    return RunContext(journal, players, Prompts(), **more)


class _Selector(selectors.DefaultSelector):
    """Where the loop would sleep until a timer, the clock jumps there instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0 if timeout is not None else None)
        if not events and timeout is not None:
            self.now += max(timeout, 1e-6)  # a little always: a clock that stands still is no clock
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which an hour of waiting takes no time."""

    def __init__(self) -> None:
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def loop_time() -> float:
    """The running loop's clock, for what takes a clock."""
    return asyncio.get_running_loop().time()


class Every:
    """All samples, wherever a set of them is asked for."""

    def __contains__(self, _: object) -> bool:
        return True
