"""A real HTTP server on the loopback interface, whatever wire it speaks: `FakeServer`.

A mock inside the client proves that the mock agrees with itself; this proves that bytes on a
socket are understood. A *behaviour* turns each chat request into a `Reply`, and a reply can also
be what goes wrong in life: an error status, a late answer, none at all, a broken body. What is a
vendor's own (addresses, bodies, error forms) is in the four methods that a subclass overrides.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self, cast

import orjson

from synthtutor.testing.replies import Behaviour, Reply, http_answer, plausible_reply

__all__ = ["Asked", "FakeServer", "RowCount"]

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_DRIPS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived; header names are lower-case, ``path`` has its query."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]
    path: str = ""


@dataclass(slots=True)
class RowCount:
    """Calls of one row. ``last_answered_s`` is on the machine's monotonic clock."""

    started: int = 0
    answered: int = 0
    last_answered_s: float | None = None


class FakeServer:
    """The server, for as long as its ``async with`` lasts.

    ``calls`` counts chat requests; ``asked`` keeps them, unless ``keep`` is False. ``rows``
    counts by the first group of ``row_pattern`` where it is found in a message (``""`` elsewhere).
    Answers are held back until ``together`` requests have arrived, so that a test can prove that
    they were in flight at once.
    A behaviour that raises answers 500 and raises again when the ``async with`` ends.
    """

    def __init__(
        self,
        behaviour: Behaviour = plausible_reply,
        *,
        port: int = 0,
        delay_s: float = 0.0,
        keep: bool = True,
        row_pattern: str | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.port = port
        self.calls = 0
        self.asked: list[Asked] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.together = 1
        self.rows: dict[str, RowCount] = {}
        self._delay_s = delay_s
        self._keep = keep
        self._row_pattern = re.compile(row_pattern) if row_pattern else None
        self._connections: set[_Connection] = set()
        self._held: list[Callable[[], None]] = []
        self._failure: Exception | None = None
        self._server: asyncio.Server | None = None

    # The wire: what a subclass overrides.

    def is_chat(self, method: str, path: str) -> bool:
        """Whether this address takes chat requests."""
        raise NotImplementedError

    def chat(self, asked: Asked) -> dict[str, Any] | None:
        """The request in OpenAI's form, which behaviours read; None where it is no chat request."""
        raise NotImplementedError

    def render(self, reply: Reply, asked: Asked) -> bytes:
        """The whole HTTP answer in the vendor's form; ``asked.body`` is empty for a bad request."""
        raise NotImplementedError

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        """The HTTP answer of any other address, None where there is none. ``content`` is the raw body."""
        raise NotImplementedError

    @property
    def root_url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What the vendor's client calls its base URL."""
        return self.root_url

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, loop), "127.0.0.1", self.port, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Close the port and every connection, answered or not."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    def reply(self, chat: dict[str, Any]) -> Reply:
        """What the behaviour says to a request in OpenAI's form."""
        try:
            return self.behaviour(chat)
        except Exception as error:  # whatever the test's own code raises
            self._failure = error
            return Reply.failure(500, f"the behaviour raised {error!r}")

    def _received(self, connection: _Connection, head: bytes, content: bytes) -> None:
        method, path, _ = head.decode("latin-1").split(" ", 2)
        if self.is_chat(method, path):
            self._chat(connection, Asked(_headers(head), _json(content), path))
        elif path == "/_calls":
            counts = {row: asdict(count) for row, count in self.rows.items()}
            connection.write(http_answer(200, orjson.dumps(counts)))
        else:
            asked = Asked(_headers(head), _json(content), path)
            answer = self.other(method, asked, content)
            if answer is None:
                answer = self.render(Reply.failure(404, f"unknown address: {method} {path}"), asked)
            connection.write(answer)

    def _chat(self, connection: _Connection, asked: Asked) -> None:
        chat = self.chat(asked)
        if chat is None:
            connection.write(self.render(Reply.failure(400, "not a chat request"), asked))
            return
        row = self.row(chat)
        reply = self.reply(chat)
        wire = self.render(reply, asked)
        self.calls += 1
        if self._keep:
            self.asked.append(asked)
        row.started += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        connection.busy = True
        delay_s = reply.delay_s or self._delay_s
        self._held.append(partial(connection.answer, reply, wire, row, delay_s))
        if len(self._held) >= self.together:
            held, self._held = self._held, []
            for answer in held:
                answer()

    def row(self, chat: Mapping[str, Any]) -> RowCount:
        """The count that a request in OpenAI's form belongs to."""
        key = ""
        if self._row_pattern is not None:
            texts = (str(message["content"]) for message in chat["messages"])
            found = filter(None, map(self._row_pattern.search, texts))
            key = next((match.group(1) for match in found), "")
        return self.rows.setdefault(key, RowCount())


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time, further bytes wait in the buffer."""

    def __init__(self, server: FakeServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._server._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's name
        self._server._connections.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self.busy:
            self.busy = False
            self._server.in_flight -= 1

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take()

    def _take(self) -> None:
        """Take the next whole request out of the buffer, when none is being answered."""
        end = -1 if self.busy else self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        length = _LENGTH.search(head)
        stop = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < stop:
            return
        content = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        self._server._received(self, head, content)

    def answer(self, reply: Reply, wire: bytes, row: RowCount, delay_s: float) -> None:
        if reply.hang or not self.busy:
            return
        if delay_s > 0:
            self._timer = self._loop.call_later(delay_s, self._finish, reply, wire, row)
        else:
            self._finish(reply, wire, row)

    def _finish(self, reply: Reply, wire: bytes, row: RowCount) -> None:
        self._timer = None
        self.busy = False
        self._server.in_flight -= 1
        if reply.drop or reply.reset:
            self.write(wire[: len(wire) - 20])
            if self._transport is not None:
                (self._transport.abort if reply.reset else self._transport.close)()
            return
        row.answered += 1
        row.last_answered_s = time.monotonic()
        if reply.drip_s:
            self._drip(wire, -(-len(wire) // _DRIPS), reply.drip_s / _DRIPS)
        else:
            self.write(wire)

    def _drip(self, rest: bytes, size: int, pause_s: float) -> None:
        self._timer = None
        if rest and self._transport is not None:
            self._transport.write(rest[:size])
            self._timer = self._loop.call_later(pause_s, self._drip, rest[size:], size, pause_s)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
            if self._buffer:
                self._take()


def _json(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}
