"""What the plugin `openai` sends, judged by the SDK's own types and OpenAI's published schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai.types import BatchCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter, ValidationError
from synthtutor_openai import OpenAI

from synthtutor.messages import Message, Request, Schema, Settings, system, user
from synthtutor.provider import Endpoint
from synthtutor.testing.server import Asked, OpenAIServer

SCHEMA = Schema(
    "Hint",
    {
        "type": "object",
        "properties": {"hint": {"type": "string"}},
        "required": ["hint"],
        "additionalProperties": False,
    },
    {},
)
ALL = Settings(
    max_tokens=99, temperature=0.3, top_p=0.9, seed=7, stop=["END"], reasoning_effort="low"
)
TALK = [system("Be a tutor."), user("½ + ⅓?"), Message("assistant", "Hm."), user("?")]
REQUESTS = {
    "plain": Request("openai/gpt-4o", [user("Hi.")]),
    "conversation": Request("openai/gpt-4o", TALK),
    "schema": Request("openai/gpt-4o", TALK, SCHEMA),
    "all settings": Request("openai/gpt-4o", TALK, None, ALL),
    "reasoning": Request("openai/o4-mini", TALK, SCHEMA, ALL),
    "old": Request("openai/gpt-3.5-turbo", TALK, SCHEMA, ALL),
}
PUBLISHED = json.loads(Path(__file__).with_name("openapi_subset.json").read_text(encoding="utf-8"))
SCHEMAS = PUBLISHED["components"]["schemas"]


def endpoint(server: OpenAIServer) -> Endpoint:
    options = {"prompt_cache_key": "auto"}
    return Endpoint(base_url=server.base_url, api_key="sk-0123456789", options=options)


def published(name: str, body: Mapping[str, Any]) -> None:
    """The body fits OpenAI's schema, and has no field that the schema does not know."""
    root = {"$ref": f"#/components/schemas/{name}", "components": PUBLISHED["components"]}
    jsonschema.Draft202012Validator(root).validate(body)
    assert set(body) <= fields(name), "a field that OpenAI does not know"


def fields(name: str) -> set[str]:
    known: set[str] = set()
    parts = [SCHEMAS[name]]
    while parts:
        part = parts.pop()
        known |= set(part.get("properties", ()))
        parts += part.get("allOf", [])
        if "$ref" in part:
            parts.append(SCHEMAS[part["$ref"].rsplit("/", 1)[1]])
    return known


def of_the_sdk(kind: Any, body: Mapping[str, Any]) -> None:
    """The body fits the SDK's type, and has no field that the type does not know."""
    valid = TypeAdapter(kind).validate_python(body, strict=True)
    list(valid.get("messages", ()))  # an iterable is only looked at when it is read
    assert set(body) <= set(kind.__annotations__)


async def sent(request: Request) -> dict[str, Any]:
    async with OpenAIServer() as server:
        provider = OpenAI(endpoint(server))
        await provider.complete(request)
        await provider.aclose()
    return dict(server.asked[0].body)


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_chat_request_fits_the_sdks_type_and_the_published_schema(kind: str) -> None:
    body = await sent(REQUESTS[kind])
    of_the_sdk(CompletionCreateParamsNonStreaming, body)
    published("CreateChatCompletionRequest", body)


async def test_a_batchs_requests_are_what_is_sent_one_by_one_and_fit() -> None:
    created: list[Mapping[str, Any]] = []

    class Watched(OpenAIServer):
        def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
            if (method, asked.path) == ("POST", "/v1/batches"):
                created.append(asked.body)
            if (method, asked.path) == ("POST", "/v1/files"):
                form = {"file": content.decode(), "purpose": "batch"}
                published("CreateFileRequest", form)
            return super().other(method, asked, content)

    async with Watched() as server:
        provider = OpenAI(endpoint(server))
        requests = {kind.replace(" ", "_"): request for kind, request in REQUESTS.items()}
        await provider.submit_batch("run-1", requests)
        await provider.aclose()
    of_the_sdk(BatchCreateParams, created[0])
    published("CreateBatchRequest", created[0])
    assert created[0]["metadata"] == {"synthtutor": "run-1"}
    lines = [json.loads(line) for line in server.batches.files["file-1"].splitlines()]
    assert [line["custom_id"] for line in lines] == list(requests)
    for line, request in zip(lines, requests.values(), strict=True):
        assert set(line) == {"custom_id", "method", "url", "body"}
        assert (line["method"], line["url"]) == ("POST", created[0]["endpoint"])
        assert line["body"] == await sent(request)


async def test_the_judges_see_what_is_wrong() -> None:
    body = await sent(REQUESTS["plain"])
    for wrong in ({"seed": "7"}, {"messages": [{"role": "tutor", "content": "?"}]}, {"model": 1}):
        with pytest.raises(ValidationError):
            of_the_sdk(CompletionCreateParamsNonStreaming, body | wrong)
        with pytest.raises(jsonschema.ValidationError):
            published("CreateChatCompletionRequest", body | wrong)
    with pytest.raises(AssertionError, match="does not know"):
        published("CreateChatCompletionRequest", {**body, "temprature": 1})
    with pytest.raises(AssertionError):
        of_the_sdk(CompletionCreateParamsNonStreaming, {**body, "temprature": 1})
