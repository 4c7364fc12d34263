"""What goes to Anthropic's messages API and what comes back: values in, values out, no network.

Claude's generations differ in what they take, and say so with a 400. `kind_of` knows them by
name; a name that it does not know is taken for a new model, which takes schemas and adaptive
thinking and refuses sampling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synthtutor.errors import Unavailable
from synthtutor.messages import Finish, Message, Request, Response, Settings, Usage, count_of
from synthtutor.provider import object_of, rate_limits

__all__ = ["SAMPLING", "Kind", "body_of", "kind_of", "response_of"]

SAMPLING = ("temperature", "top_p")

_FINISHES: dict[str | None, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
_EFFORTS = {"minimal": "low"}  # the vendor has no less than low
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384}  # 1024 is the least taken


@dataclass(frozen=True, slots=True)
class Kind:
    """What a generation of models takes; ``thinking`` is how it is asked to think."""

    schema: bool = True
    sampling: bool = False
    thinking: Literal["adaptive", "budget", "none"] = "adaptive"


# The first pattern found in the name decides. Names come with dates, with cloud prefixes
# (anthropic.claude-…), with dots or dashes, and until 4 with the number before the family.
_KINDS = (
    # 1, 2, instant, 3, 3.5: from before thinking and structured output
    (r"claude-(1|2|instant|3([-.][^7]|$))", Kind(False, True, "none")),
    # 3.7: the first to think
    (r"claude-3[-.]7", Kind(False, True, "budget")),
    # 4, 4.1: structured output became general with 4.5
    (r"claude-(4-[a-z]+|[a-z]+-4([-.@]([01](?!\d)|\d{8}|latest)|$))", Kind(False, True, "budget")),
    # 4.5: schemas; adaptive thinking came with 4.6
    (r"claude-[a-z]+-4[-.]5(?!\d)", Kind(True, True, "budget")),
    # 4.6: the last that can be sampled; 4.7 and later take no sampling but their own
    (r"claude-[a-z]+-4[-.]6(?!\d)", Kind(True, True, "adaptive")),
)
_NEWEST = Kind()


def kind_of(model: str) -> Kind:
    """What the model takes, by its name."""
    for pattern, kind in _KINDS:
        if re.search(pattern, model):
            return kind
    return _NEWEST


def body_of(request: Request, cache: Mapping[str, str] | None) -> dict[str, Any]:
    """The request as the API's JSON; ``cache`` is the mark for what shall be cached, if anything.

    `SAMPLING` keys need the API's older version beside them.
    """
    settings, kind = request.settings, kind_of(request.model_name)
    effort = settings.reasoning_effort if kind.thinking != "none" else None
    budget = _BUDGETS[effort] if effort and kind.thinking == "budget" else 0
    optional = {
        "system": _system(request.messages, cache),
        "thinking": _thinking(effort, budget),
        "output_config": _output_config(request, kind, effort),
        "stop_sequences": list(settings.stop),
        **(_sampling(settings) if kind.sampling and not effort else {}),
    }
    return {
        "model": request.model_name,
        "max_tokens": settings.max_tokens + budget,
        "messages": _turns(request.messages, cache),
        **{name: value for name, value in optional.items() if value not in (None, [], {})},
    }


def response_of(
    reply: Any, headers: Mapping[str, str] | None = None, *, batched: bool = False
) -> Response:
    """The reply's JSON in synthtutor's words. Raises Unavailable for what is no message.

    It is read as it came: the SDK's own objects are built without looking, and cost as much as
    all the rest of a call.
    """
    request_id = headers.get("request-id") if headers else None
    try:
        blocks, reason = reply["content"], reply.get("stop_reason")
        # Thinking comes first where there is any, and its text may be withheld.
        thoughts = [block["thinking"] for block in blocks if block["type"] == "thinking"]
        return Response(
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            usage=_usage(object_of(reply.get("usage"))),
            finish=_FINISHES.get(reason, "other"),
            reasoning="\n\n".join(filter(None, thoughts)),
            model=reply.get("model") or "",
            request_id=request_id,
            detail=_detail(reason, reply.get("stop_details") or {}),
            batched=batched,
            rate_limits=rate_limits(headers) if headers else None,
        )
    except (AttributeError, KeyError, TypeError) as error:
        detail = f"the reply is not a message: {type(error).__name__}: {error}"
        raise Unavailable(detail, request_id=request_id) from None


def _system(messages: Sequence[Message], cache: Mapping[str, str] | None) -> list[dict[str, Any]]:
    if all(message.role == "system" for message in messages):
        return []
    blocks = [_block(message.content) for message in messages if message.role == "system"]
    if cache and blocks:
        blocks[-1]["cache_control"] = cache
    return blocks


def _turns(messages: Sequence[Message], cache: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """The conversation; the API itself joins neighbours of one role.

    Its end is marked only from the second turn on: a conversation that got that far goes on,
    and its next request begins with all of this one. A single question is never asked again.
    """
    turns: list[dict[str, Any]] = [
        {"role": message.role, "content": message.content}
        for message in messages
        if message.role != "system"
    ]
    if not turns:  # instructions alone: the API wants a turn to answer
        turns = [{"role": "user", "content": message.content} for message in messages]
    if cache and any(turn["role"] == "assistant" for turn in turns):
        turns[-1]["content"] = [{**_block(turns[-1]["content"]), "cache_control": cache}]
    return turns


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _sampling(settings: Settings) -> dict[str, float | None]:
    """Models from 4.1 on take one of the two only, and none of them beside thinking."""
    top_p = settings.top_p if settings.temperature is None else None
    return {"temperature": settings.temperature, "top_p": top_p}


def _thinking(effort: str | None, budget: int) -> dict[str, Any] | None:
    if budget:
        return {"type": "enabled", "budget_tokens": budget}
    if effort:
        return {"type": "adaptive", "display": "summarized"}
    return None


def _output_config(request: Request, kind: Kind, effort: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.schema is not None and kind.schema:
        config["format"] = {"type": "json_schema", "schema": request.schema.definition}
    if effort and kind.thinking == "adaptive":
        config["effort"] = _EFFORTS.get(effort, effort)
    return config


def _detail(reason: str | None, details: Mapping[str, Any]) -> str | None:
    """Why a reply is no plain answer: the kind of refusal, or a reason that is not common."""
    if reason in ("end_turn", "stop_sequence", "max_tokens"):
        return None
    parts = (details.get("category"), details.get("explanation"))
    return ": ".join(filter(None, parts)) or reason


def _usage(billed: Mapping[str, Any]) -> Usage:
    """The vendor's input count leaves out what was read from or written to the cache."""
    read = count_of(billed.get("cache_read_input_tokens"))
    written = count_of(billed.get("cache_creation_input_tokens"))
    details = object_of(billed.get("output_tokens_details"))
    return Usage(
        input_tokens=count_of(billed.get("input_tokens")) + read + written,
        output_tokens=billed.get("output_tokens") or 0,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.get("thinking_tokens") or 0,
    )
