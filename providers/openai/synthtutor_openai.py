"""OpenAI's chat completions through the official SDK.

The SDK is imported at the first call (it costs a second), its own retries are off (synthtutor
has one policy for all vendors), and every error it can raise is translated in one place:
`translated`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from synthtutor.errors import ConfigError, ProviderError, Unavailable
from synthtutor.messages import Finish, Request, Response, Schema, Usage
from synthtutor.provider import (
    Capabilities,
    Endpoint,
    error_for_status,
    rate_limits,
    redact,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletion

__all__ = ["OpenAI", "translated"]

_OPTIONS = ("max_tokens_field", "sampling")
_FINISHES: dict[str | None, Finish] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "refusal",
}

# o1, o3, o4-mini, gpt-5, gpt-5.6-mini, gpt-6-…: they refuse any temperature but their own.
_REASONING = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d))")
# gpt-3.5-turbo, gpt-4, gpt-4-turbo: from before structured output (gpt-4o and gpt-4.1 have it).
_WITHOUT_SCHEMA = re.compile(r"(ft:)?gpt-(3\.5|4(-|$|:))")


class OpenAI:
    """The plugin ``openai``."""

    def __init__(self, endpoint: Endpoint) -> None:
        unknown = set(endpoint.options) - set(_OPTIONS)
        if unknown:
            raise ConfigError(f"openai has no option {min(unknown)!r}, only {_OPTIONS}")
        self._endpoint = endpoint
        self._key = _sendable(endpoint.key("OPENAI_API_KEY"))
        self._max_tokens_field = _choice(
            endpoint, "max_tokens_field", "max_completion_tokens", "max_tokens"
        )
        self._sampling = _choice(endpoint, "sampling", "auto", "always", "never")

    async def complete(self, request: Request) -> Response:
        """Ask the model once."""
        create = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                raw = await create(**self._arguments(request))
            return _response(raw.headers, raw.parse())
        except ProviderError:
            raise
        except Exception as error:
            # Without its cause: the SDK's errors quote the server, and servers quote keys.
            raise translated(error, self._key) from None

    def capabilities(self, model: str) -> Capabilities:
        """Schemas from gpt-4o on; ``temperature`` is False for models that take only their own."""
        return Capabilities(
            structured_output="none" if _WITHOUT_SCHEMA.match(model) else "schema",
            temperature=self._samples(model),
            max_in_flight=self._endpoint.max_in_flight,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.close()

    @cached_property
    def _client(self) -> AsyncOpenAI:
        import httpx2
        import openai

        endpoint = self._endpoint
        most = endpoint.max_in_flight  # the SDK's own limit of 1000 would hold further calls back
        timeout = httpx2.Timeout(endpoint.timeout_s, connect=min(10.0, endpoint.timeout_s))
        limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
        return openai.AsyncOpenAI(
            api_key=self._key,
            base_url=endpoint.url("OPENAI_BASE_URL"),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
        )

    def _samples(self, model: str) -> bool:
        if self._sampling == "auto":
            return not _REASONING.match(model)
        return self._sampling == "always"

    def _arguments(self, request: Request) -> dict[str, Any]:
        settings, model = request.settings, request.model_name
        samples = self._samples(model)
        optional = {
            "temperature": settings.temperature if samples else None,
            "top_p": settings.top_p if samples else None,
            "seed": settings.seed,
            "stop": list(settings.stop) or None,
            "reasoning_effort": settings.reasoning_effort,
            "response_format": _response_format(request.schema, self.capabilities(model)),
        }
        return {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._max_tokens_field: settings.max_tokens,
            **{name: value for name, value in optional.items() if value is not None},
        }


def translated(error: Exception, key: str | None = None) -> ProviderError:
    """The synthtutor error that one of the SDK's errors means; other errors are raised again."""
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
        return Unavailable(redact(f"{error.message} {error.__cause__ or ''}".strip(), key))
    if isinstance(error, openai.OpenAIError):
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


def _response(headers: Mapping[str, str], completion: ChatCompletion) -> Response:
    request_id = headers.get("x-request-id")
    try:
        choice = completion.choices[0]
        message, reason = choice.message, choice.finish_reason
        text, refusal = message.content, message.refusal
    except (AttributeError, IndexError, TypeError) as error:
        # The SDK builds its objects from whatever comes, without looking.
        detail = f"the reply is not a chat completion: {error}"
        raise Unavailable(detail, request_id=request_id) from None
    finish = "refusal" if refusal else _FINISHES.get(reason, "other")
    return Response(
        text or "",
        usage=_usage(completion.usage),
        finish=finish,
        model=completion.model or "",
        request_id=request_id,
        detail=refusal or (None if finish in ("stop", "length") else reason),
        rate_limits=rate_limits(headers),
    )


def _usage(usage: CompletionUsage | None) -> Usage:
    if usage is None:
        return Usage()
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=(prompt and prompt.cached_tokens) or 0,
        cache_write_tokens=(prompt and prompt.cache_write_tokens) or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
    )


def _sendable(key: str) -> str:
    """The key, without the line end it was pasted with; refused if no header can carry it."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key in OPENAI_API_KEY has characters that no key has")
    return key


def _choice(endpoint: Endpoint, option: str, default: str, *others: str) -> str:
    value = endpoint.options.get(option, default)
    if value not in (default, *others):
        allowed = ", ".join((default, *others))
        raise ConfigError(f"openai's option {option} is one of {allowed}, not {value!r}")
    return value
