"""What the transport's tests talk to: servers that send any bytes, on real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from synthtutor.testing.replies import Reply
from synthtutor.testing.server import OpenAIServer
from synthtutor.testing.serving import Asked

BODY = {"model": "m", "messages": [{"role": "user", "content": "What is 1/2 + 1/3?"}]}
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SOON = httpx2.Timeout(60, read=0.3)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Wire(OpenAIServer):
    """Sends ready-made bytes by path, and keeps what came: (method, request, raw body)."""

    def __init__(self, answers: dict[str, bytes] | None = None) -> None:
        super().__init__()
        self.answers = answers or {}
        self.got: list[tuple[str, Asked, bytes]] = []

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        self.got.append((method, asked, content))
        return self.answers.get(asked.path)


async def ask(client: httpx2.AsyncClient, reply: Reply, **options: Any) -> httpx2.Response:
    async with OpenAIServer(lambda _: reply) as server:
        return await client.post(f"{server.base_url}/chat/completions", json=BODY, **options)


@asynccontextmanager
async def connection_to(handler: Handler) -> AsyncIterator[str]:
    """A server that hands each connection to the test; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
