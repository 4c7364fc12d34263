"""What Anthropic's API refuses in a request, as its fake refuses it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["OLD_VERSION", "SAMPLING", "blocks", "problems"]

OLD_VERSION = "2023-06-01"
SAMPLING = ("temperature", "top_p", "top_k")

_FIELDS = {
    *("model", "max_tokens", "messages", "system", "stop_sequences", "stream", "metadata"),
    *("output_config", "thinking", "tools", "tool_choice", "cache_control", "diagnostics"),
    *("container", "inference_geo", "service_tier", "speed", *SAMPLING),
}
_NO_SAMPLING = re.compile(r"claude-[a-z]+-(4-[7-9]|[5-9])")
_BOTH_SAMPLINGS = re.compile(r"claude-(3|[a-z]+-4-\d{8}$)")
_NO_PREFILL = re.compile(r"claude-[a-z]+-(4-[6-9]|[5-9])")
_NO_ADAPTIVE = re.compile(r"claude-(3|[a-z]+-4-([0-5](-\d{8})?|\d{8})$)")
_NO_SCHEMA = re.compile(r"claude-(2|3|[a-z]+-4-([01](-\d{8})?|\d{8})$)")


def blocks(body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every block of the prompt with its role, in the order in which they are cached."""
    parts = [("system", body.get("system") or [])]
    parts += [(message["role"], message["content"]) for message in body.get("messages") or []]
    for role, content in parts:
        for block in [{"text": content}] if isinstance(content, str) else content:
            yield role, block


def problems(body: Mapping[str, Any], version: str) -> Iterator[str]:
    """What the vendor would refuse in a request, in its order."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        yield "model: Field required"
        return
    for name in sorted(set(body) - _FIELDS):
        yield f"{name}: Extra inputs are not permitted"
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or limit < 1:
        yield "max_tokens: Field required"
        return
    yield from _message_problems(body, model)
    yield from _sampling_problems(body, model, version)
    yield from _thinking_problems(body.get("thinking") or {}, model, limit)
    form = (body.get("output_config") or {}).get("format")
    if form is not None and _NO_SCHEMA.search(model):
        yield "output_config.format: not supported on this model"
    if form is not None and not _closed(form.get("schema")):
        yield "output_config.format.schema: For 'object' type, 'additionalProperties' must be false"


def _message_problems(body: Mapping[str, Any], model: str) -> Iterator[str]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    for index, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str | list) or message.get("role") not in ("user", "assistant"):
            yield f"messages.{index}: a role 'user' or 'assistant' and a content are required"
            return
    if messages[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    texts = [block for _, block in blocks(body)]
    if not all(isinstance(block, dict) and block.get("text") for block in texts):
        yield "messages: text content blocks must be non-empty"
        return
    if messages[-1]["role"] == "assistant" and _NO_PREFILL.search(model):
        yield "Prefilling assistant messages is not supported for this model."
    marks = [block["cache_control"] for block in texts if "cache_control" in block]
    if len(marks) > 4 or any(mark.get("ttl", "5m") not in ("5m", "1h") for mark in marks):
        yield "cache_control: at most 4 blocks, each with a ttl of 5m or 1h"


def _sampling_problems(body: Mapping[str, Any], model: str, version: str) -> Iterator[str]:
    sampling = [name for name in SAMPLING if name in body]
    for name in sampling:
        if version != OLD_VERSION:
            yield f"{name}: Extra inputs are not permitted"
        if _NO_SAMPLING.search(model):
            yield f"`{name}` is deprecated for this model."
    if len({"temperature", "top_p"} & {*sampling}) == 2 and not _BOTH_SAMPLINGS.search(model):
        yield "`temperature` and `top_p` cannot both be specified for this model."
    if sampling and (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        yield f"`{sampling[0]}` may not be set when thinking is enabled"


def _thinking_problems(thinking: Mapping[str, Any], model: str, limit: int) -> Iterator[str]:
    kind, budget = thinking.get("type"), thinking.get("budget_tokens", 0)
    if kind == "enabled" and _NO_SAMPLING.search(model):
        yield '"thinking.type.enabled" is not supported for this model'
    if kind == "enabled" and not 1024 <= budget < limit:
        yield "thinking.budget_tokens: at least 1024 and less than max_tokens"
    if kind == "adaptive" and _NO_ADAPTIVE.search(model):
        yield "adaptive thinking is not supported on this model"


def _closed(schema: Any) -> bool:
    """Whether every object in the schema forbids further properties."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not is_open and all(map(_closed, schema.values()))
