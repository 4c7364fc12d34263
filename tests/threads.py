"""A fake server in a thread of the test's process, for clients that run in another or block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from synthtutor.testing.serving import FakeServer

__all__ = ["serving"]

Server = TypeVar("Server", bound=FakeServer)

_PATIENCE_S = 60.0


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server, at work for the length of a ``with``."""
    ready, done = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(_PATIENCE_S)
        yield server
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
