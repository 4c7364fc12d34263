"""A journal as it is read: the folds that summaries, files and accounts are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from synthtutor.accounts import Resumes, entries, folded, resumes, totals
from synthtutor.errors import JournalError
from synthtutor.messages import Usage
from synthtutor.samplings import Figures, PerSample, Site, completed
from synthtutor.tables import FORMAT

__all__ = ["Reading", "looking"]

_NOWHERE_TO_PUT_A_LOG = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def looking(path: Path) -> sqlite3.Connection:
    """A connection to a journal, or to an index beside it, that cannot change what it holds.

    A reader of SQLite's write-ahead log needs that log and its shared memory, and makes both where
    they are not there. One that may write takes them away again as it closes, if it is the last,
    by SQLite's own locks; one that may not leaves them. So where there is no log, or nothing in it,
    the file is opened for writing and told to refuse it. A log with something in it belongs to a
    run that goes on or was killed, and stays. In a folder that cannot be written nobody else writes
    either, and a file without a log is read as it stands.

    Raises sqlite3.Error where there is no such file, or it is no database.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        mode = "ro" if log.stat().st_size else "rw"
    except FileNotFoundError:
        mode = "rw"
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode={mode}", uri=True, timeout=60)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        if mode == "ro" or error.sqlite_errorcode & 0xFF not in _NOWHERE_TO_PUT_A_LOG:
            raise
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)
    return connection


