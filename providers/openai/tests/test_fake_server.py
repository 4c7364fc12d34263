"""The official SDK, validating strictly, accepts what the fake server says."""

from __future__ import annotations

import openai
import pytest
from openai.types.chat import ChatCompletion

from synthtutor.messages import Usage
from synthtutor.testing.replies import Behaviour, Reply, fixed, plausible_reply
from synthtutor.testing.server import OpenAIServer

SUCCESSES: dict[str, Reply] = {
    "text": Reply("Compare the parts."),
    "empty": Reply(""),
    "refusal": Reply(None, refusal="I cannot help with that."),
    "filtered": Reply(None, finish_reason="content_filter"),
    "cut": Reply("Compare the", finish_reason="length"),
    "reasoning": Reply("Yes.", reasoning="Let me see."),
    "reasoning, other name": Reply("Yes.", reasoning="Let me see.", reasoning_field="reasoning"),
    "usage": Reply("Yes.", usage=Usage(10, 20, 5, 2, 7)),
    "no usage": Reply("Yes.", extra={"usage": None}),
    "headers": Reply("Yes.", headers={"x-request-id": "r", "x-ratelimit-limit-requests": "5"}),
    "late": Reply("Yes.", delay_s=0.01),
}
FORM = {
    "type": "json_schema",
    "json_schema": {
        "name": "Hint",
        "strict": True,
        "schema": {"type": "object", "properties": {"hint": {"type": "string"}}},
    },
}


def strict(server: OpenAIServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="k", base_url=server.base_url, max_retries=0, _strict_response_validation=True
    )


async def ask(behaviour: Behaviour, **more: object) -> ChatCompletion:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], **more}
    async with OpenAIServer(behaviour) as server, strict(server) as client:
        return await client.post("/chat/completions", body=body, cast_to=ChatCompletion)


@pytest.mark.parametrize("kind", SUCCESSES)
async def test_every_kind_of_success_is_valid(kind: str) -> None:
    reply = SUCCESSES[kind]
    message = (await ask(lambda _: reply)).choices[0].message
    assert (message.content, message.refusal) == (reply.text, reply.refusal)


@pytest.mark.parametrize("behaviour", [plausible_reply, fixed(), fixed("Said.")])
async def test_ready_made_behaviours_are_valid(behaviour: Behaviour) -> None:
    assert (await ask(behaviour)).choices[0].message.content
    assert (await ask(behaviour, response_format=FORM)).choices[0].message.content


async def test_strictness_is_on() -> None:
    with pytest.raises(openai.APIResponseValidationError):
        await ask(lambda _: Reply(raw=b'{"choices": []}'))


async def test_the_list_of_models_is_valid() -> None:
    async with OpenAIServer(models=["a", "b"]) as server, strict(server) as client:
        assert [model.id async for model in client.models.list()] == ["a", "b"]
