"""The plugin `anthropic`: the contract, what it sends and reads, and that every SDK error has a meaning."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from synthtutor_anthropic import Anthropic

from synthtutor.errors import (
    ConfigError,
    Unavailable,
)
from synthtutor.messages import Message, Request, Response, Schema, Settings, Usage, system, user
from synthtutor.provider import BatchProvider, Endpoint, Provider
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.replies import Behaviour, Reply
from synthtutor.testing.server import FakeServer

KEY = "sk-ant-test-0123456789"
EPHEMERAL = {"type": "ephemeral"}
# The SDK warns when a model has a date of retirement, as some of the older ones below have.
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


class TestAnthropic(ProviderContract):
    model = "anthropic/claude-test-5"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Anthropic(endpoint)

    def serve(self, behaviour: Behaviour) -> FakeServer:
        return AnthropicServer(behaviour)

    def sent_schema(self, body: Mapping[str, Any]) -> object:
        return body["output_config"]["format"]["schema"]

    def sent_messages(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        said = [("system", block["text"]) for block in body.get("system", ())]
        return said + [(turn["role"], text_of(turn["content"])) for turn in body["messages"]]

    async def test_rate_limits_in_the_vendors_own_headers(self) -> None:
        headers = {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-input-tokens-remaining": "9000",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2020-01-01T00:00:00Z",
        }
        limits = (await self.answer(Reply("Yes.", headers=headers))).rate_limits
        assert limits is not None
        assert (limits.requests_limit, limits.requests_remaining) == (50, 49)
        assert (limits.input_tokens_remaining, limits.output_tokens_limit) == (9000, 8000)
        assert limits.output_tokens_reset_s == 0.0


def text_of(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def request(
    model: str,
    *messages: Message,
    settings: Settings | None = None,
    schema: Schema | None = None,
) -> Request:
    return Request(f"anthropic/{model}", messages or (user("Hi."),), schema, settings or Settings())


async def sent(asked: Request, **options: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The body and the headers that reach the server."""
    async with AnthropicServer() as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key=KEY, options=options))
        await provider.complete(asked)
        await provider.aclose()
    return dict(server.asked[0].body), server.asked[0].headers


async def answer(reply: Reply, model: str = "claude-test-5") -> Response:
    async with AnthropicServer(lambda _: reply) as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key=KEY))
        try:
            return await provider.complete(request(model))
        finally:
            await provider.aclose()


# What is sent

SAMPLED = Settings(max_tokens=99, temperature=0.3, seed=7, stop=["END"])


async def test_all_settings_that_a_model_takes_are_sent() -> None:
    body, headers = await sent(request("claude-haiku-4-5", settings=SAMPLED))
    assert body == {
        "model": "claude-haiku-4-5",
        "messages": [{"role": "user", "content": "Hi."}],
        "max_tokens": 99,
        "temperature": 0.3,
        "stop_sequences": ["END"],
    }
    assert headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("model", ["claude-opus-4-1", "claude-haiku-4-5", "claude-sonnet-4-6"])
async def test_of_two_ways_to_sample_one_is_sent_and_none_beside_thinking(model: str) -> None:
    both = Settings(temperature=0.3, top_p=0.9)
    body, _ = await sent(request(model, settings=both))
    assert {"temperature", "top_p"} & set(body) == {"temperature"}
    body, _ = await sent(request(model, settings=replace(both, temperature=None)))
    assert {"temperature", "top_p"} & set(body) == {"top_p"}
    body, headers = await sent(request(model, settings=replace(both, reasoning_effort="low")))
    assert "thinking" in body
    assert not {"temperature", "top_p"} & set(body)
    assert headers["anthropic-version"] != "2023-06-01"


async def test_instructions_alone_are_a_turn_to_answer() -> None:
    asked = Request("anthropic/claude-opus-5", [system("Write one line.")])
    body, _ = await sent(asked)
    assert body["messages"] == [{"role": "user", "content": "Write one line."}]
    assert "system" not in body


async def test_what_is_not_set_is_not_sent() -> None:
    body, headers = await sent(request("claude-haiku-4-5"))
    assert set(body) == {"model", "messages", "max_tokens"}
    assert headers["anthropic-version"] != "2023-06-01"


