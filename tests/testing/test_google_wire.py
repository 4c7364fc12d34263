"""The fake Gemini, seen from the outside: its bytes fit the vendor's types, and it is as strict."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from synthtutor.messages import Usage
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}
SCHEMA = {"type": "object", "properties": {"hint": {"type": "string"}}, "required": ["hint"]}
SHAPED = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


@asynccontextmanager
async def talking(
    behaviour: Behaviour | Reply = plausible_reply, **options: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, GoogleServer]]:
    def always(_: dict[str, Any]) -> Reply:
        assert isinstance(behaviour, Reply)
        return behaviour

    chosen = always if isinstance(behaviour, Reply) else behaviour
    async with (
        GoogleServer(chosen, **options) as server,
        httpx2.AsyncClient(base_url=server.base_url, trust_env=False) as client,
    ):
        yield client, server


async def generated(
    reply: Behaviour | Reply = plausible_reply,
    body: object = HELLO,
    *,
    model: str = "gemini-2.5-flash",
    **options: Any,
) -> httpx2.Response:
    async with talking(reply, **options) as (client, _):
        return await client.post(f"/v1beta/models/{model}:generateContent", json=body)


SUCCESSES = {
    "text": Reply("Compare the parts."),
    "empty": Reply(""),
    "refused": Reply(None, refusal="No."),
    "blocked": Reply(None, finish_reason="content_filter"),
    "cut": Reply("Compare", finish_reason="length"),
    "recitation": Reply("Compare", finish_reason="RECITATION"),
    "thoughts": Reply("Yes.", reasoning="Let me see."),
    "usage": Reply("Yes.", usage=Usage(10, 20, 5, 0, 7)),
}


@pytest.mark.parametrize("kind", SUCCESSES)
async def test_every_kind_of_success_fits_the_vendors_types(kind: str) -> None:
    v1beta = pytest.importorskip("google.ai.generativelanguage_v1beta", reason="needs grpcio")
    json_format = pytest.importorskip("google.protobuf.json_format")
    body = (await generated(SUCCESSES[kind])).json()
    kind_of_reply = v1beta.GenerateContentResponse
    parsed = kind_of_reply(json_format.ParseDict(body, kind_of_reply.pb(kind_of_reply())))
    assert parsed.model_version == "gemini-2.5-flash"


async def test_a_reply_has_its_parts_its_reason_and_its_counts() -> None:
    reply = Reply("Yes.", reasoning="Let me see.", usage=Usage(10, 20, 5, 0, 7))
    body = (await generated(reply)).json()
    assert body["candidates"] == [
        {
            "content": {
                "role": "model",
                "parts": [{"text": "Let me see.", "thought": True}, {"text": "Yes."}],
            },
            "finishReason": "STOP",
        }
    ]
    assert body["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 13,
        "thoughtsTokenCount": 7,
        "cachedContentTokenCount": 5,
        "totalTokenCount": 30,
    }


async def test_behaviours_read_the_request_in_openais_form() -> None:
    seen: list[dict[str, Any]] = []

    def behaviour(body: dict[str, Any]) -> Reply:
        seen.append(body)
        return plausible_reply(body)

    contents = [{"role": r, "parts": [{"text": r}]} for r in ("user", "model")]
    config = {"maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "seed": 3, "stopSequences": []}
    system = {"parts": [{"text": "Be kind."}]}
    body = {"contents": contents, "system_instruction": system, "generationConfig": config | SHAPED}
    assert (
        "hint"
        in (await generated(behaviour, body)).json()["candidates"][0]["content"]["parts"][0]["text"]
    )
    assert seen == [
        {
            "model": "gemini-2.5-flash",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "user"},
                {"role": "assistant", "content": "model"},
            ],
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": [],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": SCHEMA},
            },
        }
    ]


THINKS = {"thinkingConfig": {"thinkingLevel": "LOW"}}
REFUSED: dict[str, tuple[str, object, str]] = {
    "an unknown field": ("m", {**HELLO, "temperature": 1}, "temperature"),
    "an unknown setting": ("m", {**HELLO, "generationConfig": {"temprature": 1}}, "temprature"),
    "no object": ("m", [], "contents"),
    "no contents": ("m", {"contents": []}, "contents"),
    "an unknown role": (
        "m",
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        "assistant",
    ),
    "an unknown part": ("m", {"contents": [{"parts": [{"txt": "x"}]}]}, "txt"),
    "text for a number": ("m", {**HELLO, "generationConfig": {"seed": "7"}}, "seed"),
    "no room": ("m", {**HELLO, "generationConfig": {"maxOutputTokens": 0}}, "positive"),
    "six stops": ("m", {**HELLO, "generationConfig": {"stopSequences": list("abcdef")}}, "5"),
    "a schema without JSON": (
        "m",
        {**HELLO, "generationConfig": {"responseJsonSchema": SCHEMA}},
        "application/json",
    ),
    "a level for 2.5": ("gemini-2.5-pro", {**HELLO, "generationConfig": THINKS}, "level"),
    "thinking in 2.0": ("gemini-2.0-flash", {**HELLO, "generationConfig": THINKS}, "thinking"),
    "JSON from gemma": ("gemma-3-27b-it", {**HELLO, "generationConfig": SHAPED}, "JSON"),
    "instructing gemma": (
        "gemma-3-27b-it",
        {**HELLO, "systemInstruction": {"parts": [{"text": "x"}]}},
        "instruction",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_gemini_refuses_is_refused_in_its_form(kind: str) -> None:
    model, body, word = REFUSED[kind]
    response = await generated(body=body, model=model)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert word in error["message"]


async def test_a_deadline_under_ten_seconds_is_refused() -> None:
    async with talking() as (client, _):
        url, deadline = "/v1/models/m:generateContent", {"x-server-timeout": "5"}
        response = await client.post(url, json=HELLO, headers=deadline)
    assert response.status_code == 400
    assert "too short" in response.json()["error"]["message"]


async def test_a_wait_is_told_in_a_header_or_in_the_details() -> None:
    reply = Reply.failure(429, "Slow down.", headers={"Retry-After": "7"})
    plain = await generated(reply)
    assert plain.headers["retry-after"] == "7"
    assert "details" not in plain.json()["error"]
    detailed = await generated(reply, retry_info=True)
    assert "retry-after" not in detailed.headers
    assert detailed.json()["error"]["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    ]
    assert detailed.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


async def test_models_and_token_counts() -> None:
    async with talking(models=["a", "b"]) as (client, _):
        listed = (await client.get("/v1beta/models")).json()
        one = (await client.get("/v1beta/models/b")).json()
        missing = await client.get("/v1beta/models/c")
        counted = (await client.post("/v1beta/models/a:countTokens", json=HELLO)).json()
        nowhere = await client.get("/v1beta/files")
    assert [model["name"] for model in listed["models"]] == ["models/a", "models/b"]
    assert one == {"name": "models/b"}
    assert (missing.status_code, nowhere.status_code) == (404, 404)
    assert counted["totalTokens"] > 1


# Batches


def batch_of(*texts: str, label: str = "label") -> dict[str, Any]:
    requests = [
        {
            "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]},
            "metadata": {"key": text},
        }
        for text in texts
    ]
    return {"batch": {"displayName": label, "inputConfig": {"requests": {"requests": requests}}}}


async def created(client: httpx2.AsyncClient, body: object) -> httpx2.Response:
    return await client.post("/v1beta/models/m:batchGenerateContent", json=body)


def echo(body: dict[str, Any]) -> Reply:
    said = body["messages"][-1]["content"]
    return Reply.failure(503, "Later.") if said == "fails" else Reply(said, hang=said == "never")


async def test_a_batch_is_pending_runs_and_ends_with_an_outcome_for_each_request() -> None:
    async with talking(echo, batch_polls=2) as (client, server):
        first = (await created(client, batch_of("a", "fails", "never"))).json()
        polls = [(await client.get(f"/v1beta/{first['name']}")).json() for _ in range(3)]
        assert server.calls == 0, "a batch's requests are no calls"
    states = [operation["metadata"]["state"] for operation in (first, *polls)]
    assert states == [
        "BATCH_STATE_PENDING",
        "BATCH_STATE_RUNNING",
        "BATCH_STATE_RUNNING",
        "BATCH_STATE_SUCCEEDED",
    ]
    assert polls[-1]["metadata"]["batchStats"] == {
        "requestCount": "3",
        "pendingRequestCount": "1",
        "successfulRequestCount": "1",
        "failedRequestCount": "1",
    }
    answered, failed = polls[-1]["response"]["inlinedResponses"]["inlinedResponses"]
    assert answered["response"]["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    assert failed == {"error": {"code": 14, "message": "Later."}, "metadata": {"key": "fails"}}


async def test_a_batch_is_answered_once_however_often_it_is_read() -> None:
    said: list[str] = []

    def once(body: dict[str, Any]) -> Reply:
        said.append(body["messages"][-1]["content"])
        return Reply("Yes.")

    async with talking(once, batch_polls=0) as (client, _):
        name = (await created(client, batch_of("a", "b"))).json()["name"]
        assert (await client.get(f"/v1beta/{name}")).json() == (
            await client.get(f"/v1beta/{name}")
        ).json()
    assert said == ["a", "b"]


@pytest.mark.parametrize("end", ["FAILED", "EXPIRED"])
async def test_a_batch_may_end_without_results(end: str) -> None:
    async with talking(batch_polls=0, batch_ends=end) as (client, _):
        name = (await created(client, batch_of("a"))).json()["name"]
        ended = (await client.get(f"/v1beta/{name}")).json()
    assert ended["metadata"]["state"] == f"BATCH_STATE_{end}"
    assert ended["done"]
    assert "response" not in ended


async def test_a_batch_is_cancelled_once() -> None:
    async with talking() as (client, _):
        name = (await created(client, batch_of("a"))).json()["name"]
        assert (await client.post(f"/v1beta/{name}:cancel")).status_code == 200
        assert (
            (await client.get(f"/v1beta/{name}")).json()["metadata"]["state"].endswith("CANCELLED")
        )
        assert (await client.post(f"/v1beta/{name}:cancel")).status_code == 400
        assert (await client.post("/v1beta/batches/none:cancel")).status_code == 404
        assert (await client.get("/v1beta/batches/none")).status_code == 404


async def test_batches_are_listed_newest_first_in_pages() -> None:
    async with talking() as (client, _):
        for label in "abc":
            await created(client, batch_of("x", label=label))
        first = (await client.get("/v1beta/batches?pageSize=2")).json()
        token = first["nextPageToken"]
        last = (await client.get(f"/v1beta/batches?pageSize=2&pageToken={token}")).json()
    labels = [o["metadata"]["displayName"] for o in (*first["operations"], *last["operations"])]
    assert labels == ["c", "b", "a"]
    assert "nextPageToken" not in last


@pytest.mark.parametrize(
    "body",
    [
        {},
        batch_of(),
        batch_of("a", label=""),
        {"batch": {**batch_of("a")["batch"], "requests": []}},
        {"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{"body": {}}]}}}},
        {"batch": {"displayName": "x", "inputConfig": {"requests": {"requests": [{}]}}}},
        batch_of("x" * 20_000_000),
    ],
    ids=["nothing", "empty", "no label", "unknown field", "unknown in item", "no request", "21 MB"],
)
async def test_a_batch_that_gemini_refuses_is_refused(body: object) -> None:
    async with talking() as (client, _):
        response = await created(client, body)
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"
