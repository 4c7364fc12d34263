"""A real HTTP server on the loopback interface that speaks Gemini: generateContent and batches.

    async with GoogleServer(lambda body: Reply("Which part would you compare first?")) as server:
        provider = Google(Endpoint(base_url=server.base_url, api_key="test"))

It refuses what Gemini refuses: unknown fields, no contents, a thinking level for a model that takes
a budget. A batch's requests are answered by the behaviour when the batch ends; a reply with an
error status becomes that item's error, one that hangs is missing from the results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import orjson

from synthtutor.testing.google_requests import RequestError, chat_of, checked_batch
from synthtutor.testing.replies import Behaviour, Reply, http_answer, plausible_reply
from synthtutor.testing.serving import Asked, FakeServer

__all__ = ["GoogleServer"]

_GENERATE = re.compile(r"/v1(?:beta)?/(?:models|tunedModels)/([^/:?]+):generateContent(?:\?.*)?")
_OTHER = re.compile(r"/v1(?:beta)?/(models|batches)(?:/([^/:]+))?(?::(\w+))?")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_RPC = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}
_FINISHES = {"stop": "STOP", "length": "MAX_TOKENS"}
_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1main"
_MOST_BYTES = 20_000_000


@dataclass
class _Batch:
    name: str
    model: str
    label: str
    requests: Sequence[tuple[Mapping[str, Any], dict[str, Any]]]  # metadata, OpenAI's form
    polls_left: int
    state: str = "PENDING"
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    items: list[dict[str, Any]] = field(default_factory=list)


class GoogleServer(FakeServer):
    """Gemini's wire: ``v1beta`` and ``v1`` alike.

    ``batch_polls`` is how often a batch is read before it has ended, ``batch_ends`` how it ends.
    With ``retry_info`` a failure's ``retry-after`` is told as Gemini tells it: in the error's
    details, not in a header.
    """

    def __init__(
        self,
        behaviour: Behaviour = plausible_reply,
        *,
        models: Sequence[str] = ("test-model",),
        retry_info: bool = False,
        batch_polls: int = 1,
        batch_ends: Literal["SUCCEEDED", "FAILED", "EXPIRED"] = "SUCCEEDED",
        **options: Any,
    ) -> None:
        super().__init__(behaviour, **options)
        self.batch_polls = batch_polls
        self.batch_ends = batch_ends
        self._models = models
        self._retry_info = retry_info
        self._batches: dict[str, _Batch] = {}

    def is_chat(self, method: str, path: str) -> bool:
        """``POST /v1beta/models/MODEL:generateContent``."""
        return method == "POST" and _GENERATE.fullmatch(path) is not None

    def chat(self, asked: Asked) -> dict[str, Any] | None:
        """The request in OpenAI's form, None where Gemini would refuse it."""
        try:
            return _checked(asked)
        except RequestError:
            return None

    def render(self, reply: Reply, asked: Asked) -> bytes:
        """A generateContent reply, or an error in Google's form."""
        if reply.raw is not None:
            return http_answer(reply.status, reply.raw, reply.headers)
        if reply.status == 200:
            payload = _reply(reply, _model(asked.path), _checked(asked))
            return http_answer(200, orjson.dumps(payload), reply.headers)
        error, headers = self._error(reply)
        if reply.status == 400 and self.is_chat("POST", asked.path):
            try:
                _checked(asked)
            except RequestError as complaint:
                error["message"] = str(complaint)
        return http_answer(reply.status, orjson.dumps({"error": error}), headers)

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        """Models, countTokens, and everything about batches."""
        url = urlsplit(asked.path)
        found = _OTHER.fullmatch(url.path)
        if found is None:
            return None
        kind, name, verb = found.groups()
        match (method, kind, verb):
            case ("GET", "models", None):
                return self._listed_models(name)
            case ("POST", "models", "countTokens"):
                return self._counted(name, asked)
            case ("POST", "models", "batchGenerateContent"):
                return self._created(name, asked, content)
            case ("GET", "batches", None):
                return self._polled(name) if name else self._listed(parse_qs(url.query))
            case ("POST", "batches", "cancel"):
                return self._cancelled(name)
        return None

    def _error(self, reply: Reply) -> tuple[dict[str, Any], dict[str, str]]:
        """The error object, and the headers that go with it."""
        given = dict(reply.error or {})
        headers = {name.lower(): value for name, value in reply.headers.items()}
        error: dict[str, Any] = {
            "code": reply.status,
            "message": str(given.get("message", "")),
            "status": given.get("status") or _STATUS.get(reply.status, "UNKNOWN"),
        }
        details = list(given.get("details") or ())  # type: ignore[call-overload]  # a test's own
        if self._retry_info and "retry-after" in headers:
            delay = f"{headers.pop('retry-after')}s"
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            details.append({"@type": kind, "retryDelay": delay})
        if details:
            error["details"] = details
        return error, headers

    def _listed_models(self, name: str | None) -> bytes:
        models = [{"name": f"models/{n}"} for n in self._models if name in (None, n)]
        if name is None:
            return _answer({"models": models})
        return _answer(models[0]) if models else self._refused(404, f"models/{name} is not found")

    def _counted(self, model: str, asked: Asked) -> bytes:
        """As many as would be billed."""
        if self._keep:
            self.asked.append(asked)
        bare = {"model": f"models/{model}", **asked.body}
        whole = bare if "contents" in asked.body else asked.body.get("generateContentRequest") or {}
        if whole.get("model") != f"models/{model}":
            return self._refused(400, "generate_content_request.model is not the address's model")
        try:
            return _answer({"totalTokens": _prompt_tokens(chat_of(model, whole))})
        except RequestError as error:
            return self._refused(400, str(error))

    def _refused(self, status: int, message: str) -> bytes:
        error, _ = self._error(Reply.failure(status, message))
        return http_answer(status, orjson.dumps({"error": error}))

    # Batches

    def _created(self, model: str, asked: Asked, content: bytes) -> bytes:
        if self._keep:
            self.asked.append(asked)
        if len(content) > _MOST_BYTES:
            return self._refused(400, "Request payload size exceeds the limit: 20971520 bytes.")
        try:
            label, requests = checked_batch(model, asked.body)
        except RequestError as error:
            return self._refused(400, str(error))
        name = f"batches/fake-{len(self._batches) + 1}"
        batch = _Batch(name, model, label, requests, self.batch_polls)
        self._batches[name] = batch
        return _answer(_operation(batch))

    def _polled(self, name: str) -> bytes:
        batch = self._batches.get(f"batches/{name}")
        if batch is None:
            return self._refused(404, f"batches/{name} is not found")
        if batch.state in ("PENDING", "RUNNING"):
            batch.state = "RUNNING" if batch.polls_left > 0 else self.batch_ends
            batch.polls_left -= 1
            if batch.state == "SUCCEEDED":
                batch.items = [item for one in batch.requests if (item := self._item(batch, *one))]
        return _answer(_operation(batch))

    def _item(
        self, batch: _Batch, metadata: Mapping[str, Any], chat: dict[str, Any]
    ) -> dict[str, Any] | None:
        row = self.row(chat)
        row.started += 1
        reply = self.reply(chat)
        if reply.hang:
            return None
        row.answered += 1
        named = {"metadata": metadata} if metadata else {}
        if reply.status == 200:
            return {"response": _reply(reply, batch.model, chat), **named}
        error, _ = self._error(reply)
        error["code"] = _RPC.get(reply.status, 2)
        del error["status"]
        return {"error": error, **named}

    def _listed(self, query: Mapping[str, Sequence[str]]) -> bytes:
        size = int(query.get("pageSize", ["100"])[0])
        start = int(query.get("pageToken", ["0"])[0])
        newest_first = list(self._batches.values())[::-1]
        page: dict[str, Any] = {
            "operations": [_operation(batch) for batch in newest_first[start : start + size]]
        }
        if start + size < len(newest_first):
            page["nextPageToken"] = str(start + size)
        return _answer(page)

    def _cancelled(self, name: str) -> bytes:
        batch = self._batches.get(f"batches/{name}")
        if batch is None:
            return self._refused(404, f"batches/{name} is not found")
        if batch.state not in ("PENDING", "RUNNING"):
            return self._refused(400, f"batches/{name} has ended")
        batch.state = "CANCELLED"
        return _answer({})


