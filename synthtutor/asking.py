"""The requests that a session makes: the first, the seeded one, and the one after a useless reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from synthtutor.errors import InvalidOutput
from synthtutor.messages import Message, Request, Response, Settings
from synthtutor.provider import Capabilities
from synthtutor.structured import Shape, schema_instructions

__all__ = ["asked_again", "first_request", "is_no_answer", "seeded"]


def first_request(
    model: str,
    capabilities: Capabilities,
    messages: Sequence[Message],
    shape: Shape[Any],
    settings: Settings,
) -> Request:
    """What asks the model for a value of that shape: its schema goes where the model takes it."""
    schema = shape.schema
    if schema is not None and capabilities.structured_output in ("json", "none"):
        instructions = schema_instructions(schema)
        last = messages[-1]
        messages = [*messages[:-1], Message(last.role, f"{last.content}\n\n{instructions}")]
        if capabilities.structured_output == "none":
            schema = None
    return Request(model, tuple(messages), schema, settings)


def seeded(request: Request, key: bytes, salt: int) -> Request:
    """The request with a seed of its own, drawn from its call's key; another for each ``salt``."""
    source = blake2b(key + salt.to_bytes(8, "big")).digest() if salt else key
    seed = int.from_bytes(source[:4], "big") >> 1
    return replace(request, settings=replace(request.settings, seed=seed))


def is_no_answer(shape: Shape[Any], response: Response) -> bool:
    """Whether the reply cannot be read as that shape."""
    try:
        shape.parse(response)
    except InvalidOutput:
        return True
    return False


def asked_again(request: Request, error: InvalidOutput) -> Request:
    """The request that follows an invalid reply: new content, so a new key."""
    if error.kind == "truncated":
        room = request.settings.max_tokens * 2
        return replace(request, settings=replace(request.settings, max_tokens=room))
    complaint = (
        f"That reply cannot be used: {error}. Answer the request above again, in the asked form."
    )
    reply = [Message("assistant", error.text)] if error.text.strip() else []
    return replace(request, messages=(*request.messages, *reply, Message("user", complaint)))
