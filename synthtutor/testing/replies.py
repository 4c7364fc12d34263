"""What a fake server says: `Reply`, one answer to one request, and the behaviours that choose it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson

from synthtutor.messages import Message, Request, Schema, Usage
from synthtutor.testing.scripted import plausible

__all__ = ["Behaviour", "Reply", "fixed", "http_answer", "plausible_reply"]

_PHRASES = {int(status): status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Reply:
    """What the server does with one request.

    ``usage`` None counts characters / 4. ``extra`` is merged into the completion. ``error`` is
    the object under ``"error"`` of a failed request, ``raw`` a body to send as it is. ``hang``
    never answers; ``drop`` closes the connection in the middle of the body, ``reset`` breaks it
    there; ``drip_s`` seconds are what the body takes to come, in small pieces.
    """

    text: str | None = ""
    refusal: str | None = None
    finish_reason: str | None = "stop"
    reasoning: str | None = None
    reasoning_field: str = "reasoning_content"
    usage: Usage | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    error: Mapping[str, object] | None = None
    raw: bytes | None = None
    delay_s: float = 0.0
    hang: bool = False
    drop: bool = False
    reset: bool = False
    drip_s: float = 0.0

    @classmethod
    def failure(
        cls,
        status: int,
        message: str = "",
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """An error status with a body in OpenAI's form."""
        error = {"message": message, "type": "error", "param": None, "code": code}
        return cls(status=status, error=error, headers=headers or {})

    def wire(self, body: Mapping[str, Any]) -> bytes:
        """The whole HTTP answer to the request body."""
        model = str(body.get("model", ""))
        if self.usage is None and self.status == 200 and self.raw is None:
            return replace(self, usage=_count(body, self))._encode(model)
        known = self._encoded.get(model)
        if known is None:
            known = self._encoded[model] = self._encode(model)
        return known

    @cached_property
    def _encoded(self) -> dict[str, bytes]:
        return {}  # a benchmark's server sends one reply a million times: encode it once

    def _encode(self, model: str) -> bytes:
        return http_answer(self.status, self._payload(model), self.headers)

    def _payload(self, model: str) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.error is not None:
            return orjson.dumps({"error": self.error})
        message: dict[str, object] = {
            "role": "assistant",
            "content": self.text,
            "refusal": self.refusal,
        }
        if self.reasoning is not None:
            message[self.reasoning_field] = self.reasoning
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.finish_reason,
        }
        completion: dict[str, object] = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [choice],
            "usage": _usage(self.usage or Usage()),
        }
        return orjson.dumps(completion | dict(self.extra))


Behaviour = Callable[[dict[str, Any]], Reply]


def plausible_reply(body: dict[str, Any]) -> Reply:
    """Text that fits the request's JSON schema, or prose; a function of the body alone."""
    form = (body.get("response_format") or {}).get("json_schema")
    schema = None
    if form:
        schema = Schema(form.get("name", ""), form["schema"], form["schema"])
    messages = [Message(m["role"], str(m["content"])) for m in body.get("messages", [])]
    return Reply(plausible(Request(str(body.get("model", "")), messages, schema)))


def fixed(text: str | None = None) -> Behaviour:
    """One reply for each model and schema, made once: costs the server next to nothing a call.

    Without ``text`` the first request's plausible reply serves all others of its kind.
    """
    made: dict[tuple[str, str], Reply] = {}

    def behaviour(body: dict[str, Any]) -> Reply:
        form = body.get("response_format") or {}
        kind = (body.get("model", ""), form.get("json_schema", {}).get("name", ""))
        reply = made.get(kind)
        if reply is None:
            words = text if text is not None else plausible_reply({**body, "messages": []}).text
            usage = Usage(input_tokens=500, output_tokens=len(words or "") // 4 + 1)
            reply = made[kind] = Reply(words, usage=usage)
        return reply

    return behaviour


def http_answer(status: int, payload: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of an HTTP/1.1 answer in JSON that leaves the connection open."""
    phrase = _PHRASES.get(status, "Unknown")
    lines = {"content-type": "application/json"} | {
        k.lower(): v for k, v in (headers or {}).items()
    }
    lines["content-length"] = str(len(payload))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{head}\r\n".encode("latin-1") + payload


def _count(body: Mapping[str, Any], reply: Reply) -> Usage:
    prompt = sum(len(str(message.get("content", ""))) for message in body.get("messages", ()))
    said = len(reply.text or reply.refusal or "")
    thought = len(reply.reasoning or "") // 4
    return Usage(prompt // 4 + 1, said // 4 + 1 + thought, reasoning_tokens=thought)


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