def _answer(value: object) -> bytes:
    return http_answer(200, orjson.dumps(value))


def _model(path: str) -> str:
    found = _GENERATE.fullmatch(path)
    return found[1] if found else ""


def _checked(asked: Asked) -> dict[str, Any]:
    deadline = asked.headers.get("x-server-timeout", "")
    if deadline.isdigit() and int(deadline) < 10:
        raise RequestError(f"a deadline of {deadline}s is too short, the least is 10s")
    return chat_of(_model(asked.path), asked.body)


def _reply(reply: Reply, model: str, chat: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"modelVersion": model, "responseId": "fake-response"}
    if reply.finish_reason == "content_filter":
        body["promptFeedback"] = {"blockReason": "SAFETY"}
    else:
        body["candidates"] = [_candidate(reply)]
    return body | {"usageMetadata": _usage(reply, chat)} | dict(reply.extra)


def _candidate(reply: Reply) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if reply.reasoning:
        parts.append({"text": reply.reasoning, "thought": True})
    if reply.text:
        parts.append({"text": reply.text})
    content: dict[str, Any] = {"role": "model"} | ({"parts": parts} if parts else {})
    if reply.refusal is not None:
        return {"content": content, "finishReason": "SAFETY", "finishMessage": reply.refusal}
    reason = reply.finish_reason or "OTHER"
    return {"content": content, "finishReason": _FINISHES.get(reason, reason)}