OLD = [
    *("claude-2.1", "claude-instant-1.2", "claude-3-haiku-20240307", "claude-3-5-sonnet-latest"),
    *("claude-3.5-sonnet", "anthropic.claude-3-opus-20240229-v1:0"),
]
BUDGET_WITHOUT_SCHEMA = [
    *("claude-3-7-sonnet-20250219", "claude-3.7-sonnet", "claude-opus-4-20250514"),
    *("claude-sonnet-4-0", "claude-opus-4-1", "claude-opus-4-1-20250805", "claude-sonnet-4"),
    *("claude-4-opus-20250514", "claude-opus-4@20250514", "us.anthropic.claude-opus-4-1-v1:0"),
]
BUDGET = ["claude-opus-4-5", "claude-haiku-4-5-20251001", "anthropic.claude-sonnet-4-5-20250929"]
ADAPTIVE_SAMPLED = ["claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4.6"]
NEW = [
    *("claude-opus-4-7", "claude-opus-4-10", "claude-sonnet-5", "claude-haiku-5-5"),
    *("claude-mythos-preview", "claude-fable-5-2", "something-new"),
]


@pytest.mark.parametrize(
    ("models", "schema", "temperature", "thinks"),
    [
        (OLD, "none", True, False),
        (BUDGET_WITHOUT_SCHEMA, "none", True, True),
        (BUDGET, "schema", True, True),
        (ADAPTIVE_SAMPLED, "schema", True, True),
        (NEW, "schema", False, True),
    ],
)
def test_a_model_says_what_it_takes(
    models: list[str], schema: str, temperature: bool, thinks: bool
) -> None:
    provider = Anthropic(Endpoint(api_key=KEY))
    for model in models:
        found = provider.capabilities(model)
        assert (found.structured_output, found.temperature, found.reasoning_effort) == (
            *(schema, temperature, thinks),
        ), model
        assert (found.seed, found.stop) == (False, True)


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-sonnet-5", "claude-test-9"])
async def test_a_new_model_is_not_sent_a_temperature(model: str) -> None:
    body, headers = await sent(request(model, settings=SAMPLED))
    assert not {"temperature", "top_p", "seed"} & set(body)
    assert headers["anthropic-version"] != "2023-06-01"


SCHEMA = Schema(
    "Hint",
    {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    {"type": "object", "minProperties": 3},
)


async def test_an_older_model_may_be_given_the_beginning_of_its_reply() -> None:
    body, _ = await sent(request("claude-haiku-4-5", user("Hi."), Message("assistant", "{")))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]


async def test_a_schema_is_sent_in_the_common_subset() -> None:
    body, _ = await sent(request("claude-sonnet-5", schema=SCHEMA))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA.definition}}


async def test_a_model_from_before_schemas_is_not_sent_one() -> None:
    body, _ = await sent(request("claude-opus-4-1", schema=SCHEMA))
    assert "output_config" not in body


Effort = Literal["minimal", "low", "medium", "high"]


@pytest.mark.parametrize(
    ("effort", "sent_as"),
    [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high")],
)
async def test_effort_is_adaptive_thinking_where_there_is_any(effort: Effort, sent_as: str) -> None:
    asked = request("claude-opus-4-6", settings=Settings(500, reasoning_effort=effort))
    body, _ = await sent(asked)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": sent_as}
    assert body["max_tokens"] == 500


@pytest.mark.parametrize(
    ("effort", "budget"), [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384)]
)
async def test_effort_is_a_budget_on_top_of_the_reply_for_older_models(
    effort: Effort, budget: int
) -> None:
    asked = request("claude-haiku-4-5", settings=Settings(500, reasoning_effort=effort))
    body, _ = await sent(asked)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == 500 + budget
    assert "output_config" not in body


async def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    asked = request("claude-3-5-haiku-latest", settings=Settings(500, reasoning_effort="high"))
    body, _ = await sent(asked)
    assert "thinking" not in body
    assert body["max_tokens"] == 500


async def test_schema_and_effort_share_the_output_config() -> None:
    asked = request("claude-opus-5", settings=Settings(reasoning_effort="low"), schema=SCHEMA)
    body, _ = await sent(asked)
    assert set(body["output_config"]) == {"format", "effort"}


async def test_a_long_reply_needs_no_streaming() -> None:
    body, _ = await sent(request("claude-opus-5", settings=Settings(max_tokens=60_000)))
    assert body["max_tokens"] == 60_000


DIALOGUE = (
    system("Be a tutor."),
    system("Grade 5."),
    user("1/2 + 1/3?"),
    Message("assistant", "What do you think?"),
    user("2/5"),
)


async def test_the_system_prompt_is_cached_and_a_single_question_is_not() -> None:
    body, _ = await sent(request("claude-opus-5", *DIALOGUE[:3]))
    assert body["system"] == [
        {"type": "text", "text": "Be a tutor."},
        {"type": "text", "text": "Grade 5.", "cache_control": EPHEMERAL},
    ]
    assert body["messages"] == [{"role": "user", "content": "1/2 + 1/3?"}]


