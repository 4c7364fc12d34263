"""Where paid replies go that the journal cannot take: a file beside it, taken in when it is next opened.

A full disk leaves no room for it, and is what the ballast is for. But a file can be as large as it
may be, another program can hold the journal's lock, and a value can fit into no column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from synthtutor.tables import META, SCHEMA, transaction

__all__ = ["keep", "take_in"]

_Write = tuple[str, tuple[Any, ...]]


def keep(path: Path, writes: Iterable[_Write]) -> bool:
    """Keep what can be kept, one by one; whether that was all."""
    everything = True
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(META)
            connection.executescript(SCHEMA)
            for write in writes:
                try:
                    transaction(connection, [write])
                except (sqlite3.Error, ValueError, OverflowError):
                    everything = False
    except sqlite3.Error:
        return False
    return everything


def take_in(connection: sqlite3.Connection, path: Path) -> None:
    """Bring what was kept into the journal, each reply once, however often that is begun.

    Raises sqlite3.Error where it cannot be, and then changes nothing.
    """
    if not path.is_file():
        return
    connection.execute("ATTACH ? AS rescued", (str(path),))
    try:
        transaction(connection, [(_calls(connection), ()), *_REPLACED])
    finally:
        connection.execute("DETACH rescued")
    path.unlink()


_REPLACED = [
    (f"INSERT OR REPLACE INTO {name} SELECT * FROM rescued.{name}", ())  # noqa: S608  # a constant
    for name in ("meta", "samples", "batches")
]


def _calls(connection: sqlite3.Connection) -> str:
    columns = connection.execute("SELECT name FROM pragma_table_info('calls') WHERE name != 'id'")
    names = ", ".join(name for (name,) in columns)
    return (
        f"INSERT INTO calls({names}) SELECT {names} FROM rescued.calls AS kept "  # noqa: S608
        "WHERE NOT EXISTS (SELECT 1 FROM calls AS own WHERE own.sample = kept.sample "
        "AND own.key = kept.key AND own.at = kept.at) ORDER BY id"
    )
