"""A schema of the user's own: a pydantic class named ``module:Class``, or a file of JSON Schema.

Of JSON Schema it takes the part that a closed form needs. What is not in it is refused, because
a rule that is silently skipped looks like one that holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, create_model

from synthtutor.errors import ConfigError
from synthtutor.structured import shape_of

__all__ = ["choices", "own_type"]

_LIMITS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minItems": "min_length",
    "maxItems": "max_length",
}
_PLAIN: dict[str, Any] = {
    "string": str,
    "integer": StrictInt,
    "number": float,
    "boolean": StrictBool,
    "null": None,
}
_ALLOWED = {
    *_LIMITS,
    *("$schema", "$id", "$defs", "definitions", "$ref", "title", "description", "examples"),
    *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
}
_DEEPEST = 20


@lru_cache(maxsize=32)
def own_type(name: str) -> type[Any]:
    """The type that ``module:Class`` or the ``.json`` file ``name`` describes.

    Raises ConfigError where there is none, or where it has no closed form that can be asked for.
    """
    found = _file(Path(name)) if name.endswith(".json") else _imported(name)
    shape_of(found)
    return found


def choices(type_: type[Any]) -> dict[str, tuple[str, ...]]:
    """The fields that have a fixed choice of values (``Literal``, an enum, a boolean), with them."""
    schema = shape_of(type_).schema
    definition: Mapping[str, Any] = schema.strict if schema is not None else {}
    defs = definition.get("$defs", {})
    found = {}
    for field, node in definition.get("properties", {}).items():
        inner = defs.get(str(node.get("$ref", "")).rsplit("/", 1)[-1], node)
        values = ["true", "false"] if inner.get("type") == "boolean" else inner.get("enum", ())
        if len(values) > 1:
            found[field] = tuple(str(value) for value in values)
    return found


def _imported(name: str) -> type[Any]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"schema {name!r}: give module:Class or a .json file; {error}") from None
    if not isinstance(found, type) or not (issubclass(found, BaseModel) or is_dataclass(found)):
        raise ConfigError(f"schema {name!r} is neither a pydantic model nor a dataclass")
    return found


def _file(path: Path) -> type[Any]:
    try:
        schema = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"schema {path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"schema {path}: not JSON: {error}") from None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ConfigError(f'schema {path}: must be a JSON schema of "type": "object"')
    defs = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    made = _typed(schema, defs, str(schema.get("title") or path.stem), 0)
    assert isinstance(made, type)  # noqa: S101  # what an object's schema makes
    return made


def _typed(node: Any, defs: Mapping[str, Any], where: str, depth: int) -> Any:
    """The annotation for one part of the schema."""
    if not isinstance(node, dict) or depth > _DEEPEST:
        raise ConfigError(f"schema: {where}: not a schema, or one that contains itself")
    if unknown := sorted(node.keys() - _ALLOWED):
        raise ConfigError(f"schema: {where}: {', '.join(unknown)} cannot be checked; remove it")
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        return _typed(defs.get(name), defs, f"{where}.{name}", depth + 1)
    for key in ("const", "enum"):
        if key in node:
            return Literal[tuple(node[key] if key == "enum" else [node[key]])]
    limits = {_LIMITS[key]: node[key] for key in node.keys() & _LIMITS.keys()}
    match node.get("type"):
        case "object":
            return _object(node, defs, where, depth)
        case "array" if "items" in node:
            items = GenericAlias(list, (_typed(node["items"], defs, f"{where}.items", depth + 1),))
            return Annotated[items, Field(**limits)]
        case [*several] if len(several) == 2 and "null" in several:
            (other,) = [kind for kind in several if kind != "null"]
            return _typed({**node, "type": other}, defs, where, depth + 1) | None
        case str(kind) if kind in _PLAIN:
            return Annotated[_PLAIN[kind], Field(**limits)]
    raise ConfigError(f"schema: {where}: no type that can be asked for: {node.get('type')!r}")


def _object(node: dict[str, Any], defs: Mapping[str, Any], where: str, depth: int) -> Any:
    fields: dict[str, Any] = {}
    for name, child in (node.get("properties") or {}).items():
        about = child.get("description") if isinstance(child, dict) else None
        annotation = _typed(child, defs, f"{where}.{name}", depth + 1)
        fields[name] = (annotation, Field(description=about))
    if not fields:
        raise ConfigError(f"schema: {where}: an object must have properties")
    title = "".join(word.capitalize() for word in str(node.get("title") or where).split("."))
    return create_model(title, __config__=ConfigDict(extra="forbid"), **fields)
