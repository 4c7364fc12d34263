"""What Gemini takes: its requests, checked as strictly as the API does, and put into OpenAI's form.

Names may be in camelCase or in snake_case, as everywhere in the API; unknown ones are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["RequestError", "chat_of", "checked_batch"]

Kinds = Mapping[str, type | tuple[type, ...]]

_MOST_STOPS = 5
_REQUEST: Kinds = {
    "model": str,
    "contents": list,
    "systemInstruction": dict,
    "generationConfig": dict,
    "safetySettings": list,
    "tools": list,
    "toolConfig": dict,
    "cachedContent": str,
    "serviceTier": str,
    "store": bool,
}
_NUMBER = (int, float)
_GENERATION: Kinds = {
    "candidateCount": int,
    "stopSequences": list,
    "maxOutputTokens": int,
    "temperature": _NUMBER,
    "topP": _NUMBER,
    "topK": int,
    "seed": int,
    "presencePenalty": _NUMBER,
    "frequencyPenalty": _NUMBER,
    "responseMimeType": str,
    "responseSchema": dict,
    "responseJsonSchema": dict,
    "responseModalities": list,
    "responseLogprobs": bool,
    "logprobs": int,
    "thinkingConfig": dict,
    "mediaResolution": str,
}
_THINKING: Kinds = {"includeThoughts": bool, "thinkingBudget": int, "thinkingLevel": str}
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_CONTENT: Kinds = {"role": str, "parts": list}
_PART: Kinds = {"text": str, "thought": bool, "thoughtSignature": str}
_CREATED: Kinds = {"batch": dict}
_BATCH: Kinds = {"displayName": str, "model": str, "inputConfig": dict, "priority": (int, str)}
_INPUT: Kinds = {"requests": dict}
_INLINED: Kinds = {"requests": list}
_ITEM: Kinds = {"request": dict, "metadata": dict}
_NO_THINKING = re.compile(r"gemini-(1\.|2\.0)|gemma")
_BUDGET_ONLY = re.compile(r"gemini-2\.5")
_LEVELS_MISSING = {"gemini-3-pro": ("MINIMAL", "MEDIUM"), "gemini-3.1-pro": ("MINIMAL",)}


class RequestError(ValueError):
    """What Gemini would answer 400 to."""


def chat_of(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in OpenAI's form. Raises RequestError where Gemini would refuse it."""
    request = _checked(body, _REQUEST, "request")
    contents = request.get("contents")
    if not contents:
        raise RequestError("contents is not specified")
    if "systemInstruction" in request and model.startswith("gemma"):
        raise RequestError(f"developer instruction is not enabled for models/{model}")
    messages = [
        {"role": "system", "content": text}
        for text in _texts(request.get("systemInstruction", {}), "system_instruction")
    ]
    for number, content in enumerate(contents):
        where = f"contents[{number}]"
        role = _checked(content, _CONTENT, where).get("role", "user")
        if role not in ("user", "model"):
            raise RequestError(f"{where}: the role is user or model, not {role!r}")
        said = "".join(_texts(content, where))
        messages.append({"role": "assistant" if role == "model" else "user", "content": said})
    return {"model": model, "messages": messages} | _settings(
        model, request.get("generationConfig", {})
    )


def checked_batch(
    model: str, body: Mapping[str, Any]
) -> tuple[str, Sequence[tuple[Mapping[str, Any], dict[str, Any]]]]:
    """A batch's label, and each request's metadata and OpenAI form."""
    whole = _checked(body, _CREATED, "request")
    batch = _checked(whole.get("batch", {}), _BATCH, "batch")
    label = batch.get("displayName")
    if not label:
        raise RequestError("batch.display_name is required")
    config = _checked(batch.get("inputConfig", {}), _INPUT, "batch.input_config")
    inlined = _checked(config.get("requests", {}), _INLINED, "batch.input_config")
    requests = []
    for one in inlined.get("requests", ()):
        item = _checked(one, _ITEM, "requests")
        chat = chat_of(model, item.get("request", {}))
        requests.append((item.get("metadata", {}), chat))
    if not requests:
        raise RequestError("a batch holds at least one request")
    return label, requests


def _settings(model: str, config: Mapping[str, Any]) -> dict[str, Any]:
    given = _checked(config, _GENERATION, "generation_config")
    _check_thinking(model, given.get("thinkingConfig"))
    if given.get("maxOutputTokens", 1) < 1:
        raise RequestError("max_output_tokens must be positive")
    if len(given.get("stopSequences", ())) > _MOST_STOPS:
        raise RequestError(f"at most {_MOST_STOPS} stop sequences are allowed")
    settings = {
        "max_tokens": given.get("maxOutputTokens"),
        "temperature": given.get("temperature"),
        "top_p": given.get("topP"),
        "seed": given.get("seed"),
        "stop": given.get("stopSequences"),
        "response_format": _format(model, given),
    }
    return {name: value for name, value in settings.items() if value is not None}


def _format(model: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    as_json = given.get("responseMimeType") == "application/json"
    if as_json and model.startswith("gemma"):
        raise RequestError(f"JSON mode is not enabled for models/{model}")
    schema = given.get("responseJsonSchema")
    if schema is None:
        return {"type": "json_object"} if as_json else None
    if not as_json or "responseSchema" in given:
        raise RequestError("response_json_schema needs application/json, and no other schema")
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}


def _check_thinking(model: str, config: Mapping[str, Any] | None) -> None:
    if config is None:
        return
    thinking = _checked(config, _THINKING, "generation_config.thinking_config")
    level = thinking.get("thinkingLevel")
    if _NO_THINKING.match(model):
        raise RequestError(f"models/{model} does not support thinking")
    if level is None:
        return
    if "thinkingBudget" in thinking:
        raise RequestError("thinking_budget and thinking_level exclude one another")
    missing = next((v for name, v in _LEVELS_MISSING.items() if model.startswith(name)), ())
    if _BUDGET_ONLY.match(model) or level not in _LEVELS or level in missing:
        raise RequestError(f"thinking level {level} is not supported by models/{model}")


def _texts(content: object, where: str) -> list[str]:
    """The texts of a content's parts."""
    parts = _checked(content, _CONTENT, where).get("parts", [])
    return [_checked(part, _PART, f"{where}.parts").get("text", "") for part in parts]


def _checked(value: object, kinds: Kinds, where: str) -> dict[str, Any]:
    """The object with its names in camelCase, when all are known and of the right kind."""
    if not isinstance(value, Mapping):
        raise RequestError(f"{where} is no object")
    checked = {}
    for name, member in value.items():
        known = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
        kind = kinds.get(known)
        if kind is None:
            raise RequestError(f'unknown name "{name}" at {where}')
        if not isinstance(member, kind) or (isinstance(member, bool) and kind is not bool):
            raise RequestError(f"{where}.{name} is of the wrong kind")
        checked[known] = member
    return checked
