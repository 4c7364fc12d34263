"""The tables of a journal, as SQL, and how they are written to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.errors import JournalError

__all__ = [
    "FORMAT",
    "META",
    "PUT_CALL",
    "PUT_SAMPLE",
    "SCHEMA",
    "opened",
    "read_only",
    "transaction",
]

FORMAT = 2
META = "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
SCHEMA = """
CREATE TABLE IF NOT EXISTS passes(
    pass INTEGER PRIMARY KEY, at REAL NOT NULL, configuration TEXT NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
    rate_limited INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0,
    replayed_calls INTEGER NOT NULL DEFAULT 0, replayed_usd REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS calls(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, sample BLOB NOT NULL, pass INTEGER NOT NULL,
    kind TEXT NOT NULL, role TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    request BLOB NOT NULL, response BLOB NOT NULL, finish TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, cost_usd REAL, seconds REAL NOT NULL, at REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0, batched INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS calls_by_sample ON calls(sample);
CREATE TABLE IF NOT EXISTS samples(
    sample BLOB PRIMARY KEY, kind TEXT NOT NULL, position INTEGER NOT NULL, pass INTEGER NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS samples_in_order ON samples(kind, position);
CREATE TABLE IF NOT EXISTS batches(
    label TEXT PRIMARY KEY, model TEXT NOT NULL, pass INTEGER NOT NULL, state TEXT NOT NULL,
    vendor_id TEXT, items TEXT NOT NULL, at REAL NOT NULL,
    worst TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
"""
# Brings a journal of format 1 up to format 2.
FROM_1 = """
BEGIN;
ALTER TABLE calls ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN batched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passes ADD COLUMN replayed_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passes ADD COLUMN replayed_usd REAL NOT NULL DEFAULT 0;
UPDATE meta SET value = '2' WHERE key = 'format';
COMMIT;
"""
PUT_CALL = "INSERT INTO calls VALUES (NULL" + ", ?" * 20 + ")"
PUT_SAMPLE = "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)"


def transaction(
    connection: sqlite3.Connection, writes: Iterable[tuple[str, tuple[Any, ...]]]
) -> None:
    """Execute all the writes, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, values in writes:
            connection.execute(sql, values)
        connection.execute("COMMIT")
    except BaseException:  # raised again
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def opened(path: Path) -> sqlite3.Connection:
    """A connection that writes, for any thread, to a journal of this format; made where there is none.

    Raises JournalError for one of another format, and for a database that is no journal.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
    try:
        _refuse_foreign(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(META)
        _check_format(connection, path)
        connection.executescript(SCHEMA)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (str(FORMAT),))
    except BaseException:  # raised again
        connection.close()
        raise
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to a journal that cannot change it."""
    return sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=60)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError for a database of something else, which stays as it is."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and "meta" not in tables:
        raise JournalError(f"{path}: is no journal of synthtutor; take another folder")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if found is not None and found[0] == "1":
        connection.executescript(FROM_1)
    elif found is not None and found[0] != str(FORMAT):
        raise JournalError(
            f"{path}: written in format {found[0]}, this version reads {FORMAT}; "
            "use the version of synthtutor that wrote it"
        )
