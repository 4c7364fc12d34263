"""The index of a run: what makes a million samples quick to list, filter and search.

The journal is the truth and is only read. The index beside it (``view.sqlite``) is derived: it can be
deleted at any time, and is made again when the journal is not the one that it was made from, or when a
later version wants other columns. A journal gives each record that it writes a higher rowid, a sample
that replaces an earlier one too, so what is new is what has a higher rowid than was seen last: the
index keeps up with a run that is still going by reading only that.

Samples whose text did not change keep their number in the full-text table; of those that did, the old
text stays there under a number that no entry has, which is cheaper than finding and removing it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from synthtutor.errors import JournalError
from synthtutor.reading import looking
from synthtutor.tables import FORMAT
from synthtutor.viewer.entries import entry

__all__ = ["FILE", "Index"]

FILE = "view.sqlite"
_FORMAT = "1"
_AT_ONCE = 2_000
_SCHEMA = """
CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entry(
    doc INTEGER PRIMARY KEY, sample BLOB NOT NULL UNIQUE, position INTEGER NOT NULL,
    pass INTEGER NOT NULL, digest BLOB NOT NULL, outcome TEXT NOT NULL, kind TEXT NOT NULL,
    score REAL, cost REAL, tags TEXT NOT NULL, title TEXT NOT NULL, reply TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE INDEX by_score ON entry(score, doc);
CREATE INDEX by_cost ON entry(cost, doc);
CREATE INDEX by_position ON entry(position, doc);
CREATE TABLE attribute(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0, UNIQUE(name, value));
CREATE TABLE tagged(attribute INTEGER, doc INTEGER, PRIMARY KEY(attribute, doc)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
"""


class Index:
    """The index of the run in a folder; kept in a folder of its own where that one is read-only."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.sqlite"
        self._own: TemporaryDirectory[str] | None = None
        self.path = folder / FILE
        self._working = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        with closing(self._source()) as source:
            identity = _identity(source)
        if not self._usable(identity):
            self._remake(identity)

    def close(self) -> None:
        """End the work in the background, and remove an index that has no folder to stay in."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        if self._own is not None:
            self._own.cleanup()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot change the index, for one request."""
        with closing(looking(self.path)) as connection:
            yield connection

    @contextmanager
    def source(self) -> Iterator[sqlite3.Connection]:
        """A connection that cannot change the journal, for one request."""
        with closing(self._source()) as connection:
            yield connection

    def refresh(self) -> tuple[int, int]:
        """Take in what is new: a little at once, more in the background.

        Returns how many samples are in the index, and about how many are still to come. Raises
        JournalError where the journal can no longer be read.
        """
        left = 0
        if self._working.acquire(blocking=False):
            try:
                left = self._take()
            finally:
                self._working.release()
            if left:
                self._go_on()
        else:
            left = self._left()
        with self.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0]), left

    def catch_up(self) -> None:
        """Take in everything that is there now."""
        with self._working:
            while self._take() and not self._closing.is_set():
                pass

    def _go_on(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self.catch_up, name=f"index {self.path}")
            self._thread.start()

    def _source(self) -> sqlite3.Connection:
        if not self.journal.is_file():
            raise JournalError(f"{self.journal.parent}: there is no run here (no journal.sqlite)")
        try:
            connection = looking(self.journal)
        except sqlite3.Error as error:
            raise JournalError(f"{self.journal}: {error}") from error
        try:
            found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        except sqlite3.Error as error:
            connection.close()
            raise JournalError(f"{self.journal}: {error}") from error
        if found is None or found[0] != str(FORMAT):
            connection.close()
            why = "only just being made" if found is None else f"written in format {found[0]}"
            raise JournalError(f"{self.journal}: {why}; give the run's command and look again")
        return connection

    def _usable(self, identity: str) -> bool:
        if not self.path.is_file():
            return False
        try:
            with closing(self._writer()) as own, closing(self._source()) as source:
                state = dict(own.execute("SELECT key, value FROM state"))
                last = source.execute("SELECT coalesce(max(rowid), 0) FROM samples").fetchone()[0]
        except sqlite3.Error:
            return False
        same = (state.get("format"), state.get("journal")) == (_FORMAT, identity)
        return bool(same and last >= int(state.get("seen", 0)))

    def _remake(self, identity: str) -> None:
        try:
            self._create()
        except (OSError, sqlite3.Error):
            self._own = TemporaryDirectory(prefix="synthtutor-view-")
            self.path = Path(self._own.name) / FILE
            self._create()
        with self._changing() as connection:
            connection.executemany(
                "REPLACE INTO state VALUES (?, ?)",
                (("format", _FORMAT), ("journal", identity), ("seen", 0), ("floor", 0)),
            )

    def _create(self) -> None:
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            self.path.with_name(name).unlink(missing_ok=True)
        with closing(self._writer()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)

    def _writer(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        connection.execute(
            "PRAGMA synchronous=OFF"
        )  # derived: what a power cut takes is made again
        connection.execute("PRAGMA cache_size=-65536")
        return connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds other writers off from its first read: another viewer's too."""
        with closing(self._writer()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def _left(self) -> int:
        with self.reading() as own, self.source() as source:
            seen = own.execute("SELECT value FROM state WHERE key = 'seen'").fetchone()[0]
            last = source.execute("SELECT coalesce(max(rowid), 0) FROM samples").fetchone()[0]
        return max(0, int(last) - int(seen))

    def _take(self) -> int:
        """One step: at most so many samples in one transaction; about how many are left."""
        with self._changing() as own, self.source() as source:
            state = dict(own.execute("SELECT key, value FROM state"))
            seen, floor = int(state["seen"]), _floor(source)
            rows = source.execute(
                "SELECT rowid, sample, kind, position, pass, outcome, reason, body FROM samples "
                "WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (seen, _AT_ONCE),
            ).fetchall()
            _Step(own).take(rows)
            whole = len(rows) < _AT_ONCE
            if whole and floor != int(state["floor"]):
                _drop(own, floor)
            seen = rows[-1][0] if rows else seen
            floor = floor if whole else int(state["floor"])
            values = [("seen", seen), ("floor", floor)]
            own.executemany("REPLACE INTO state VALUES (?, ?)", values)
            last = source.execute("SELECT coalesce(max(rowid), 0) FROM samples").fetchone()[0]
        return 0 if whole else max(0, int(last) - seen)


_Row = tuple[int, bytes, str, int, int, str, str, bytes]


class _Step:
    """Samples of the journal on their way into the index, in one transaction."""

    def __init__(self, own: sqlite3.Connection) -> None:
        self._own = own
        self._ids = {(n, v): i for i, n, v in own.execute("SELECT id, name, value FROM attribute")}
        self._counts: dict[int, int] = {}
        self._doc = int(own.execute("SELECT coalesce(max(doc), 0) FROM entry").fetchone()[0])
        last = own.execute("SELECT value FROM state WHERE key = 'doc'").fetchone()
        self._doc = max(self._doc, int(last[0]) if last else 0)

    def take(self, rows: list[_Row]) -> None:
        for row in rows:
            self._one(row)
        self._own.executemany(
            "UPDATE attribute SET count = count + ? WHERE id = ?",
            [(by, attribute) for attribute, by in self._counts.items()],
        )
        self._own.execute("REPLACE INTO state VALUES ('doc', ?)", (self._doc,))

    def _one(self, row: _Row) -> None:
        _, sample, kind, position, number, outcome, reason, body = row
        digest = blake2b(body, digest_size=16, key=outcome.encode()).digest()
        before = self._own.execute(
            "SELECT doc, digest, tags FROM entry WHERE sample = ?", (sample,)
        ).fetchone()
        if before is not None and before[1] == digest:
            self._own.execute(
                "UPDATE entry SET pass = ?, position = ? WHERE doc = ?",
                (number, position, before[0]),
            )
            return
        if before is not None:
            self._forget(before[0], before[2])
        found = entry(orjson.loads(body), kind, outcome, reason)
        self._doc += 1
        tags = [self._id(name, value) for name, value in found.attributes]
        self._own.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._doc, sample, position, number, digest, outcome, kind, found.score,
                found.cost_usd, ",".join(map(str, tags)), found.title, found.reply, found.reason,
            ),
        )  # fmt: skip
        self._own.executemany(
            "INSERT INTO tagged VALUES (?, ?)", [(tag, self._doc) for tag in tags]
        )
        self._own.execute("INSERT INTO words(rowid, text) VALUES (?, ?)", (self._doc, found.text))
        self._count(tags, 1)

    def _forget(self, doc: int, tags: str) -> None:
        self._own.execute("DELETE FROM entry WHERE doc = ?", (doc,))
        ids = [int(tag) for tag in tags.split(",")]
        self._own.executemany(
            "DELETE FROM tagged WHERE attribute = ? AND doc = ?", [(tag, doc) for tag in ids]
        )
        self._count(ids, -1)

    def _count(self, tags: list[int], by: int) -> None:
        for tag in tags:
            self._counts[tag] = self._counts.get(tag, 0) + by

    def _id(self, name: str, value: str) -> int:
        known = self._ids.get((name, value))
        if known is None:
            cursor = self._own.execute(
                "INSERT INTO attribute(name, value) VALUES (?, ?)", (name, value)
            )
            known = self._ids[name, value] = int(cursor.lastrowid or 0)
        return known


def _drop(own: sqlite3.Connection, floor: int) -> None:
    """Samples of earlier passes that the last complete one did not make are no longer the run's."""
    step = _Step(own)
    for doc, tags in own.execute("SELECT doc, tags FROM entry WHERE pass < ?", (floor,)).fetchall():
        step._forget(doc, tags)
    step.take([])


def _floor(source: sqlite3.Connection) -> int:
    found = source.execute("SELECT max(pass) FROM passes WHERE complete").fetchone()
    return int(found[0] or 0)


def _identity(source: sqlite3.Connection) -> str:
    """What no other journal in this folder has: when its first pass began."""
    found = source.execute("SELECT at FROM passes ORDER BY pass LIMIT 1").fetchone()
    return repr(found[0]) if found else ""
