"""The official SDK as a judge: of what the fake server says, and of what the plugin sends."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic.types import Message as Said
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from anthropic.types.messages import MessageBatch
from anthropic.types.messages.batch_create_params import BatchCreateParams
from pydantic import TypeAdapter, ValidationError
from synthtutor_anthropic import Anthropic

from synthtutor.messages import Message, Request, Schema, Settings, Usage, system, user
from synthtutor.provider import Endpoint
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.replies import Behaviour, Reply, fixed, plausible_reply

DETAILS = {"type": "refusal", "category": "frontier_llm", "explanation": None}
SUCCESSES: dict[str, Reply] = {
    "text": Reply("Compare the parts."),
    "empty": Reply(""),
    "refusal": Reply(None, refusal="I cannot help with that."),
    "refusal with its category": Reply(
        "", finish_reason="refusal", extra={"stop_details": DETAILS}
    ),
    "filtered": Reply(None, finish_reason="content_filter"),
    "cut": Reply("Compare the", finish_reason="length"),
    "thinking": Reply("Yes.", reasoning="Let me see."),
    "usage": Reply("Yes.", usage=Usage(10, 20, 5, 2, 7)),
    "headers": Reply("Yes.", headers={"x-request-id": "r"}),
}
FORM = {"type": "object", "properties": {"hint": {"type": "string"}}, "additionalProperties": False}


def strict(server: AnthropicServer) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="k", base_url=server.base_url, max_retries=0, _strict_response_validation=True
    )


async def ask(behaviour: Behaviour, **more: Any) -> Said:
    async with AnthropicServer(behaviour) as server, strict(server) as client:
        said = await client.messages.create(
            model="claude-test-5",
            max_tokens=100,
            messages=[{"role": "user", "content": "Hi."}],
            **more,
        )
    assert isinstance(said, Said)
    return said


# What the fake says


@pytest.mark.parametrize("kind", SUCCESSES)
async def test_every_kind_of_success_is_valid(kind: str) -> None:
    reply = SUCCESSES[kind]
    said = await ask(lambda _: reply)
    texts = [block.text for block in said.content if block.type == "text"]
    assert "".join(texts) == (reply.text or "")


@pytest.mark.parametrize("behaviour", [plausible_reply, fixed(), fixed("Said.")])
async def test_ready_made_behaviours_are_valid(behaviour: Behaviour) -> None:
    form: Any = {"format": {"type": "json_schema", "schema": FORM}}
    assert (await ask(behaviour)).content
    assert (await ask(behaviour, output_config=form)).content


async def test_strictness_is_on() -> None:
    with pytest.raises(anthropic.APIResponseValidationError):
        await ask(lambda _: Reply(raw=b'{"content": []}'))


async def test_a_failure_is_the_sdks_error_of_that_status() -> None:
    with pytest.raises(anthropic.OverloadedError) as caught:
        await ask(lambda _: Reply.failure(529, "Busy.", headers={"x-request-id": "r-1"}))
    assert (caught.value.type, caught.value.request_id) == ("overloaded_error", "r-1")
    with pytest.raises(anthropic.EnforcedSpendLimitReachedError):
        await ask(lambda _: Reply.failure(429, "Stop.", code="enforced_spend_limit_reached"))


async def test_tokens_are_counted() -> None:
    async with AnthropicServer() as server, strict(server) as client:
        counted = await client.messages.count_tokens(
            model="claude-test-5", messages=[{"role": "user", "content": "x" * 400}]
        )
    assert counted.input_tokens == 101


def outcomes(body: dict[str, Any]) -> Reply:
    said = body["messages"][-1]["content"]
    if said == "overload":
        return Reply.failure(529, "Busy.")
    return Reply("Yes.", hang=said == "expire")


async def test_batches_are_valid_from_creation_to_results() -> None:
    async with AnthropicServer(outcomes) as server, strict(server) as client:
        created = await client.messages.batches.create(
            requests=[
                {
                    "custom_id": name,
                    "params": {
                        "model": "claude-test-5",
                        "max_tokens": 9,
                        "messages": [{"role": "user", "content": name}],
                    },
                }
                for name in ("answer", "overload", "expire")
            ]
        )
        assert created.processing_status == "in_progress"
        assert (await client.messages.batches.retrieve(created.id)).ended_at is None
        ended = await client.messages.batches.retrieve(created.id)
        assert ended.processing_status == "ended"
        assert ended.request_counts.succeeded == 1
        listed = [batch async for batch in client.messages.batches.list()]
        assert [type(batch) for batch in listed] == [MessageBatch]
        found = {}
        async for item in await client.messages.batches.results(created.id):
            valid = type(item).model_validate(item.model_dump())
            found[valid.custom_id] = valid.result.type
    assert found == {"answer": "succeeded", "overload": "errored", "expire": "expired"}


async def test_a_long_list_of_batches_has_pages() -> None:
    async with AnthropicServer() as server, strict(server) as client:
        params: Any = {
            "model": "claude-test-5",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "Hi."}],
        }
        for _ in range(5):
            await client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
        listed = [batch.id async for batch in client.messages.batches.list(limit=2)]
        canceled = await client.messages.batches.cancel(listed[0])
    assert len(set(listed)) == 5
    assert listed == sorted(listed, reverse=True), "the newest first"
    assert canceled.cancel_initiated_at is not None


# What the plugin sends

SCHEMA = Schema("Hint", FORM, FORM)
TURNS = (system("Be."), user("1?"), Message("assistant", "?"), user("2"))
REQUESTS: dict[str, Request] = {
    "plain": Request("anthropic/claude-opus-5", [user("Hi.")]),
    "settings": Request(
        "anthropic/claude-haiku-4-5", [user("Hi.")], None, Settings(9, 0.5, 0.9, 1, ["END"])
    ),
    "schema": Request("anthropic/claude-opus-5", [user("Hi.")], SCHEMA),
    "adaptive": Request(
        "anthropic/claude-opus-5", [user("Hi.")], SCHEMA, Settings(reasoning_effort="minimal")
    ),
    "budget": Request(
        "anthropic/claude-haiku-4-5", [user("Hi.")], SCHEMA, Settings(reasoning_effort="high")
    ),
    "cached": Request("anthropic/claude-opus-5", [system("Be."), user("Hi.")]),
    "turns": Request("anthropic/claude-opus-5", TURNS),
}
ONE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
MANY: TypeAdapter[Any] = TypeAdapter(BatchCreateParams)


def exhausted(value: Any) -> Any:
    """The value with every lazily validated list in it read to its end."""
    if isinstance(value, dict):
        return {name: exhausted(inner) for name, inner in value.items()}
    return (
        value
        if isinstance(value, str) or not hasattr(value, "__iter__")
        else [*map(exhausted, value)]
    )


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("cache", ["5m", "1h", "off"])
async def test_our_requests_are_what_the_sdk_calls_one(kind: str, cache: str) -> None:
    async with AnthropicServer() as server:
        endpoint = Endpoint(base_url=server.base_url, api_key="k", options={"cache": cache})
        provider = Anthropic(endpoint)
        await provider.complete(REQUESTS[kind])
        await provider.submit_batch("label", {"id-1": REQUESTS[kind]})
        await provider.aclose()
    one, batch = (dict(asked.body) for asked in server.asked)
    assert batch["requests"][0]["params"] == one
    read = exhausted(ONE.validate_python(one))
    unknown_to_the_sdk = {
        "temperature",
        "top_p",
    }  # sent beside its arguments, under the old version
    assert read == {key: one[key] for key in one if key not in unknown_to_the_sdk}
    exhausted(MANY.validate_python(batch))


def test_the_judge_would_notice() -> None:
    wrong = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": [{"type": "txt", "text": "Hi."}]}],
    }
    with pytest.raises(ValidationError):
        exhausted(ONE.validate_python(wrong))
