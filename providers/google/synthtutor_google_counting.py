"""What Gemini is asked, and answers, when it counts a prompt's tokens.

Not by the SDK's method: it takes no system instruction where the Gemini API is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthtutor.errors import Unavailable

if TYPE_CHECKING:
    from google.genai import types

__all__ = ["answer", "question"]

# Of the settings, what is part of the prompt; the rest is about the reply.
_COUNTED = {"system_instruction", "response_mime_type", "response_json_schema"}


def question(
    model: str, contents: Sequence[types.Content], config: types.GenerateContentConfig
) -> tuple[str, dict[str, Any]]:
    """Where to ask, and the body: the request as it would be sent, less what is not counted."""
    name = model if "/" in model else f"models/{model}"
    told = config.model_dump(by_alias=True, exclude_none=True, include=_COUNTED)
    system = told.pop("systemInstruction", None)
    whole = {
        "model": name,
        "contents": [content.model_dump(by_alias=True, exclude_none=True) for content in contents],
        **({"systemInstruction": system} if system else {}),
        **({"generationConfig": told} if told else {}),
    }
    return f"{name}:countTokens", {"generateContentRequest": whole}


def answer(found: Mapping[str, Any]) -> int:
    """The count. Raises Unavailable where there is none."""
    tokens = found.get("totalTokens")
    if not isinstance(tokens, int):
        raise Unavailable("the reply is not a count of tokens")
    return tokens
