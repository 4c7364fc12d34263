"""A provider that answers from a function or, on its own, with text that fits the schema."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint

__all__ = ["Scripted", "ScriptedProvider"]

Script = Callable[[Request], str | Response | Exception]

_WORDS = [
    "the",
    "student",
    "adds",
    "both",
    "denominators",
    "because",
    "it",
    "looks",
    "like",
    "the",
    "rule",
    "for",
    "numerators",
    "and",
    "a",
    "drawing",
    "of",
    "equal",
    "parts",
    "shows",
    "why",
    "that",
    "cannot",
    "hold",
    "so",
    "which",
    "part",
    "would",
    "you",
    "compare",
    "first",
]


class ScriptedProvider:
    """Answers from ``script``: text, a whole response, or an exception to raise.

    ``requests`` keeps what was asked, in order, when ``keep`` is set; ``calls`` counts. A
    ``delay_s`` makes calls overlap the way a network does.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        delay_s: float = 0.0,
        keep: bool = True,
        capabilities: Capabilities | None = None,
    ) -> None:
        self._script = script or plausible
        self._delay_s = delay_s
        self._keep = keep
        self._capabilities = capabilities or Capabilities(free=True, demonstration_only=True)
        self.calls = 0
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Response:
        """The script's answer, with tokens counted as characters / 4."""
        self.calls += 1
        if self._keep:
            self.requests.append(request)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        answer = self._script(request)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Response):
            return answer
        prompt = sum(len(message.content) for message in request.messages)
        usage = Usage(input_tokens=prompt // 4 + 1, output_tokens=len(answer) // 4 + 1)
        return Response(answer, usage=usage, model=request.model_name)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # the same for all
        """As given."""
        return self._capabilities

    async def aclose(self) -> None:
        """Nothing to close."""


class Scripted(ScriptedProvider):
    """The plugin ``scripted``: deterministic filler that satisfies the schema, for dry runs."""

    def __init__(self, endpoint: Endpoint) -> None:
        unknown = sorted(endpoint.options.keys() - {"delay_s"})
        if unknown:
            raise ConfigError(f"scripted has no option {unknown[0]!r}; its options: delay_s")
        try:
            delay_s = float(endpoint.options.get("delay_s", "0"))
        except ValueError:
            raise ConfigError("scripted: delay_s must be a number of seconds") from None
        super().__init__(delay_s=delay_s, keep=False)


def plausible(request: Request) -> str:
    """Text that fits the request's schema (or plain prose), decided by the request's content alone."""
    chance = random.Random(request.digest())
    if request.schema is None:
        return _sentence(chance, 40)
    definition = request.schema.strict
    return orjson.dumps(_value(definition, definition.get("$defs", {}), chance)).decode()


def _value(schema: Mapping[str, Any], defs: Mapping[str, Any], chance: random.Random) -> object:
    if "$ref" in schema:
        return _value(defs[schema["$ref"].rsplit("/", 1)[-1]], defs, chance)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _value(schema[several][0], defs, chance)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    match schema.get("type", "object"):
        case "string":
            words = _sentence(chance, 12)
            return words[: schema.get("maxLength", len(words))]
        case "boolean":
            return chance.random() < 0.8
        case "integer":
            low = schema.get("minimum", 0)
            return chance.randint(low, schema.get("maximum", low + 9))
        case "number":
            low = schema.get("minimum", 0)
            return round(chance.uniform(low, schema.get("maximum", low + 1)), 3)
        case "array":
            count = schema.get("minItems", 3)
            return [_value(schema["items"], defs, chance) for _ in range(max(1, count))]
        case "null":
            return None
    return {k: _value(v, defs, chance) for k, v in schema.get("properties", {}).items()}


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words)).capitalize() + "."