@dataclass(frozen=True, slots=True)
class Reading:
    """A journal opened to be read only, also while a run writes it."""

    connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path) -> Reading:
        """Raises JournalError where there is no journal to read."""
        if not path.is_file():
            raise JournalError(f"{path.parent}: there is no run here (no {path.name})")
        with ExitStack() as undo:
            try:
                connection = looking(path)
                undo.callback(connection.close)
                found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
            except sqlite3.Error as error:
                raise JournalError(f"{path}: {error}") from error
            if found is None:  # the format is written last, when all tables are there
                raise JournalError(f"{path}: it is only just being made; try again in a moment")
            if not str(found[0]).isdigit():
                raise JournalError(f"{path}: is no journal of synthtutor")
            if int(found[0]) < FORMAT:
                raise JournalError(
                    f"{path}: written by an earlier version; give the run's command once more, "
                    "which brings it up to date and pays for nothing again"
                )
            undo.pop_all()
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def samples(self, kind: str = "sample", *outcomes: str) -> Iterator[bytes]:
        """The bodies of the current samples in row order, those of ``outcomes`` where given."""
        chosen = f"AND outcome IN ({','.join('?' * len(outcomes))})" if outcomes else ""
        rows = self.connection.execute(
            f"SELECT body FROM samples WHERE kind = ? AND pass >= ? {chosen} "  # noqa: S608
            "ORDER BY position",
            (kind, self._floor(), *outcomes),
        )
        for (body,) in rows:
            yield body

    def records(self, *outcomes: str) -> Iterator[tuple[bytes, int, bytes]]:
        """Id, position and body of the current samples with one of the outcomes, in row order."""
        yield from self.connection.execute(
            "SELECT sample, position, body FROM samples WHERE kind = 'sample' AND pass >= ? "  # noqa: S608  # only question marks are put in
            f"AND outcome IN ({','.join('?' * len(outcomes))}) ORDER BY position",
            (self._floor(), *outcomes),
        )

    def outcome_of_each(self) -> Iterator[tuple[bytes, str, bytes]]:
        """Id, outcome and body of the current samples, in row order."""
        rows = self.connection.execute(
            "SELECT sample, outcome, body FROM samples WHERE kind = 'sample' AND pass >= ? "
            "ORDER BY position",
            (self._floor(),),
        )
        for sample, outcome, body in rows:  # noqa: UP028  # that would close the cursor after its file
            yield sample, outcome, body

    def failed_samples(self) -> set[bytes]:
        """The ids of the samples that got no answer, from a writer or from a judge."""
        rows = self.connection.execute(
            "SELECT sample FROM samples WHERE outcome IN ('failed', 'undetermined')"
        )
        return {sample for (sample,) in rows}

    def finished_samples(self) -> set[bytes]:
        """The ids of the samples that were finished with an answer."""
        rows = self.connection.execute("SELECT sample FROM samples WHERE outcome != 'failed'")
        return {sample for (sample,) in rows}

    def outcomes(self, kind: str = "sample") -> Mapping[str, int]:
        """How many current samples had each outcome."""
        return dict(
            self.connection.execute(
                "SELECT outcome, count(*) FROM samples WHERE kind = ? AND pass >= ? GROUP BY 1",
                (kind, self._floor()),
            )
        )

    def reasons(self, *outcomes: str, most: int = 10) -> list[tuple[str, int]]:
        """The commonest single reasons for the outcomes, with how many samples have each.

        Criteria of a sample's own (``own.c1``, …) mean something else in each, so they count as one;
        the sum of a verdict ("3 of 5 critical criteria passed") is no reason of its own.
        """
        marks = ", ".join("?" * len(outcomes))
        found = (
            "WITH reason AS (SELECT sample, CASE WHEN value LIKE 'own.%' THEN 'own criteria' || "  # noqa: S608  # only question marks are put in
            "substr(value, min(instr(value || ' ', ' '), instr(value || ':', ':'))) ELSE value END AS text "
            "FROM samples, json_each(CAST(body AS TEXT), '$.metadata.reasons') "
            f"WHERE kind = 'sample' AND pass >= ? AND outcome IN ({marks}) "
            "AND value NOT LIKE '%critical criteria passed;%') "
            "SELECT text, count(DISTINCT sample) FROM reason GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?"
        )
        return self.connection.execute(found, (self._floor(), *outcomes, most)).fetchall()

    def demonstration_models(self) -> list[str]:
        """The models in current samples that are marked as not to be trained on."""
        rows = self.connection.execute(
            "SELECT DISTINCT model FROM calls JOIN samples USING (sample) WHERE samples.pass >= ? "
            "AND json_extract(CAST(body AS TEXT), '$.metadata.lineage.demonstration_only')",
            (self._floor(),),
        )
        return sorted(model for (model,) in rows)

    def cells(self) -> int:
        """How many cells of subject × misconception type the current samples fill."""
        row = self.connection.execute(
            "SELECT count(DISTINCT json_extract(CAST(body AS TEXT), '$.metadata.subject') || '|' || "
            "json_extract(CAST(body AS TEXT), '$.metadata.misconception_type')) FROM samples "
            "WHERE kind = 'sample' AND pass >= ? AND outcome != 'failed'",
            (self._floor(),),
        ).fetchone()
        return int(row[0])

    def account(self) -> list[dict[str, Any]]:
        """Calls, tokens, dollars and seconds by kind, role, model and stage: everything ever paid.

        The figures are those of `accounts.entries`, over all outcomes.
        """
        return folded(self.entries(), "kind", "role", "model", "stage")

    def entries(self) -> list[dict[str, Any]]:
        """The same by the outcome of the sample too."""
        return entries(self.connection, self._floor())

    def resumes(self) -> Resumes:
        """What resuming took from the journal instead of paying for it again."""
        return resumes(self.connection)

    def noted(self, key: str) -> Any:
        """What was noted under a name, read as JSON; None where nothing was."""
        found = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if found is None else orjson.loads(found[0])

    def per_sample(
        self, kind: str = "sample", *, finished: bool = False, most: int = 2_000
    ) -> PerSample:
        """What the calls of each sample took, of the latest ``most`` samples.

        With ``finished`` only those that have an outcome, as the others' calls are not all there;
        samples that made no call are then counted too.
        """
        over = "AND sample IN (SELECT sample FROM samples)" if finished else ""
        rows = self.connection.execute(
            "SELECT sample, role, stage, model, count(*), sum(input_tokens), sum(output_tokens), "  # noqa: S608  # a constant is put in
            "sum(cache_read_tokens), sum(cache_write_tokens), sum(reasoning_tokens), total(seconds) "
            "FROM calls WHERE kind = ? AND sample IN (SELECT sample FROM calls WHERE kind = ? "
            f"{over} GROUP BY sample ORDER BY max(id) DESC LIMIT ?) GROUP BY 1, 2, 3, 4 ORDER BY min(id)",
            (kind, kind, most),
        )
        found: dict[bytes, dict[Site, Figures]] = {}
        for sample, role, stage, model, *figures in rows:
            found.setdefault(sample, {})[Site(role, stage, model)] = Figures(*figures)
        made = PerSample(found, len(found))
        if finished and made.count < most:  # they are all there
            made = made.of(sum(self.outcomes(kind).values()))
        return made

    def likely_samples(self) -> PerSample:
        """What the latest samples took; those under way as long as they are likely to become."""
        finished = self.per_sample(finished=True)
        begun = self.per_sample()
        return (
            completed(finished, begun.without(finished.by_sample)) if finished.count else finished
        )

    def billed_prompts(self, most: int = 60) -> Iterator[tuple[str, bytes, int]]:
        """The model, the request's JSON and the billed input tokens of the latest calls."""
        yield from self.connection.execute(
            "SELECT model, request, input_tokens FROM calls ORDER BY id DESC LIMIT ?", (most,)
        )

    def bills(self, most: int = 500) -> Iterator[tuple[str, bytes, Usage]]:
        """The model, the request's JSON and the billed tokens of the latest calls."""
        for model, request, *tokens in self.connection.execute(
            "SELECT model, request, input_tokens, output_tokens FROM calls ORDER BY id DESC LIMIT ?",
            (most,),
        ):
            yield model, request, Usage(*tokens)

    def totals(self) -> tuple[int, Usage, float, int]:
        """Everything ever paid: calls, usage, US dollars, calls without a known price."""
        return totals(self.connection)

    def batches(self) -> list[dict[str, Any]]:
        """The batches that may hold replies: label, model, state, vendor_id, calls and at (a time)."""
        cursor = self.connection.execute(
            "SELECT label, model, state, vendor_id, json_array_length(items) AS calls, at "
            "FROM batches WHERE state != 'lost' ORDER BY at, label"
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def last_pass(self) -> dict[str, Any] | None:
        """The newest pass: number, configuration, complete, retries, rate_limited, seconds."""
        cursor = self.connection.execute("SELECT * FROM passes ORDER BY pass DESC LIMIT 1")
        row = cursor.fetchone()
        return (
            None if row is None else dict(zip([c[0] for c in cursor.description], row, strict=True))
        )

    def latest_at(self) -> float | None:
        """When the latest reply came, in seconds since the epoch; None where none has."""
        row = self.connection.execute("SELECT at FROM calls ORDER BY id DESC LIMIT 1").fetchone()
        return float(row[0]) if row else None

    def _floor(self) -> int:
        found = self.connection.execute("SELECT max(pass) FROM passes WHERE complete").fetchone()
        return int(found[0] or 0)
