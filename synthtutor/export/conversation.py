"""What was said in a finished sample: its messages, and nothing about them."""

from __future__ import annotations

from typing import Any

from synthtutor.errors import ConfigError

__all__ = ["turns"]


def turns(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """The sample's messages as ``role``, ``content`` and, where set, ``weight``, in this order.

    Raises ConfigError, naming the sample, where it has none or one has no role or text.
    """
    messages = sample.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ConfigError(f"sample {sample.get('id')!r} has no messages")
    return [_turn(message, index, sample) for index, message in enumerate(messages)]


def _turn(message: Any, index: int, sample: dict[str, Any]) -> dict[str, Any]:
    try:
        role, content, weight = message["role"], message["content"], message.get("weight")
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"sample {sample.get('id')!r}: messages[{index}] needs a role and a content"
        ) from error
    if not isinstance(role, str) or not isinstance(content, str):
        raise ConfigError(
            f"sample {sample.get('id')!r}: messages[{index}] has a role or a content that is no text"
        )
    turn: dict[str, Any] = {"role": role, "content": content}
    if weight is not None:
        turn["weight"] = weight
    return turn
