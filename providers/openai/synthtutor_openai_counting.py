"""What OpenAI is asked when it counts a prompt's tokens, which it does for its responses API.

The same messages and the same schema make the same prompt in either API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthtutor.errors import Unavailable

__all__ = ["answer", "question"]


def question(chat: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``responses.input_tokens.count`` for those of a chat completion."""
    asked: dict[str, Any] = {"model": chat["model"], "input": chat["messages"]}
    if "response_format" in chat:
        form = chat["response_format"]["json_schema"]
        asked["text"] = {"format": {"type": "json_schema", **form}}
    if "reasoning_effort" in chat:
        asked["reasoning"] = {"effort": chat["reasoning_effort"]}
    return asked


def answer(counted: object) -> int:
    """The count. Raises Unavailable where there is none: the SDK builds its objects from anything."""
    tokens = getattr(counted, "input_tokens", None)
    if not isinstance(tokens, int):
        raise Unavailable("the reply is not a count of tokens")
    return tokens
