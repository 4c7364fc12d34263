"""Google's Gemini API through the official SDK.

The SDK is imported at the first call (it costs half a second), its own retries are off (synthtutor
has one policy for all vendors), and every error that can come out is translated in one place:
`translated`. Replies are read from the wire: the SDK's own reading warns about each finish reason
that it does not know yet, and makes an empty reply of a page that is none.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import synthtutor_google_batches as batches
import synthtutor_google_counting as counting
from synthtutor_google_errors import failure, translated

from synthtutor.errors import ConfigError, ProviderError, Rejected, Unavailable
from synthtutor.messages import Finish, Request, Response, Settings, Usage, count_of
from synthtutor.provider import (
    BatchLimits,
    BatchStatus,
    Capabilities,
    Endpoint,
    object_of,
    rate_limits,
    scrubbed,
    sendable,
)
from synthtutor.transport import http_client

if TYPE_CHECKING:
    import httpx2
    from google import genai
    from google.genai import types

__all__ = ["Google", "translated"]

_ADDRESS = "https://generativelanguage.googleapis.com"
_VERSIONS = ("v1beta", "v1")
_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
# The API refuses a shorter deadline, and the SDK would send ours on as one.
_SHORTEST_DEADLINE_S = 10
_PAGE = 20  # a listed batch may bring its results along

_MODEL = re.compile(r"(?!.*\.\.)((models|tunedModels)/)?[A-Za-z0-9._-]+")
# What is not for text: no thinking, and no promise of JSON.
_NOT_TEXT = re.compile(r"image|tts|live|audio|embedding|banana|omni|robotics|streaming")
# Thinking is a budget of tokens in 2.5 and a level from 3 on. The aliases move from one to the
# other; 3 still takes a budget, so that is what they get.
_TAKES_BUDGET = re.compile(r"gemini-(2\.5-(pro|flash)|(pro|flash|flash-lite)-latest)")
_TAKES_LEVEL = re.compile(r"gemini-([3-9]|\d\d)(\.\d+)?-")
# 512 is the least that each of 2.5 pro, flash and flash-lite takes; the others are what Google's
# own OpenAI-compatible endpoint makes of the same words.
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
# From before schemas as JSON schema (1.5: JSON mode only); Gemma has no JSON mode here, and takes
# no system instruction either.
_WITHOUT_SCHEMA = re.compile(r"gemini-(1\.0|pro$|pro-vision)|gemma")
_JSON_ONLY = re.compile(r"gemini-1\.5")
_GEMMA = re.compile(r"gemma")

_FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # a limit of the API itself: there would be more
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "ESCALATION": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}


class Google:
    """The plugin ``google``: Gemini, answered at once or in batches."""

    def __init__(self, endpoint: Endpoint) -> None:
        unknown = set(endpoint.options) - {"api_version"}
        if unknown:
            raise ConfigError(f"google has no option {min(unknown)!r}, only api_version")
        self._version = endpoint.options.get("api_version", _VERSIONS[0])
        if self._version not in _VERSIONS:
            allowed = ", ".join(_VERSIONS)
            raise ConfigError(
                f"google's option api_version is one of {allowed}, not {self._version!r}"
            )
        self._endpoint = endpoint
        self._key = _sendable(endpoint.key(*_KEYS))
        self._url = (endpoint.url("GOOGLE_GEMINI_BASE_URL") or _ADDRESS).rstrip("/")
        self._submitted: dict[str, tuple[str, ...]] = {}

    async def complete(self, request: Request) -> Response:
        """Ask the model once."""
        contents, config = self._asked(request)
        async with self._asking():
            reply = await self._client.aio.models.generate_content(
                model=request.model_name, contents=contents, config=config
            )
            http = reply.sdk_http_response
            assert http is not None  # noqa: S101  # the configuration asks for it
            return scrubbed(_response(json.loads(http.body or ""), http.headers or {}), self._key)

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens, by the vendor's own endpoint for it, which costs nothing."""
        path, body = counting.question(request.model_name, *self._asked(request))
        return counting.answer(await self._called("POST", path, json=body))

    def capabilities(self, model: str) -> Capabilities:
        """Schemas from Gemini 2 on, thinking from 2.5 on; of an unknown model no thinking."""
        name = model.removeprefix("models/")
        if _WITHOUT_SCHEMA.match(name) or _NOT_TEXT.search(name):
            return self._able("none")
        return self._able("json" if _JSON_ONLY.match(name) else "schema", thinks=_thinks(name))

    async def aclose(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()
            await self._client.aio.aclose()
        if "_http" in self.__dict__:
            await self._http.aclose()

    # Batches

    def batch_limits(self) -> BatchLimits:
        """What inline requests may hold, with room for how the SDK writes them."""
        return batches.LIMITS

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
        """Hand the requests over, by custom id, all of one model; returns the batch's name."""
        from google.genai import types

        inlined = []
        for custom_id, request in requests.items():
            contents, config = self._asked(request)
            metadata = {"key": custom_id}
            inlined.append(
                types.InlinedRequest(contents=contents, config=config, metadata=metadata)
            )
        async with self._asking():
            job = await self._client.aio.batches.create(
                model=next(iter(requests.values())).model_name,
                src=types.BatchJobSource(inlined_requests=inlined),
                config=types.CreateBatchJobConfig(display_name=label),
            )
        if not job.name:
            raise Unavailable("the reply is no batch")
        self._submitted[job.name] = tuple(requests)
        return job.name

    async def find_batch(
        self,
        label: str,
        custom_ids: Collection[str],
        since: datetime,  # noqa: ARG002  # the label is enough, and no order of the list is promised
    ) -> str | None:
        """The name of the batch that carries the label, None where none does."""
        query = {"pageSize": str(_PAGE)}
        while True:
            page = await self._read("batches", query)
            found = batches.name_of(page.get("operations") or (), label)
            if found:
                self._submitted[found] = tuple(custom_ids)
            if found or not page.get("nextPageToken"):
                return found
            query["pageToken"] = str(page["nextPageToken"])

    async def batch_status(self, batch: str) -> BatchStatus:
        """How the batch stands."""
        return batches.status(await self._read(batch))

    async def batch_results(
        self, batch: str
    ) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """The outcome of each request by custom id."""
        outcomes = batches.items(await self._read(batch))
        for custom_id, item in batches.named(outcomes, self._submitted.get(batch, ())):
            yield custom_id, _outcome(item, self._key)

    async def cancel_batch(self, batch: str) -> None:
        """Ask for no more of it."""
        async with self._asking():
            await self._client.aio.batches.cancel(name=batch)

    async def _read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One of the API's objects as it is."""
        try:
            return await self._called("GET", path, params=query)
        except Rejected as error:
            error.reason = "request"  # a batch that is not found says nothing about the model
            raise

    async def _called(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """What an address answers, without the SDK's classes between."""
        from google.genai import errors

        url = f"{self._url}/{self._version}/{path}"
        async with self._asking():
            headers = {"x-goog-api-key": self._key}
            answer = await self._http.request(method, url, headers=headers, **content)
            await errors.APIError.raise_for_async_response(answer)
            found = json.loads(answer.text)
        if not isinstance(found, dict):
            raise Unavailable("the reply is no object")
        return found

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Keep to the deadline, and raise only what a provider may."""
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                yield
        except ProviderError:
            raise
        except Exception as error:  # what is none of the SDK's is raised as it is
            # Without its cause: the SDK's errors quote the server, and servers quote keys.
            raise translated(error, self._key) from None

    @cached_property
    def _http(self) -> httpx2.AsyncClient:
        client = http_client(self._endpoint)
        client.follow_redirects = False  # our key's header would go along to any other host
        return client

    @cached_property
    def _client(self) -> genai.Client:
        from google import genai
        from google.genai import types

        timeout_s = self._endpoint.timeout_s
        deadline_s = max(_SHORTEST_DEADLINE_S, math.ceil(timeout_s))
        # Clients of its own that the SDK makes and never uses. Without certificates they take no
        # time to make (a tenth of a second each), and could not be used unseen.
        nothing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        options = types.HttpOptions(
            base_url=self._url,
            api_version=self._version,
            timeout=math.ceil(timeout_s * 1000),
            headers={"X-Server-Timeout": str(deadline_s)},
            retry_options=types.HttpRetryOptions(attempts=1),
            httpx_async_client=self._http,
            client_args={"verify": nothing},
            async_client_args={"verify": nothing, "ssl": nothing},
        )
        return genai.Client(enterprise=False, api_key=self._key, http_options=options)

    def _able(self, structured_output: Any, *, thinks: bool = False) -> Capabilities:
        return Capabilities(
            structured_output=structured_output,
            reasoning_effort=thinks,
            reasons=thinks,
            max_in_flight=self._endpoint.max_in_flight,
        )

    def _asked(self, request: Request) -> tuple[list[types.Content], types.GenerateContentConfig]:
        """The request in the SDK's classes, and its settings."""
        from google.genai import types

        name = request.model_name
        if not _MODEL.fullmatch(name):
            raise Rejected(f"google has no model {name!r}", reason="model")
        messages = request.messages
        apart = not _GEMMA.match(name.removeprefix("models/"))  # takes a system instruction
        apart = apart and any(message.role != "system" for message in messages)
        system = [message for message in messages if apart and message.role == "system"]
        spoken = [message for message in messages if not apart or message.role != "system"]
        contents = [
            types.Content(
                role="model" if message.role == "assistant" else "user",
                parts=[types.Part(text=message.content)],
            )
            for message in spoken
        ]
        config = types.GenerateContentConfig(**self._settings(request))
        if system:
            parts = [types.Part(text=message.content) for message in system]
            config.system_instruction = types.Content(parts=parts)
        return contents, config

    def _settings(self, request: Request) -> dict[str, Any]:
        settings, known = request.settings, self.capabilities(request.model_name)
        shaped = request.schema is not None and known.structured_output != "none"
        optional = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": settings.seed,
            "stop_sequences": list(settings.stop) or None,
            "thinking_config": _thinking(request.model_name, settings),
            "response_mime_type": "application/json" if shaped else None,
        }
        if request.schema is not None and known.structured_output == "schema":
            optional["response_json_schema"] = dict(request.schema.definition)
        return {
            "max_output_tokens": settings.max_tokens,
            "automatic_continuation": False,  # else one call may become several, unseen
            "should_return_http_response": True,
            **{name: value for name, value in optional.items() if value is not None},
        }


def _thinks(name: str) -> bool:
    return bool(_TAKES_BUDGET.match(name) or _TAKES_LEVEL.match(name))


def _thinking(model: str, settings: Settings) -> dict[str, Any] | None:
    """What the model is told about its thinking; nothing where no effort is asked for."""
    name, effort = model.removeprefix("models/"), settings.reasoning_effort
    if effort is None or _NOT_TEXT.search(name) or not _thinks(name):
        return None
    if _TAKES_BUDGET.match(name):
        return {"include_thoughts": True, "thinking_budget": _BUDGETS[effort]}
    level = effort
    if effort == "minimal" and "flash" not in name:
        level = "low"  # the larger models cannot think less
    elif effort == "medium" and name.startswith("gemini-3-pro"):
        level = "high"  # it has two levels only; Google rounds up as well
    return {"include_thoughts": True, "thinking_level": level.upper()}


def _response(body: Any, headers: Mapping[str, str], *, batched: bool = False) -> Response:
    request_id = headers.get("x-request-id")
    try:
        return Response(
            **_said(body),
            usage=_usage(body.get("usageMetadata")),
            model=str(body.get("modelVersion") or ""),
            request_id=request_id or body.get("responseId"),
            batched=batched,
            rate_limits=rate_limits(headers),
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        detail = f"the reply is not one of generateContent: {type(error).__name__}: {error}"
        raise Unavailable(detail, request_id=request_id) from None


def _said(body: Any) -> dict[str, Any]:
    """The text, the reasoning, and why it ended."""
    blocked = (body.get("promptFeedback") or {}).get("blockReason")
    if blocked and not body.get("candidates"):
        return {"text": "", "finish": "refusal", "detail": f"the prompt was blocked: {blocked}"}
    candidate = body["candidates"][0]
    parts = (candidate.get("content") or {}).get("parts") or []
    reason = candidate.get("finishReason") if parts else candidate["finishReason"]
    finish = _FINISHES.get(reason, "other")
    detail = ": ".join(filter(None, (reason, candidate.get("finishMessage"))))
    return {
        "text": "".join(part.get("text") or "" for part in parts if not part.get("thought")),
        "reasoning": "".join(part.get("text") or "" for part in parts if part.get("thought")),
        "finish": finish,
        "detail": None if finish in ("stop", "length") else detail or None,
    }


def _usage(told: Any) -> Usage:
    """The API leaves out what is 0; what it counts as output is without the thoughts."""
    counts = object_of(told)

    def count(name: str) -> int:
        return count_of(counts.get(name))

    return Usage(
        input_tokens=count("promptTokenCount") + count("toolUsePromptTokenCount"),
        output_tokens=count("candidatesTokenCount") + count("thoughtsTokenCount"),
        cache_read_tokens=count("cachedContentTokenCount"),
        reasoning_tokens=count("thoughtsTokenCount"),
    )


def _outcome(item: Mapping[str, Any], key: str) -> Response | ProviderError:
    """What became of one request of a batch."""
    told = item.get("error")
    if isinstance(told, dict):
        code = told.get("code")
        return failure(code if isinstance(code, int) else 500, told, {}, key)
    try:
        return _response(item.get("response"), {}, batched=True)
    except Unavailable as error:
        return error


def _sendable(key: str) -> str:
    """The key, without the line end it was pasted with; refused if no header can carry it."""
    key = sendable(key, "GOOGLE_API_KEY")
    if key.startswith("auth_tokens/"):
        raise ConfigError("GOOGLE_API_KEY holds a short-lived token, which only the Live API takes")
    return key
