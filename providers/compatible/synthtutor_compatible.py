"""Any endpoint that speaks OpenAI's chat completions, addressed by its URL.

Local servers (vLLM, SGLang, llama.cpp, Ollama) take thousands of calls in flight, where an SDK's
layers cost more than the model's machine: so this is a direct client. The request is JSON bytes,
the reply is read from JSON bytes, and between them is one method, ``post``, with two
implementations: pyreqwest, and httpx2 where that cannot be imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import orjson
from synthtutor_compatible_transports import Httpx2Transport, PyreqwestTransport, Transport

from synthtutor.errors import ConfigError, ProviderError, Unavailable
from synthtutor.messages import Finish, Request, Response, Schema, Usage, count_of
from synthtutor.provider import (
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
    split_thinking,
)

__all__ = ["Compatible", "Httpx2Transport", "PyreqwestTransport", "Transport", "chat_url"]

# The first of each is the default.
_OPTIONS = {
    "structured_output": ("schema", "grammar", "json", "none"),
    "max_tokens_field": ("max_tokens", "max_completion_tokens"),
    "transport": ("auto", "pyreqwest", "httpx2"),
    "free": ("false", "true"),
    "extra_body": (),  # any JSON object
}
# What a request brings itself: extra_body may set anything else.
_OURS = frozenset(
    (
        *("model", "messages", "max_tokens", "max_completion_tokens", "response_format"),
        *("temperature", "top_p", "seed", "stop", "stream", "n"),
    )
)
_FINISHES: dict[str | None, Finish] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "refusal",
}


class Compatible:
    """The plugin ``compatible``; a vendor's or server's own name is a subclass.

    ``default_url`` is where it is when nobody says, ``needs_key`` whether it answers without a
    key, ``defaults`` the options' defaults where they differ, ``always`` what every body carries.
    """

    name: ClassVar[str] = "compatible"
    default_url: ClassVar[str | None] = None
    url_variable: ClassVar[str] = "COMPATIBLE_BASE_URL"
    key_variable: ClassVar[str] = "COMPATIBLE_API_KEY"
    needs_key: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType({})
    always: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, endpoint: Endpoint) -> None:
        base_url = endpoint.url(self.url_variable, self.default_url)
        if not base_url:
            raise ConfigError(
                f"{self.name} has no endpoint: set {self.url_variable} in the environment, or the"
                " option base_url, to something like http://localhost:8000/v1"
            )
        self._options = _chosen(self.name, endpoint.options, self.defaults)
        self.extra = {**self.always, **_extra_body(self.name, self._options["extra_body"])}
        self._url = chat_url(base_url)
        self._endpoint = endpoint
        self._key = self._sendable_key(endpoint)
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if self._key:
            self._headers["authorization"] = f"Bearer {self._key}"

    async def complete(self, request: Request) -> Response:
        """Ask the model once."""
        body = orjson.dumps(self._body(request))
        status, headers, content = await self._transport.post(self._url, body, self._headers)
        if not 200 <= status < 300:
            raise self.failure(status, headers, content)
        try:
            reply = read_json(content)
            if isinstance(reply, dict) and reply.get("error") and not reply.get("choices"):
                raise self.failure(_status_inside(reply), headers, content)
            return scrubbed(self.response(reply, headers, request), self._key)
        except json.JSONDecodeError as error:
            raise Unavailable(f"the reply is not JSON: {error}", status=status) from None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            detail = f"the reply is not a chat completion: {error!r}"
            raise Unavailable(redact(detail, self._key), status=status) from None

    def capabilities(self, model: str) -> Capabilities:
        """As the options say: an endpoint's address does not tell what it can do."""
        return Capabilities(
            structured_output=cast("Any", self.structured_output(model)),
            max_in_flight=self._endpoint.max_in_flight,
            free=self._options["free"] == "true",
        )

    def structured_output(self, model: str) -> str:  # noqa: ARG002  # one endpoint, one answer
        """How much of a JSON schema the model honours."""
        return self._options["structured_output"]

    def response(
        self, reply: dict[str, Any], headers: Mapping[str, str], request: Request
    ) -> Response:
        """What a reply's body says."""
        return _response(reply, headers, request)

    def failure(self, status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
        """What an error's body says."""
        message, code = _said(content)
        if 300 <= status < 400:
            message = f"redirected to {headers.get('location')}: use that as base_url"
        return error_for_status(
            status,
            redact(message, self._key),
            headers,
            code=code,
            request_id=headers.get("x-request-id"),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if "_transport" in self.__dict__:
            await self._transport.aclose()

    @cached_property
    def _transport(self) -> Transport:
        wanted = self._options["transport"]
        if wanted != "httpx2":
            try:
                return PyreqwestTransport(self._endpoint)
            except ImportError as error:
                if wanted == "pyreqwest":
                    raise ConfigError(f"pyreqwest cannot be imported: {error}") from error
        return Httpx2Transport(self._endpoint)

    def _body(self, request: Request) -> dict[str, Any]:
        settings, can = request.settings, self.capabilities(request.model_name)
        optional = {
            "temperature": settings.temperature if can.temperature else None,
            "top_p": settings.top_p if can.temperature else None,
            "seed": settings.seed if can.seed else None,
            "stop": (list(settings.stop) or None) if can.stop else None,
            "reasoning_effort": settings.reasoning_effort if can.reasoning_effort else None,
            "response_format": _response_format(request.schema, can.structured_output),
        }
        return {
            **self.extra,
            "model": request.model_name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._options["max_tokens_field"]: settings.max_tokens,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _sendable_key(self, endpoint: Endpoint) -> str | None:
        """The key, if any, without the line end it was pasted with."""
        try:
            key = endpoint.key(self.key_variable)
        except ConfigError:
            if self.needs_key:
                raise
            return None
        return sendable(key, self.key_variable)


def chat_url(base_url: str) -> str:
    """Where to send chat requests.

    White space and slashes at the end do not count. A URL with no path is a server's root:
    ``/v1/chat/completions`` is added. A URL with a path (``…/v1``, ``…/api/v1``) is what stands
    before ``/chat/completions``, and one that already ends in that is used as it is. A query
    stays.
    """
    try:
        parts = urlsplit(base_url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", base_url.strip()):
        raise ConfigError(
            f"not a URL for base_url: {base_url!r}; it starts with http:// or https://"
        )
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path, fragment="").geturl()


def _chosen(name: str, options: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    for option, value in options.items():
        if option not in _OPTIONS:
            raise ConfigError(f"{name} has no option {option!r}, only {', '.join(_OPTIONS)}")
        if _OPTIONS[option] and value not in _OPTIONS[option]:
            allowed = ", ".join(_OPTIONS[option])
            raise ConfigError(f"{name}'s option {option} is one of {allowed}, not {value!r}")
    first = {option: values[0] if values else "" for option, values in _OPTIONS.items()}
    return {**first, **defaults, **options}


def _extra_body(name: str, text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        extra = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{name}'s option extra_body is not JSON: {error}") from None
    if not isinstance(extra, dict):
        raise ConfigError(f"{name}'s option extra_body is a JSON object, not {text}")
    taken = ", ".join(sorted(_OURS & set(extra)))
    if taken:
        raise ConfigError(f"{name}'s option extra_body cannot set {taken}: the request does")
    return extra


def _response_format(schema: Schema | None, structured_output: str) -> dict[str, Any] | None:
    if schema is None or structured_output == "none":
        return None
    if structured_output == "json":
        return {"type": "json_object"}
    definition = schema.strict if structured_output == "grammar" else schema.definition
    name = re.sub(r"[^A-Za-z0-9_-]", "_", schema.name)[:64] or "reply"
    form = {"name": name, "strict": True, "schema": definition}
    return {"type": "json_schema", "json_schema": form}


def _response(reply: dict[str, Any], headers: Mapping[str, str], request: Request) -> Response:
    choice = reply["choices"][0]
    message, reason = choice["message"], choice.get("finish_reason")
    content, refusal = content_text(message.get("content")), message.get("refusal")
    reasoning, text = message.get("reasoning_content") or message.get("reasoning") or "", content
    if not reasoning:
        reasoning, text = split_thinking(content)
    finish = "refusal" if refusal else _FINISHES.get(reason, "other")
    return Response(
        text,
        usage=_usage(reply.get("usage"), request, text, reasoning),
        finish=finish,
        reasoning=reasoning,
        model=reply.get("model") or "",
        request_id=headers.get("x-request-id"),
        detail=refusal or (None if finish in ("stop", "length") else reason),
        rate_limits=rate_limits(headers),
    )


def _usage(told: Any, request: Request, text: str, reasoning: str) -> Usage:
    """The server's count; characters / 4 for what it does not count."""
    thought = len(reasoning) // 4 + 1 if reasoning else 0
    usage = object_of(told)
    if not usage:
        asked = sum(len(message.content) for message in request.messages)
        return Usage(asked // 4 + 1, len(text) // 4 + 1 + thought, reasoning_tokens=thought)
    prompt = object_of(usage.get("prompt_tokens_details"))
    completion = object_of(usage.get("completion_tokens_details"))
    output = count_of(usage.get("completion_tokens"))
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=output,
        cache_read_tokens=prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        cache_write_tokens=prompt.get("cache_write_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") or min(thought, output),
    )


def _said(content: bytes) -> tuple[str, str]:
    """The (message, code) of an error body: OpenAI's form, its relatives', or plain text."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace").strip()[:2000], ""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return str(inner)[:2000], ""
    message = inner.get("message") or inner.get("detail") or inner
    return str(message)[:2000], str(inner.get("code") or "")


def _status_inside(reply: Mapping[str, Any]) -> int:
    """The status of an error that came with 200: OpenRouter puts it into the error's code."""
    error = reply["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502
