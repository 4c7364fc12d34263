"""The fake of Anthropic's wire, seen from the outside: what it refuses, says, and does with batches."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from synthtutor.messages import Usage
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.replies import Reply

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

HEADERS = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
OLD = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
HI = [{"role": "user", "content": "Hi."}]
BATCHES = "/v1/messages/batches"


def body(model: str = "claude-opus-5", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": HI, **more}


async def call(
    server: AnthropicServer,
    method: str,
    path: str,
    json_body: Any = None,
    headers: dict[str, str] = HEADERS,
) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        url = f"{server.base_url}{path}"
        return await client.request(method, url, json=json_body, headers=headers)


async def post(
    server: AnthropicServer, json_body: Any, headers: dict[str, str] = HEADERS
) -> httpx2.Response:
    return await call(server, "POST", "/v1/messages", json_body, headers)


async def test_a_reply_fits_the_schema_that_was_asked_for() -> None:
    schema = {
        "type": "object",
        "properties": {"level": {"enum": ["easy", "hard"]}},
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    async with AnthropicServer() as server:
        said = (await post(server, body(output_config=config))).json()
    assert json.loads(said["content"][0]["text"])["level"] in ("easy", "hard")


async def test_behaviours_read_openais_form_and_tests_the_vendors() -> None:
    seen: list[dict[str, Any]] = []

    def look(chat: dict[str, Any]) -> Reply:
        seen.append(chat)
        return Reply("Yes.")

    blocks = [{"type": "text", "text": "A."}, {"type": "text", "text": "B."}]
    async with AnthropicServer(look) as server:
        await post(server, body(system=blocks))
    assert seen[0]["messages"] == [
        {"role": "system", "content": "A.\n\nB."},
        {"role": "user", "content": "Hi."},
    ]
    assert server.asked[0].body["system"] == blocks
    assert server.asked[0].path == "/v1/messages"


async def test_thinking_comes_before_the_text() -> None:
    async with AnthropicServer(lambda _: Reply("Yes.", reasoning="Hm, hm.")) as server:
        said = (await post(server, body())).json()
    assert [block["type"] for block in said["content"]] == ["thinking", "text"]
    assert said["usage"]["output_tokens_details"]["thinking_tokens"] == 1


async def test_usage_leaves_the_cached_part_out_of_the_input() -> None:
    async with AnthropicServer(lambda _: Reply("Yes.", usage=Usage(100, 9, 60, 30))) as server:
        usage = (await post(server, body())).json()["usage"]
    assert usage["input_tokens"] == 10
    assert usage["cache_read_input_tokens"] == 60
    assert usage["cache_creation_input_tokens"] == 30


async def test_a_marked_prefix_is_written_once_and_read_by_the_same_model_only() -> None:
    mark = {"type": "ephemeral"}
    prompt = [{"type": "text", "text": "x" * 400, "cache_control": mark}]
    async with AnthropicServer(lambda _: Reply("Yes.")) as server:
        found = []
        for model in ("claude-opus-5", "claude-opus-5", "claude-haiku-5-5"):
            usage = (await post(server, body(model, system=prompt))).json()["usage"]
            found.append((usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]))
    assert found == [(100, 0), (0, 100), (100, 0)]


async def test_a_growing_conversation_reads_what_its_last_turn_wrote() -> None:
    def turn(role: str, text: str, marked: bool = False) -> dict[str, Any]:
        mark = {"cache_control": {"type": "ephemeral"}} if marked else {}
        return {"role": role, "content": [{"type": "text", "text": text * 40, **mark}]}

    first = [turn("user", "a"), turn("assistant", "b"), turn("user", "c", marked=True)]
    second = [*first[:2], turn("user", "c"), turn("assistant", "d"), turn("user", "e", marked=True)]
    async with AnthropicServer(lambda _: Reply("Yes.")) as server:
        await post(server, body(messages=first))
        usage = (await post(server, body(messages=second))).json()["usage"]
    assert usage["cache_read_input_tokens"] == 30
    assert usage["cache_creation_input_tokens"] == 20


async def test_a_failure_is_in_the_vendors_form() -> None:
    reply = Reply.failure(529, "Busy.", headers={"x-request-id": "r-1", "retry-after": "3"})
    async with AnthropicServer(lambda _: reply) as server:
        response = await post(server, body())
    assert response.status_code == 529
    assert response.headers["request-id"] == "r-1"
    assert response.headers["retry-after"] == "3"
    assert response.json() == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Busy."},
        "request_id": "r-1",
    }


OPEN = {"type": "json_schema", "schema": {"type": "object", "properties": {}}}
CLOSED = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
MARK = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
ASSISTANT = {"role": "assistant", "content": "{"}
ADAPTIVE = {"type": "adaptive"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "no model": ({"max_tokens": 1, "messages": HI}, HEADERS),
    "no limit": ({"model": "claude-opus-5", "messages": HI}, HEADERS),
    "no messages": (body(messages=[]), HEADERS),
    "a role it has not": (body(messages=[{"role": "tutor", "content": "Hi."}]), HEADERS),
    "no user first": (body(messages=[{"role": "assistant", "content": "Hi."}, *HI]), HEADERS),
    "empty text": (body(messages=[{"role": "user", "content": ""}]), HEADERS),
    "an unknown field": (body(temprature=1), HEADERS),
    "openai's field": (body(seed=1), HEADERS),
    "sampling, new version": (body("claude-haiku-4-5", temperature=1), HEADERS),
    "sampling, new model": (body("claude-opus-4-7", temperature=1), OLD),
    "sampling and thinking": (
        body("claude-opus-4-6", temperature=0.5, thinking=ADAPTIVE),
        OLD,
    ),
    "prefill, new model": (body("claude-sonnet-4-6", messages=[*HI, ASSISTANT]), HEADERS),
    "budget, new model": (body(max_tokens=9000, thinking=budget(2000)), HEADERS),
    "budget of all": (body("claude-haiku-4-5", max_tokens=2000, thinking=budget(2000)), HEADERS),
    "budget too small": (body("claude-haiku-4-5", thinking=budget(50)), HEADERS),
    "adaptive, old model": (body("claude-haiku-4-5-20251001", thinking=ADAPTIVE), HEADERS),
    "an open schema": (body(output_config={"format": OPEN}), HEADERS),
    "schema, old model": (body("claude-opus-4-1", output_config={"format": CLOSED}), HEADERS),
    "five marks": (body(system=[MARK] * 5), HEADERS),
    "a day's cache": (
        body(system=[{**MARK, "cache_control": {"type": "ephemeral", "ttl": "1d"}}]),
        HEADERS,
    ),
}
TAKEN: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "sampling, old version": (body("claude-haiku-4-5", temperature=1), OLD),
    "prefill, old model": (body("claude-haiku-4-5", messages=[*HI, ASSISTANT]), HEADERS),
    "budget, old model": (
        body("claude-haiku-4-5", max_tokens=2000, thinking=budget(1024)),
        HEADERS,
    ),
    "adaptive, 4.6": (body("claude-opus-4-6", thinking=ADAPTIVE), HEADERS),
    "a closed schema": (body(output_config={"format": CLOSED}), HEADERS),
    "four marks": (body(system=[MARK] * 4), HEADERS),
    "two of one role": (body(messages=[*HI, *HI]), HEADERS),
    "a bearer": (body(), {"authorization": "Bearer k"}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_vendor_refuses_is_refused(case: str) -> None:
    json_body, headers = REFUSED[case]
    async with AnthropicServer(lambda _: Reply("Never.")) as server:
        response = await post(server, json_body, headers)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("case", TAKEN)
async def test_what_the_vendor_takes_is_taken(case: str) -> None:
    json_body, headers = TAKEN[case]
    async with AnthropicServer() as server:
        assert (await post(server, json_body, headers)).status_code == 200


async def test_without_a_key_nothing_is_answered() -> None:
    async with AnthropicServer() as server:
        for method, path in (("POST", "/v1/messages"), ("GET", BATCHES)):
            response = await call(server, method, path, body(), {})
            assert response.status_code == 401
            assert response.json()["error"]["type"] == "authentication_error"


async def test_an_unknown_address_is_not_found() -> None:
    async with AnthropicServer() as server:
        for path in ("/v1/complete", f"{BATCHES}/msgbatch_9", f"{BATCHES}/msgbatch_9/results"):
            response = await call(server, "GET", path)
            assert response.json()["error"]["type"] == "not_found_error"


async def test_tokens_are_counted_without_a_limit() -> None:
    prompt = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "x" * 40}]}
    async with AnthropicServer() as server:
        counted = await call(server, "POST", "/v1/messages/count_tokens", prompt)
    assert counted.json() == {"input_tokens": 11}


def batch(*names: str, **more: Any) -> dict[str, Any]:
    return {"requests": [{"custom_id": name, "params": body(**more)} for name in names]}


async def test_a_batch_ends_after_its_polls_and_is_answered_once() -> None:
    asked = 0

    def count(_: dict[str, Any]) -> Reply:
        nonlocal asked
        asked += 1
        return Reply("Yes.")

    async with AnthropicServer(count, batch_polls=2) as server:
        made = (await call(server, "POST", BATCHES, batch("a", "b"))).json()
        path = f"{BATCHES}/{made['id']}"
        states = [(await call(server, "GET", path)).json() for _ in range(4)]
        results = [(await call(server, "GET", f"{path}/results")).text for _ in range(2)]
    found = [state["processing_status"] for state in states]
    assert found == ["in_progress", "in_progress", "ended", "ended"]
    assert states[0]["request_counts"]["processing"] == 2
    assert states[-1]["request_counts"]["succeeded"] == 2
    assert states[-1]["results_url"].endswith(f"{path}/results")
    assert results[0] == results[1]
    assert [json.loads(line)["custom_id"] for line in results[0].splitlines()] == ["b", "a"]
    assert (asked, server.batches_created) == (2, 1)


async def test_a_batch_may_take_its_time() -> None:
    async with AnthropicServer(batch_polls=0, batch_delay_s=3600) as server:
        made = (await call(server, "POST", BATCHES, batch("a"))).json()
        assert made["processing_status"] == "in_progress"
        server.batch_delay_s = 0.0
        listed = (await call(server, "GET", BATCHES)).json()["data"]
    assert [one["processing_status"] for one in listed] == ["ended"]


async def test_the_rules_hold_inside_a_batch() -> None:
    async with AnthropicServer(batch_polls=0) as server:
        made = (await call(server, "POST", BATCHES, batch("a", temperature=1))).json()
        results = (await call(server, "GET", f"{BATCHES}/{made['id']}/results")).json()
    assert results["result"]["type"] == "errored"
    assert results["result"]["error"]["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "wrong", [{}, {"requests": []}, batch("a", "a"), batch("a b"), batch("x" * 65)]
)
async def test_a_wrong_batch_is_not_created(wrong: dict[str, Any]) -> None:
    async with AnthropicServer() as server:
        assert (await call(server, "POST", BATCHES, wrong)).status_code == 400
    assert server.batches_created == 0


async def test_faults_come_before_or_after_what_was_asked_for() -> None:
    async with AnthropicServer() as server:
        server.batch_faults += [Reply.failure(500, "Oops."), Reply(raw=b"{")]
        before = await call(server, "POST", BATCHES, batch("a"))
        assert (before.status_code, server.batches_created) == (500, 0)
        after = await call(server, "POST", BATCHES, batch("a"))
        assert (after.text, server.batches_created) == ("{", 1)
        assert (await call(server, "POST", BATCHES, batch("b"))).json()["id"]


async def test_state_outlives_the_port() -> None:
    server = AnthropicServer(batch_polls=0)
    async with server:
        made = (await call(server, "POST", BATCHES, batch("a"))).json()
    async with server:
        again = await call(server, "GET", f"{BATCHES}/{made['id']}")
    assert again.json()["processing_status"] == "ended"