def _usage(reply: Reply, chat: Mapping[str, Any]) -> dict[str, int]:
    """Counted like `Reply` does; what is 0 is left out, as everywhere in this API."""
    if reply.usage is not None:
        given = reply.usage
        prompt, output = given.input_tokens, given.output_tokens
        thoughts, cached = given.reasoning_tokens, given.cache_read_tokens
    else:
        prompt = _prompt_tokens(chat)
        thoughts, cached = len(reply.reasoning or "") // 4, 0
        output = len(reply.text or reply.refusal or "") // 4 + 1 + thoughts
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output - thoughts,
        "thoughtsTokenCount": thoughts,
        "cachedContentTokenCount": cached,
        "totalTokenCount": prompt + output,
    }
    return {name: count for name, count in counts.items() if count}


def _prompt_tokens(chat: Mapping[str, Any]) -> int:
    return sum(len(message["content"]) for message in chat["messages"]) // 4 + 1


def _operation(batch: _Batch) -> dict[str, Any]:
    failed = sum("error" in item for item in batch.items)
    stats = {
        "requestCount": len(batch.requests),
        "pendingRequestCount": len(batch.requests) - len(batch.items),
        "successfulRequestCount": len(batch.items) - failed,
        "failedRequestCount": failed,
    }
    metadata: dict[str, Any] = {
        "@type": f"{_TYPES}.GenerateContentBatch",
        "model": f"models/{batch.model}",
        "name": batch.name,
        "displayName": batch.label,
        "state": f"BATCH_STATE_{batch.state}",
        "createTime": batch.created,
        "batchStats": {name: str(count) for name, count in stats.items() if count},
    }
    operation: dict[str, Any] = {"name": batch.name, "metadata": metadata}
    if batch.state not in ("PENDING", "RUNNING"):
        operation["done"] = True
    if batch.state == "SUCCEEDED":
        output = {"inlinedResponses": {"inlinedResponses": batch.items}}
        metadata["output"] = output
        kind = f"{_TYPES}.GenerateContentBatchOutput"
        operation["response"] = {"@type": kind, **output}
    elif batch.state == "FAILED":
        operation["error"] = {"code": 13, "message": "The batch failed as a whole."}
    return operation
