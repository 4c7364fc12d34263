"""A real HTTP server on the loopback interface that speaks OpenAI chat completions.

A mock inside the client proves that the mock agrees with itself; this proves that bytes on a
socket are understood. A *behaviour* turns each request body into a `Reply`, and a reply can also
be what goes wrong in life: an error status, a late answer, none at all, a broken body.

    async with OpenAIServer(lambda body: Reply("Which part would you compare first?")) as server:
        provider = OpenAI(Endpoint(base_url=server.base_url, api_key="test"))

As a process of its own (``python -m synthtutor.testing.server --port 0 --delay-s 0.2``) it prints
its port as the first line, for benchmarks and for tests that kill the client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import orjson

from synthtutor.testing.replies import Behaviour, Reply, fixed, http_answer, plausible_reply

__all__ = [
    "Asked",
    "Behaviour",
    "OpenAIServer",
    "Reply",
    "RowCount",
    "fixed",
    "plausible_reply",
    "server_process",
]

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One chat request as it arrived; header names are lower-case."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(slots=True)
class RowCount:
    """Calls of one row. ``last_answered_s`` is on the machine's monotonic clock."""

    started: int = 0
    answered: int = 0
    last_answered_s: float | None = None


class OpenAIServer:
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
        models: Sequence[str] = ("test-model",),
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
        self._models = models
        self._connections: set[_Connection] = set()
        self._held: list[Callable[[], None]] = []
        self._failure: Exception | None = None
        self._server: asyncio.Server | None = None

    @property
    def root_url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls its base URL: the root and ``/v1``."""
        return f"{self.root_url}/v1"

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

    def _received(self, connection: _Connection, head: bytes, content: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if (method, path) == (b"POST", b"/v1/chat/completions"):
            self._chat(connection, head, content)
        elif (method, path) == (b"GET", b"/v1/models"):
            connection.write(http_answer(200, orjson.dumps(_models(self._models))))
        elif (method, path) == (b"GET", b"/_calls"):
            counts = {row: asdict(count) for row, count in self.rows.items()}
            connection.write(http_answer(200, orjson.dumps(counts)))
        else:
            message = f"unknown address: {method.decode()} {path.decode()}"
            connection.write(Reply.failure(404, message).wire({}))

    def _chat(self, connection: _Connection, head: bytes, content: bytes) -> None:
        body = _chat_request(content)
        if body is None:
            connection.write(Reply.failure(400, "not a chat request").wire({}))
            return
        row = self._row(body)
        reply = self._reply(body)
        wire = reply.wire(body)
        self.calls += 1
        if self._keep:
            self.asked.append(Asked(_headers(head), body))
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

    def _reply(self, body: dict[str, Any]) -> Reply:
        try:
            return self.behaviour(body)
        except Exception as error:  # whatever the test's own code raises
            self._failure = error
            return Reply.failure(500, f"the behaviour raised {error!r}")

    def _row(self, body: Mapping[str, Any]) -> RowCount:
        key = ""
        if self._row_pattern is not None:
            texts = (str(message["content"]) for message in body["messages"])
            found = filter(None, map(self._row_pattern.search, texts))
            key = next((match.group(1) for match in found), "")
        return self.rows.setdefault(key, RowCount())


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time, further bytes wait in the buffer."""

    def __init__(self, server: OpenAIServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # narrows asyncio's own type
        self._transport = transport
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
        if reply.drop:
            self.write(wire[: len(wire) - 20])
            if self._transport is not None:
                self._transport.close()
            return
        row.answered += 1
        row.last_answered_s = time.monotonic()
        self.write(wire)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
            if self._buffer:
                self._take()


def _chat_request(content: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(content)
        messages = body["messages"]
        usable = isinstance(body["model"], str) and all(
            "content" in m and "role" in m for m in messages
        )
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return body if usable else None


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}


def _models(names: Sequence[str]) -> dict[str, object]:
    data = [{"id": n, "object": "model", "created": 0, "owned_by": "synthtutor"} for n in names]
    return {"object": "list", "data": data}


@contextlib.contextmanager
def server_process(*arguments: str) -> Iterator[str]:
    """The server as a process of its own, for the length of a ``with``; yields its root URL."""
    command = [sys.executable, "-m", "synthtutor.testing.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None  # noqa: S101  # asked for in the line above
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m synthtutor.testing.server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--delay-s", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--text", help="what every reply says, instead of plausible text")
    parser.add_argument("--fixed", action="store_true", help="make one reply per model and schema")
    parser.add_argument("--row-pattern", help="count calls by this pattern's first group")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> None:
    ready_made = options.fixed or options.text is not None
    server = OpenAIServer(
        fixed(options.text) if ready_made else plausible_reply,
        port=options.port,
        delay_s=options.delay_s,
        keep=False,
        row_pattern=options.row_pattern,
    )
    stopped = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows: the process is simply ended
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_options(None)))
