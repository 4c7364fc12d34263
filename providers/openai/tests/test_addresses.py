"""Where the plugin `openai` sends its calls, as whom, and with which cache key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from synthtutor_openai import ChatCompletions, OpenAI

from synthtutor.errors import ConfigError
from synthtutor.messages import Message, Request, Schema, system, user
from synthtutor.provider import Endpoint
from synthtutor.testing.server import Asked, OpenAIServer

KEY = "sk-test-0123456789"
VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_API_VERSION",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT",
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


class AzureServer(OpenAIServer):
    """The fake under Azure's addresses, dated or not."""

    def is_chat(self, method: str, path: str) -> bool:
        return method == "POST" and path.partition("?")[0].endswith("/chat/completions")

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        path = asked.path.replace("/openai/v1/", "/v1/").replace("/openai/", "/v1/")
        return super().other(method, replace(asked, path=path), content)


async def ask(provider: OpenAI, server: OpenAIServer, *messages: Message) -> Asked:
    """One call's request as it arrived."""
    await provider.complete(Request("openai/my-model", messages or [user("Hi.")]))
    await provider.aclose()
    return server.asked[-1]


async def test_key_address_organisation_and_project_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
        headers = (await ask(OpenAI(Endpoint()), server)).headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


async def test_organisation_and_project_given_as_options_go_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    options = {"organization": "org-2", "project": "proj-2"}
    async with OpenAIServer() as server:
        endpoint = Endpoint(base_url=server.base_url, api_key=KEY, options=options)
        headers = (await ask(OpenAI(endpoint), server)).headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-2", "proj-2")


class Elsewhere(ChatCompletions):
    """What a plugin for another vendor is."""

    name = "elsewhere"
    key_variables = ("ELSEWHERE_API_KEY",)
    url_variable = "ELSEWHERE_BASE_URL"
    default_url = "https://elsewhere.test/v1"


async def test_another_vendors_plugin_has_its_own_variables_and_not_openais_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openai.test/v1")
    monkeypatch.setenv("ELSEWHERE_API_KEY", KEY)
    assert Elsewhere(Endpoint()).base_url == "https://elsewhere.test/v1"
    async with OpenAIServer() as server:
        monkeypatch.setenv("ELSEWHERE_BASE_URL", server.base_url)
        provider = Elsewhere(Endpoint())
        await provider.complete(Request("elsewhere/m", [user("Hi.")]))
        await provider.aclose()
    headers = server.asked[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in headers
    with pytest.raises(ConfigError, match="elsewhere has no option 'organization'"):
        Elsewhere(Endpoint(options={"organization": "org"}))
    monkeypatch.delenv("ELSEWHERE_API_KEY")
    with pytest.raises(ConfigError, match="ELSEWHERE_API_KEY"):
        Elsewhere(Endpoint())


# Azure


async def test_a_dated_version_at_azure_names_the_deployment_in_the_path() -> None:
    options = {"azure_api_version": "2024-10-21"}
    async with AzureServer() as server:
        endpoint = Endpoint(base_url=server.root_url, api_key=KEY, options=options)
        asked = await ask(OpenAI(endpoint), server)
    path = "/openai/deployments/my-model/chat/completions?api-version=2024-10-21"
    assert asked.path == path
    assert asked.headers["api-key"] == KEY
    assert KEY not in asked.headers.get("authorization", "")


async def test_azures_variables_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    async with AzureServer() as server:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{server.root_url}/")
        monkeypatch.setenv("OPENAI_API_VERSION", "2025-04-01-preview")
        asked = await ask(OpenAI(Endpoint()), server)
    path = "/openai/deployments/my-model/chat/completions?api-version=2025-04-01-preview"
    assert (asked.path, asked.headers["api-key"]) == (path, KEY)


async def test_without_a_version_azure_is_asked_at_its_v1_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AzureServer() as server:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.root_url)
        asked = await ask(OpenAI(Endpoint()), server)
    assert asked.path == "/openai/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body["model"] == "my-model"


@pytest.mark.parametrize("path", ["", "/", "/openai/v1", "/openai/v1/"])
def test_an_address_at_azure_is_known_by_its_host(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider = OpenAI(Endpoint(base_url=f"https://mine.openai.azure.com{path}"))
    assert provider.key == "azure-key"
    assert provider.base_url.rstrip("/") == "https://mine.openai.azure.com/openai/v1"
    assert provider.azure_api_version is None


def test_a_left_over_azure_endpoint_takes_no_calls_away_from_openai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider = OpenAI(Endpoint())
    assert (provider.key, provider.base_url) == (KEY, "https://api.openai.com/v1")
    assert OpenAI(Endpoint(api_key=KEY)).base_url == "https://api.openai.com/v1"


def test_a_version_without_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        OpenAI(Endpoint(api_key=KEY, options={"azure_api_version": "2024-10-21"}))


@pytest.mark.parametrize(
    ("options", "prefix", "version"),
    [({"azure_api_version": "v"}, "/openai", "v"), ({}, "/openai/v1", None)],
)
async def test_a_batch_goes_through_at_azure(
    options: Mapping[str, str], prefix: str, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []

    class Watched(AzureServer):
        def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
            paths.append(asked.path)
            return super().other(method, asked, content)

    async with Watched() as server:
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.root_url)
        server.batches.polls = 0
        provider = OpenAI(Endpoint(options=options))
        batch = await provider.submit_batch("label", {"a": Request("openai/d", [user("Hi.")])})
        assert (await provider.batch_status(batch)).done
        said = [name async for name, _ in provider.batch_results(batch)]
        await provider.aclose()
    assert said == ["a"]
    assert b'"url":"/chat/completions"' in server.batches.files["file-1"]
    query = f"?api-version={version}" if version else ""
    assert paths[0] == f"{prefix}/files{query}"
    assert all(path.startswith(f"{prefix}/") and path.endswith(query) for path in paths)


# The cache key


def cache_key(*messages: Message, schema: Schema | None = None, **endpoint: Any) -> str | None:
    provider = OpenAI(Endpoint(api_key=KEY, **endpoint))
    key = provider.arguments(Request("openai/gpt-5", messages, schema)).get("prompt_cache_key")
    assert key is None or isinstance(key, str)
    return key


def test_requests_that_begin_alike_have_one_cache_key() -> None:
    schema = Schema("Hint", {"type": "object"}, {})
    first = cache_key(system("Be a tutor."), user("½ + ⅓?"))
    assert first is not None
    assert len(first) == 16
    assert first == cache_key(system("Be a tutor."), user("Another."))
    assert first != cache_key(system("Be a student."), user("½ + ⅓?"))
    assert first != cache_key(system("Be a tutor."), user("½ + ⅓?"), schema=schema)
    assert cache_key(user("Nothing is shared.")) is None


@pytest.mark.parametrize(
    ("endpoint", "sent"),
    [
        ({}, True),
        ({"base_url": "https://eu.api.openai.com/v1"}, True),
        ({"base_url": "https://notapi.openai.com/v1"}, False),
        ({"base_url": "http://127.0.0.1:9/v1"}, False),
        ({"base_url": "https://mine.openai.azure.com"}, False),
        ({"options": {"prompt_cache_key": "off"}}, False),
        ({"base_url": "http://127.0.0.1:9/v1", "options": {"prompt_cache_key": "auto"}}, True),
    ],
)
def test_the_cache_key_is_sent_where_it_is_known(endpoint: dict[str, Any], sent: bool) -> None:
    assert (cache_key(system("Be a tutor."), user("?"), **endpoint) is not None) is sent
