"""The plugin `compatible`: the contract over both transports, addresses, dialects of the wire."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from typing import Any

import httpx2
import pyreqwest.exceptions
import pytest
from synthtutor_compatible import Compatible, Httpx2Transport, PyreqwestTransport, chat_url

from synthtutor.errors import ConfigError, RateLimited, Rejected, Unavailable
from synthtutor.messages import Request, Response, Schema, Settings, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import FakeServer, OpenAIServer

QUESTION = Request("compatible/m", [user("What is 1/2 + 1/3?")])


class TestOverPyreqwest(ProviderContract):
    model = "compatible/test-model"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Compatible(replace(endpoint, options={"transport": "pyreqwest"}))


@pytest.mark.slow
class TestOverHttpx2(ProviderContract):
    model = "compatible/test-model"

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Compatible(replace(endpoint, options={"transport": "httpx2"}))


async def ask(
    reply: Reply, request: Request = QUESTION, *, base_url: str = "", **options: str
) -> tuple[Response, OpenAIServer]:
    async with OpenAIServer(lambda _: reply) as server:
        provider = Compatible(Endpoint(base_url=server.root_url + base_url, options=options))
        try:
            return await provider.complete(request), server
        finally:
            await provider.aclose()


# Addresses


@pytest.mark.parametrize(
    ("base_url", "sent_to"),
    [
        ("http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        (" http://h:8000/v1// \n", "http://h:8000/v1/chat/completions"),
        ("https://openrouter.test/api/v1", "https://openrouter.test/api/v1/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/d/m?api-version=2", "https://h/d/m/chat/completions?api-version=2"),
        ("http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_where_a_base_url_leads(base_url: str, sent_to: str) -> None:
    assert chat_url(base_url) == sent_to


@pytest.mark.parametrize(
    "base_url",
    ["localhost:8000", "h/v1", "ftp://h", "http://", "http://[::", "http://h:99999", "http://a b"],
)
def test_what_is_no_url_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        chat_url(base_url)


@pytest.mark.parametrize("base_url", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_every_form_of_the_address_reaches_the_server(base_url: str) -> None:
    response, _ = await ask(Reply("Here."), base_url=base_url)
    assert response.text == "Here."


def test_without_an_address_variable_and_option_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPATIBLE_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match=r"COMPATIBLE_BASE_URL.*base_url"):
        Compatible(Endpoint())


async def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OpenAIServer() as server:
        monkeypatch.setenv("COMPATIBLE_BASE_URL", server.base_url)
        monkeypatch.setenv("COMPATIBLE_API_KEY", "sk-env-1234\n")
        provider = Compatible(Endpoint())
        await provider.complete(QUESTION)
        await provider.aclose()
    assert server.asked[0].headers["authorization"] == "Bearer sk-env-1234"


async def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPATIBLE_API_KEY", raising=False)
    _, server = await ask(Reply("Here."))
    assert "authorization" not in server.asked[0].headers


def test_a_key_that_no_header_can_carry_is_refused_unquoted() -> None:
    with pytest.raises(ConfigError) as caught:
        Compatible(Endpoint(base_url="http://h", api_key="sk-“curly”-quotes"))
    assert "curly" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"structured": "json"}, {"transport": "aiohttp"}, {"free": "yes"}]
)
def test_an_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Compatible(Endpoint(base_url="http://h", options=options))


async def test_a_redirect_is_not_followed_but_told() -> None:
    moved = Reply(status=307, raw=b"", headers={"location": "https://elsewhere.test/v1"})
    for transport in ("pyreqwest", "httpx2"):
        with pytest.raises(Rejected, match=r"elsewhere\.test"):
            await ask(moved, transport=transport)


# What is sent


async def test_all_settings_are_sent() -> None:
    settings = Settings(99, 0.3, 0.9, 7, ["END"], "low")
    _, server = await ask(Reply("Yes."), replace(QUESTION, settings=settings))
    assert server.asked[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "What is 1/2 + 1/3?"}],
        "max_tokens": 99,
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "reasoning_effort": "low",
    }


async def test_what_is_not_set_is_not_sent() -> None:
    _, server = await ask(Reply("Yes."), max_tokens_field="max_completion_tokens")
    assert set(server.asked[0].body) == {"model", "messages", "max_completion_tokens"}


COMMON = {"type": "object", "properties": {"n": {"type": "integer"}}}
STRICT = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}


@pytest.mark.parametrize(
    ("level", "sent"),
    [
        ("schema", ("json_schema", COMMON)),
        ("grammar", ("json_schema", STRICT)),
        ("json", ("json_object", None)),
        ("none", (None, None)),
    ],
)
async def test_the_schema_is_sent_as_the_endpoint_can_take_it(
    level: str, sent: tuple[str | None, object]
) -> None:
    request = replace(QUESTION, schema=Schema("Count", COMMON, STRICT))
    _, server = await ask(Reply("{}"), request, structured_output=level)
    form: dict[str, Any] = server.asked[0].body.get("response_format") or {}
    assert (form.get("type"), form.get("json_schema", {}).get("schema")) == sent
    endpoint = Endpoint(base_url="http://h", options={"structured_output": level})
    assert Compatible(endpoint).capabilities("m").structured_output == level


def test_an_endpoint_is_free_only_when_said_so() -> None:
    endpoint = Endpoint(base_url="http://localhost:8000")
    assert not Compatible(endpoint).capabilities("m").free
    assert Compatible(replace(endpoint, options={"free": "true"})).capabilities("m").free


# Dialects


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_has_two_names(field: str) -> None:
    reply = Reply("Five sixths.", reasoning="3/6 + 2/6", reasoning_field=field)
    response, _ = await ask(reply)
    assert (response.reasoning, response.text) == ("3/6 + 2/6", "Five sixths.")


async def test_reasoning_inside_the_text_is_split_off() -> None:
    response, _ = await ask(Reply("<think>3/6 + 2/6</think>\n\nFive sixths."))
    assert (response.reasoning, response.text) == ("3/6 + 2/6", "Five sixths.")


async def test_a_reply_cut_inside_its_reasoning_has_no_text() -> None:
    response, _ = await ask(Reply("<think>3/6 +", finish_reason="length"))
    assert (response.reasoning, response.text, response.finish) == ("3/6 +", "", "length")


async def test_tokens_are_estimated_where_the_server_does_not_count() -> None:
    response, _ = await ask(Reply("x" * 400, extra={"usage": None}))
    assert response.usage.output_tokens == 101
    assert response.usage.input_tokens == len("What is 1/2 + 1/3?") // 4 + 1


async def test_deepseeks_name_for_cached_tokens() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}
    response, _ = await ask(Reply("Yes.", extra={"usage": usage}))
    assert (response.usage.input_tokens, response.usage.cache_read_tokens) == (9, 4)


async def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Five "}, {"type": "text", "text": "sixths."}]
    choice = {"index": 0, "message": {"content": parts}, "finish_reason": "stop"}
    response, _ = await ask(Reply(extra={"choices": [choice]}))
    assert response.text == "Five sixths."


async def test_an_unknown_reason_to_stop_is_kept() -> None:
    response, _ = await ask(Reply("Yes.", finish_reason="tool_calls"))
    assert (response.finish, response.detail) == ("other", "tool_calls")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"error": "model \'x\' not loaded"}', "model 'x' not loaded"),
        (b'{"object": "error", "message": "bad prompt", "code": 40001}', "bad prompt"),
        (b'{"detail": "Field required"}', "Field required"),
        (b"plain words", "plain words"),
        (b'["odd"]', "odd"),
    ],
)
async def test_an_error_is_told_in_the_servers_words(raw: bytes, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        await ask(Reply(status=400, raw=raw))


async def test_an_error_inside_a_success_is_an_error() -> None:
    with pytest.raises(RateLimited):
        await ask(Reply(raw=b'{"error": {"code": 429, "message": "Slow down"}}'))
    with pytest.raises(Unavailable, match="exploded"):
        await ask(Reply(raw=b'{"error": "exploded"}'))


# Transports


@pytest.mark.parametrize("transport", ["pyreqwest", "httpx2"])
async def test_a_restarted_server_is_found_again(transport: str) -> None:
    async with OpenAIServer() as first:
        endpoint = Endpoint(base_url=first.base_url, options={"transport": transport})
        provider = Compatible(endpoint)
        await provider.complete(QUESTION)
    async with OpenAIServer(lambda _: Reply("Back."), port=first.port):
        try:
            reply = await provider.complete(QUESTION)
        except Unavailable:  # sent on a kept connection before its end was noticed: ask again
            reply = await provider.complete(QUESTION)
        assert reply.text == "Back."
    await provider.aclose()


def test_without_pyreqwest_httpx2_takes_over() -> None:
    code = """
