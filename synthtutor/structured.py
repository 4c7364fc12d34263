"""Schema out, typed value in: what a reply must look like, and how its text becomes a value.

A `Shape` is made once per type and kept: building a JSON schema costs twenty times what parsing a
reply does. No endpoint's promise is trusted, so every reply is validated here, also when it is
replayed: a model class that has since become stricter rejects old text, a laxer one accepts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import orjson
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from synthtutor.errors import ConfigError, InvalidOutput
from synthtutor.messages import Response, Schema, storable

__all__ = ["OF_FORMAT", "Shape", "mended", "schema_instructions", "shape_of"]

T = TypeVar("T")

# What the vendors' structured output ignores or refuses; pydantic checks it here instead.
_LOCAL_ONLY = frozenset(
    [
        *("minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "uniqueItems", "prefixItems"),
        *("default", "title", "examples"),
    ]
)

# Said in words instead: a model that reads "at least 3 items" is asked again less often.
_HINTS = {
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "format": "format {}",
}

# A text of each format that pydantic asks for: what filler says where words would not be taken.
OF_FORMAT = {
    "date-time": "2026-01-31T09:30:00Z",
    "date": "2026-01-31",
    "time": "09:30:00Z",
    "duration": "PT45M",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "email": "student@example.com",
    "uri": "https://example.com/",
}

# Mending takes time with the square of the length: a longer text would hold up all other calls.
_MENDABLE = 50_000


class Shape(Generic[T]):
    """A type that a reply can be parsed into, with the schema that asks for it.

    ``schema`` is None for plain text.
    """

    __slots__ = ("_adapter", "name", "schema")

    def __init__(self, name: str, adapter: TypeAdapter[T] | None, schema: Schema | None) -> None:
        self.name = name
        self.schema = schema
        self._adapter = adapter

    def parse(self, response: Response) -> T:
        """The reply as a value.

        Raises InvalidOutput with ``kind`` refused, truncated or unparsable; the message of an
        unparsable one lists what is wrong, in words that the model can be shown.
        """
        if response.finish == "refusal":
            detail = response.detail or "the model declined to answer"
            raise InvalidOutput(detail, kind="refused", text=response.text)
        if response.finish == "length":
            raise InvalidOutput("cut at max_tokens", kind="truncated", text=response.text)
        if self._adapter is None:
            text = response.text.strip()
            if not text:
                raise InvalidOutput("the reply is empty", kind="unparsable")
            return text  # type: ignore[return-value]  # T is str where there is no adapter
        try:
            return self._adapter.validate_json(response.text)
        except ValidationError as first:
            return self._repaired(response.text, first)

    def _repaired(self, text: str, first: ValidationError) -> T:
        assert self._adapter is not None  # noqa: S101  # called only from parse
        if first.errors()[0]["type"] != "json_invalid":
            raise InvalidOutput(_readable(first), kind="unparsable", text=text) from first
        value = mended(text)
        if value in (None, "", [], {}):
            raise InvalidOutput("there is no JSON in the reply", kind="unparsable", text=text)
        try:
            return self._adapter.validate_python(value)
        except ValidationError as second:
            raise InvalidOutput(_readable(second), kind="unparsable", text=text) from second


_TEXT: Shape[str] = Shape("text", None, None)


def shape_of(type_: type[T]) -> Shape[T]:
    """The shape of ``str``, a pydantic model or a dataclass.

    Raises ConfigError for a type that has no closed JSON schema with an object at its root.
    """
    return cast(Shape[T], _shape_of(cast(Hashable, type_)))


@lru_cache(maxsize=1024)
def _shape_of(type_: Hashable) -> Shape[Any]:
    if type_ is str:
        return _TEXT
    name = getattr(type_, "__name__", "Reply")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast(type[Any], type_))
        full = _unfolded(adapter.json_schema())
    except PydanticUserError as error:
        raise ConfigError(f"{name}: {error.message}") from None
    if full.get("type") != "object":
        raise ConfigError(f"{name}: a reply must be an object; wrap it in a pydantic model")
    definition = _subset(full, name)
    strict = _closed(full)
    schema_name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]
    return Shape(name, adapter, Schema(schema_name, definition, strict))


def mended(text: str) -> Any:
    """The JSON that can still be read out of a text, as a value; None where it is beyond repair."""
    if len(text) > _MENDABLE:
        return None
    from json_repair import loads

    try:
        value = json.dumps(loads(_without_fence(text)), ensure_ascii=False)
        return json.loads(storable(value))
    except (ValueError, RecursionError):  # nested deeper than any answer is
        return None


def schema_instructions(schema: Schema) -> str:
    """The words that ask for the schema where the endpoint has no way to enforce it."""
    text = orjson.dumps(schema.definition, option=orjson.OPT_INDENT_2).decode()
    return (
        f"Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n{text}"
    )


def _unfolded(full: dict[str, Any]) -> dict[str, Any]:
    """The schema with its root written out: a type that contains itself is only a reference there."""
    if "$ref" not in full:
        return full
    return {**full["$defs"][full["$ref"].rpartition("/")[2]], "$defs": full["$defs"]}


def _subset(node: Any, path: str) -> Any:
    """The schema in the subset that every vendor accepts: closed, all required, no constraints."""
    if isinstance(node, list):
        return [_subset(item, path) for item in node]
    if not isinstance(node, Mapping):
        return node
    if isinstance(node.get("additionalProperties"), Mapping) or (
        node.get("type") == "object" and "properties" not in node
    ):
        raise ConfigError(f"{path}: a dict has no closed schema; use a model or a list of pairs")
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            result[key] = {name: _subset(child, f"{path}.{name}") for name, child in value.items()}
        elif key == "oneOf":
            result["anyOf"] = _subset(value, path)
        elif key not in _LOCAL_ONLY and key != "discriminator":
            result[key] = _subset(value, path)
    if "prefixItems" in node and "items" not in result:  # a tuple; vendors insist on items
        places = [_subset(place, path) for place in node["prefixItems"]]
        kinds = [place for nth, place in enumerate(places) if place not in places[:nth]]
        result["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    hints = [words.format(node[key]) for key, words in _HINTS.items() if key in node]
    if hints:
        result["description"] = f"{node.get('description', '')} ({', '.join(hints)})".strip()
    if "properties" in result:
        result["required"] = list(result["properties"])
        result["additionalProperties"] = False
    return result


def _closed(node: Any) -> Any:
    """The full schema with every object closed and complete: what a grammar should enforce."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    result = {
        key: {name: _closed(child) for name, child in value.items()}
        if key in ("properties", "$defs")
        else _closed(value)
        for key, value in node.items()
        if key not in ("title", "default", "examples")
    }
    if "properties" in result:
        result["required"] = list(result["properties"])
        result["additionalProperties"] = False
    return result


def _without_fence(text: str) -> str:
    match = re.search(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)
    return match[1] if match else text


def _readable(error: ValidationError) -> str:
    lines = []
    for problem in error.errors()[:8]:
        where = ".".join(str(part) for part in problem["loc"]) or "the reply"
        lines.append(f"{where}: {problem['msg']}")
    return "; ".join(lines)
