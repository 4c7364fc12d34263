"""YAML that people write: read with each key once, and its faults said in a line of plain English."""

from __future__ import annotations

import codecs
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from synthtutor.errors import ConfigError, SynthtutorError

__all__ = ["parse_yaml", "read_yaml", "said"]

# What the YAML reader says, with what a person can do about it.
_FIXES = {
    "mapping values are not allowed here": "a text that holds ': ' must be in quotes",
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
    "but found another document": "a second document begins here; only one is read",
}
_TWICE = "is given twice"
# What pydantic says of a value, by the kind of fault.
_SAID = {
    "missing": "is missing; add it",
    "string_type": "must be text; put it in quotes",
    "dict_type": "must be names and values, such as {{name: value}}",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "too_short": "is empty; give at least one",
    "string_too_short": "is empty; write something or leave it out",
    "invalid_key": "is no field's name",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be yes or no",
    "bool_parsing": "must be yes or no",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
}
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_yaml(path: Path) -> object:
    """The content of a YAML file. Raises ConfigError naming the file, the line and the fault."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: not YAML: line {line} is not {encoding}: save it as UTF-8"
        ) from None
    return parse_yaml(text, str(path), error=ConfigError)


def parse_yaml(text: str, source: str, *, error: type[SynthtutorError]) -> object:
    """The content of a YAML text that ``source`` names. Raises ``error`` naming the line."""
    try:
        return _content(text)
    except yaml.MarkedYAMLError as fault:
        line = f" line {fault.problem_mark.line + 1}:" if fault.problem_mark else ""
        problem = str(fault.problem)
        if _TWICE not in problem:
            problem = f"not YAML: {_FIXES.get(problem, problem)}"
        raise error(f"{source}:{line} {problem}") from fault
    except yaml.reader.ReaderError as fault:
        line = f"line {text.count(chr(10), 0, fault.position) + 1}"
        raise error(f"{source}: {line}: not YAML: it holds a control character") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        # An impossible date is a ValueError of the YAML reader, endless nesting a RecursionError.
        raise error(f"{source}: cannot be read as YAML: {fault}") from fault


def said(fault: Mapping[str, Any]) -> str:
    """One of pydantic's faults in plain English, for the end of a line that names the field."""
    plain = _SAID.get(fault["type"])
    if plain is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    context = fault.get("ctx", {})
    shown = {n: f"{v:g}" if isinstance(v, float) else str(v) for n, v in context.items()}
    return plain.format_map(shown)


class _UniqueKeys(yaml.SafeLoader):
    """Plain YAML in which a key that is written twice is an error, not a silent last word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} {_TWICE}", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _content(text: str) -> object:
    loader = _UniqueKeys(text)
    try:
        return cast(object, loader.get_single_data())
    finally:
        loader.dispose()
