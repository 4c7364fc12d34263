"""Is this file one that trainers take? Every line is checked, in memory that does not grow.

Lines are read as bytes and parsed with orjson, which also refuses what JSON forbids and Python's
own parser lets through (NaN, halves of surrogate pairs). The slower questions (which of those was
it, does an object repeat a key) are asked only of lines that give a reason to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

from synthtutor.counts import counted
from synthtutor.errors import ConfigError
from synthtutor.export.chat import check_chat
from synthtutor.export.faults import Ledger, Report, shown
from synthtutor.export.preference import check_preference

__all__ = ["validate"]

_BOM = b"\xef\xbb\xbf"
_MIB = 1024 * 1024
_REMEMBERED = 1_000_000
_Check = Callable[[dict[str, Any], Ledger, "Sequence[str] | None"], "int | None"]


@dataclass(frozen=True, slots=True)
class _Rules:
    check: _Check
    at_least: int
    max_bytes: int | None


_FORMATS = {
    "openai-chat": _Rules(check_chat, at_least=10, max_bytes=512 * _MIB),
    "preference": _Rules(check_preference, at_least=1, max_bytes=None),
}


def validate(
    path: str | Path,
    format: Literal["openai-chat", "preference"] = "openai-chat",  # noqa: A002 - the word users say
    *,
    strict_roles: Sequence[str] | None = None,
    keep: int = 1000,
    max_line_bytes: int = 8 * _MIB,
) -> Report:
    """Check a JSON Lines file against everything that trainers ask of it.

    ``strict_roles`` asks for exactly these messages in every line, such as ``("system", "user",
    "assistant")``. All faults are counted, the first ``keep`` errors and as many warnings are
    kept. A line longer than ``max_line_bytes`` is a fault and is not read into memory.

    Raises ConfigError where there is no such file or format, or it may not be read.
    """
    place, ledger = Path(path), Ledger(keep)
    if format not in _FORMATS:
        raise ConfigError(f"no file format {format!r}: choose one of {', '.join(_FORMATS)}")
    try:
        size = place.stat().st_size
        if not place.is_file():
            ledger.error("not-a-file", "", "is not a regular file: give the path of a .jsonl file")
            return ledger.report(str(path), format, 0, 0)
        with place.open("rb") as file:
            examination = _Examination(_FORMATS[format], strict_roles, ledger)
            for number, line in enumerate(_lines(file, max_line_bytes), 1):
                examination.line(number, line, max_line_bytes)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    examination.whole(place, size)
    return ledger.report(str(path), format, size, examination.lines)


class _Examination:
    """One pass over one file."""

    def __init__(self, rules: _Rules, strict_roles: Sequence[str] | None, ledger: Ledger) -> None:
        self.lines = 0
        self._examples = 0
        self._rules = rules
        self._strict_roles = strict_roles
        self._ledger = ledger
        self._seen: dict[int, int] = {}

    def line(self, number: int, line: bytes | None, max_line_bytes: int) -> None:
        """Check one line; None is one that was too long to be read."""
        self.lines = self._ledger.line = number
        if line is None:
            self._ledger.error(
                "line-length",
                "",
                f"is longer than {max_line_bytes:,} bytes: no model trains on that; split it",
            )
            return
        record = _parsed(line, self._ledger)
        if record is not None:
            self._examples += 1
            self._remember(self._rules.check(record, self._ledger, self._strict_roles), number)

    def whole(self, place: Path, size: int) -> None:
        """Check what only the whole file shows."""
        ledger, rules = self._ledger, self._rules
        ledger.line = None
        if place.suffix != ".jsonl":
            ledger.error(
                "file-name", "", "does not end in .jsonl, which trainers insist on: rename it"
            )
        if size == 0:
            ledger.error("empty-file", "", "is empty: export at least one sample")
        elif self._examples < rules.at_least:
            ledger.error(
                "too-few",
                "",
                f"has {counted(self._examples, 'example')}; trainers ask for at least {rules.at_least}: add some",
            )
        if rules.max_bytes is not None and size > rules.max_bytes:
            ledger.error("file-size", "", f"has {size / _MIB:,.0f} MiB of 512 allowed: split it")
        if self._examples > _REMEMBERED:
            ledger.warning(
                "duplicates-unchecked", "", f"duplicates of the first {_REMEMBERED:,} lines only"
            )

    def _remember(self, fingerprint: int | None, number: int) -> None:
        if fingerprint is None:
            return
        first = self._seen.get(fingerprint)
        if first is not None:
            self._ledger.warning(
                "duplicate", "", f"says the same as line {first}: drop one, or mean it"
            )
        elif len(self._seen) < _REMEMBERED:
            self._seen[fingerprint] = number


def _lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes | None]:
    while line := file.readline(max_bytes + 1):
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line
            continue
        del line
        while (rest := file.readline(_MIB)) and not rest.endswith(b"\n"):
            pass
        yield None


def _parsed(line: bytes, ledger: Ledger) -> dict[str, Any] | None:
    body = line[:-1] if line.endswith(b"\n") else line
    body = body[:-1] if body.endswith(b"\r") else body
    if ledger.line == 1 and body.startswith(_BOM):
        ledger.error(
            "byte-order-mark", "", "the file begins with a byte order mark: save it without"
        )
        body = body[len(_BOM) :]
    if not body or body.isspace():
        ledger.error("blank-line", "", "is blank: remove it")
        return None
    if b"\r" in body:
        ledger.error(
            "carriage-return", "", "has a carriage return inside, where some readers end the line"
        )
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _explain(body, error, ledger)
        return None
    if not isinstance(record, dict):
        ledger.error("not-an-object", "", f"must be a JSON object, found {shown(record)}")
        return None
    return record if _reads_alike(record, body, ledger) else None


def _explain(body: bytes, error: orjson.JSONDecodeError, ledger: Ledger) -> None:
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        ledger.error("utf-8", "", f"is not UTF-8 at byte {wrong.start + 1}: save the file as UTF-8")
        return
    try:
        orjson.dumps(json.loads(text, parse_constant=_refuse))
    except RecursionError:
        ledger.error("json", "", "is nested too deeply for JSON readers: flatten it")
    except TypeError:
        ledger.error(
            "surrogate",
            "",
            "holds half of a surrogate pair (\\ud800 to \\udfff): remove the character",
        )
    except ValueError:
        ledger.error("json", "", f"is not JSON: {error.msg} at character {error.colno}")
    else:
        ledger.error("json", "", f"is not JSON that everybody reads: {error.msg}")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _reads_alike(record: dict[str, Any], body: bytes, ledger: Ledger) -> bool:
    """Whether other parsers see the same in the line; asked in earnest only of a line not in our form."""
    try:
        if orjson.dumps(record) != body:
            _REPEATS.decode(body.decode())
    except _Repeated as error:
        ledger.error("repeated-key", error.key, "an object has this key twice: keep one")
    except (RecursionError, TypeError, ValueError):
        ledger.error(
            "json", "", "nests too deep, or has a number too long, for some parsers: simplify it"
        )
        return False
    return True


class _Repeated(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1:
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(shown(key)[1:-1])
            seen.add(key)


_REPEATS = json.JSONDecoder(object_pairs_hook=_once)
