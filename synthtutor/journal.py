"""The run's one durable file: every paid reply, every finished sample.

Why it is built the way it is:

* One writer thread owns the only writing connection. Whoever puts a record waits for the commit
  that holds it, and everything that arrived while the last commit ran goes into the next one
  (group commit): with hundreds of calls in flight one fsync serves dozens of replies.
* WAL with synchronous=FULL: `kill -9` and power loss lose only what was not yet answered or not
  yet committed; readers (status, a viewer) never wait for the writer.
* An advisory lock on a file beside the journal makes a second owner impossible; the kernel drops
  it with the process, so no stale lock ever needs cleaning.
* A ballast file keeps space aside. When the disk fills up, it is given back, the waiting replies
  and those still under way are committed into the space it leaves, and whoever puts one then hears
  that the run must stop: what was paid is kept even then.
* No clock decides anything: ``at`` is only for people. Order is the rowid's, durations are
  monotonic.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from synthtutor.errors import JournalError
from synthtutor.messages import Response

if os.name == "nt":
    import msvcrt
else:
    import fcntl

__all__ = ["Call", "Journal", "Replay", "SampleRecord", "read_only"]

FORMAT = 1
_META = "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS passes(
    pass INTEGER PRIMARY KEY, at REAL NOT NULL, configuration TEXT NOT NULL,
    complete INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
    rate_limited INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS calls(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, sample BLOB NOT NULL, pass INTEGER NOT NULL,
    kind TEXT NOT NULL, role TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    request BLOB NOT NULL, response BLOB NOT NULL, finish TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL, cost_usd REAL, seconds REAL NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_sample ON calls(sample);
CREATE TABLE IF NOT EXISTS samples(
    sample BLOB PRIMARY KEY, kind TEXT NOT NULL, position INTEGER NOT NULL, pass INTEGER NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS samples_in_order ON samples(kind, position);
"""
_PUT_CALL = "INSERT INTO calls VALUES (NULL" + ", ?" * 18 + ")"
_PUT_SAMPLE = "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Call:
    """One paid reply with what it answers. ``seconds`` is how long it took."""

    key: bytes
    sample: bytes
    kind: str
    role: str
    stage: str
    model: str
    request: bytes
    response: Response
    cost_usd: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Replay:
    """A journaled reply: its raw JSON, read only when it is asked for."""

    data: bytes
    cost_usd: float | None

    @property
    def response(self) -> Response:
        """The reply."""
        return Response.from_json(self.data)


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One finished sample. ``body`` is its JSON; ``outcome`` kept, rejected, undetermined or failed."""

    sample: bytes
    kind: str
    position: int
    outcome: str
    reason: str
    body: bytes


_Write = tuple[str, tuple[Any, ...]]
# The last two: a value that no column can hold. The writer must outlive it, or all would wait.
_UNWRITABLE = (sqlite3.Error, ValueError, OverflowError)


class Journal:
    """The journal of one run. Open it with ``async with Journal(path)``.

    Reading is for the thread that opened it.
    """

    def __init__(self, path: Path, *, ballast_bytes: int = 4 << 20) -> None:
        self.path = path
        self._ballast = path.with_name("journal.ballast")
        self._ballast_bytes = ballast_bytes
        self._queue: queue.SimpleQueue[tuple[_Write, asyncio.Future[None]] | None] = (
            queue.SimpleQueue()
        )
        self._broken: JournalError | None = None
        self._pass = 0
        self._fresh = True

    async def __aenter__(self) -> Self:
        with ExitStack() as undo:
            try:
                self._lock = _lock(self.path.with_name("journal.lock"))
                undo.callback(os.close, self._lock)
                undo.callback(self._ballast.unlink, missing_ok=True)
                writer = self._connect()
                undo.callback(writer.close)
                self._reader = read_only(self.path)
                undo.callback(self._reader.close)
                _fill(self._ballast, self._ballast_bytes)
                self._fresh = self._one("SELECT 1 FROM calls LIMIT 1") is None
                self._pass = int((self._one("SELECT max(pass) FROM passes") or [0])[0] or 0)
            except (OSError, sqlite3.Error) as error:
                raise JournalError(f"{self.path}: {error}") from error
            undo.pop_all()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_all, args=(writer,), name="journal")
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit what is waiting, whatever else happens, and let go of the file."""
        self._reader.close()  # before the writer, so that the last to close folds the WAL in
        self._queue.put(None)
        try:
            await asyncio.shield(asyncio.to_thread(self._thread.join))
        finally:
            self._thread.join()  # whoever is cancelled while waiting still may not leave before
            self._ballast.unlink(missing_ok=True)
            os.close(self._lock)

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    async def begin(self, configuration: str) -> int:
        """Start a pass (one execution of the run's command); returns its number, from 1."""
        self._pass += 1
        await self._write(
            "INSERT INTO passes(pass, at, configuration) VALUES (?, ?, ?)",
            (self._pass, time.time(), configuration),
        )
        return self._pass

    async def end(self, *, complete: bool, retries: int, rate_limited: int, seconds: float) -> None:
        """Close the pass. After a complete one, samples that it did not make are no longer read."""
        await self._write(
            "UPDATE passes SET complete = ?, retries = ?, rate_limited = ?, seconds = ? "
            "WHERE pass = ?",
            (int(complete), retries, rate_limited, seconds, self._pass),
        )

    async def put(self, call: Call) -> None:
        """Record a paid reply; returns after the commit that holds it.

        Once called, the record lands even when the caller is cancelled while it waits.
        Raises JournalError where it cannot be written, or where it is one of the last that can.
        """
        usage = call.response.usage
        await self._kept(
            _PUT_CALL,
            (
                call.key, call.sample, self._pass, call.kind, call.role, call.stage, call.model,
                call.request, call.response.to_json(), call.response.finish,
                usage.input_tokens, usage.output_tokens, usage.cache_read_tokens,
                usage.cache_write_tokens, usage.reasoning_tokens,
                call.cost_usd, call.seconds, time.time(),
            ),
        )  # fmt: skip

    async def finish(self, record: SampleRecord) -> None:
        """Record a finished sample in place of the one of an earlier pass. Raises as `put` does."""
        await self._kept(
            _PUT_SAMPLE,
            (
                record.sample, record.kind, record.position, self._pass,
                record.outcome, record.reason, record.body,
            ),
        )  # fmt: skip

    async def _kept(self, sql: str, values: tuple[Any, ...]) -> None:
        await self._write(sql, values)
        if self._broken is not None:  # written all the same, into the ballast's place
            raise self._broken

    def _write(self, sql: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        done = self._loop.create_future()
        self._queue.put(((sql, values), done))
        return done

    def _write_all(self, connection: sqlite3.Connection) -> None:
        """The writer thread: one transaction for everything that is waiting, until told to end."""
        ending = False
        while not ending:
            batch = [self._queue.get()]
            try:
                while True:
                    batch.append(self._queue.get_nowait())
            except queue.Empty:
                pass
            ending = None in batch
            items = [item for item in batch if item is not None]
            error = self._commit(connection, [write for write, _ in items])
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_resolve, [done for _, done in items], error)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, writes: list[_Write]) -> JournalError | None:
        if not writes:
            return None
        try:
            _transaction(connection, writes)
        except _UNWRITABLE as first:
            if self._broken is None:
                self._broken = JournalError(f"{self.path}: {first}; nothing more is asked")
            if not self._ballast.exists():
                return self._broken
            self._ballast.unlink(missing_ok=True)
            try:
                _transaction(connection, writes)
            except _UNWRITABLE:
                return self._broken
        return None

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def broken(self) -> JournalError | None:
        """Why the run must stop, if so; what is put after that is written as long as there is room."""
        return self._broken

    @property
    def number(self) -> int:
        """The number of the current pass."""
        return self._pass

    @property
    def empty(self) -> bool:
        """Whether no reply had been journaled when it was opened."""
        return self._fresh

    def replies(self, sample: bytes) -> dict[bytes, Replay]:
        """The sample's journaled replies by key; of several for one key, the last."""
        if self._fresh and self._pass <= 1:
            return {}
        rows = self._reader.execute(
            "SELECT key, response, cost_usd FROM calls WHERE sample = ? ORDER BY id", (sample,)
        )
        return {key: Replay(data, cost) for key, data, cost in rows}

    def _one(self, sql: str, *values: object) -> Any:
        return self._reader.execute(sql, values).fetchone()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=60
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_META)
            self._check_format(connection)
            connection.executescript(_SCHEMA)
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (str(FORMAT),))
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_format(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if found is not None and found[0] != str(FORMAT):
            raise JournalError(
                f"{self.path}: written in format {found[0]}, this version reads {FORMAT}; "
                "use the version of synthtutor that wrote it"
            )


def _transaction(connection: sqlite3.Connection, writes: list[_Write]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, values in writes:
            connection.execute(sql, values)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _resolve(waiting: list[asyncio.Future[None]], error: JournalError | None) -> None:
    for done in waiting:
        if not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection to a journal that cannot change it."""
    return sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=60)


def _fill(path: Path, size: int) -> None:
    """Make a file that really occupies ``size`` bytes (a sparse one would keep nothing aside)."""
    with path.open("wb") as file:
        block = bytes(1 << 16)
        for _ in range(0, size, len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _lock(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.name == "nt":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        by = f" (process {owner})" if owner else ""
        raise JournalError(
            f"{path.parent}: another run owns this folder{by}; wait for it"
        ) from None
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle
