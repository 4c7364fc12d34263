"""OpenAI's chat completions and batches through the official SDK, also at Azure.

The SDK is imported at the first call (it costs a second), its own retries are off (synthtutor
has one policy for all vendors), and every error it can raise is translated in one place:
`translated`. What any vendor who takes the SDK's chat requests needs is in `ChatCompletions`,
which other plugins may subclass; `OpenAI` adds the batches, Azure, accounts and caching.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import orjson
from synthtutor_openai_batches import LIMITS, Batches
from synthtutor_openai_counting import answer, question

from synthtutor.errors import ConfigError, ProviderError, Unavailable, Unreachable
from synthtutor.messages import Finish, Request, Response, Schema, Usage
from synthtutor.provider import (
    BatchLimits,
    BatchStatus,
    Capabilities,
    Endpoint,
    content_text,
    error_for_status,
    object_of,
    rate_limits,
    read_json,
    redact,
    scrubbed,
    sendable,
)
from synthtutor.transport import http_client

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ChatCompletions", "OpenAI", "translated"]

_FINISHES: Mapping[str | None, Finish]
_FINISHES = {"stop": "stop", "length": "length", "content_filter": "refusal"}

# o1, o3, o4-mini, gpt-5, gpt-5.6-mini, gpt-6-…: they take a reasoning effort, and refuse any
# temperature but their own and all stop sequences.
_REASONING = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d))")
# gpt-3.5-turbo, gpt-4, gpt-4-turbo: from before structured output (gpt-4o and gpt-4.1 have it).
_WITHOUT_SCHEMA = re.compile(r"(ft:)?gpt-(3\.5|4(-|$|:))")

_AZURE = (".openai.azure.com", ".services.ai.azure.com")


class ChatCompletions:
    """One vendor's chat completions; a plugin for another vendor sets the class attributes.

    ``options`` are the endpoint's options with the values each may have, the default first; none
    means any text. The methods to override are ``capabilities``, ``make_client``, ``arguments``,
    ``response`` and ``translated``.
    """

    name: ClassVar[str] = "openai"
    key_variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    default_url: ClassVar[str] = "https://api.openai.com/v1"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "max_tokens_field": ("max_completion_tokens", "max_tokens"),
        "sampling": ("auto", "always", "never"),
        "reasoning": ("auto", "always", "never"),
    }

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        for option in endpoint.options:
            self.option(option)
        self.key = sendable(endpoint.key(*self.key_variables), *self.key_variables)
        self.base_url = endpoint.url(self.url_variable) or self.default_url

    def option(self, name: str) -> str:
        """What an option is set to, else its default.

        Raises ConfigError where the plugin has no such option, or the option no such value.
        """
        if name not in self.options:
            known = ", ".join(self.options)
            raise ConfigError(f"{self.name} has no option {name!r}, only {known}")
        values = self.options[name]
        value = self.endpoint.options.get(name, values[0] if values else "")
        if values and value not in values:
            allowed = ", ".join(values)
            raise ConfigError(f"{self.name}'s option {name} is one of {allowed}, not {value!r}")
        return value

    async def complete(self, request: Request) -> Response:
        """Ask the model once.

        Through the SDK's own ``post`` and not its ``create``, which copies the body and builds
        objects of the reply: more than half the work of a call.
        """
        import httpx2

        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                reply = await self.client.post(
                    "/chat/completions", cast_to=httpx2.Response, body=self.arguments(request)
                )
            headers = dict(reply.headers.items())  # where a look-up costs a tenth
            response = self.response(headers, read_json(reply.content), request)
            return scrubbed(response, self.key)
        except ProviderError:
            raise
        except Exception as error:  # what is none of the SDK's is raised as it is
            # Without its cause: the SDK's errors quote the server, and servers quote keys.
            raise self.translated(error) from None

    def capabilities(self, model: str) -> Capabilities:
        """Schemas from gpt-4o on; a reasoning model takes its effort, no temperature, no stop."""
        reasons = self.reasons(model)
        sampling = self.option("sampling")
        return Capabilities(
            structured_output="none" if _WITHOUT_SCHEMA.match(model) else "schema",
            temperature=not reasons if sampling == "auto" else sampling == "always",
            stop=not reasons,
            reasoning_effort=reasons,
            reasons=reasons,
            max_in_flight=self.endpoint.max_in_flight,
        )

    def reasons(self, model: str) -> bool:
        """Whether it is a reasoning model, by its name, unless the option ``reasoning`` says."""
        reasoning = self.option("reasoning")
        return bool(_REASONING.match(model)) if reasoning == "auto" else reasoning == "always"

    async def aclose(self) -> None:
        """Close the connections."""
        if "client" in self.__dict__:
            await self.client.close()

    @cached_property
    def client(self) -> AsyncOpenAI:
        """The SDK's client, made at its first use."""
        return self.make_client()

    def make_client(self) -> AsyncOpenAI:
        """The SDK's client: this address and key, our transport, no retries of its own."""
        import openai

        client = openai.AsyncOpenAI(base_url=self.base_url, **self.client_arguments())
        # The SDK reads these from OpenAI's variables, whoever the vendor is.
        client.organization = client.project = None
        return client

    def client_arguments(self) -> dict[str, Any]:
        """What every client of the SDK is made with, whatever its class and address."""
        http = http_client(self.endpoint)
        return {
            "api_key": self.key,
            "max_retries": 0,
            "timeout": http.timeout,
            "http_client": http,
        }

    def arguments(self, request: Request) -> dict[str, Any]:
        """The request's body: what is set, and what the model takes."""
        settings, model = request.settings, request.model_name
        takes = self.capabilities(model)
        optional = {
            "temperature": settings.temperature if takes.temperature else None,
            "top_p": settings.top_p if takes.temperature else None,
            "seed": settings.seed if takes.seed else None,
            "stop": (list(settings.stop) or None) if takes.stop else None,
            "reasoning_effort": settings.reasoning_effort if takes.reasoning_effort else None,
            "response_format": _response_format(request.schema, takes),
        }
        return {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self.option("max_tokens_field"): settings.max_tokens,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def response(
        self,
        headers: Mapping[str, str],
        completion: Any,
        request: Request | None,  # noqa: ARG002  # for those who override this
    ) -> Response:
        """What a completion's JSON says; ``request`` is None for a batch's, which are read by id alone."""
        return _response(headers, completion)

    def translated(self, error: Exception) -> ProviderError:
        """The synthtutor error that one of the SDK's errors means, without the key."""
        return translated(error, self.key)


class OpenAI(ChatCompletions):
    """The plugin ``openai``: also batches, Azure, accounts within OpenAI, and prompt caching."""

    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ChatCompletions.options,
        "azure_api_version": (),
        "organization": (),
        "project": (),
        "prompt_cache_key": ("auto", "off"),
    }

    def __init__(self, endpoint: Endpoint) -> None:
        address, version = _at_azure(endpoint)
        if address:  # on the instance: it is this endpoint that is at Azure, not the class
            self.key_variables = ("AZURE_OPENAI_API_KEY", *self.key_variables)  # type: ignore[misc]
        super().__init__(endpoint)
        if address:
            self.base_url = address
        self.azure_api_version = version
        # Azure's own guide has no /v1 in the lines of a batch.
        self._batches = Batches(self, "/chat/completions" if address else "/v1/chat/completions")
        # Servers that merely speak the language may not know the field.
        host = f".{urlsplit(self.base_url).hostname}"
        default = "auto" if host.endswith(".api.openai.com") else "off"
        self._sends_cache_key = endpoint.options.get("prompt_cache_key", default) == "auto"

    def make_client(self) -> AsyncOpenAI:
        """At Azure with a dated API version its own class, which names deployments in the path."""
        import openai

        if self.azure_api_version:
            version = self.azure_api_version
            arguments = self.client_arguments()
            return openai.AsyncAzureOpenAI(base_url=self.base_url, api_version=version, **arguments)
        client = super().make_client()
        client.organization = self.option("organization") or os.environ.get("OPENAI_ORG_ID")
        client.project = self.option("project") or os.environ.get("OPENAI_PROJECT_ID")
        return client

    def arguments(self, request: Request) -> dict[str, Any]:
        """The request's body, with the key that like requests meet the same cache by."""
        arguments = super().arguments(request)
        key = _cache_key(request) if self._sends_cache_key else None
        return arguments if key is None else {**arguments, "prompt_cache_key": key}

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens, by the vendor's own endpoint for it, which costs nothing."""
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                count = self.client.responses.input_tokens.count
                return answer(await count(**question(self.arguments(request))))
        except Exception as error:  # what is none of the SDK's is raised as it is
            raise self.translated(error) from None

    # Batches

    def batch_limits(self) -> BatchLimits:
        """OpenAI's own, with room for what surrounds each request in the file."""
        return LIMITS

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
        """Upload the requests as a file and start the batch; the label is in its metadata."""
        return await self._batches.submit(label, requests)

    async def find_batch(
        self,
        label: str,
        custom_ids: Collection[str],  # noqa: ARG002  # the label is enough here
        since: datetime,
    ) -> str | None:
        """The batch with that label in its metadata."""
        return await self._batches.find(label, since)

    async def batch_status(self, batch: str) -> BatchStatus:
        """How the batch stands; ``detail`` has the first reasons why a file was not accepted."""
        return await self._batches.status(batch)

    def batch_results(self, batch: str) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """What its output and error files say, read while they arrive."""
        return self._batches.results(batch)

    async def cancel_batch(self, batch: str) -> None:
        """Ask for no more of it; nothing happens to one that has ended."""
        await self._batches.cancel(batch)


