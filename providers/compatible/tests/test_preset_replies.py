"""The presets: what each reads in a vendor's or server's reply, and in its errors."""

from __future__ import annotations

import traceback

import orjson
import pytest
from synthtutor_compatible import Compatible
from synthtutor_compatible_presets import (
    DeepSeek,
    Groq,
    LlamaCpp,
    Ollama,
    OpenRouter,
    Together,
    Vllm,
)

from synthtutor.errors import ProviderError, Rejected, Unauthorized, Unavailable
from synthtutor.messages import Request, Response, Usage, user
from synthtutor.provider import Endpoint
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import OpenAIServer

PRESETS: list[type[Compatible]] = [OpenRouter, DeepSeek, Together, Groq, Ollama, Vllm, LlamaCpp]
KEY = "sk-planted-0123456789"


async def ask(preset: type[Compatible], reply: Reply) -> Response:
    async with OpenAIServer(lambda _: reply) as server:
        provider = preset(Endpoint(base_url=server.base_url, api_key=KEY))
        try:
            return await provider.complete(Request(f"{preset.name}/m", [user("½?")]))
        finally:
            await provider.aclose()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("where", ["reasoning_content", "reasoning", "<think>"])
async def test_reasoning_is_kept_apart_and_counted(preset: type[Compatible], where: str) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49}  # no details
    thought, extra = "3/6 + 2/6 = 5/6. ", {"usage": usage}
    reply = Reply("Five sixths.", reasoning=thought, reasoning_field=where, extra=extra)
    if where == "<think>":
        reply = Reply(f"<think>{thought}</think>\n\nFive sixths.", extra=extra)
    response = await ask(preset, reply)
    assert response.text == "Five sixths."
    assert response.reasoning.strip() == thought.strip()
    assert response.usage == Usage(9, 40, reasoning_tokens=len(response.reasoning) // 4 + 1)


async def test_a_servers_own_count_of_reasoning_wins() -> None:
    reply = Reply("Yes.", reasoning="Hm. " * 50, usage=Usage(9, 80, reasoning_tokens=61))
    response = await ask(OpenRouter, reply)
    assert response.usage.reasoning_tokens == 61


async def test_the_estimate_is_never_more_than_what_was_generated() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 5}
    response = await ask(Ollama, Reply("Yes.", reasoning="x" * 400, extra={"usage": usage}))
    assert response.usage.reasoning_tokens == 5


async def test_reasoning_is_counted_where_nothing_is() -> None:
    response = await ask(Vllm, Reply("y" * 40, reasoning="x" * 400, extra={"usage": None}))
    assert (response.usage.output_tokens, response.usage.reasoning_tokens) == (112, 101)


async def test_deepseeks_cache_and_its_blank_lines_before_the_reply() -> None:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 20,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 26,
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    choice = {"index": 0, "message": {"content": "Yes."}, "finish_reason": "stop"}
    raw = b"\n\n\n" + orjson.dumps({"choices": [choice], "usage": usage})
    response = await ask(DeepSeek, Reply(raw=raw))
    assert response.usage == Usage(90, 20, cache_read_tokens=64, reasoning_tokens=12)


async def test_deepseek_out_of_machines_is_asked_again_later() -> None:
    with pytest.raises(Unavailable, match="insufficient_system_resource"):
        await ask(DeepSeek, Reply("Half", finish_reason="insufficient_system_resource"))


async def test_deepseek_out_of_money_stops_the_run() -> None:
    with pytest.raises(Unauthorized, match="Insufficient Balance"):
        await ask(DeepSeek, Reply.failure(402, "Insufficient Balance"))


async def test_groqs_request_id_is_in_its_body() -> None:
    response = await ask(Groq, Reply("Yes.", extra={"x_groq": {"id": "req_01"}}))
    assert response.request_id == "req_01"
    without = await ask(Groq, Reply("Yes."))
    assert without.request_id is None


async def test_groqs_limits_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-tokens": "17997",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    limits = (await ask(Groq, Reply("Yes.", headers=headers))).rate_limits
    assert limits is not None
    assert (limits.requests_limit, limits.requests_reset_s) == (14400, 179.56)
    assert (limits.tokens_remaining, limits.tokens_reset_s) == (17997, 7.66)


async def test_openrouters_generation_id_is_the_request_id() -> None:
    response = await ask(OpenRouter, Reply("Yes.", extra={"id": "gen-17"}))
    assert response.request_id == "gen-17"


async def test_openrouters_error_inside_a_choice_is_an_error() -> None:
    error = {"code": 502, "message": "The provider went away"}
    choice = {"message": {"content": "Hal"}, "finish_reason": "error", "error": error}
    with pytest.raises(Unavailable, match="went away"):
        await ask(OpenRouter, Reply(extra={"choices": [choice]}))


async def test_openrouters_moderation_is_about_the_prompt() -> None:
    error = {
        "code": 403,
        "message": "Your input was flagged",
        "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "x"},
    }
    with pytest.raises(Rejected, match="flagged") as caught:
        await ask(OpenRouter, Reply(status=403, error=error))
    assert caught.value.reason == "content"
    with pytest.raises(Unauthorized):
        await ask(OpenRouter, Reply.failure(403, "Key limit exceeded"))


QUOTES = {"code": 500, "message": f"You sent {KEY}"}


@pytest.mark.parametrize("preset", [OpenRouter, DeepSeek, Groq])  # those with words of their own
@pytest.mark.parametrize(
    "reply",
    [
        Reply.failure(400, f"Bad key {KEY}"),
        Reply.failure(401, f"Bad key {KEY}"),
        Reply(status=403, error={"message": KEY, "metadata": {"reasons": ["x"]}}),
        Reply(extra={"error": QUOTES, "choices": []}),
        Reply(extra={"choices": [{"message": KEY, "finish_reason": "stop"}]}),
    ],
)
async def test_the_key_is_in_no_error(preset: type[Compatible], reply: Reply) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(preset, reply)
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


async def test_the_key_is_not_in_the_error_of_a_choice() -> None:
    choice = {"message": {"content": None}, "finish_reason": "error", "error": QUOTES}
    with pytest.raises(Unavailable, match="You sent") as caught:
        await ask(OpenRouter, Reply(extra={"choices": [choice]}))
    assert KEY not in "".join(traceback.format_exception(caught.value))
