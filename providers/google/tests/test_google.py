"""The plugin `google`: the contract, what comes back, and how it is set up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from synthtutor_google import Google

from synthtutor.errors import (
    ConfigError,
    Rejected,
    Unavailable,
)
from synthtutor.messages import Request, Response, Usage, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import Behaviour, Reply
from synthtutor.testing.serving import FakeServer

KEY = "AIza-test-0123456789"
ROLES = {"user": "user", "model": "assistant"}


class TestGoogle(ProviderContract):
    model = "google/gemini-2.5-flash"
    cannot: ClassVar[Mapping[str, str]] = {
        "usage": "Gemini counts no tokens written to a cache; the rest is tested below"
    }

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Google(endpoint)

    def serve(self, behaviour: Behaviour) -> FakeServer:
        return GoogleServer(behaviour)

    def sent_schema(self, body: Mapping[str, Any]) -> object:
        assert body["generationConfig"]["responseMimeType"] == "application/json"
        return body["generationConfig"]["responseJsonSchema"]

    def sent_messages(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        system = [("system", part["text"]) for part in body["systemInstruction"]["parts"]]
        spoken = [(ROLES[c["role"]], part["text"]) for c in body["contents"] for part in c["parts"]]
        return system + spoken


@asynccontextmanager
async def asking(reply: Reply, **settings: Any) -> AsyncIterator[tuple[Google, GoogleServer]]:
    async with GoogleServer(lambda _: reply) as server:
        provider = Google(Endpoint(**{"base_url": server.base_url, "api_key": KEY, **settings}))
        try:
            yield provider, server
        finally:
            await provider.aclose()


async def answer(reply: Reply, model: str = "gemini-2.5-flash") -> Response:
    async with asking(reply) as (provider, _):
        return await provider.complete(Request(f"google/{model}", [user("Hi.")]))


# What comes back


async def test_usage_counts_thoughts_as_output_and_the_cached_as_input() -> None:
    usage = Usage(120, 45, cache_read_tokens=80, reasoning_tokens=30)
    assert (await answer(Reply("Yes.", usage=usage))).usage == usage


@pytest.mark.parametrize("metadata", [None, {}, {"promptTokenCount": 3}])
async def test_counts_may_be_missing(metadata: object) -> None:
    response = await answer(Reply("Yes.", extra={"usageMetadata": metadata}))
    assert response.usage == Usage(3 if metadata else 0, 0)


async def test_what_tools_read_counts_as_input() -> None:
    counts = {"promptTokenCount": 3, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 5}
    assert (await answer(Reply("", extra={"usageMetadata": counts}))).usage == Usage(7, 5)


async def test_thoughts_are_kept_apart_from_the_answer() -> None:
    response = await answer(Reply("Yes.", reasoning="Let me see."))
    assert (response.reasoning, response.text) == ("Let me see.", "Yes.")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("BLOCKLIST", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("SPII", "refusal"),
        ("LANGUAGE", "other"),
        ("MALFORMED_RESPONSE", "other"),
        ("A_REASON_OF_TOMORROW", "other"),
    ],
)
async def test_why_it_ended(reason: str, finish: str) -> None:
    response = await answer(Reply("So far.", finish_reason=reason))
    assert (response.text, response.finish) == ("So far.", finish)
    assert response.detail == (None if finish in ("stop", "length") else reason)


async def test_a_cut_reply_is_one_request() -> None:
    async with asking(Reply("So", finish_reason="CONTINUATION")) as (provider, server):
        await provider.complete(Request("google/gemini-3-flash-preview", [user("Hi.")]))
        assert server.calls == 1


async def test_a_blocked_prompt_is_a_refusal_that_says_why() -> None:
    response = await answer(Reply(None, finish_reason="content_filter", usage=Usage(9, 0)))
    assert (response.text, response.finish, response.usage) == ("", "refusal", Usage(9, 0))
    assert "SAFETY" in (response.detail or "")


async def test_the_replys_own_id_serves_where_no_header_has_one() -> None:
    assert (await answer(Reply("Yes."))).request_id == "fake-response"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1",
        b'"x"',
        b'{"candidates": "x"}',
        b'{"candidates": [{}]}',
        b'{"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]}',
        b'{"usageMetadata": {"promptTokenCount": 3}, "modelVersion": "m"}',
        b"\xff\xfe{",
    ],
)
async def test_what_is_no_reply_is_unavailable(raw: bytes) -> None:
    with pytest.raises(Unavailable):
        await answer(Reply(raw=raw))


async def test_a_model_name_that_is_none_is_not_sent() -> None:
    async with asking(Reply("Yes.")) as (provider, server):
        for name in ("", "a/../../b", "m?key=1", "m:countTokens"):
            with pytest.raises(Rejected) as caught:
                await provider.complete(Request(f"google/{name}", [user("Hi.")]))
            assert caught.value.reason == "model"
        assert server.calls == 0


# Setting it up


async def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with GoogleServer() as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"{server.base_url}/")
        monkeypatch.setenv("GEMINI_API_KEY", "second")
        monkeypatch.setenv("GOOGLE_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        provider = Google(Endpoint())
        await provider.complete(Request("google/gemini-2.5-flash", [user("Hi.")]))
        await provider.aclose()
        monkeypatch.delenv("GOOGLE_API_KEY")
        provider = Google(Endpoint())
        await provider.complete(Request("google/gemini-2.5-flash", [user("Hi.")]))
        await provider.aclose()
    assert [asked.headers["x-goog-api-key"] for asked in server.asked] == [KEY, "second"]
    assert all("key" not in asked.path for asked in server.asked)


@pytest.mark.parametrize(("version", "path"), [(None, "/v1beta/"), ("v1", "/v1/")])
async def test_the_version_of_the_api_can_be_chosen(version: str | None, path: str) -> None:
    options = {"api_version": version} if version else {}
    async with asking(Reply("Yes."), options=options) as (provider, server):
        await provider.complete(Request("google/gemini-2.5-flash", [user("Hi.")]))
    assert server.asked[0].path == f"{path}models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize(("timeout_s", "deadline"), [(3.0, "10"), (90.5, "91")])
async def test_the_service_is_told_a_deadline_that_it_accepts(
    timeout_s: float, deadline: str
) -> None:
    async with asking(Reply("Yes."), timeout_s=timeout_s) as (provider, server):
        await provider.complete(Request("google/gemini-2.5-flash", [user("Hi.")]))
    assert server.asked[0].headers["x-server-timeout"] == deadline


def test_without_a_key_the_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="GOOGLE_API_KEY or GEMINI_API_KEY"):
        Google(Endpoint())


@pytest.mark.parametrize("key", ["AIza-“curly”-quotes", "auth_tokens/curly"])
def test_a_key_that_cannot_be_sent_is_refused_unquoted(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Google(Endpoint(api_key=key))
    assert "curly" not in str(caught.value)


@pytest.mark.parametrize("options", [{"version": "v1"}, {"api_version": "v2"}])
def test_an_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Google(Endpoint(api_key=KEY, options=options))


async def test_the_connection_pool_is_as_large_as_the_endpoint_says() -> None:
    async with asking(Reply("Yes."), max_in_flight=3) as (provider, server):
        server.together = 3  # with fewer connections nothing would be answered at all
        async with asyncio.TaskGroup() as group:
            for number in range(9):
                request = Request("google/gemini-2.5-flash", [user(f"{number}")])
                group.create_task(provider.complete(request))
    assert server.max_in_flight == 3


def run(code: str) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    subprocess.run(command, check=True)


def test_importing_the_plugin_does_not_import_the_sdk() -> None:
    run(
        "import sys, synthtutor_google as m; m.Google(m.Endpoint(api_key='k')).capabilities('x');"
        "sys.exit('google.genai' in sys.modules)"
    )


def test_importing_the_sdk_does_not_warn() -> None:
    run("import google.genai, google.genai.types")
