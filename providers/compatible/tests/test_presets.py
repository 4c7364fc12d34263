"""The presets: the contract where they differ, where they are, and what they are sent."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, ClassVar

import orjson
import pytest
from synthtutor_compatible import Compatible, chat_url
from synthtutor_compatible_presets import (
    DeepSeek,
    Groq,
    LlamaCpp,
    Ollama,
    OpenRouter,
    Together,
    Vllm,
)

from synthtutor.errors import ConfigError
from synthtutor.messages import Request, Response, Schema, Settings, user
from synthtutor.plugins import open_provider
from synthtutor.provider import Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import FakeServer, OpenAIServer

VENDORS: list[type[Compatible]] = [OpenRouter, DeepSeek, Together, Groq]
LOCAL: list[type[Compatible]] = [Ollama, Vllm, LlamaCpp]
PRESETS = VENDORS + LOCAL
KEY = "sk-planted-0123456789"


class TestOpenRouter(ProviderContract):
    model = "openrouter/deepseek/deepseek-r1"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return OpenRouter(endpoint)


class TestDeepSeek(ProviderContract):
    model = "deepseek/deepseek-flash"
    cannot: ClassVar[dict[str, str]] = {
        "structured_output": "JSON mode only: the schema goes into the prompt"
    }

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return DeepSeek(endpoint)


class TestOllama(ProviderContract):
    model = "ollama/qwen3:4b"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Ollama(endpoint)


ALL = Settings(99, 0.3, 0.9, 7, ["END"], "low")
SCHEMA = Schema("Count", {"type": "object", "properties": {}}, {"type": "object", "x": 1})


async def ask(
    preset: type[Compatible],
    reply: Reply,
    model: str = "some-model",
    settings: Settings | None = None,
    **options: str,
) -> tuple[Response, dict[str, Any]]:
    """The response, and the body that reached the server."""
    request = Request(f"{preset.name}/{model}", [user("½?")], None, settings or Settings())
    async with OpenAIServer(lambda _: reply) as server:
        provider = preset(Endpoint(base_url=server.base_url, api_key=KEY, options=options))
        try:
            response = await provider.complete(request)
        finally:
            await provider.aclose()
    return response, dict(server.asked[0].body)


# Where they are


def test_each_is_a_provider_of_its_own_name() -> None:
    declared = {point.name for point in entry_points(group="synthtutor.providers")}
    for preset in PRESETS:
        assert preset.name in declared
        assert type(open_provider(preset.name, Endpoint(api_key=KEY))) is preset


@pytest.mark.parametrize(
    ("preset", "sent_to"),
    [
        (OpenRouter, "https://openrouter.ai/api/v1/chat/completions"),
        (DeepSeek, "https://api.deepseek.com/chat/completions"),
        (Together, "https://api.together.ai/v1/chat/completions"),
        (Groq, "https://api.groq.com/openai/v1/chat/completions"),
        (Ollama, "http://localhost:11434/v1/chat/completions"),
        (Vllm, "http://localhost:8000/v1/chat/completions"),
        (LlamaCpp, "http://localhost:8080/v1/chat/completions"),
    ],
)
def test_each_knows_its_address(preset: type[Compatible], sent_to: str) -> None:
    assert preset.default_url is not None
    assert chat_url(preset.default_url) == sent_to


@pytest.mark.parametrize("preset", PRESETS)
async def test_address_and_key_come_from_its_own_variables(
    preset: type[Compatible], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COMPATIBLE_API_KEY", "sk-of-somebody-else")
    async with OpenAIServer() as server:
        monkeypatch.setenv(preset.url_variable, server.base_url)
        monkeypatch.setenv(preset.key_variable, KEY)
        provider = preset(Endpoint())
        await provider.complete(Request(f"{preset.name}/m", [user("½?")]))
        await provider.aclose()
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("preset", VENDORS)
def test_a_vendor_without_a_key_says_which_variable(
    preset: type[Compatible], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(preset.key_variable, raising=False)
    with pytest.raises(ConfigError, match=preset.key_variable):
        preset(Endpoint())


@pytest.mark.parametrize("preset", LOCAL)
async def test_a_local_server_needs_no_key_and_no_money(
    preset: type[Compatible], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(preset.key_variable, raising=False)
    async with OpenAIServer() as server:
        provider = preset(Endpoint(base_url=server.base_url))
        await provider.complete(Request(f"{preset.name}/m", [user("½?")]))
        await provider.aclose()
    assert "authorization" not in server.asked[0].headers
    assert provider.capabilities("m").free
    hosted = Endpoint(base_url=server.base_url, options={"free": "false"})
    assert not preset(hosted).capabilities("m").free


def test_a_vendor_is_not_free() -> None:
    for preset in VENDORS:
        assert not preset(Endpoint(api_key=KEY)).capabilities("m").free


# What is sent

EVERYTHING = {"temperature": 0.3, "top_p": 0.9, "seed": 7, "stop": ["END"]}


@pytest.mark.parametrize(
    ("preset", "model", "sent"),
    [
        (OpenRouter, "a/b", {"max_tokens": 99, "reasoning_effort": "low", **EVERYTHING}),
        (
            DeepSeek,
            "deepseek-flash",
            {"max_tokens": 99, "reasoning_effort": "low", "stop": ["END"]},
        ),
        (
            DeepSeek,
            "deepseek-chat",
            {"max_tokens": 99, "temperature": 0.3, "top_p": 0.9, "stop": ["END"]},
        ),
        (
            Together,
            "a/b",
            {
                "max_tokens": 99,
                "reasoning_effort": "low",
                "context_length_exceeded_behavior": "error",
                **EVERYTHING,
            },
        ),
        (
            Groq,
            "openai/gpt-oss-20b",
            {"max_completion_tokens": 99, "reasoning_effort": "low", **EVERYTHING},
        ),
        (Groq, "llama-3.3-70b-versatile", {"max_completion_tokens": 99, **EVERYTHING}),
        (Ollama, "qwen3:4b", {"max_tokens": 99, "reasoning_effort": "low", **EVERYTHING}),
        (Vllm, "Qwen/Qwen3-8B", {"max_tokens": 99, "reasoning_effort": "low", **EVERYTHING}),
        (LlamaCpp, "any", {"max_tokens": 99, "reasoning_effort": "low", **EVERYTHING}),
    ],
)
async def test_what_a_model_takes_is_sent_and_nothing_else(
    preset: type[Compatible], model: str, sent: dict[str, Any]
) -> None:
    _, body = await ask(preset, Reply("Yes."), model, ALL)
    assert body.pop("model") == model
    assert body.pop("messages") == [{"role": "user", "content": "½?"}]
    assert body == sent
    left_out = preset(Endpoint(api_key=KEY)).capabilities(model).left_out(ALL)
    settings = {"temperature", "top_p", "seed", "stop", "reasoning_effort"}
    assert set(left_out) == settings - set(sent), "what is not sent is said"


async def test_deepseek_takes_a_temperature_once_it_does_not_think() -> None:
    quiet = '{"thinking": {"type": "disabled"}}'
    _, body = await ask(DeepSeek, Reply("Yes."), "deepseek-flash", ALL, extra_body=quiet)
    assert body["temperature"] == 0.3
    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body


@pytest.mark.parametrize(
    ("preset", "model", "level"),
    [
        (OpenRouter, "a/b", "schema"),
        (DeepSeek, "deepseek-chat", "json"),
        (Together, "a/b", "schema"),
        (Groq, "openai/gpt-oss-120b", "schema"),
        (Groq, "qwen/qwen3-32b", "json"),
        (Ollama, "qwen3:4b", "schema"),
        (Vllm, "m", "grammar"),
        (LlamaCpp, "m", "grammar"),
    ],
)
async def test_how_much_of_a_schema_it_honours(
    preset: type[Compatible], model: str, level: str
) -> None:
    request = Request(f"{preset.name}/{model}", [user("½?")], SCHEMA)
    async with OpenAIServer(lambda _: Reply("{}")) as server:
        provider = preset(Endpoint(base_url=server.base_url, api_key=KEY))
        await provider.complete(request)
        await provider.aclose()
    assert provider.capabilities(model).structured_output == level
    form = server.asked[0].body["response_format"]
    sent = {"schema": SCHEMA.definition, "grammar": SCHEMA.strict}
    expected = {"type": "json_object"} if level == "json" else sent[level]
    assert (form if level == "json" else form["json_schema"]["schema"]) == expected


@pytest.mark.parametrize("preset", PRESETS)
def test_the_level_can_be_set(preset: type[Compatible]) -> None:
    endpoint = Endpoint(api_key=KEY, options={"structured_output": "none"})
    assert preset(endpoint).capabilities("openai/gpt-oss-20b").structured_output == "none"


# extra_body


@pytest.mark.parametrize("preset", [Compatible, Vllm])
async def test_extra_body_is_merged_into_the_body(preset: type[Compatible]) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
    _, body = await ask(preset, Reply("Yes."), extra_body=orjson.dumps(extra).decode())
    assert {name: body[name] for name in extra} == extra
    assert body["model"] == "some-model"


async def test_a_requests_effort_wins_over_extra_bodys() -> None:
    extra = '{"reasoning_effort": "none"}'
    _, without = await ask(Ollama, Reply("Yes."), extra_body=extra)
    assert without["reasoning_effort"] == "none"
    _, with_one = await ask(Ollama, Reply("Yes."), settings=ALL, extra_body=extra)
    assert with_one["reasoning_effort"] == "low"


async def test_extra_body_can_undo_what_a_preset_always_sends() -> None:
    extra = '{"context_length_exceeded_behavior": "truncate"}'
    _, body = await ask(Together, Reply("Yes."), extra_body=extra)
    assert body["context_length_exceeded_behavior"] == "truncate"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{top_k: 20}", "not JSON"),
        ("[1]", "JSON object"),
        ('{"temperature": 1, "model": "other"}', "cannot set model, temperature"),
        ('{"stream": true}', "cannot set stream"),
    ],
)
def test_an_extra_body_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"vllm's option extra_body .*{said}"):
        Vllm(Endpoint(options={"extra_body": text}))


def test_an_unknown_option_names_the_preset() -> None:
    with pytest.raises(ConfigError, match="ollama has no option 'threads'"):
        Ollama(Endpoint(options={"threads": "2"}))


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx2"])
async def test_the_presets_take_the_same_transports(transport: str) -> None:
    response, _ = await ask(Ollama, Reply("Here."), transport=transport)
    assert response.text == "Here."
