"""Any endpoint that speaks OpenAI's chat completions, addressed by its URL.

Local servers (vLLM, SGLang, llama.cpp, Ollama) take thousands of calls in flight, where an SDK's
layers cost more than the model's machine: so this is a direct client. The request is JSON bytes,
the reply is read from JSON bytes, and between them is one method, ``post``, with two
implementations: pyreqwest, and httpx2 where that cannot be imported.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import orjson

from synthtutor.errors import ConfigError, ProviderError, Unavailable
from synthtutor.messages import Finish, Request, Response, Schema, Usage
from synthtutor.provider import (
    Capabilities,
    Endpoint,
    error_for_status,
    rate_limits,
    redact,
    split_thinking,
)

__all__ = ["Compatible", "Httpx2Transport", "PyreqwestTransport", "Transport", "chat_url"]

# The first of each is the default.
_OPTIONS = {
    "structured_output": ("schema", "grammar", "json", "none"),
    "max_tokens_field": ("max_tokens", "max_completion_tokens"),
    "transport": ("auto", "pyreqwest", "httpx2"),
    "free": ("false", "true"),
}
_FINISHES: dict[str | None, Finish] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "refusal",
}
_CONNECT_S = 10.0


class Compatible:
    """The plugin ``compatible``."""

    def __init__(self, endpoint: Endpoint) -> None:
        base_url = endpoint.url("COMPATIBLE_BASE_URL")
        if not base_url:
            raise ConfigError(
                "compatible has no endpoint: set COMPATIBLE_BASE_URL in the environment, or the"
                " option base_url, to something like http://localhost:8000/v1"
            )
        self._options = _chosen(endpoint.options)
        self._url = chat_url(base_url)
        self._endpoint = endpoint
        self._key = _key(endpoint)
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if self._key:
            self._headers["authorization"] = f"Bearer {self._key}"

    async def complete(self, request: Request) -> Response:
        """Ask the model once."""
        body = orjson.dumps(self._body(request))
        status, headers, content = await self._transport.post(self._url, body, self._headers)
        if not 200 <= status < 300:
            raise self._error(status, headers, content)
        try:
            reply = orjson.loads(content)
            if isinstance(reply, dict) and reply.get("error") and not reply.get("choices"):
                raise self._error(_status_inside(reply), headers, content)
            return _response(reply, headers, request)
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"the reply is not JSON: {error}", status=status) from None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            detail = f"the reply is not a chat completion: {error!r}"
            raise Unavailable(redact(detail, self._key), status=status) from None

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # one endpoint, one answer
        """As the options say: an endpoint's address does not tell what it can do."""
        return Capabilities(
            structured_output=cast("Any", self._options["structured_output"]),
            max_in_flight=self._endpoint.max_in_flight,
            free=self._options["free"] == "true",
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
        settings = request.settings
        optional = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop": list(settings.stop) or None,
            "reasoning_effort": settings.reasoning_effort,
            "response_format": _response_format(request.schema, self._options["structured_output"]),
        }
        return {
            "model": request.model_name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            self._options["max_tokens_field"]: settings.max_tokens,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _error(self, status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
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


class Transport(Protocol):
    """One method that sends bytes and brings bytes back; header names come back in lower case."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body. Raises Unavailable where there is no whole answer in time."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class PyreqwestTransport:
    """reqwest, in Rust: sends, receives and unpacks outside the interpreter lock."""

    def __init__(self, endpoint: Endpoint) -> None:
        from pyreqwest.client import ClientBuilder
        from pyreqwest.exceptions import RequestError

        self._failures = RequestError
        self._timeout_s = endpoint.timeout_s
        self._client = (
            ClientBuilder()
            .timeout(timedelta(seconds=endpoint.timeout_s))
            .connect_timeout(timedelta(seconds=min(_CONNECT_S, endpoint.timeout_s)))
            .follow_redirects(False)
            .user_agent("synthtutor")
            .build()
        )

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body."""
        request = self._client.post(url).headers(headers).body_bytes(body).build()
        try:
            response = await request.send()
            content = await response.bytes()
        except self._failures as error:
            if isinstance(error, TimeoutError):
                raise _late(self._timeout_s) from None
            causes = error.details["causes"] or [{"message": error.message}]
            raise Unavailable(f"no reply: {causes[-1]['message']}") from None
        return response.status, dict(response.headers.items()), content.to_bytes()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


class Httpx2Transport:
    """httpx2, in Python: some ten times the work per call."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx2

        most = endpoint.max_in_flight
        self._failures = httpx2.RequestError
        self._timeout_s = endpoint.timeout_s
        self._client = httpx2.AsyncClient(
            headers={"user-agent": "synthtutor"},
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            timeout=httpx2.Timeout(None, connect=min(_CONNECT_S, endpoint.timeout_s)),
        )

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body."""
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.post(url, content=body, headers=dict(headers))
        except TimeoutError:
            raise _late(self._timeout_s) from None
        except self._failures as error:
            raise Unavailable(f"no reply: {error or type(error).__name__}") from None
        return response.status_code, response.headers, response.content

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


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


def _chosen(options: Mapping[str, str]) -> dict[str, str]:
    for name, value in options.items():
        if name not in _OPTIONS:
            raise ConfigError(f"compatible has no option {name!r}, only {', '.join(_OPTIONS)}")
        if value not in _OPTIONS[name]:
            allowed = ", ".join(_OPTIONS[name])
            raise ConfigError(f"compatible's option {name} is one of {allowed}, not {value!r}")
    return {name: options.get(name, values[0]) for name, values in _OPTIONS.items()}


def _key(endpoint: Endpoint) -> str | None:
    """The key, if any, without the line end it was pasted with."""
    try:
        key = endpoint.key("COMPATIBLE_API_KEY").strip()
    except ConfigError:
        return None  # local servers need none
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key in COMPATIBLE_API_KEY has characters that no key has")
    return key


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
    content, refusal = _text(message.get("content")), message.get("refusal")
    reasoning, text = message.get("reasoning_content") or message.get("reasoning") or "", content
    if not reasoning:
        reasoning, text = split_thinking(content)
    finish = "refusal" if refusal else _FINISHES.get(reason, "other")
    return Response(
        text,
        usage=_usage(reply.get("usage"), request, content + reasoning),
        finish=finish,
        reasoning=reasoning,
        model=reply.get("model") or "",
        request_id=headers.get("x-request-id"),
        detail=refusal or (None if finish in ("stop", "length") else reason),
        rate_limits=rate_limits(headers),
    )


def _text(content: Any) -> str:
    """The content, also where it comes in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


def _usage(usage: Mapping[str, Any] | None, request: Request, said: str) -> Usage:
    """The server's count; characters / 4 where it does not count."""
    if not usage:
        asked = sum(len(message.content) for message in request.messages)
        return Usage(input_tokens=asked // 4 + 1, output_tokens=len(said) // 4 + 1)
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        cache_read_tokens=prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        cache_write_tokens=prompt.get("cache_write_tokens") or 0,
        reasoning_tokens=completion.get("reasoning_tokens") or 0,
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


def _late(timeout_s: float) -> Unavailable:
    return Unavailable(f"no reply within {timeout_s:g} s")
