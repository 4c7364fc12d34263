"""JSON Lines: one row as bytes, and many rows as a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing, unwritable

__all__ = ["encode", "write_lines"]


def encode(row: dict[str, Any], *, name: object, sort: bool = False) -> bytes:
    """The row as one line, newline included. ``name`` is what an error calls it.

    Half a surrogate pair, which models do write and UTF-8 cannot hold, becomes U+FFFD: one odd
    character must not cost the export of a paid run, and `validate` points it out.
    """
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    if sort:
        option |= orjson.OPT_SORT_KEYS
    try:
        return orjson.dumps(row, option=option)
    except TypeError:
        try:
            return orjson.dumps(_mended(row), option=option)
        except TypeError as error:
            raise ConfigError(f"sample {name!r} cannot be written as JSON: {error}") from error


def write_lines(lines: Iterable[bytes], path: str | Path) -> int:
    """Write the lines to ``path`` in one step; how many there were."""
    count = 0
    with replacing(path) as temporary, _Lines(temporary, path) as file:
        for line in lines:
            file.write(line)
            count += 1
    return count


class _Lines:
    """A file whose own errors name the path the user gave, and nobody else's errors do."""

    def __init__(self, temporary: Path, path: str | Path) -> None:
        self._path = path
        try:
            self._file: BinaryIO = temporary.open("xb")
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, line: bytes) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise unwritable(self._path, error) from error


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(inner) for inner in value]
    return value