async def test_a_conversation_is_cached_up_to_its_end() -> None:
    body, _ = await sent(request("claude-opus-5", *DIALOGUE))
    assert body["messages"] == [
        {"role": "user", "content": "1/2 + 1/3?"},
        {"role": "assistant", "content": "What do you think?"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "2/5", "cache_control": EPHEMERAL}],
        },
    ]


async def test_the_cache_may_last_an_hour() -> None:
    body, _ = await sent(request("claude-opus-5", *DIALOGUE), cache="1h")
    marks = [body["system"][-1], body["messages"][-1]["content"][0]]
    assert all(mark["cache_control"] == {"type": "ephemeral", "ttl": "1h"} for mark in marks)


async def test_the_cache_can_be_switched_off() -> None:
    body, _ = await sent(request("claude-opus-5", *DIALOGUE), cache="off")
    assert "cache_control" not in json.dumps(body)


async def test_two_equal_prefixes_write_once_and_read_once() -> None:
    long = system("Be a tutor who asks before telling. " * 50)
    async with AnthropicServer() as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key=KEY))
        first = await provider.complete(request("claude-opus-5", long, user("One?")))
        second = await provider.complete(request("claude-opus-5", long, user("Two?")))
        await provider.aclose()
    prefix = len(long.content) // 4
    assert (first.usage.cache_write_tokens, first.usage.cache_read_tokens) == (prefix, 0)
    assert (second.usage.cache_write_tokens, second.usage.cache_read_tokens) == (0, prefix)
    assert first.usage.input_tokens == second.usage.input_tokens > prefix


# What comes back


async def test_thinking_is_kept_apart_from_the_answer() -> None:
    usage = Usage(10, 50, reasoning_tokens=40)
    response = await answer(Reply("3/6", reasoning="Common denominator.", usage=usage))
    assert (response.text, response.reasoning) == ("3/6", "Common denominator.")
    assert response.usage == usage


async def test_withheld_thinking_and_several_texts_are_understood() -> None:
    content = [
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "One, "},
        {"type": "text", "text": "two."},
        {"type": "not_invented_yet", "what": 1},
    ]
    response = await answer(Reply("", extra={"content": content}))
    assert (response.text, response.reasoning) == ("One, two.", "Hm.")


@pytest.mark.parametrize(
    ("reason", "finish", "detail"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", None),
        ("max_tokens", "length", None),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("refusal", "refusal", "refusal"),
        ("pause_turn", "other", "pause_turn"),
        ("tool_use", "other", "tool_use"),
    ],
)
async def test_reasons_to_stop(reason: str, finish: str, detail: str | None) -> None:
    response = await answer(Reply("So", finish_reason=reason))
    assert (response.finish, response.detail) == (finish, detail)


async def test_a_refusal_says_its_category() -> None:
    details = {"type": "refusal", "category": "frontier_llm", "explanation": "Not this."}
    extra = {"stop_reason": "refusal", "stop_details": details}
    response = await answer(Reply("", extra=extra))
    assert (response.finish, response.detail) == ("refusal", "frontier_llm: Not this.")


async def test_text_that_is_not_utf_8_is_a_broken_reply() -> None:
    with pytest.raises(Unavailable):
        await answer(Reply(raw=b'{"content": "\xff\xfe"}'))


# Configuration


async def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AnthropicServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        provider = Anthropic(Endpoint())
        await provider.complete(request("claude-opus-5"))
        await provider.aclose()
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        Anthropic(Endpoint())


def test_a_key_that_no_header_can_carry_is_refused_unquoted() -> None:
    with pytest.raises(ConfigError) as caught:
        Anthropic(Endpoint(api_key="sk-“curly”-quotes"))
    assert "curly" not in str(caught.value)


@pytest.mark.parametrize("options", [{"caching": "5m"}, {"cache": "1d"}])
def test_an_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Anthropic(Endpoint(api_key=KEY, options=options))


def test_it_takes_batches() -> None:
    provider = Anthropic(Endpoint(api_key=KEY))
    assert isinstance(provider, BatchProvider)
    assert provider.batch_limits().requests == 100_000


async def test_the_connection_pool_is_as_large_as_the_endpoint_says() -> None:
    async with AnthropicServer() as server:
        server.together = 3  # with fewer connections nothing would be answered at all
        endpoint = Endpoint(base_url=server.base_url, api_key=KEY, max_in_flight=3)
        provider = Anthropic(endpoint)
        async with asyncio.TaskGroup() as group:
            for number in range(9):
                asked = request("claude-opus-5", user(f"{number}"))
                group.create_task(provider.complete(asked))
        await provider.aclose()
    assert server.max_in_flight == 3


def test_importing_the_plugin_does_not_import_the_sdk() -> None:
    code = "import sys, synthtutor_anthropic as m"
    code += "; m.Anthropic(m.Endpoint(api_key='k')).capabilities('claude-3')"
    code += "; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
