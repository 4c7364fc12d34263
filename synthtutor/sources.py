"""Rows in: files read row by row, and the stable name of a row's content.

A file is read as it is needed and never held whole. A line that cannot be read becomes a
`BadRow`: it is recorded with its reason and does not stop the run.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Self

import orjson

from synthtutor.errors import ConfigError

__all__ = [
    "BadRow",
    "Occurrences",
    "Record",
    "canonical",
    "existing",
    "json_bytes",
    "kept",
    "limited",
    "read_rows",
    "unfit",
]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read: where it stands, and why."""

    where: str
    reason: str


class Record(dict[str, Any]):
    """A row of a file: its fields, and in ``where`` the place it stands at."""

    __slots__ = ("where",)

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        super().__init__(fields)
        self.where = where


def read_rows(path: Path) -> Iterator[Record | BadRow]:
    """The rows of a ``.csv``, ``.tsv``, ``.jsonl``/``.ndjson``, ``.json`` (a list) or ``.parquet`` file.

    Raises ConfigError at once where the file is missing or of another kind.
    """
    readers: dict[str, Callable[[Path], Iterator[Record | BadRow]]] = {
        ".csv": _csv,
        ".tsv": _csv,
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
        ".json": _json,
        ".parquet": _parquet,
    }
    if path.suffix.lower() not in readers:
        raise ConfigError(f"{path}: rows come as {', '.join(readers)}")
    existing(path)
    return _some(readers[path.suffix.lower()](path), path)


def existing(path: Path) -> None:
    """Raise ConfigError unless there is such a file."""
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise ConfigError(f"{path}: {what}")


def _some(rows: Iterator[Record | BadRow], path: Path) -> Iterator[Record | BadRow]:
    first = next(rows, None)
    if first is None:
        raise ConfigError(f"{path}: there are no rows in it")
    yield first
    yield from rows


def canonical(row: object) -> bytes:
    """The row's content as JSON bytes that do not depend on the order of its fields.

    Takes JSON values, dataclasses and pydantic models, with dates, numbers of numpy, decimals and
    paths in them; raises ConfigError, naming the field, for anything else.
    """
    try:
        return json_bytes(row, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        field = unfit(row)
        where = "" if field is None else f"{field!r}: "
        raise ConfigError(
            f"{where}a row must be JSON, a dataclass or a pydantic model: {error}"
        ) from None


def json_bytes(value: object, *, option: int = 0) -> bytes:
    """The value as JSON. Raises TypeError for what JSON cannot hold."""
    return orjson.dumps(value, default=_plain, option=option | orjson.OPT_SERIALIZE_NUMPY)


def unfit(fields: object) -> str | None:
    """The first field that JSON cannot hold; None where it is no mapping, or not one field's fault."""
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            try:
                json_bytes({name: value})
            except TypeError:
                return str(name)
    return None


class Occurrences:
    """How often each content was seen, in memory that does not grow with the rows (SQLite spills)."""

    _most = 50_000  # contents that are remembered outside SQLite: most runs have no more

    def __enter__(self) -> Self:
        self._first: dict[bytes, int] = {}
        self._seen = sqlite3.connect("", isolation_level=None)  # "": a temporary file
        self._seen.execute("PRAGMA journal_mode=OFF")
        self._seen.execute("PRAGMA synchronous=OFF")
        self._seen.execute("CREATE TABLE seen(content BLOB PRIMARY KEY, n INTEGER) WITHOUT ROWID")
        self._seen.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._seen.close()

    def count(self, content: bytes) -> int:
        """How often the content was seen before, counting this time for the next."""
        nth = self._first.get(content)
        if nth is not None:
            self._first[content] = nth + 1
            return nth + 1
        if len(self._first) < self._most:
            self._first[content] = 0
            return 0
        (times,) = self._seen.execute(
            "INSERT INTO seen VALUES (?, 0) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n",
            (content,),
        ).fetchone()
        return int(times)


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, tuple):  # a named one
        return value._asdict() if hasattr(value, "_asdict") else list(value)
    if isinstance(value, datetime):  # one of pandas'; no time at all is no value, as NaN is none
        return value.isoformat() if value == value else None
    if isinstance(value, Decimal | PurePath):
        return str(value)
    raise TypeError(type(value).__name__)


