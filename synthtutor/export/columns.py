"""Samples as a table, whose columns are known only when the last sample has been seen.

A row's metadata decides the columns: each field that is a number, a truth value or a text
wherever it occurs. So the samples are read once, into a file beside the destination, and the
table is then written from there: memory stays flat and no late field is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.conversation import turns
from synthtutor.export.destination import unwritable
from synthtutor.export.lines import encode

__all__ = ["Columns", "batches", "library"]

_OWN = ("id", "messages", "metadata")
_INT64 = range(-(2**63), 2**63)


class Columns:
    """The samples, spooled to ``spool``, and what columns they have."""

    def __init__(self, samples: Iterable[dict[str, Any]], spool: Path) -> None:
        self.count = 0
        self._kinds: dict[str, str] = {}
        self._weighted = False
        self._spool = spool
        try:
            with spool.open("xb") as file:
                for line in map(self._noted, samples):
                    file.write(line)
        except OSError as error:
            raise unwritable(spool, error) from error

    @property
    def names(self) -> list[str]:
        """The metadata fields that are columns of their own."""
        return sorted(name for name, kind in self._kinds.items() if kind in _ARROW)

    def schema(self) -> Any:
        """The table's Arrow schema."""
        pa = library("pyarrow")
        message = [("role", pa.string()), ("content", pa.string())]
        if self._weighted:
            message.append(("weight", pa.int64()))
        fields = [(name, getattr(pa, _ARROW[self._kinds[name]])()) for name in self.names]
        return pa.schema(
            [
                ("id", pa.string()),
                ("messages", pa.list_(pa.struct(message))),
                *fields,
                ("metadata", pa.string()),
            ]
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row a sample, in order; ``metadata`` is the whole of it as JSON."""
        names = self.names
        with self._spool.open("rb") as file:
            for line in file:
                sample = orjson.loads(line)
                metadata = sample["metadata"]
                yield {
                    "id": sample["id"],
                    "messages": sample["messages"],
                    **{name: self._value(name, metadata.get(name)) for name in names},
                    "metadata": orjson.dumps(metadata).decode(),
                }

    def _noted(self, sample: dict[str, Any]) -> bytes:
        said = turns(sample)
        metadata = sample.get("metadata") or {}
        self.count += 1
        self._weighted = self._weighted or any("weight" in turn for turn in said)
        for name, value in metadata.items():
            if value is not None and name not in _OWN:
                self._kinds[str(name)] = _merged(self._kinds.get(str(name)), value)
        row = {"id": str(sample.get("id")), "messages": said, "metadata": metadata}
        return encode(row, name=sample.get("id"), sort=True)

    def _value(self, name: str, value: Any) -> Any:
        kind = self._kinds[name]
        if value is None or kind not in ("text", "mixed"):
            return float(value) if kind == "float" and value is not None else value
        return value if isinstance(value, str) else orjson.dumps(value).decode()


_ARROW = {
    "bool": "bool_",
    "int": "int64",
    "float": "float64",
    "text": "string",
    "mixed": "string",
}


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int" if value in _INT64 else "mixed"
        case float():
            return "float"
        case str():
            return "text"
        case _:
            return "nested"


def _merged(before: str | None, value: Any) -> str:
    kind = _kind(value)
    if before in (None, kind):
        return kind
    if "nested" in (before, kind):
        return "nested"
    return "float" if {before, kind} == {"int", "float"} else "mixed"


def batches(rows: Iterator[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    """The rows in lists of ``size``, the last one shorter."""
    while batch := list(islice(rows, size)):
        yield batch


def library(name: str) -> Any:
    """An optional library, by its name. Raises ConfigError with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigError(f'this export needs {package}: pip install "synthtutor[data]"') from error
