"""The plugin `fireworks`: the contract, what it sends, and where it finds the reasoning."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from synthtutor_fireworks import Fireworks, full_name

from synthtutor.errors import ConfigError, Rejected, Unauthorized
from synthtutor.messages import Request, Response, Schema, Settings, Usage, user
from synthtutor.plugins import open_provider
from synthtutor.provider import BatchProvider, Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.fireworks_wire import FireworksServer
from synthtutor.testing.replies import Behaviour, Reply
from synthtutor.testing.server import FakeServer

KEY = "fw_test_0123456789"
R1 = "accounts/fireworks/models/deepseek-r1-0528"
ALL = Settings(99, 0.3, 0.9, 7, ["END"], "low")


class TestFireworks(ProviderContract):
    model = f"fireworks/{R1}"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Fireworks(endpoint)

    def serve(self, behaviour: Behaviour) -> FakeServer:
        return FireworksServer(behaviour)


async def ask(
    reply: Reply, model: str = "deepseek-r1-0528", settings: Settings | None = None, **options: str
) -> tuple[Response, dict[str, Any]]:
    """The response, and the body that reached the server."""
    request = Request(f"fireworks/{model}", [user("½?")], None, settings or Settings())
    async with FireworksServer(lambda _: reply) as server:
        provider = Fireworks(Endpoint(base_url=server.base_url, api_key=KEY, options=options))
        try:
            response = await provider.complete(request)
        finally:
            await provider.aclose()
    return response, dict(server.asked[0].body)


def test_it_is_declared_and_has_batches() -> None:
    provider = open_provider("fireworks", Endpoint(api_key=KEY))
    assert isinstance(provider, Fireworks)
    assert isinstance(provider, BatchProvider)


# What is sent


async def test_everything_set_is_sent() -> None:
    _, body = await ask(Reply("Yes."), settings=ALL)
    assert body == {
        "model": R1,
        "messages": [{"role": "user", "content": "½?"}],
        "max_tokens": 99,
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "reasoning_effort": "low",
        "context_length_exceeded_behavior": "error",
    }
    assert Fireworks(Endpoint(api_key=KEY)).capabilities("any").left_out(ALL) == []


async def test_what_is_not_set_is_not_sent() -> None:
    _, body = await ask(Reply("Yes."), max_tokens_field="max_completion_tokens")
    assert set(body) == {
        "model",
        "messages",
        "max_completion_tokens",
        "context_length_exceeded_behavior",
    }


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("deepseek-r1-0528", R1),
        (R1, R1),
        ("accounts/me/models/tuned", "accounts/me/models/tuned"),
        ("accounts/me/models/m#accounts/me/deployments/d",) * 2,
    ],
)
async def test_a_short_name_is_among_fireworks_own(name: str, full: str) -> None:
    assert full_name(name) == full
    _, body = await ask(Reply("Yes."), name)
    assert body["model"] == full


async def test_a_schema_is_sent_as_a_response_format() -> None:
    schema = Schema("Count", {"type": "object", "properties": {}}, {})
    async with FireworksServer() as server:
        provider = Fireworks(Endpoint(base_url=server.base_url, api_key=KEY))
        await provider.complete(Request("fireworks/m", [user("½?")], schema))
        await provider.aclose()
    form = server.asked[0].body["response_format"]
    assert (form["type"], form["json_schema"]["schema"]) == ("json_schema", schema.definition)


async def test_key_and_address_come_from_fireworks_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody-else")
    async with FireworksServer() as server:
        monkeypatch.setenv("FIREWORKS_BASE_URL", server.base_url)
        monkeypatch.setenv("FIREWORKS_API_KEY", f"{KEY}\n")
        provider = Fireworks(Endpoint())
        await provider.complete(Request("fireworks/m", [user("½?")]))
        await provider.aclose()
    headers = server.asked[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "somebody-else" not in str(headers)


def test_the_address_is_fireworks_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIREWORKS_BASE_URL", raising=False)
    assert Fireworks(Endpoint(api_key=KEY)).base_url == "https://api.fireworks.ai/inference/v1"


def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIREWORKS_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    with pytest.raises(ConfigError, match="FIREWORKS_API_KEY"):
        Fireworks(Endpoint())


@pytest.mark.parametrize("options", [{"sampling": "never"}, {"max_tokens_field": "tokens"}])
def test_an_option_that_is_not_fireworks_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"fireworks.*{next(iter(options))}"):
        Fireworks(Endpoint(api_key=KEY, options=options))


# What comes back

COUNTED = {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49}


@pytest.mark.parametrize("apart", [True, False])
async def test_reasoning_is_kept_apart_and_counted(apart: bool) -> None:
    extra = {"usage": COUNTED}
    thought = "3/6 + 2/6 = 5/6."
    reply = Reply("Five sixths.", reasoning=thought, extra=extra)
    if not apart:
        reply = Reply(f"<think>\n{thought}\n</think>\n\nFive sixths.", extra=extra)
    response, _ = await ask(reply)
    assert (response.reasoning, response.text) == (thought, "Five sixths.")
    assert response.usage == Usage(9, 40, reasoning_tokens=len(thought) // 4 + 1)


async def test_a_reply_cut_inside_its_reasoning_has_no_text() -> None:
    reply = Reply("<think>3/6 + 2/6", finish_reason="length", extra={"usage": COUNTED})
    response, _ = await ask(reply)
    assert (response.reasoning, response.text, response.finish) == ("3/6 + 2/6", "", "length")


async def test_a_count_of_theirs_wins_and_an_estimate_is_never_too_much() -> None:
    counted = Reply("Yes.", reasoning="Hm. " * 50, usage=Usage(9, 80, reasoning_tokens=61))
    assert (await ask(counted))[0].usage.reasoning_tokens == 61
    long = Reply("Yes.", reasoning="x" * 4000, extra={"usage": COUNTED})
    assert (await ask(long))[0].usage.reasoning_tokens == 40


async def test_cached_tokens_come_from_the_usage_or_from_a_header() -> None:
    headers = {"fireworks-prompt-tokens": "9", "fireworks-cached-prompt-tokens": "4"}
    by_header, _ = await ask(Reply("Yes.", headers=headers, extra={"usage": COUNTED}))
    assert by_header.usage.cache_read_tokens == 4
    usage = COUNTED | {"prompt_tokens_details": {"cached_tokens": 6}}
    by_usage, _ = await ask(Reply("Yes.", headers=headers, extra={"usage": usage}))
    assert by_usage.usage.cache_read_tokens == 6


async def test_their_limits_are_read() -> None:
    headers = {
        "x-ratelimit-limit-tokens-prompt": "60000",
        "x-ratelimit-limit-tokens-generated": "6000",
    }
    limits = (await ask(Reply("Yes.", headers=headers)))[0].rate_limits
    assert limits is not None
    assert (limits.input_tokens_limit, limits.output_tokens_limit) == (60000, 6000)


@pytest.mark.parametrize("status", [401, 402, 403, 412])
async def test_no_key_and_no_money_stop_the_run(status: int) -> None:
    with pytest.raises(Unauthorized, match="suspended"):
        await ask(Reply.failure(status, "Account is suspended"))


async def test_what_does_not_fit_is_told() -> None:
    message = "The prompt is too long: 200000, model maximum context length: 163839"
    with pytest.raises(Rejected) as caught:
        await ask(Reply.failure(400, message, code="invalid_request_error"))
    assert caught.value.reason == "context"


async def test_a_model_that_is_not_served_is_told() -> None:
    message = "Model not found, inaccessible, and/or not deployed"
    with pytest.raises(Rejected) as caught:
        await ask(Reply.failure(404, message, code="NOT_FOUND"))
    assert caught.value.reason == "model"


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = "import sys, synthtutor_fireworks as m; m.Fireworks(m.Endpoint(api_key='k'))"
    code += "; sys.exit(any(name in sys.modules for name in ('openai', 'httpx2', 'fireworks')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
