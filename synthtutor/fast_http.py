"""An httpx2 transport over pyreqwest: reqwest, in Rust, connects, sends, receives and unpacks.

What stays httpx2's: redirects, cookies, authentication, the classes of errors. What is reqwest's:
the pool of connections, TLS, proxies (from the environment), decoding. `synthtutor.transport` is the
way in, and imports this only where both are installed.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from pyreqwest import exceptions
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.request import RequestBuilder, StreamRequest
from pyreqwest.response import Response

__all__ = ["FastClient", "FastTransport"]

# Extensions of a request.
_WHOLE = "synthtutor.whole"  # its response is not read piece by piece
_ANSWERED = "synthtutor.answered"  # the response that it has got already
_IDLE_S = 5.0  # as in httpx2: a connection kept longer may be closed by the server meanwhile
_SCHEME = "URL scheme is not allowed"
_BROKEN_OFF = re.compile(r"reading a body from connection|\(SendRequest\)|unexpected EOF")
_ITS_OWN = frozenset({"connection", "transfer-encoding"})  # reqwest frames bodies itself
_TASKS = Path("/proc/self/task")


class FastClient(httpx2.AsyncClient):
    """An httpx2 client that goes the short way where it can.

    A response that is not streamed comes in one step from the threads that receive it, and past
    httpx2's layers where there is nothing for them to do.
    """

    def __init__(self, transport: FastTransport, *, timeout: httpx2.Timeout) -> None:
        super().__init__(transport=transport, timeout=timeout, follow_redirects=True)
        self._fast = transport

    async def send(
        self, request: httpx2.Request, *, stream: bool = False, **more: Any
    ) -> httpx2.Response:
        """Send a request."""
        if stream:
            return await super().send(request, stream=True, **more)
        request.extensions[_WHOLE] = True
        own = any(value is not httpx2.USE_CLIENT_DEFAULT for value in more.values())
        if own or self.is_closed or not self._is_plain(request):
            return await super().send(request, **more)
        start = time.perf_counter()
        response = await self._fast.handle_async_request(request)
        if response.has_redirect_location:
            request.extensions[_ANSWERED] = response
            return await super().send(request)
        response.request = request
        response.read()
        response.elapsed = timedelta(seconds=time.perf_counter() - start)
        self.cookies.extract_cookies(response)
        return response

    def _is_plain(self, request: httpx2.Request) -> bool:
        """Whether nobody has a say in it but the server."""
        return (
            "timeout" in request.extensions
            and self.auth is None
            and not any(self.event_hooks.values())
        )


class FastTransport(httpx2.AsyncBaseTransport):
    """Sends an httpx2 request through pyreqwest.

    A request's own timeouts are honoured: ``connect``, and ``read`` for each piece of a response;
    the first is waited for from the start of the request. As many connections are opened as there
    are requests at once, so there is no ``pool`` to wait for; ``write`` is not looked at.

    A cancelled call ends at once for its caller, but reqwest does not hang up: the server's answer
    is still received and thrown away, for as long as ``read`` allows.
    """

    def __init__(self, max_idle: int) -> None:
        self._max_idle = max_idle
        # reqwest's timeouts belong to a client. Calls of one endpoint have the same: one client.
        self._clients: dict[tuple[float | None, float | None], Client] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, and receive all of the response unless it is streamed."""
        answered: httpx2.Response | None = request.extensions.pop(_ANSWERED, None)
        if answered is not None:
            return answered
        try:
            builder = self._builder(request)
            if _WHOLE in request.extensions:
                response = await builder.build().send()
                stream: httpx2.AsyncByteStream = _Whole((await response.bytes()).to_bytes())
            else:
                # A limit of 0 hands each piece on as it comes; else the first waits for more.
                opened = builder.streamed_read_buffer_limit(0).build_streamed()
                response = await opened.__aenter__()
                stream = _Pieces(opened, response, request)
        except exceptions.PyreqwestError as error:
            raise translated(error, request) from error
        return httpx2.Response(response.status, headers=_headers(response), stream=stream)

    async def aclose(self) -> None:
        """Close the connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    def _builder(self, request: httpx2.Request) -> RequestBuilder:
        client = self._client(request.extensions.get("timeout") or {})
        headers = [pair for pair in request.headers.multi_items() if pair[0] not in _ITS_OWN]
        builder = client.request(request.method, str(request.url)).headers(headers)
        try:
            content = request.content
        except httpx2.RequestNotRead:
            assert isinstance(request.stream, httpx2.AsyncByteStream)  # noqa: S101  # httpx2 looked
            return builder.body_stream(request.stream)
        return builder.body_bytes(content) if content else builder

    def _client(self, timeout: dict[str, float | None]) -> Client:
        key = (timeout.get("connect"), timeout.get("read"))
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = self._built(*key)
        return client

    def _built(self, connect: float | None, read: float | None) -> Client:
        builder = ClientBuilder().follow_redirects(False).referer(False)
        builder = builder.pool_max_idle_per_host(self._max_idle)
        builder = builder.pool_idle_timeout(timedelta(seconds=_IDLE_S))
        if connect is not None:
            builder = builder.connect_timeout(timedelta(seconds=connect))
        if read is not None:
            builder = builder.read_timeout(timedelta(seconds=read))
        return builder.build()


class _Whole(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """A body that is here already."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class _Pieces(httpx2.AsyncByteStream):
    """A body that comes as it is read."""

    def __init__(self, opened: StreamRequest, response: Response, request: httpx2.Request) -> None:
        self._opened = opened
        self._request = request
        self._reader = response.body_reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self._reader.read_chunk()) is not None:
                yield piece.to_bytes()
        except exceptions.PyreqwestError as error:
            raise translated(error, self._request) from error

    async def aclose(self) -> None:
        await self._opened.__aexit__(None, None, None)


