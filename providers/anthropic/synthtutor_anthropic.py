"""Anthropic's messages and message batches through the official SDK.

The SDK is imported at the first call (it costs two seconds), its own retries are off (synthtutor
has one policy for all vendors), and every error it can raise is translated in one place:
`translated`. What is sent and read is in `synthtutor_anthropic_messages`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from synthtutor_anthropic_batches import checked, found, outcome, results, status_of
from synthtutor_anthropic_messages import SAMPLING, body_of, kind_of, response_of

from synthtutor.errors import (
    ConfigError,
    ProviderError,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from synthtutor.messages import Request, Response
from synthtutor.provider import (
    BatchLimits,
    BatchStatus,
    Capabilities,
    Endpoint,
    error_for_status,
    read_json,
    redact,
    scrubbed,
    sendable,
)
from synthtutor.transport import http_client

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic
    from anthropic.resources.messages import AsyncBatches

__all__ = ["Anthropic", "translated"]

_URL = "https://api.anthropic.com"
# The API's versions since 2026-10-21 refuse every sampling key; this one still takes them.
_SAMPLING_VERSION = {"anthropic-version": "2023-06-01"}
_CACHES: dict[str, dict[str, str] | None] = {
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
    "off": None,
}
# Of a request's body, what its prompt depends on: the endpoint for counting takes no more.
_COUNTED = ("model", "messages", "system", "thinking", "output_config")
# Said with status 400, and true of every request of the account.
_ACCOUNT = re.compile(r"billing_error|organization_on_hold|credit balance", re.IGNORECASE)


class Anthropic:
    """The plugin ``anthropic``."""

    def __init__(self, endpoint: Endpoint) -> None:
        unknown = set(endpoint.options) - {"cache"}
        if unknown:
            raise ConfigError(f"anthropic has no option {min(unknown)!r}, only 'cache'")
        cache = endpoint.options.get("cache", "5m")
        if cache not in _CACHES:
            allowed = ", ".join(_CACHES)
            raise ConfigError(f"anthropic's option cache is one of {allowed}, not {cache!r}")
        self._cache = _CACHES[cache]
        self._endpoint = endpoint
        self._key = sendable(endpoint.key("ANTHROPIC_API_KEY"), "ANTHROPIC_API_KEY")

    async def complete(self, request: Request) -> Response:
        """Ask the model once."""
        import httpx2

        body = body_of(request, self._cache)
        sampled = any(name in body for name in SAMPLING)
        with self._translating():
            async with asyncio.timeout(self._endpoint.timeout_s):
                # Not its create: that copies the body, and has no arguments for sampling.
                reply = await self._client.post(
                    "/v1/messages",
                    cast_to=httpx2.Response,
                    body=body,
                    options={"headers": _SAMPLING_VERSION if sampled else {}},
                )
            headers = dict(reply.headers.items())  # where a look-up costs a tenth
            return scrubbed(response_of(read_json(reply.content), headers), self._key)

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens, by the vendor's own endpoint for it, which costs nothing."""
        body = body_of(request, self._cache)
        asked: dict[str, Any] = {name: body[name] for name in _COUNTED if name in body}
        with self._translating():
            async with asyncio.timeout(self._endpoint.timeout_s):
                counted = await self._client.messages.count_tokens(**asked)
                tokens = getattr(counted, "input_tokens", None)
        if not isinstance(tokens, int):
            raise Unavailable("the reply is not a count of tokens")
        return tokens

    def capabilities(self, model: str) -> Capabilities:
        """Schemas from 4.5 on, thinking from 3.7 on, temperature until 4.6; never a seed."""
        kind = kind_of(model)
        return Capabilities(
            structured_output="schema" if kind.schema else "none",
            seed=False,
            temperature=kind.sampling,
            reasoning_effort=kind.thinking != "none",
            max_in_flight=self._endpoint.max_in_flight,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.close()

    def batch_limits(self) -> BatchLimits:
        """100,000 requests, 256 MB."""
        return BatchLimits(requests=100_000, megabytes=256)

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:  # noqa: ARG002
        """Hand the requests over. The API keeps no label: see `find_batch`."""
        bodies = {name: body_of(request, self._cache) for name, request in requests.items()}
        sampled = any(key in body for body in bodies.values() for key in SAMPLING)
        items: Any = [{"custom_id": name, "params": body} for name, body in bodies.items()]
        with self._translating():
            batch = await self._batches.create(
                requests=items, extra_headers=_SAMPLING_VERSION if sampled else None
            )
            return checked(batch).id

    async def find_batch(
        self,
        label: str,  # noqa: ARG002  # the API keeps none
        custom_ids: Collection[str],
        since: datetime,
    ) -> str | None:
        """The batch created after ``since`` that holds these ids, as far as can be known.

        One that has ended is known by its results. One that has not shows only its size: it is
        taken if it is the only one of this size, and Unavailable is raised if there are several,
        which can be told apart later. See `synthtutor_anthropic_batches.found`.
        """
        with self._translating():
            return await found(self._batches, custom_ids, since)

    async def batch_status(self, batch: str) -> BatchStatus:
        """How the batch stands; the API counts what is finished only when all is."""
        with self._translating():
            return status_of(checked(await self._batches.retrieve(batch)))

    async def batch_results(
        self, batch: str
    ) -> AsyncGenerator[tuple[str, Response | ProviderError]]:
        """The outcome of each request, read line by line, in the vendor's order."""
        try:
            async with results(self._batches, batch) as items:
                async for item in items:
                    yield item["custom_id"], outcome(item, self._key)
        except ProviderError:
            raise
        except Exception as error:  # what is none of the SDK's is raised as it is
            raise translated(error, self._key) from None

    async def cancel_batch(self, batch: str) -> None:
        """Ask for no more of it; it ends soon after, with what was answered."""
        with self._translating():
            await self._batches.cancel(batch)

    @cached_property
    def _client(self) -> AsyncAnthropic:
        import anthropic
        import httpx2

        endpoint = self._endpoint
        return anthropic.AsyncAnthropic(
            api_key=self._key,  # explicit, so that no profile on this machine is picked up
            base_url=endpoint.url("ANTHROPIC_BASE_URL", _URL),
            max_retries=0,
            # Explicit, or the SDK refuses long replies that are not streamed.
            timeout=httpx2.Timeout(endpoint.timeout_s, connect=min(10.0, endpoint.timeout_s)),
            open_telemetry=False,
            http_client=http_client(endpoint),
        )

    @property
    def _batches(self) -> AsyncBatches:
        return self._client.messages.batches

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except ProviderError:
            raise
        except Exception as error:  # what is none of the SDK's is raised as it is
            # Without its cause: the SDK's errors quote the server, and servers quote keys.
            raise translated(error, self._key) from None


def translated(error: Exception, key: str | None = None) -> ProviderError:
    """The synthtutor error that one of the SDK's errors means; other errors are raised again."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return _refused(error, key)
    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Unreachable(redact(f"no connection: {error.__cause__}", key))
    if isinstance(error, TimeoutError | anthropic.APITimeoutError | httpx2.TimeoutException):
        return Unavailable("no reply in time")
    if isinstance(error, anthropic.APIConnectionError):
        return Unavailable(redact(f"{error.message} {error.__cause__ or ''}".strip(), key))
    if isinstance(error, anthropic.AnthropicError | httpx2.HTTPError):
        return Unavailable(redact(f"{type(error).__name__}: {error}", key))
    if isinstance(error, json.JSONDecodeError):
        return Unavailable(f"the reply is not JSON: {error.msg}")
    raise error


def _refused(error: APIStatusError, key: str | None) -> ProviderError:
    message = redact(str(error.api_message or error.message)[:2000], key)
    code, status, request_id = (
        error.error_code or error.type or "",
        error.status_code,
        error.request_id,
    )
    if _ACCOUNT.search(f"{error.type} {code} {message}"):
        return Unauthorized(f"HTTP {status}: {message}", status=status, request_id=request_id)
    if status == 404 and "/batches" in error.request.url.path:
        # Not the model is unknown (which would stop the run) but the batch.
        return Rejected(f"HTTP 404: {message}", status=404, request_id=request_id)
    return error_for_status(
        status, message, error.response.headers, code=code, request_id=request_id
    )
