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
from synthtutor.structured import OF_FORMAT

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


def _value(
    schema: Mapping[str, Any],
    defs: Mapping[str, Any],
    chance: random.Random,
    within: frozenset[str] = frozenset(),
    again: bool = False,
) -> object:
    """A value that fits. ``within`` are the types around it; ``again`` says it is one of them."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _value(defs[name], defs, chance, within | {name}, again or name in within)
    for several in ("anyOf", "oneOf"):
        if several in schema:  # the last is null where a field is optional: there it may end
            return _value(schema[several][-1 if again else 0], defs, chance, within, again)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    match schema.get("type", "object"):
        case "string":
            words = _sentence(chance, 12)
            fitting = OF_FORMAT.get(schema.get("format", ""), words)
            return fitting[: schema.get("maxLength", len(fitting))]
        case "boolean":
            return chance.random() < 0.8
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return chance.randint(
                low, schema.get("maximum", schema.get("exclusiveMaximum", low + 10) - 1)
            )
        case "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1))
            return round(chance.uniform(low, high), 3)
        case "array":
            return [_value(item, defs, chance, within, again) for item in _items(schema, again)]
        case "null":
            return None
    fields = schema.get("properties", {})
    return {name: _value(own, defs, chance, within, again) for name, own in fields.items()}


def _items(schema: Mapping[str, Any], again: bool) -> list[Mapping[str, Any]]:
    """The schemas of an array's items: a tuple's each its own."""
    if "prefixItems" in schema:
        return list(schema["prefixItems"])
    count = schema.get("minItems", 0) if again else max(1, schema.get("minItems", 3))
    return [schema.get("items", {})] * min(count, schema.get("maxItems", count))


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words)).capitalize() + "."