def _csv(path: Path) -> Iterator[Record | BadRow]:
    csv.field_size_limit(
        min(sys.maxsize, 2**31 - 1)
    )  # the default of 128 kB is less than a chapter
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    _refuse_utf_16(path)
    # A byte that is no UTF-8 is kept as a lone surrogate, so that its row, and no other, is bad.
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        reader = csv.DictReader(file, delimiter=delimiter, restkey="", strict=True)
        try:
            columns = reader.fieldnames
        except csv.Error as error:
            raise ConfigError(f"{path}, line 1: not CSV: {error}") from None
        _check_columns(columns or [], path)
        while True:
            line = reader.reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(f"{path}, line {line}", _not_csv(error, reader.reader.line_num))
                continue
            yield _checked_csv(row, f"{path}, line {reader.line_num}")


def _refuse_utf_16(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise ConfigError(f"{path}: is UTF-16; save it as UTF-8")


def _check_columns(columns: Sequence[str], path: Path) -> None:
    where = f"{path}, line 1"
    if not columns:
        raise ConfigError(f"{path}: empty; the first line must name the columns")
    if not _is_text(columns):
        raise ConfigError(f"{where}: the columns' names are not UTF-8; save the file as UTF-8")
    if twice := sorted(name for name, times in Counter(columns).items() if name and times > 1):
        raise ConfigError(f"{where}: two columns are called {twice[0]!r}; rename one")
    if len(columns) == 1 and ";" in columns[0]:
        raise ConfigError(f"{where}: separate the columns with commas, not with ';'")


def _not_csv(error: csv.Error, last: int) -> str:
    if str(error) == "unexpected end of data":
        return f"not CSV: a quote is never closed, so nothing up to line {last} could be read"
    return f"not CSV: {error}"


def _is_text(values: Iterable[str]) -> bool:
    return not any("\udc80" <= char <= "\udcff" for value in values for char in value)


def _checked_csv(row: Mapping[str, Any], where: str) -> Record | BadRow:
    if "" in row and isinstance(row[""], list):
        return BadRow(where, f"{len(row[''])} more fields than columns; quote fields with commas")
    missing = [name for name, value in row.items() if value is None]
    if missing:
        return BadRow(where, f"no value for column {missing[0]!r}")
    if not _is_text(row.values()):
        return BadRow(where, "not UTF-8 text; save the file as UTF-8")
    return Record(row, where)


def _jsonl(path: Path) -> Iterator[Record | BadRow]:
    _refuse_utf_16(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(line.removeprefix(BOM_UTF8), f"{path}, line {number}")


def _object(data: bytes, where: str) -> Record | BadRow:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return BadRow(where, f"not JSON: {_said(error)}")
    return Record(value, where) if isinstance(value, dict) else BadRow(where, "not a JSON object")


def _said(error: orjson.JSONDecodeError) -> str:
    """What is wrong with one line of JSON, and where in the line."""
    if "UTF-8" in error.msg:
        return "it is not UTF-8 text; save the file as UTF-8"
    return f"{error.msg}, at character {error.pos + 1}"


def _json(path: Path) -> Iterator[Record | BadRow]:
    _refuse_utf_16(path)
    data = path.read_bytes().removeprefix(BOM_UTF8)
    if not data.strip():
        raise ConfigError(f"{path}: is empty; it must be a list of objects")
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}: " if "UTF-8" not in error.msg else ""
        raise ConfigError(f"{path}: {where}not JSON: {_said(error)}") from None
    if not isinstance(values, list):
        raise ConfigError(f"{path}: must be a list of objects; one object a line is .jsonl")
    for number, value in enumerate(values):
        where = f"{path}, item {number}"
        yield Record(value, where) if isinstance(value, dict) else BadRow(where, "not an object")


def _parquet(path: Path) -> Iterator[Record | BadRow]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ConfigError(
            f'{path}: reading Parquet needs pyarrow: pip install "synthtutor[data]"'
        ) from None
    try:
        with ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=256)
            rows = (fields for batch in batches for fields in batch.to_pylist())
            for number, fields in enumerate(rows, 1):
                yield Record(fields, f"{path}, row {number}")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not Parquet: {error}") from None


def limited(rows: Iterable[Any], most: int | None) -> Iterator[Any]:
    """The first ``most`` rows, or all."""
    return islice(rows, most)


def kept(rows: Iterable[Any] | None, most: int | None) -> Iterable[Any] | None:
    """Rows that can be gone through several times: those of an iterator, ``most`` at most, as a list."""
    return list(limited(rows, most)) if isinstance(rows, Iterator) else rows
