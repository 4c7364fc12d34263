"""What goes wrong on a connection, and an SDK on top: the same over pyreqwest and over httpx2 alone."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from synthtutor.provider import Endpoint
from synthtutor.testing.replies import Reply, http_answer
from synthtutor.testing.server import OpenAIServer
from synthtutor.transport import http_client
from tests.wires import BODY, CHUNKED, SOON, Wire, ask, connection_to

pytestmark = pytest.mark.slow


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("Here.", drop=True), httpx2.RemoteProtocolError),
        (Reply("Here.", reset=True), (httpx2.RemoteProtocolError, httpx2.ReadError)),
        (Reply("Here.", hang=True), httpx2.ReadTimeout),
        (Reply("Here.", headers={"content-encoding": "gzip"}), httpx2.DecodingError),
    ],
    ids=["drop", "reset", "hang", "not gzip"],
)
async def test_a_broken_reply_raises_httpx2s_own_error(
    client: httpx2.AsyncClient, reply: Reply, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await ask(client, reply, timeout=SOON if reply.hang else 60)
    assert caught.value.request.method == "POST"  # type: ignore[attr-defined]  # RequestError's


@pytest.mark.parametrize(
    "answer",
    [
        b"What is this?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
        b"",
        CHUNKED + b"3\r\nabc\r\n",
    ],
    ids=["no HTTP", "no length", "nothing", "cut between chunks"],
)
async def test_what_is_no_reply_raises_a_protocol_error(
    client: httpx2.AsyncClient, answer: bytes
) -> None:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    async with connection_to(handler) as url:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(url)


async def test_a_refused_connection_raises_connect_error(client: httpx2.AsyncClient) -> None:
    async with OpenAIServer() as server:
        url = server.root_url
    with pytest.raises(httpx2.ConnectError):
        await client.get(url)


async def test_a_host_without_an_address_raises_connect_error(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.ConnectError):
        await client.get("http://nowhere.invalid/")


async def test_a_server_that_never_shakes_hands_is_a_connect_timeout(
    client: httpx2.AsyncClient,
) -> None:
    timeout = httpx2.Timeout(60, connect=0.2)
    async with OpenAIServer() as server:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.get(f"https://127.0.0.1:{server.port}/", timeout=timeout)


async def test_another_scheme_is_not_spoken(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")


async def test_a_slow_body_is_no_timeout_as_long_as_it_moves(client: httpx2.AsyncClient) -> None:
    response = await ask(
        client, Reply("word " * 400, drip_s=1.5), timeout=httpx2.Timeout(60, read=1.2)
    )
    assert response.json()["choices"][0]["message"]["content"] == "word " * 400


async def test_a_body_that_stops_moving_is_a_read_timeout(client: httpx2.AsyncClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"3\r\nabc\r\n")
        await reader.read()

    async with connection_to(handler) as url:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(url, timeout=SOON)
        with pytest.raises(httpx2.ReadTimeout):
            async with client.stream("GET", url, timeout=SOON) as response:
                await response.aread()


async def test_a_cancelled_call_ends_at_once_and_the_next_is_served(fast: bool) -> None:
    arrived = asyncio.Event()

    def first_hangs(_: dict[str, Any]) -> Reply:
        first = not arrived.is_set()
        arrived.set()
        return Reply("Here.", hang=first)

    async with (
        OpenAIServer(first_hangs) as server,
        http_client(Endpoint(max_in_flight=1), fast=fast) as client,
        asyncio.timeout(60),
    ):
        url = f"{server.base_url}/chat/completions"
        async with asyncio.TaskGroup() as group:
            call = group.create_task(client.post(url, json=BODY))
            await arrived.wait()
            call.cancel()
        assert call.cancelled()
        assert (await client.post(url, json=BODY)).status_code == 200


# Under the SDK


def sdk(server: OpenAIServer, client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="test", base_url=server.base_url, max_retries=0, http_client=client
    )


async def test_the_sdk_uploads_a_file_in_a_form(client: httpx2.AsyncClient) -> None:
    uploaded = {"id": "file-1", "object": "file", "purpose": "batch", "bytes": 3, "created_at": 0}
    lines = b'{"custom_id": "1"}\n' * 50_000
    async with Wire({"/v1/files": http_answer(200, _json(uploaded))}) as server:
        file = await sdk(server, client).files.create(
            file=("tasks ü.jsonl", lines, "application/jsonl"), purpose="batch"
        )
    assert file.id == "file-1"
    ((_, asked, content),) = server.got
    assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert lines in content
    assert "tasks ü.jsonl".encode() in content or b"tasks%20" in content


async def test_the_sdk_reads_a_files_lines_as_a_stream(client: httpx2.AsyncClient) -> None:
    lines = [f'{{"custom_id": "{number}"}}' for number in range(20_000)]
    answer = http_answer(200, "\n".join(lines).encode())
    async with Wire({"/v1/files/f/content": answer}) as server:
        files = sdk(server, client).files.with_streaming_response
        async with files.content("f") as response:
            assert [line async for line in response.iter_lines()] == lines


async def test_a_streamed_event_is_handed_on_before_the_next_is_sent(
    client: httpx2.AsyncClient,
) -> None:
    seen = asyncio.Event()

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for text in ("One", "Two"):
            event = _event(text)
            writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            await writer.drain()
            await seen.wait()
        writer.write(b"0\r\n\r\n")

    said = []
    async with connection_to(handler) as url, asyncio.timeout(30):
        chat = openai.AsyncOpenAI(api_key="test", base_url=url, http_client=client).chat
        stream = await chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Count."}], stream=True
        )
        async for chunk in stream:
            said.append(chunk.choices[0].delta.content)
            seen.set()
    assert said == ["One", "Two"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("Here.", hang=True), openai.APITimeoutError),
        (Reply("Here.", drop=True), openai.APIConnectionError),
        (Reply.failure(429, "slow down"), openai.RateLimitError),
        (Reply.failure(500, "oops"), openai.InternalServerError),
    ],
    ids=["hang", "drop", "429", "500"],
)
async def test_the_sdk_wraps_what_goes_wrong_in_its_own_errors(
    client: httpx2.AsyncClient, reply: Reply, error: type[openai.APIError]
) -> None:
    async with OpenAIServer(lambda _: reply) as server:
        asking = sdk(server, client).chat.completions
        with pytest.raises(error) as caught:
            await asking.create(
                model="m",
                messages=[{"role": "user", "content": "?"}],
                timeout=SOON if reply.hang else 60,
            )
    assert type(caught.value) is error


def _json(value: object) -> bytes:
    return httpx2.Request("POST", "http://h", json=value).content


def _event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return b"data: " + _json({**chunk, "choices": [choice]}) + b"\n\n"