def translated(error: Exception, key: str | None = None) -> ProviderError:
    """The synthtutor error that one of the SDK's errors means; other errors are raised again."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        message = redact(_message(error), key)
        return error_for_status(
            error.status_code,
            message,
            error.response.headers,
            code=error.code or "",
            request_id=error.request_id,
        )
    if isinstance(error, openai.APIConnectionError):
        nobody = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        kind = Unreachable if nobody else Unavailable
        return kind(redact(f"{error.message} {error.__cause__ or ''}".strip(), key))
    if isinstance(error, openai.OpenAIError | httpx2.HTTPError):
        # A body that breaks off while it is read in pieces escapes the SDK as httpx2's own error.
        return Unavailable(redact(f"{type(error).__name__}: {error}", key))
    if isinstance(error, TimeoutError):
        return Unavailable("no reply in time")
    if isinstance(error, json.JSONDecodeError):
        return Unavailable(f"the reply is not JSON: {error.msg}")
    raise error


def _message(error: Any) -> str:
    """What the server said, without the SDK's words around it."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else body
    return str(said or error.message)[:2000]


def _response_format(schema: Schema | None, capabilities: Capabilities) -> dict[str, Any] | None:
    if schema is None or capabilities.structured_output == "none":
        return None
    name = re.sub(r"[^A-Za-z0-9_-]", "_", schema.name)[:64] or "reply"
    form = {"name": name, "strict": True, "schema": schema.definition}
    return {"type": "json_schema", "json_schema": form}


