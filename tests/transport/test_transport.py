"""The client that SDKs are given: over pyreqwest and over httpx2 alone, it must be the same to them."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from synthtutor.provider import Endpoint
from synthtutor.testing.replies import Reply, http_answer
from synthtutor.testing.server import OpenAIServer
from synthtutor.transport import http_client
from tests.wires import BODY, CHUNKED, Wire, ask, connection_to


async def fetch(client: httpx2.AsyncClient, answer: bytes, **options: Any) -> httpx2.Response:
    async with Wire({"/x": answer}) as server:
        return await client.request("POST", f"{server.root_url}/x", **options)


# What comes back


async def test_a_reply_comes_whole(client: httpx2.AsyncClient) -> None:
    response = await ask(client, Reply("Five sixths – ⅚.", headers={"X-Request-Id": "req_1"}))
    assert response.json()["choices"][0]["message"]["content"] == "Five sixths – ⅚."
    assert response.headers["x-request-id"] == "req_1"
    assert (response.reason_phrase, response.http_version) == ("OK", "HTTP/1.1")
    assert response.elapsed.total_seconds() > 0


@pytest.mark.parametrize("status", [201, 400, 429, 503, 529])
async def test_an_error_status_is_a_response_with_its_body(
    client: httpx2.AsyncClient, status: int
) -> None:
    response = await ask(client, Reply.failure(status, "no", headers={"retry-after": "7"}))
    assert (response.status_code, response.headers["retry-after"]) == (status, "7")
    assert response.json()["error"]["message"] == "no"


async def test_big_bodies_go_and_come(client: httpx2.AsyncClient) -> None:
    sent, answered = b"s" * 3_000_000, b"a" * 5_000_000
    async with Wire({"/x": http_answer(200, answered)}) as server:
        response = await client.post(f"{server.root_url}/x", content=sent)
    assert response.content == answered
    assert server.got[0][2] == sent


async def test_a_chunked_body_is_put_together(client: httpx2.AsyncClient) -> None:
    response = await fetch(client, CHUNKED + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert response.content == b"abcdefg"


@pytest.mark.parametrize("stream", [True, False], ids=["in pieces", "whole"])
async def test_a_packed_body_is_unpacked_once(client: httpx2.AsyncClient, stream: bool) -> None:
    twice = gzip.compress(gzip.compress(b"text " * 1000))
    async with Wire({"/x": http_answer(200, twice, {"content-encoding": "gzip"})}) as server:
        request = client.build_request("GET", f"{server.root_url}/x")
        response = await client.send(request, stream=stream)
        content = await response.aread()
    assert gzip.decompress(content) == b"text " * 1000
    assert "gzip" in server.got[0][1].headers["accept-encoding"]


async def test_a_header_sent_twice_comes_twice(client: httpx2.AsyncClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Two: a\r\nx-two: b\r\ncontent-length: 0\r\n\r\n"
    response = await fetch(client, answer)
    assert response.headers.get_list("x-two") == ["a", "b"]


async def test_a_header_beyond_ascii_does_not_spoil_the_reply(client: httpx2.AsyncClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\nx-name: caf\xe9\r\nx-plain: yes\r\ncontent-length: 2\r\n\r\n{}"
    response = await fetch(client, answer)
    assert (response.content, response.headers["x-plain"]) == (b"{}", "yes")


async def test_a_reply_without_a_body_is_one(client: httpx2.AsyncClient) -> None:
    response = await fetch(client, b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (response.status_code, response.content) == (204, b"")


# What is sent


async def test_method_path_query_headers_and_body_arrive(client: httpx2.AsyncClient) -> None:
    async with Wire({"/a%20b?q=%C3%A9&q=2": http_answer(200, b"")}) as server:
        url = f"{server.root_url}/a b"
        headers = [("X-Two", "1"), ("X-Two", "2"), ("Authorization", "Bearer k")]
        await client.request("PUT", url, params={"q": ["é", "2"]}, headers=headers, content=b"hi")
    ((method, asked, content),) = server.got
    assert (method, asked.path, content) == ("PUT", "/a%20b?q=%C3%A9&q=2", b"hi")
    assert asked.headers["authorization"] == "Bearer k"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["user-agent"].startswith("python-httpx2")
    assert asked.headers["content-length"] == "2"


async def test_a_header_value_beyond_ascii_arrives_in_utf_8(client: httpx2.AsyncClient) -> None:
    async with Wire({"/x": http_answer(200, b"")}) as server:
        await client.get(f"{server.root_url}/x", headers={b"X-Name": "é".encode()})
    assert server.got[0][1].headers["x-name"].encode("latin-1") == "é".encode()


async def test_a_body_made_on_the_way_is_sent_in_chunks(client: httpx2.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"defg"

    received = b""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received = await reader.readuntil(b"0\r\n\r\n")
        writer.write(http_answer(200, b""))

    async with connection_to(handler) as url:
        await client.post(url, content=pieces())
    assert b"".join(received.split(b"\r\n")[1::2]) == b"abcdefg"


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirects_are_followed_as_httpx2_follows_them(
    client: httpx2.AsyncClient, status: int
) -> None:
    moved = http_answer(status, b"", {"location": "/there"})
    async with Wire({"/here": moved, "/there": http_answer(200, b"found")}) as server:
        response = await client.post(f"{server.root_url}/here", content=b"hi")
    assert (response.content, len(response.history)) == (b"found", 1)
    assert [method for method, _, _ in server.got] == ["POST", "GET" if status == 301 else "POST"]
    assert server.got[1][2] == (b"" if status == 301 else b"hi")


async def test_cookies_are_kept_and_sent_again(client: httpx2.AsyncClient) -> None:
    answers = {"/x": http_answer(200, b"", {"set-cookie": "place=here; Path=/"})}
    async with Wire(answers) as server:
        for _ in range(2):
            await client.get(f"{server.root_url}/x")
    assert [asked.headers.get("cookie") for _, asked, _ in server.got] == [None, "place=here"]


async def test_a_password_in_the_address_is_sent(client: httpx2.AsyncClient) -> None:
    async with Wire({"/x": http_answer(200, b"")}) as server:
        await client.get(f"http://name:word@127.0.0.1:{server.port}/x")
    assert server.got[0][1].headers["authorization"].startswith("Basic ")


async def test_a_closed_client_sends_nothing(client: httpx2.AsyncClient) -> None:
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("http://127.0.0.1/")


async def test_a_redirect_is_left_alone_where_the_caller_says_so(
    client: httpx2.AsyncClient,
) -> None:
    response = await fetch(
        client, http_answer(307, b"", {"location": "/y"}), follow_redirects=False
    )
    assert response.status_code == 307


async def test_the_environment_names_a_proxy(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    via, direct = "http://elsewhere.invalid/x", "/direct"
    async with Wire({via: http_answer(200, b"via"), direct: http_answer(200, b"direct")}) as server:
        monkeypatch.setenv("HTTP_PROXY", server.root_url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with http_client(Endpoint(), fast=fast) as client:
            assert (await client.get(via)).content == b"via"
            assert (await client.get(server.root_url + direct)).content == b"direct"


# Connections


async def test_all_calls_in_flight_have_a_connection(fast: bool) -> None:
    async with OpenAIServer() as server, http_client(Endpoint(max_in_flight=50), fast=fast) as c:
        server.together = 50
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(c.post(f"{server.base_url}/chat/completions", json=BODY))
    assert server.max_in_flight == 50


async def test_a_connection_serves_one_call_after_another(client: httpx2.AsyncClient) -> None:
    async with OpenAIServer() as server:
        for _ in range(3):
            await client.post(f"{server.base_url}/chat/completions", json=BODY)
        assert server.connections == 1
    assert server.calls == 3


async def test_the_call_after_a_broken_one_succeeds(client: httpx2.AsyncClient) -> None:
    replies = iter([Reply("Here.", drop=True), Reply("Here.")])
    async with OpenAIServer(lambda _: next(replies)) as server:
        url = f"{server.base_url}/chat/completions"
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post(url, json=BODY)
        assert (await client.post(url, json=BODY)).status_code == 200


# Which of the two


def test_pyreqwest_is_taken_where_it_is_installed() -> None:
    assert type(http_client(Endpoint())) is not httpx2.AsyncClient
    assert type(http_client(Endpoint(), fast=False)) is httpx2.AsyncClient


def test_without_pyreqwest_httpx2_does_it_all() -> None:
    code = (
        "import sys; sys.modules['pyreqwest'] = None\n"
        "import httpx2; from synthtutor.provider import Endpoint\n"
        "from synthtutor.transport import http_client\n"
        "print(type(http_client(Endpoint())) is httpx2.AsyncClient)\n"
        "try: http_client(Endpoint(), fast=True)\n"
        "except ImportError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "refused"]


def test_to_import_the_module_loads_no_http_library() -> None:
    code = "import sys, synthtutor.transport; print({'httpx2', 'pyreqwest'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
