"""A real HTTP server on the loopback interface that speaks Anthropic's messages and message batches.

    async with AnthropicServer(lambda body: Reply("Compare the parts.")) as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key="test"))

It refuses what the vendor refuses (a missing ``max_tokens``, sampling under a new API version, a
prefilled reply for a new model, an open schema, …) before the behaviour is asked. Where a reply
gives no usage it also keeps a prompt cache: a marked prefix is written once and read thereafter,
with no minimum length and no expiry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from synthtutor.messages import Usage
from synthtutor.testing.anthropic_rules import OLD_VERSION, SAMPLING, blocks, problems
from synthtutor.testing.replies import Behaviour, Reply, http_answer, plausible_reply
from synthtutor.testing.serving import Asked, FakeServer

__all__ = ["AnthropicServer"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
_CUSTOM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BATCHES = "/v1/messages/batches"


@dataclass(slots=True)
class _Batch:
    """One batch; ``results`` are made when it ends."""

    id: str
    items: list[dict[str, Any]]
    headers: Mapping[str, str]
    created: datetime
    polls_left: int
    ended: datetime | None = None
    canceled: datetime | None = None
    results: bytes = b""
    counts: dict[str, int] | None = None


class AnthropicServer(FakeServer):
    """Anthropic's wire: messages, token counts and message batches.

    A batch ends when it was asked for ``batch_polls`` times and ``batch_delay_s`` have passed; its
    requests are then answered by the behaviour. There a reply with an error status is an errored
    result and one that hangs an expired one. ``batches_created`` counts them, ``rows`` counts
    their requests, ``calls`` does not. Each of ``batch_faults`` answers one request to the batch
    addresses: a failure instead of doing what was asked, a ``raw`` body after it was done; None
    lets one pass.
    """

    def __init__(
        self,
        behaviour: Behaviour = plausible_reply,
        *,
        batch_polls: int = 1,
        batch_delay_s: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(behaviour, **options)
        self.batch_polls = batch_polls
        self.batch_delay_s = batch_delay_s
        self.batch_faults: list[Reply | None] = []
        self._batches: dict[str, _Batch] = {}
        self._prefixes: set[bytes] = set()

    @property
    def batches_created(self) -> int:
        """How many batches were accepted."""
        return len(self._batches)

    def is_chat(self, method: str, path: str) -> bool:
        """``POST /v1/messages``."""
        return method == "POST" and urlsplit(path).path == "/v1/messages"

    def chat(self, asked: Asked) -> dict[str, Any] | None:
        """The request in OpenAI's form; ``refused`` holds the reply to one that breaks a rule."""
        return self._openai_form(asked.body, asked.headers) if asked.body else None

    def reply(self, chat: dict[str, Any]) -> Reply:
        """The vendor's refusal, where it refuses, else the behaviour's reply."""
        refused = chat.pop("refused", None)
        return refused if isinstance(refused, Reply) else super().reply(chat)

    def render(self, reply: Reply, asked: Asked) -> bytes:
        """A message, or an error in Anthropic's form; ``x-request-id`` is sent as ``request-id``."""
        headers = {
            "request-id" if name.lower() == "x-request-id" else name: value
            for name, value in reply.headers.items()
        }
        payload = self._payload(reply, asked.body)
        return http_answer(reply.status, payload, headers)

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:  # noqa: ARG002
        """Token counts and batches."""
        url = urlsplit(asked.path)
        if method == "POST" and self._keep:
            self.asked.append(asked)
        if not _key(asked.headers):
            return self.render(_no_key(), asked)
        if (method, url.path) == ("POST", "/v1/messages/count_tokens"):
            return self._counted(asked)
        if not url.path.startswith(_BATCHES):
            return None
        fault = self.batch_faults.pop(0) if self.batch_faults else None
        answer = None if fault and fault.raw is None else self._batch(method, asked)
        return self.render(fault, asked) if fault else answer

    # One message

    def _openai_form(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        form: dict[str, Any] = {"model": body.get("model", ""), "messages": []}
        if not _key(headers):
            return form | {"refused": _no_key()}
        problem = next(problems(body, headers.get("anthropic-version", "")), None)
        if problem:
            return form | {"refused": Reply.failure(400, problem)}
        form |= {"max_tokens": body["max_tokens"], "messages": _openai_messages(body)}
        form |= {name: body[name] for name in SAMPLING if name in body}
        wanted = (body.get("output_config") or {}).get("format")
        if wanted:
            schema = wanted["schema"]
            name = schema.get("title") or blake2b(orjson.dumps(schema), digest_size=4).hexdigest()
            form["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": name, "schema": schema},
            }
        return form

    def _payload(self, reply: Reply, body: Mapping[str, Any]) -> bytes:
        if reply.raw is not None:
            return reply.raw
        if reply.error is not None:
            return orjson.dumps(_error(reply))
        if reply.usage is None:
            reply = replace(reply, usage=self._usage(body, reply))
        return orjson.dumps(_message(reply, str(body.get("model", ""))))

    def _usage(self, body: Mapping[str, Any], reply: Reply) -> Usage:
        """Characters / 4, with the marked prefixes written to the cache once and read thereafter."""
        name = blake2b(str(body.get("model")).encode())
        total = read = marked = 0
        for role, block in blocks(body):
            text = str(block.get("text", ""))
            name.update(f"{role}\0{text}\0".encode(errors="replace"))
            total += len(text)
            if name.digest() in self._prefixes:
                read = total
            if "cache_control" in block:
                marked = total
                self._prefixes.add(name.digest())
        thought = len(reply.reasoning or "") // 4
        said = len(reply.text or reply.refusal or "") // 4 + 1
        written = max(0, marked - read) // 4
        return Usage(total // 4 + 1, said + thought, read // 4, written, thought)

    def _counted(self, asked: Asked) -> bytes:
        extra = asked.body.keys() & {"max_tokens", "stop_sequences", *SAMPLING}
        if extra:
            return self.render(Reply.failure(400, f"{min(extra)}: Extra inputs"), asked)
        problem = next(problems({**asked.body, "max_tokens": 10**6}, OLD_VERSION), None)
        if problem:
            return self.render(Reply.failure(400, problem), asked)
        characters = sum(len(block.get("text", "")) for _, block in blocks(asked.body))
        return http_answer(200, orjson.dumps({"input_tokens": characters // 4 + 1}))

    # Batches

    def _batch(self, method: str, asked: Asked) -> bytes | None:
        url = urlsplit(asked.path)
        match method, url.path.removeprefix(_BATCHES).strip("/").split("/"):
            case "POST", [""]:
                return self._create(asked)
            case "GET", [""]:
                return self._list({k: v[0] for k, v in parse_qs(url.query).items()})
            case _, [name, *rest] if name in self._batches:
                return self._one(method, self._batches[name], "/".join(rest))
        return None

    def _create(self, asked: Asked) -> bytes:
        items = asked.body.get("requests")
        names = [item.get("custom_id") for item in items] if isinstance(items, list) else []
        if not items or not isinstance(items, list):
            return self.render(Reply.failure(400, "requests: Field required"), asked)
        if len(items) > 100_000:
            return self.render(Reply.failure(400, "requests: at most 100,000"), asked)
        if len(set(names)) != len(names) or not all(
            isinstance(name, str) and _CUSTOM_ID.fullmatch(name) for name in names
        ):
            message = "requests: each custom_id must be unique and match ^[a-zA-Z0-9_-]{1,64}$"
            return self.render(Reply.failure(400, message), asked)
        name = f"msgbatch_{len(self._batches) + 1:04}"
        batch = _Batch(name, items, asked.headers, datetime.now(UTC), self.batch_polls)
        self._batches[name] = batch
        return self._shown(batch)

    def _list(self, query: Mapping[str, str]) -> bytes:
        names = list(reversed(self._batches))  # the newest first
        if query.get("after_id") in names:
            names = names[names.index(query["after_id"]) + 1 :]
        limit = int(query.get("limit", "20"))
        page = [self._described(self._batches[name]) for name in names[:limit]]
        listing = {
            "data": page,
            "has_more": len(names) > limit,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }
        return http_answer(200, orjson.dumps(listing))

    def _one(self, method: str, batch: _Batch, rest: str) -> bytes | None:
        if (method, rest) == ("GET", ""):
            shown = self._shown(batch)
            batch.polls_left -= 1
            return shown
        if (method, rest) == ("POST", "cancel"):
            if batch.ended is None:
                batch.canceled = batch.canceled or datetime.now(UTC)
            return self._shown(batch)
        if (method, rest) == ("GET", "results") and batch.ended is not None:
            return http_answer(200, batch.results, {"content-type": "application/x-jsonl"})
        return None

    def _shown(self, batch: _Batch) -> bytes:
        return http_answer(200, orjson.dumps(self._described(batch)))

    def _described(self, batch: _Batch) -> dict[str, Any]:
        now = datetime.now(UTC)
        late_enough = now >= batch.created + timedelta(seconds=self.batch_delay_s)
        if batch.ended is None and (batch.canceled or (batch.polls_left <= 0 and late_enough)):
            self._end(batch)
            batch.ended = now
        status = "ended" if batch.ended else "canceling" if batch.canceled else "in_progress"
        kinds = ("processing", "succeeded", "errored", "canceled", "expired")
        url = f"{self.root_url}{_BATCHES}/{batch.id}/results"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": dict.fromkeys(kinds, 0)
            | (batch.counts or {"processing": len(batch.items)}),
            "created_at": batch.created.isoformat(),
            "expires_at": (batch.created + timedelta(hours=24)).isoformat(),
            "ended_at": batch.ended and batch.ended.isoformat(),
            "cancel_initiated_at": batch.canceled and batch.canceled.isoformat(),
            "archived_at": None,
            "results_url": url if batch.ended else None,
        }

    def _end(self, batch: _Batch) -> None:
        lines: list[bytes] = []
        batch.counts = {}
        for item in reversed(batch.items):  # the order is not promised
            kind, rest = ("canceled", b"") if batch.canceled else self._outcome(batch, item)
            batch.counts[kind] = batch.counts.get(kind, 0) + 1
            name = orjson.dumps(item["custom_id"])
            lines.append(
                b'{"custom_id":%b,"result":{"type":"%b"%b}}\n' % (name, kind.encode(), rest)
            )
        batch.results = b"".join(lines)

    def _outcome(self, batch: _Batch, item: Mapping[str, Any]) -> tuple[str, bytes]:
        """The kind of the result, and the JSON of what it holds besides."""
        params = item.get("params") or {}
        chat = self._openai_form(params, batch.headers)
        row = self.row(chat)
        reply = self.reply(chat)
        row.started += 1
        if reply.hang:
            return "expired", b""
        row.answered += 1
        payload = self._payload(reply, params)
        if reply.status != 200:
            return "errored", b',"error":' + payload
        return "succeeded", b',"message":' + payload


def _key(headers: Mapping[str, str]) -> str:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return bearer.strip() or headers.get("x-api-key", "")


def _no_key() -> Reply:
    return Reply.failure(401, "an API key is required")


def _error(reply: Reply) -> dict[str, Any]:
    """The vendor's error of that status; a code is told in the details, as the vendor does."""
    said = reply.error or {}
    kind = _ERROR_TYPES.get(reply.status)
    if kind is None:
        kind = "api_error" if reply.status >= 500 else "invalid_request_error"
    error: dict[str, Any] = {"type": kind, "message": said.get("message", "")}
    if said.get("code"):
        error["details"] = {"error_code": said["code"]}
    return {"type": "error", "error": error, "request_id": reply.headers.get("x-request-id")}


def _message(reply: Reply, model: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if reply.reasoning is not None:
        thinking = {"type": "thinking", "thinking": reply.reasoning, "signature": "c2lnbmVk"}
        content.append(thinking)
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    reason = _STOPS.get(reply.finish_reason or "", reply.finish_reason)
    details = None
    if reply.refusal is not None:
        reason = "refusal"
        details = {"type": "refusal", "category": None, "explanation": reply.refusal}
    message: dict[str, Any] = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "stop_details": details,
        "usage": _billed(reply.usage or Usage()),
    }
    return message | dict(reply.extra)


def _billed(usage: Usage) -> dict[str, Any]:
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    billed: dict[str, Any] = {
        "input_tokens": usage.input_tokens - read - written,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "service_tier": "standard",
    }
    if usage.reasoning_tokens:
        billed["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return billed


def _openai_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One message for each of the request's, and one for the system prompt."""
    parts = [("system", body["system"])] if body.get("system") else []
    parts += [(message["role"], message["content"]) for message in body["messages"]]
    return [
        {
            "role": role,
            "content": content
            if isinstance(content, str)
            else "\n\n".join(block["text"] for block in content),
        }
        for role, content in parts
    ]
