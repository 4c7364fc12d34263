"""The fake server, seen from the outside: bytes, counts, faults, and as a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from typing import Any, Literal

import httpx2
import pytest
from pydantic import BaseModel, ConfigDict

from synthtutor.messages import Usage
from synthtutor.testing.replies import Reply, fixed, plausible_reply
from synthtutor.testing.server import OpenAIServer, server_process

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute


class Hint(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str
    level: Literal["easy", "hard"]
    steps: list[int]


def body(text: str = "What is 1/2?", model: str = "m", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def hint_form() -> dict[str, Any]:
    form = {"name": "Hint", "strict": True, "schema": Hint.model_json_schema()}
    return {"type": "json_schema", "json_schema": form}


async def post(server: OpenAIServer, **json_body: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(f"{server.base_url}/chat/completions", json=json_body)


def content(response: httpx2.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


async def test_a_reply_fits_the_schema_that_was_asked_for() -> None:
    async with OpenAIServer() as server:
        response = await post(server, **body(response_format=hint_form()))
    Hint.model_validate_json(content(response))


async def test_a_reply_is_a_function_of_the_body_alone() -> None:
    async with OpenAIServer() as one, OpenAIServer() as other:
        first = await post(one, **body("1"))
        assert content(first) != content(await post(one, **body("2")))
        assert first.content == (await post(other, **body("1"))).content


async def test_requests_are_counted_and_kept_as_they_were() -> None:
    async with OpenAIServer() as server:
        await post(server, **body("one"))
        await post(server, **body("two"))
    assert server.calls == 2
    assert [asked.body["messages"][0]["content"] for asked in server.asked] == ["one", "two"]
    assert server.asked[0].headers["content-type"] == "application/json"


async def test_keeping_can_be_switched_off() -> None:
    async with OpenAIServer(keep=False) as server:
        await post(server, **body())
    assert (server.calls, server.asked) == (1, [])


async def test_answers_wait_until_enough_requests_are_in_flight() -> None:
    async with OpenAIServer() as server, asyncio.TaskGroup() as group:
        server.together = 5
        for number in range(5):
            group.create_task(post(server, **body(str(number))))
    assert server.max_in_flight == 5
    assert server.in_flight == 0


async def test_a_client_that_leaves_is_no_longer_in_flight() -> None:
    arrived = asyncio.Event()

    def first_hangs(_: dict[str, Any]) -> Reply:
        first = not arrived.is_set()
        arrived.set()
        return Reply("Here.", hang=first)

    async with OpenAIServer(first_hangs) as server:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(post(server, **body()))
            await arrived.wait()
            call.cancel()
        await post(server, **body())
        assert (server.calls, server.max_in_flight, server.in_flight) == (2, 1, 0)
        assert (server.rows[""].started, server.rows[""].answered) == (2, 1)


async def test_usage_is_counted_unless_given() -> None:
    async with OpenAIServer(lambda _: Reply("x" * 40)) as server:
        counted = (await post(server, **body("y" * 80))).json()["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (21, 11)
    async with OpenAIServer(lambda _: Reply("x", usage=Usage(7, 3, reasoning_tokens=2))) as server:
        given = (await post(server, **body())).json()["usage"]
    assert (given["prompt_tokens"], given["total_tokens"]) == (7, 10)
    assert given["completion_tokens_details"] == {"reasoning_tokens": 2}


async def test_one_reply_object_serves_several_models() -> None:
    reply = Reply("Yes.", usage=Usage(1, 1))
    async with OpenAIServer(lambda _: reply) as server:
        models = [(await post(server, **body(model=name))).json()["model"] for name in "aba"]
    assert models == ["a", "b", "a"]


async def test_a_failure_has_status_headers_and_openais_body() -> None:
    reply = Reply.failure(
        429, "Slow down.", code="rate_limit_exceeded", headers={"Retry-After": "3"}
    )
    async with OpenAIServer(lambda _: reply) as server:
        response = await post(server, **body())
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


async def test_a_drop_ends_the_connection_inside_the_body() -> None:
    async with OpenAIServer(lambda _: Reply("Half.", drop=True)) as server:
        with pytest.raises(httpx2.RemoteProtocolError):
            await post(server, **body())


async def test_a_raw_body_is_sent_as_it_is() -> None:
    async with OpenAIServer(lambda _: Reply(raw=b'{"choi')) as server:
        response = await post(server, **body())
    assert (response.status_code, response.content) == (200, b'{"choi')


async def test_what_is_no_chat_request_is_refused_and_not_counted() -> None:
    async with OpenAIServer() as server, httpx2.AsyncClient(trust_env=False) as client:
        url = f"{server.base_url}/chat/completions"
        assert (await client.post(url, content=b"{")).status_code == 400
        assert (await client.post(url, content=b"[]")).status_code == 400
        assert (await client.post(url, json={"model": "m", "messages": ["x"]})).status_code == 400
        assert (await client.post(f"{server.root_url}/chat/completions")).status_code == 404
        assert server.calls == 0


async def test_models_are_listed() -> None:
    names = ["a", "b"]
    async with OpenAIServer(models=names) as server, httpx2.AsyncClient(trust_env=False) as client:
        listed = (await client.get(f"{server.base_url}/models")).json()
    assert [model["id"] for model in listed["data"]] == names


async def test_a_behaviour_that_raises_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        async with OpenAIServer(lambda _: Reply(str(1 // 0))) as server:
            assert (await post(server, **body())).status_code == 500


async def test_requests_may_come_in_pieces_or_several_at_once() -> None:
    payload = json.dumps(body()).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(payload)}\r\n\r\n"
    request = head.encode() + payload
    async with OpenAIServer(lambda _: Reply("Yes.")) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for start in range(0, len(request), 7):
            writer.write(request[start : start + 7])
            await writer.drain()
        assert b"Yes." in await one_answer(reader)
        writer.write(request + request)
        assert b"Yes." in await one_answer(reader)
        assert b"Yes." in await one_answer(reader)
        writer.close()
        await writer.wait_closed()
    assert server.calls == 3


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length
        return await reader.readexactly(int(length[1]))


async def test_the_port_is_free_again_afterwards() -> None:
    async with OpenAIServer() as first:
        pass
    async with OpenAIServer(port=first.port) as second:
        assert (await post(second, **body())).status_code == 200


def test_a_fixed_reply_is_made_once_for_each_model_and_schema() -> None:
    behaviour = fixed()
    prose = behaviour(body("1"))
    assert behaviour(body("2")) is prose
    shaped = behaviour(body("1", response_format=hint_form()))
    assert shaped is not prose
    assert shaped.text == fixed()(body("other", response_format=hint_form())).text
    assert fixed("Said.")(body()).text == "Said."


def test_a_plausible_reply_needs_no_server() -> None:
    assert plausible_reply(body("1")).text == plausible_reply(body("1")).text


# As a process


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def send(root: str, text: str) -> Any:
    data = json.dumps(body(text)).encode()
    request = urllib.request.Request(f"{root}/v1/chat/completions", data)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_a_process_counts_calls_by_row() -> None:
    with server_process("--row-pattern", r"row (\w+)", "--delay-s", "0.01") as root:
        for text in ("row a, first", "row b", "row a, second", "no row"):
            send(root, text)
        counts = get(f"{root}/_calls")
    assert {row: (count["started"], count["answered"]) for row, count in counts.items()} == {
        "a": (2, 2),
        "b": (1, 1),
        "": (1, 1),
    }
    assert counts["a"]["last_answered_s"] > counts["b"]["last_answered_s"]


def test_a_process_says_what_it_is_told_to() -> None:
    with server_process("--text", "Look again.") as root:
        assert send(root, "x")["choices"][0]["message"]["content"] == "Look again."


def test_a_process_that_cannot_start_is_an_error() -> None:
    with server_process() as root:
        taken = root.rpartition(":")[2]
        second = server_process("--port", taken)
        with pytest.raises(RuntimeError, match="did not start"), second:
            pass


def test_a_process_ends_quietly_when_it_is_told_to() -> None:
    command = [sys.executable, "-m", "synthtutor.testing.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.terminate()
        _, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, b"")
