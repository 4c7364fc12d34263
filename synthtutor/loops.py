"""The event loop that runs of ours go on, uvloop where there is one; and what must not hold a loop up.

With hundreds of calls in flight it takes about a quarter off a call's work. Where it cannot be
imported (Windows, PyPy) asyncio's own does the same. A library user's loop stays the user's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["aside", "run"]

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a new loop, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(work)


async def aside(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done on a thread while the loop goes on.

    A thread cannot be cancelled: whoever is cancelled meanwhile leaves when the work is over.
    """
    call = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([call])
        call.exception()  # looked at, so that it is not told as forgotten
        raise


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