def translated(error: exceptions.PyreqwestError, request: httpx2.Request) -> httpx2.RequestError:
    """The httpx2 error that httpx2's own transport would have raised.

    By the classes where they tell, else by the causes: reqwest calls a reply that never comes a
    connect timeout, and a body that is broken off a decoding error.
    """
    details = getattr(error, "details", None) or {}
    causes = [cause["message"] for cause in details.get("causes") or ()]
    connecting = "client error (Connect)" in causes
    kind: type[httpx2.RequestError]
    if isinstance(error, exceptions.RequestTimeoutError):
        kind = httpx2.ConnectTimeout if connecting else httpx2.ReadTimeout
    elif isinstance(error, exceptions.BuilderError):
        kind = httpx2.UnsupportedProtocol if _SCHEME in causes else httpx2.LocalProtocolError
    elif connecting:
        kind = httpx2.ConnectError
    elif isinstance(error, exceptions.WriteError):
        kind = httpx2.WriteError
    elif any("os error" in cause for cause in causes):
        kind = httpx2.ReadError
    elif isinstance(error, exceptions.DecodeError) and not any(map(_BROKEN_OFF.search, causes)):
        kind = httpx2.DecodingError
    else:
        kind = httpx2.RemoteProtocolError
    return kind(causes[-1] if causes else str(error), request=request)


def _headers(response: Response) -> list[tuple[str, str]]:
    """Names in lower case. A value that is not ASCII, which pyreqwest cannot hand over, is left out."""
    try:
        return list(response.headers.items())
    except ValueError:
        found: list[tuple[str, str]] = []
        for name in dict.fromkeys(response.headers.keys()):
            with contextlib.suppress(ValueError):
                found += [(name, value) for value in response.get_header_all(name)]
        return found


@atexit.register
def _settle() -> None:
    """Give the threads that hand results over the time to finish before the interpreter ends.

    A thread of Rust's that is still on its way out of Python then would abort the whole process
    (https://github.com/PyO3/pyo3/pull/4874), long after its result was taken. While this sleeps the
    interpreter is free for it; on Linux, where the aborts are, one sees when it has nothing to do.
    """
    if not _TASKS.is_dir():
        time.sleep(0.05)
        return
    idle, until = 0, time.monotonic() + 1.0
    while idle < 2 and time.monotonic() < until:
        time.sleep(0.002)
        idle = 0 if _running() else idle + 1


def _running() -> bool:
    """Whether a thread of reqwest's is running, or could be if there was a CPU for it."""
    for stat in _TASKS.glob("*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            name, _, rest = stat.read_text().rpartition(") ")
            if "pyreqwest" in name and rest.startswith("R"):
                return True
    return False
