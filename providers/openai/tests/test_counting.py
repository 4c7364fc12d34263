"""Counting a prompt's tokens at OpenAI, before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter
from synthtutor_openai import ChatCompletions, OpenAI

from synthtutor.errors import Unauthorized, Unavailable
from synthtutor.messages import Request, Schema, Settings, system, user
from synthtutor.provider import CountingProvider, Endpoint
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import OpenAIServer
from synthtutor.testing.serving import Asked

KEY = "sk-test-0123456789"
SCHEMA = Schema("Grade", {"type": "object", "properties": {}, "additionalProperties": False}, {})
TALK = (system("You are a tutor."), user("Why is 1/2 + 1/3 not 2/5?"))


class Failing(OpenAIServer):
    """Answers whatever is no chat request with one reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.answer = reply

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        return self.render(self.answer, asked)


def provider(server: OpenAIServer) -> OpenAI:
    return OpenAI(Endpoint(base_url=server.base_url, api_key=KEY))


async def test_the_count_is_what_is_billed_and_nothing_is_generated() -> None:
    async with OpenAIServer() as server:
        openai = provider(server)
        asked = Request("openai/gpt-4o-mini", TALK, SCHEMA)
        counted = await openai.count_tokens(asked)
        assert server.calls == 0
        assert counted == (await openai.complete(asked)).usage.input_tokens
        await openai.aclose()


async def test_messages_schema_and_effort_are_counted_and_no_other_setting() -> None:
    settings = Settings(max_tokens=50, temperature=0.5, seed=1, reasoning_effort="high")
    async with OpenAIServer() as server:
        openai = provider(server)
        await openai.count_tokens(Request("openai/gpt-5-mini", TALK, SCHEMA, settings))
        await openai.aclose()
    assert server.asked[0].body == {
        "model": "gpt-5-mini",
        "input": [{"role": m.role, "content": m.content} for m in TALK],
        "text": {
            "format": {
                "type": "json_schema",
                "name": "Grade",
                "strict": True,
                "schema": dict(SCHEMA.definition),
            }
        },
        "reasoning": {"effort": "high"},
    }


async def test_the_sdk_calls_it_a_request_for_a_count() -> None:
    from openai.types.responses.input_token_count_params import InputTokenCountParams

    async with OpenAIServer() as server:
        openai = provider(server)
        asked = Request("openai/gpt-5", TALK, SCHEMA, Settings(reasoning_effort="low"))
        await openai.count_tokens(asked)
        await openai.aclose()
    body: dict[str, Any] = dict(server.asked[0].body)
    read = TypeAdapter(InputTokenCountParams).validate_python(body)
    assert read.keys() == body.keys()
    assert read["text"] == body["text"]


async def test_an_error_means_what_it_means_elsewhere() -> None:
    async with Failing(Reply.failure(401, f"Incorrect API key provided: {KEY}")) as server:
        openai = provider(server)
        with pytest.raises(Unauthorized) as caught:
            await openai.count_tokens(Request("openai/gpt-5", TALK))
        await openai.aclose()
    assert KEY not in str(caught.value)


async def test_a_reply_without_a_count_is_not_taken_for_zero() -> None:
    async with Failing(Reply(raw=b'{"object": "something.else"}')) as server:
        openai = provider(server)
        with pytest.raises(Unavailable, match="not a count"):
            await openai.count_tokens(Request("openai/gpt-5", TALK))
        await openai.aclose()


def test_who_merely_speaks_the_language_is_not_said_to_count() -> None:
    endpoint = Endpoint(api_key=KEY)
    assert isinstance(OpenAI(endpoint), CountingProvider)
    assert not isinstance(ChatCompletions(endpoint), CountingProvider)
