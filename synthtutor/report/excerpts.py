"""Twenty samples to read: dropped ones spread over the run, each beside the nearest kept one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from synthtutor.report.attributes import attributes, readable

__all__ = ["Excerpt", "Pair", "Ruling", "Said", "pairs"]

_PAIRS = 10
_CHARACTERS = 4_000
_MESSAGES = 40
_RULINGS = 60
_DROPPED = ("rejected", "undetermined", "failed")
_HERE = "FROM samples WHERE kind = 'sample' AND pass >= :floor AND outcome = :outcome"
_EVENLY = (
    "SELECT rowid, position FROM (SELECT rowid, position, row_number() OVER (ORDER BY position) - 1 AS nth "  # noqa: S608  # constants are put in
    f"{_HERE}) WHERE nth IN (SELECT value FROM json_each(:chosen)) ORDER BY position"
)
_NEAREST = (
    f"SELECT rowid, position {_HERE} AND rowid NOT IN (SELECT value FROM json_each(:taken)) "  # noqa: S608
    "ORDER BY abs(position - :position), position LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Said:
    """One message."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """One criterion's verdict: ``result`` is passed, failed or "no answer"."""

    name: str
    criterion: str
    result: str
    weight: int | None
    evidence: str

    @property
    def mark(self) -> str:
        """The result in words and a sign; a criterion of negative weight describes a fault."""
        fault = self.weight is not None and self.weight < 0
        words = {
            "passed": "✓ fault not found" if fault else "✓ passed",
            "failed": "✗ fault found" if fault else "✗ not met",
        }
        return words.get(self.result, "? no answer")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A sample as it is shown: its text cut where it is very long."""

    id: str
    outcome: str
    reasons: Sequence[str]
    drawn: Sequence[tuple[str, str]]
    messages: Sequence[Said]
    rulings: Sequence[Ruling]
    score: str

    @property
    def passed(self) -> int:
        """How many criteria it passed."""
        return sum(ruling.result == "passed" for ruling in self.rulings)


@dataclass(frozen=True, slots=True)
class Pair:
    """A kept sample and one that was not, near each other in the order of rows."""

    kept: Excerpt | None
    dropped: Excerpt | None


class _At(NamedTuple):
    """Where a sample lies in the journal, and in the order of rows."""

    rowid: int
    position: int


def pairs(connection: sqlite3.Connection, floor: int, outcomes: Mapping[str, int]) -> list[Pair]:
    """Twenty samples, or all where there are fewer; the same journal gives the same ones."""
    dropped: list[_At] = []
    for outcome in _DROPPED:
        room = _PAIRS - len(dropped)
        dropped += _spread(connection, floor, outcome, outcomes.get(outcome, 0), room)
    beside: list[_At | None] = []
    for place in dropped:
        beside.append(_nearest(connection, floor, place.position, beside))
    count = outcomes.get("kept", 0)
    alone = [at for at in _spread(connection, floor, "kept", count, 2 * _PAIRS) if at not in beside]
    more = alone[: 2 * _PAIRS - len(dropped) - sum(at is not None for at in beside)]
    found = [*zip(beside, dropped, strict=True), *((at, None) for at in more)]
    return [Pair(_excerpt(connection, kept), _excerpt(connection, other)) for kept, other in found]


def _spread(
    connection: sqlite3.Connection, floor: int, outcome: str, count: int, most: int
) -> list[_At]:
    if not count or most <= 0:
        return []
    chosen = range(count) if count <= most else [nth * count // most for nth in range(most)]
    given = {"floor": floor, "outcome": outcome, "chosen": orjson.dumps(list(chosen)).decode()}
    return [_At(*row) for row in connection.execute(_EVENLY, given)]


def _nearest(
    connection: sqlite3.Connection, floor: int, position: int, taken: Sequence[_At | None]
) -> _At | None:
    given = {
        "floor": floor,
        "outcome": "kept",
        "position": position,
        "taken": orjson.dumps([at.rowid for at in taken if at is not None]).decode(),
    }
    row = connection.execute(_NEAREST, given).fetchone()
    return None if row is None else _At(*row)


def _excerpt(connection: sqlite3.Connection, at: _At | None) -> Excerpt | None:
    if at is None:
        return None
    row = connection.execute("SELECT body FROM samples WHERE rowid = ?", (at.rowid,)).fetchone()
    return excerpt(orjson.loads(row[0]))


def excerpt(sample: Mapping[str, Any]) -> Excerpt:
    """A finished sample, ready to be shown."""
    metadata = sample["metadata"]
    weighted = metadata.get("weighted")
    parts = [
        f"{metadata['critical']} critical criteria" if metadata.get("critical") else "",
        "" if weighted is None else f"weighted score {weighted:.2f}",
    ]
    return Excerpt(
        id=str(sample.get("id"))[:12],
        outcome=str(metadata.get("outcome")),
        reasons=[cut(str(reason), 300) for reason in metadata.get("reasons") or []][:12],
        drawn=[(readable(name), value) for name, value in attributes(metadata).items()
               if name not in _TOLD_APART][:14],
        messages=_said(sample, metadata),
        rulings=[_ruling(verdict) for verdict in (metadata.get("verdicts") or [])[:_RULINGS]],
        score=", ".join(part for part in parts if part),
    )  # fmt: skip


_TOLD_APART = frozenset(("outcome", "critical", "critical_needed", "variation", "text"))


def _said(sample: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[Said]:
    messages = sample.get("messages") or []
    said = [Said(str(m["role"]), cut(str(m["content"]), _CHARACTERS)) for m in messages[:_MESSAGES]]
    if len(messages) > _MESSAGES:
        said.append(Said("", f"… and {len(messages) - _MESSAGES} more messages"))
    pair = metadata.get("pair")
    if isinstance(pair, Mapping) and isinstance(pair.get("rejected"), str):
        said.append(Said("the reply it is preferred to", cut(pair["rejected"], _CHARACTERS)))
    if isinstance(metadata.get("text"), str):  # what a failed sample's model wrote instead
        said.append(Said("reply that could not be read", cut(metadata["text"], _CHARACTERS)))
    return said


def _ruling(verdict: Mapping[str, Any]) -> Ruling:
    passed, state = verdict.get("passed"), verdict.get("state")
    answered = isinstance(passed, bool) and state in (None, "answered")
    weight = verdict.get("weight")
    return Ruling(
        name=str(verdict.get("id")),
        criterion=cut(str(verdict.get("criterion") or ""), 400),
        result=("passed" if passed else "failed") if answered else "no answer",
        weight=weight if isinstance(weight, int) else None,
        evidence=cut(str(verdict.get("evidence") or ""), 600),
    )


def cut(text: str, most: int) -> str:
    """At most so many characters of the text, and how many are left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"