import asyncio, sys
sys.modules["pyreqwest"] = None  # what an import that fails leaves behind
from synthtutor_compatible import Compatible, Endpoint, Httpx2Transport
assert isinstance(Compatible(Endpoint(base_url="http://h"))._transport, Httpx2Transport)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_plugin_imports_no_http_client() -> None:
    code = "import sys, synthtutor_compatible as m; m.Compatible(m.Endpoint(base_url='http://h'))"
    code += "; sys.exit(any(name in sys.modules for name in ('pyreqwest', 'httpx2')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_error_of_the_http_clients_is_accounted_for() -> None:
    """What a transport does not catch can only be raised by what it does not do."""
    elsewhere = {
        "PyreqwestError",  # the root, never raised itself
        "DetailedPyreqwestError",
        "BuilderError",  # a URL or header that cannot be: both are checked beforehand
        "HTTPError",
        "HTTPStatusError",  # only raise_for_status
        "InvalidURL",
        "CookieConflict",
        "StreamError",  # only streams, as the next four
        "StreamClosed",
        "StreamConsumed",
        "RequestNotRead",
        "ResponseNotRead",
    }
    endpoint = Endpoint(base_url="http://h")
    for transport, module in (
        (PyreqwestTransport(endpoint), pyreqwest.exceptions),
        (Httpx2Transport(endpoint), httpx2),
    ):
        kinds = {
            kind
            for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, Exception) and kind.__module__.startswith(module.__name__[:6])
        }
        caught = {kind for kind in kinds if issubclass(kind, transport._failures)}
        assert len(caught) > 8
        assert {kind.__name__ for kind in kinds - caught} <= elsewhere
