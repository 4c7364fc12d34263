"""The plugin `openai`: the contract, what it sends, and that every SDK error has a meaning."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from typing import Any

import httpx2
import openai
import pytest
from synthtutor_openai import OpenAI, translated

from synthtutor.errors import (
    ConfigError,
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from synthtutor.messages import Request, Schema, Settings, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import FakeServer, OpenAIServer

KEY = "sk-test-0123456789"


class TestOpenAI(ProviderContract):
    model = "openai/test-model"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return OpenAI(endpoint)


async def sent(
    model: str, settings: Settings, schema: Schema | None = None, **options: str
) -> dict[str, Any]:
    """The body that reaches the server."""
    async with OpenAIServer() as server:
        provider = OpenAI(Endpoint(base_url=server.base_url, api_key=KEY, options=options))
        await provider.complete(Request(f"openai/{model}", [user("Hi.")], schema, settings))
        await provider.aclose()
    return dict(server.asked[0].body)


ALL = Settings(
    max_tokens=99, temperature=0.3, top_p=0.9, seed=7, stop=["END"], reasoning_effort="low"
)


async def test_all_settings_the_model_takes_are_sent() -> None:
    body = await sent("gpt-4o-mini", ALL)
    assert body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi."}],
        "max_completion_tokens": 99,
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
    }


async def test_what_is_not_set_is_not_sent() -> None:
    body = await sent("gpt-4o-mini", Settings())
    assert set(body) == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.6-mini", "gpt-6", "ft:o3:a::b"]
)
async def test_a_reasoning_model_is_sent_what_it_takes_and_says_what_it_does_not(
    model: str,
) -> None:
    body = await sent(model, ALL)
    assert not {"temperature", "top_p", "stop"} & set(body)
    assert (body["reasoning_effort"], body["seed"]) == ("low", 7)
    left_out = OpenAI(Endpoint(api_key=KEY)).capabilities(model).left_out(ALL)
    assert left_out == ["temperature", "top_p", "stop"]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-oss-120b", "ft:gpt-4o-mini:a::b"])
def test_other_models_take_a_temperature_and_a_schema(model: str) -> None:
    capabilities = OpenAI(Endpoint(api_key=KEY)).capabilities(model)
    assert capabilities.temperature
    assert capabilities.structured_output == "schema"
    assert capabilities.left_out(ALL) == ["reasoning_effort"]


async def test_sampling_can_be_forced_either_way() -> None:
    assert (await sent("gpt-5-chat-latest", ALL, sampling="always"))["temperature"] == 0.3
    assert "temperature" not in await sent("my-model", ALL, sampling="never")


async def test_a_name_that_says_nothing_can_be_said_to_reason() -> None:
    body = await sent("my-deployment", ALL, reasoning="always")
    assert body["reasoning_effort"] == "low"
    assert not {"temperature", "stop"} & set(body)
    body = await sent("gpt-5-chat-latest", ALL, reasoning="never")
    assert (body["stop"], body["temperature"]) == (["END"], 0.3)
    assert "reasoning_effort" not in body


@pytest.mark.parametrize("model", ["gpt-4o", "o3", "gpt-4", "whatever"])
@pytest.mark.parametrize("options", [{}, {"sampling": "never"}, {"reasoning": "always"}])
async def test_what_is_not_said_to_be_left_out_is_sent(model: str, options: dict[str, str]) -> None:
    body = await sent(model, ALL, None, **options)
    capabilities = OpenAI(Endpoint(api_key=KEY, options=options)).capabilities(model)
    settings = {"temperature", "top_p", "seed", "stop", "reasoning_effort"}
    assert settings - set(body) == set(capabilities.left_out(ALL))


async def test_the_old_name_of_the_token_limit() -> None:
    body = await sent("m", Settings(max_tokens=5), max_tokens_field="max_tokens")
    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body


SCHEMA = Schema("Reply[int]", {"type": "object", "properties": {}}, {})


async def test_a_schema_is_sent_strictly_under_a_name_the_api_takes() -> None:
    form = (await sent("gpt-4o", Settings(), SCHEMA))["response_format"]["json_schema"]
    assert form == {"name": "Reply_int_", "strict": True, "schema": SCHEMA.definition}


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4-0613"])
async def test_a_model_from_before_schemas_is_not_sent_one(model: str) -> None:
    assert "response_format" not in await sent(model, Settings(), SCHEMA)
    assert OpenAI(Endpoint(api_key=KEY)).capabilities(model).structured_output == "none"


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        OpenAI(Endpoint())


def test_a_key_that_no_header_can_carry_is_refused_unquoted() -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAI(Endpoint(api_key="sk-“curly”-quotes"))
    assert "curly" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_token_field": "max_tokens"},
        {"sampling": "yes"},
        {"max_tokens_field": "n"},
        {"reasoning": "high"},
        {"prompt_cache_key": "mine"},
    ],
)
def test_an_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        OpenAI(Endpoint(api_key=KEY, options=options))


async def test_the_connection_pool_is_as_large_as_the_endpoint_says() -> None:
    async with OpenAIServer() as server:
        server.together = 3  # with fewer connections nothing would be answered at all
        endpoint = Endpoint(base_url=server.base_url, api_key=KEY, max_in_flight=3)
        provider = OpenAI(endpoint)
        async with asyncio.TaskGroup() as group:
            for number in range(9):
                group.create_task(provider.complete(Request("openai/m", [user(f"{number}")])))
        await provider.aclose()
    assert server.max_in_flight == 3


def test_importing_the_plugin_does_not_import_the_sdk() -> None:
    code = (
        "import sys, synthtutor_openai as m; m.OpenAI(m.Endpoint(api_key='k')).capabilities('o1')"
    )
    code += "; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Every exception the SDK defines, and what it means here. A new one in a new version of the SDK
# makes the test below fail until it has a line.
MEANINGS: dict[type[Exception], type[ProviderError]] = {
    openai.OpenAIError: Unavailable,
    openai.APIError: Unavailable,
    openai.APIConnectionError: Unavailable,
    openai.APITimeoutError: Unavailable,
    openai.APIResponseValidationError: Unavailable,
    openai.APIStatusError: Rejected,  # with the status 418 below; the status decides
    openai.BadRequestError: Rejected,
    openai.AuthenticationError: Unauthorized,
    openai.OAuthError: Unauthorized,
    openai.PermissionDeniedError: Unauthorized,
    openai.NotFoundError: Rejected,
    openai.ConflictError: Unavailable,
    openai.UnprocessableEntityError: Rejected,
    openai.RateLimitError: RateLimited,
    openai.InternalServerError: Unavailable,
}
# What a body that breaks off while it is read in pieces raises, past the SDK.
UNDERNEATH = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ReadTimeout)
# Raised only by other parts of the SDK: its parse() helpers, webhooks, web sockets, workload
# identity, and its module-level client.
ELSEWHERE = {
    "LengthFinishReasonError",
    "ContentFilterFinishReasonError",
    "InvalidWebhookSignatureError",
    "SubjectTokenProviderError",
    "WebSocketConnectionClosedError",
    "WebSocketQueueFullError",
    "_AmbiguousModuleClientUsageError",
}
STATUSES = {
    openai.OAuthError: 401,
    openai.InternalServerError: 529,
    openai.APIStatusError: 418,
}


def defined_by_the_sdk() -> set[type[Exception]]:
    modules = (openai, openai._exceptions)
    return {
        value
        for module in modules
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and value.__module__.startswith("openai")
    }


def example_of(kind: type[Exception]) -> Exception:
    request = httpx2.Request("POST", "https://example.test/v1")
    if issubclass(kind, openai.APIStatusError):
        status = STATUSES.get(kind) or kind.__dict__["status_code"]
        response = httpx2.Response(status, request=request)
        if kind is openai.OAuthError:
            return openai.OAuthError(response=response, body=None)
        return kind("said", response=response, body=None)
    if kind is openai.APIResponseValidationError:
        return openai.APIResponseValidationError(httpx2.Response(200, request=request), None)
    if kind is openai.APITimeoutError:
        return openai.APITimeoutError(request)
    if kind is openai.APIConnectionError:
        return openai.APIConnectionError(request=request)
    if kind is openai.APIError:
        return openai.APIError("said", request, body=None)
    return kind("said")


@pytest.mark.slow
def test_every_error_of_the_sdk_is_accounted_for() -> None:
    found = {kind.__name__ for kind in defined_by_the_sdk()}
    assert found == {kind.__name__ for kind in MEANINGS} | ELSEWHERE


@pytest.mark.parametrize("kind", MEANINGS, ids=lambda kind: kind.__name__)
def test_an_sdk_error_is_translated(kind: type[Exception]) -> None:
    assert type(translated(example_of(kind))) is MEANINGS[kind]


def test_errors_that_the_sdk_lets_through_are_translated() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert type(translated(caught.value)) is Unavailable
    assert type(translated(TimeoutError())) is Unavailable
    for kind in UNDERNEATH:
        assert type(translated(kind("broke off"))) is Unavailable


def test_a_mistake_of_ours_is_not_dressed_up_as_the_endpoints() -> None:
    with pytest.raises(KeyError):
        translated(KeyError("typo"))


async def test_a_filtered_prompt_is_rejected_for_its_content() -> None:
    reply = Reply.failure(400, "The prompt was filtered.", code="content_filter")
    async with OpenAIServer(lambda _: reply) as server:
        provider = OpenAI(Endpoint(base_url=server.base_url, api_key=KEY))
        with pytest.raises(Rejected) as caught:
            await provider.complete(Request("openai/m", [user("Hi.")]))
        await provider.aclose()
    assert caught.value.reason == "content"
