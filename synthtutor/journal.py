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
  that the run must stop: what was paid is kept even then. What the journal cannot take for
  another reason (its file may not grow, somebody else has locked it) goes into a file beside it.
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
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

import orjson

from synthtutor.disk import fill, lock
from synthtutor.errors import JournalError
from synthtutor.messages import Response
from synthtutor.rescue import keep, take_in
from synthtutor.tables import PUT_CALL, PUT_SAMPLE, opened, read_only, transaction

__all__ = ["BatchRecord", "Call", "Journal", "Replay", "SampleRecord"]


@dataclass(frozen=True, slots=True)
class Call:
    """One paid reply with what it answers.

    ``seconds`` is how long it took; ``attempt`` counts from 0 and is more where an invalid reply
    was asked for again.
    """

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
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """A journaled reply: its raw JSON, read only when it is asked for.

    ``nth`` counts the replies to this very call, from 1: more than one were asked for again.
    """

    data: bytes
    cost_usd: float | None
    nth: int = 1

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


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch of calls at a vendor. ``items`` are its custom ids; ``at`` is when it was planned.

    ``worst`` is what each item may take at most: (input, output) tokens; empty where not known.
    ``state``: ``planned`` (perhaps submitted: the process ended before it knew), ``submitted``
    (``vendor_id`` is known), ``ended`` (its results were read) or ``lost`` (never submitted).
    """

    label: str
    model: str
    state: str
    vendor_id: str | None
    items: Sequence[str]
    at: float
    worst: Sequence[tuple[int, int]] = ()


_Write = tuple[str, tuple[Any, ...]]
# The last two: a value that no column can hold. The writer must outlive it, or all would wait.
_UNWRITABLE = (sqlite3.Error, ValueError, OverflowError)
_IMPATIENT_MS = 1000  # how long a lock is waited for once the journal is broken


class Journal:
    """The journal of one run. Open it with ``async with Journal(path)``.

    Reading is for the thread that opened it.
    """

    def __init__(self, path: Path, *, ballast_bytes: int = 4 << 20) -> None:
        self.path = path
        self._ballast = path.with_name("journal.ballast")
        self._rescue = path.with_name("journal.rescue")
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
                self._lock = lock(self.path.with_name("journal.lock"))
                undo.callback(os.close, self._lock)
                undo.callback(self._ballast.unlink, missing_ok=True)
                writer = opened(self.path)
                undo.callback(writer.close)
                take_in(writer, self._rescue)
                self._reader = read_only(self.path)
                undo.callback(self._reader.close)
                fill(self._ballast, self._ballast_bytes)
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

    async def end(
        self,
        *,
        complete: bool,
        retries: int,
        rate_limited: int,
        seconds: float,
        replayed: tuple[int, float] = (0, 0.0),
    ) -> None:
        """Close the pass. After a complete one, samples that it did not make are no longer read.

        ``replayed`` is what it took from the journal: (calls, US dollars that were paid for them).
        """
        await self._write(
            "UPDATE passes SET complete = ?, retries = ?, rate_limited = ?, seconds = ?, "
            "replayed_calls = ?, replayed_usd = ? WHERE pass = ?",
            (int(complete), retries, rate_limited, seconds, *replayed, self._pass),
        )

    async def note(self, key: str, value: str) -> None:
        """Keep a text about the run under a name, in place of the one before."""
        await self._kept("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    async def put(self, call: Call) -> None:
        """Record a paid reply; returns after the commit that holds it.

        Once called, the record lands even when the caller is cancelled while it waits.
        Raises JournalError where it cannot be written, or where it is one of the last that can.
        """
        usage = call.response.usage
        await self._kept(
            PUT_CALL,
            (
                call.key, call.sample, self._pass, call.kind, call.role, call.stage, call.model,
                call.request, call.response.to_json(), call.response.finish,
                usage.input_tokens, usage.output_tokens, usage.cache_read_tokens,
                usage.cache_write_tokens, usage.reasoning_tokens,
                call.cost_usd, call.seconds, time.time(), call.attempt, call.response.batched,
            ),
        )  # fmt: skip

    async def finish(self, record: SampleRecord) -> None:
        """Record a finished sample in place of the one of an earlier pass. Raises as `put` does."""
        await self._kept(
            PUT_SAMPLE,
            (
                record.sample, record.kind, record.position, self._pass,
                record.outcome, record.reason, record.body,
            ),
        )  # fmt: skip

    async def plan_batch(
        self, label: str, model: str, items: Sequence[str], worst: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Record that these calls are about to be submitted, with the most that each may take.

        What can be lost after that is only the vendor's answer: the batch is found by its label.
        """
        texts = orjson.dumps(items).decode(), time.time(), orjson.dumps(worst).decode()
        await self._kept(
            "INSERT INTO batches VALUES (?, ?, ?, 'planned', NULL, ?, ?, ?)",
            (label, model, self._pass, *texts),
        )

    async def batch_is(self, label: str, state: str, vendor_id: str | None = None) -> None:
        """Record what became of a batch: submitted, ended or lost."""
        await self._kept(
            "UPDATE batches SET state = ?, vendor_id = coalesce(?, vendor_id) WHERE label = ?",
            (state, vendor_id, label),
        )

    async def batch_ended(self, label: str, answered: Collection[str]) -> None:
        """Record that its results were read: nothing is owed for what it did not answer."""
        found = self._one("SELECT items, worst FROM batches WHERE label = ?", label)
        items, worst = map(orjson.loads, found or ("[]", "[]"))
        pairs = zip(items, worst, strict=False)
        owed = [most if item in answered else (0, 0) for item, most in pairs]
        await self._kept(
            "UPDATE batches SET state = 'ended', worst = ? WHERE label = ?",
            (orjson.dumps(owed).decode(), label),
        )

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
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, [done for _, done in items], error)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, writes: list[_Write]) -> JournalError | None:
        if not writes:
            return None
        try:
            transaction(connection, writes)
        except _UNWRITABLE as first:
            if self._broken is None:
                self._broken = JournalError(f"{self.path}: {first}; nothing more is asked")
            kept = self._without_ballast(connection, writes) or keep(self._rescue, writes)
            return None if kept else self._broken
        return None

    def _without_ballast(self, connection: sqlite3.Connection, writes: list[_Write]) -> bool:
        """Try again in the ballast's place, if it is still there."""
        with suppress(OSError, *_UNWRITABLE):
            connection.execute(f"PRAGMA busy_timeout = {_IMPATIENT_MS}")
            self._ballast.unlink()
            transaction(connection, writes)
            return True
        return False

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def broken(self) -> JournalError | None:
        """Why the run must stop, if so; what is put after that is written as long as there is room."""
        return self._broken

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
        replies: dict[bytes, Replay] = {}
        for key, data, cost in rows:
            before = replies.get(key)
            replies[key] = Replay(data, cost, before.nth + 1 if before else 1)
        return replies

    def batches(self, model: str | None = None) -> list[BatchRecord]:
        """The model's (or all) batches that may hold replies not journaled yet, oldest first.

        Their ``items`` are those without a journaled reply (found by the reply's request id,
        which is ``VENDOR_ID/CUSTOM_ID`` for a batched one).
        """
        rows = self._reader.execute(
            "SELECT label, model, state, vendor_id, items, at, worst FROM batches "
            "WHERE model = coalesce(?, model) AND state != 'lost' ORDER BY at, label",
            (model,),
        ).fetchall()
        if not rows:
            return []
        landed = {
            name
            for (name,) in self._reader.execute(
                "SELECT json_extract(CAST(response AS TEXT), '$.request_id') FROM calls "
                "WHERE model = coalesce(?, model) AND batched",
                (model,),
            )
        }
        found = []
        for label, own, state, vendor_id, items, at, worst in rows:
            each = zip_longest(orjson.loads(items), orjson.loads(worst), fillvalue=(0, 0))
            left = [pair for pair in each if f"{vendor_id}/{pair[0]}" not in landed]
            if left:
                names, most = zip(*left, strict=True)
                found.append(BatchRecord(label, own, state, vendor_id, names, at, most))
        return found

    def _one(self, sql: str, *values: object) -> Any:
        return self._reader.execute(sql, values).fetchone()


def _resolve(waiting: list[asyncio.Future[None]], error: JournalError | None) -> None:
    for done in waiting:
        if not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