def _cache_key(request: Request) -> str | None:
    """A name for what like requests begin with; None where that is nothing of their own."""
    prefix = [message.content for message in request.messages if message.role == "system"]
    if not prefix:
        return None
    begins = orjson.dumps([prefix, request.schema and request.schema.name])
    return blake2b(begins, digest_size=8).hexdigest()


def _response(headers: Mapping[str, str], completion: Any) -> Response:
    request_id = headers.get("x-request-id")
    try:
        choice = completion["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        refusal = message.get("refusal")
        finish = "refusal" if refusal else _FINISHES.get(reason, "other")
        return Response(
            content_text(message.get("content")),
            usage=_usage(completion.get("usage")),
            finish=finish,
            model=completion.get("model") or "",
            request_id=request_id,
            detail=refusal or (None if finish in ("stop", "length") else reason),
            rate_limits=rate_limits(headers),
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        detail = f"the reply is not a chat completion: {type(error).__name__}: {error}"
        raise Unavailable(detail, request_id=request_id) from None


def _usage(told: Any) -> Usage:
    usage = object_of(told)
    prompt = object_of(usage.get("prompt_tokens_details"))
    completion = object_of(usage.get("completion_tokens_details"))
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        cache_read_tokens=prompt.get("cached_tokens") or 0,
        cache_write_tokens=prompt.get("cache_write_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") or 0,
    )


def _at_azure(endpoint: Endpoint) -> tuple[str | None, str | None]:
    """The address and the dated API version at Azure; (None, None) where somebody else is asked.

    A left-over AZURE_OPENAI_ENDPOINT takes no calls away from OpenAI: without the option it
    counts only where there is a key for Azure and none for OpenAI.
    """
    version = endpoint.options.get("azure_api_version")
    address = endpoint.url("OPENAI_BASE_URL")
    if not address:
        other_key = endpoint.api_key or os.environ.get("OPENAI_API_KEY")
        if version or (os.environ.get("AZURE_OPENAI_API_KEY") and not other_key):
            address = os.environ.get("AZURE_OPENAI_ENDPOINT")
    elif not version and not (urlsplit(address).hostname or "").endswith(_AZURE):
        address = None
    if not address:
        if version:
            raise ConfigError("azure_api_version needs a base_url or AZURE_OPENAI_ENDPOINT")
        return None, None
    path = urlsplit(address).path.strip("/")
    if not version and not path.endswith("v1"):
        version = os.environ.get("OPENAI_API_VERSION")
    if not path:
        address = address.rstrip("/") + ("/openai" if version else "/openai/v1")
    return address, version
