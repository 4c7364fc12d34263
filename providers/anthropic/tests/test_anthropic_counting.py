"""Counting a prompt's tokens at Anthropic, before it is sent."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter
from synthtutor_anthropic import Anthropic

from synthtutor.errors import Unauthorized, Unavailable
from synthtutor.messages import Request, Schema, Settings, system, user
from synthtutor.provider import CountingProvider, Endpoint
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.replies import Reply
from synthtutor.testing.serving import Asked

KEY = "sk-ant-test-0123456789"
SCHEMA = Schema("Grade", {"type": "object", "properties": {}, "additionalProperties": False}, {})
TALK = (system("You are a tutor."), user("Why is 1/2 + 1/3 not 2/5?"))
EVERYTHING = Settings(temperature=0.5, top_p=0.9, stop=["END"], reasoning_effort="high")
# The SDK warns when a model has a date of retirement.
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


class Failing(AnthropicServer):
    """Answers whatever is no message with one reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.answer = reply

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        return self.render(self.answer, asked)


def provider(server: AnthropicServer) -> Anthropic:
    return Anthropic(Endpoint(base_url=server.base_url, api_key=KEY))


async def test_the_count_is_what_is_billed_and_nothing_is_generated() -> None:
    async with AnthropicServer() as server:
        anthropic = provider(server)
        assert isinstance(anthropic, CountingProvider)
        asked = Request("anthropic/claude-test-5", TALK, SCHEMA)
        counted = await anthropic.count_tokens(asked)
        assert server.calls == 0
        assert counted == (await anthropic.complete(asked)).usage.input_tokens
        await anthropic.aclose()


@pytest.mark.parametrize("model", ["claude-test-5", "claude-sonnet-4-5", "claude-3-5-haiku"])
async def test_only_what_the_prompt_depends_on_is_sent(model: str) -> None:
    from anthropic.types import MessageCountTokensParams

    async with AnthropicServer() as server:
        anthropic = provider(server)
        await anthropic.count_tokens(Request(f"anthropic/{model}", TALK, SCHEMA, EVERYTHING))
        await anthropic.aclose()
    body = dict(server.asked[0].body)
    assert body["messages"] == [{"role": "user", "content": TALK[1].content}]
    assert body["system"][0]["text"] == TALK[0].content
    assert not body.keys() & {"max_tokens", "stop_sequences", "temperature", "top_p"}
    assert ("output_config" in body) == ("thinking" in body) == (model != "claude-3-5-haiku")
    TypeAdapter(MessageCountTokensParams).validate_python(body)


async def test_an_error_means_what_it_means_elsewhere() -> None:
    async with Failing(Reply.failure(401, f"invalid x-api-key {KEY}")) as server:
        anthropic = provider(server)
        with pytest.raises(Unauthorized) as caught:
            await anthropic.count_tokens(Request("anthropic/claude-test-5", TALK))
        await anthropic.aclose()
    assert KEY not in str(caught.value)


async def test_a_reply_without_a_count_is_not_taken_for_zero() -> None:
    async with Failing(Reply(raw=b"{}")) as server:
        anthropic = provider(server)
        with pytest.raises(Unavailable, match="not a count"):
            await anthropic.count_tokens(Request("anthropic/claude-test-5", TALK))
        await anthropic.aclose()
