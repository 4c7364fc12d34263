"""Two runs side by side: the rows that both have, and what became of each in the one and the other.

A sample's id is made of its row, so the same row has the same id in every run of a recipe.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from synthtutor.reading import looking

__all__ = ["Both", "Figures", "both", "figures", "side_by_side"]

PAGE = 50
DIFFERENCES = {
    "": "all rows of both",
    "differ": "another outcome",
    "only-a": "kept in A, not in B",
    "only-b": "kept in B, not in A",
}
_WHERE = {
    "": "",
    "differ": "AND a.outcome != b.outcome",
    "only-a": "AND a.outcome = 'kept' AND b.outcome != 'kept'",
    "only-b": "AND b.outcome = 'kept' AND a.outcome != 'kept'",
}


class Both(NamedTuple):
    """A row of both runs."""

    doc: int
    sample: bytes
    position: int
    title: str
    outcome_a: str
    score_a: float | None
    cost_a: float | None
    reply_a: str
    outcome_b: str
    score_b: float | None
    cost_b: float | None
    reply_b: str

    @property
    def id(self) -> str:
        """As it stands in files."""
        return self.sample.hex()


class Figures(NamedTuple):
    """Rows in both runs, how many had which outcomes in A and B, and means over those rows."""

    rows: int
    outcomes: list[tuple[str, str, int]]
    score_a: float | None
    score_b: float | None
    cost_a: float | None
    cost_b: float | None


@contextmanager
def side_by_side(a: Path, b: Path) -> Iterator[sqlite3.Connection]:
    """The index of A with that of B attached as ``other``, neither of which it can change."""
    connection = looking(a)
    try:
        connection.execute("ATTACH ? AS other", (b.absolute().as_uri() + "?mode=rw",))
        yield connection
    finally:
        connection.close()


def figures(connection: sqlite3.Connection) -> Figures:
    """The counts over all rows that both have."""
    found = connection.execute(
        "SELECT a.outcome, b.outcome, count(*), sum(a.score), count(a.score), sum(b.score), "
        "count(b.score), sum(a.cost), count(a.cost), sum(b.cost), count(b.cost) "
        "FROM entry a CROSS JOIN other.entry b ON a.sample = b.sample "
        "WHERE a.kind = 'sample' GROUP BY 1, 2 ORDER BY 3 DESC"
    ).fetchall()

    def mean(column: int) -> float | None:
        count = sum(row[column + 1] for row in found)
        return sum(row[column] or 0.0 for row in found) / count if count else None

    return Figures(
        sum(row[2] for row in found), [row[:3] for row in found], *map(mean, (3, 5, 7, 9))
    )


def both(
    connection: sqlite3.Connection, difference: str = "", after: int = 0, most: int = PAGE
) -> tuple[list[Both], bool]:
    """One page of the rows of both, those that differ as asked, and whether there are more."""
    rows = connection.execute(
        "SELECT a.doc, a.sample, a.position, a.title, a.outcome, a.score, a.cost, a.reply, "  # noqa: S608  # texts of ours
        "b.outcome, b.score, b.cost, b.reply FROM entry a CROSS JOIN other.entry b "
        "ON a.sample = b.sample "
        f"WHERE a.doc > ? AND a.kind = 'sample' {_WHERE.get(difference, '')} ORDER BY a.doc LIMIT ?",
        (after, most + 1),
    ).fetchall()
    return [Both(*row) for row in rows[:most]], len(rows) > most
