"""Which samples are asked for, in which order, and the SQL that finds one page of them.

A page is found from the key of the sample before it, not by counting from the start, so the last
page of a million is as near as the first. What is chosen by hand here, because SQLite keeps no
statistics of an index that grows, is where to begin: at the rarest thing asked for, or at the order
asked for where nothing is rare. The rest is then checked sample by sample.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from synthtutor.viewer.entries import ATTRIBUTES

__all__ = [
    "COUNTED",
    "ORDERS",
    "PEOPLE",
    "Facets",
    "Line",
    "Query",
    "facets",
    "kinds",
    "neighbour",
    "page",
]

COUNTED = 50_000  # so many samples are counted exactly; also what is taken for rare
_FEW = 12  # values that fit beside a list even if each is one sample's
PAGE = 50
ORDERS: Mapping[str, tuple[str, str, bool]] = {  # what it is called, column, downwards
    "made": ("as they were made", "doc", False),
    "latest": ("latest first", "doc", True),
    "row": ("by row", "position", False),
    "worst": ("score, low first", "score", False),
    "best": ("score, high first", "score", True),
    "dearest": ("cost, high first", "cost", True),
}
PEOPLE: Mapping[str, str] = {
    "rated": "rated by somebody",
    "unrated": "not rated yet",
    "accept": "accepted",
    "reject": "rejected",
    "undecided": "undecided",
    "against": "against the judge",
}
_COLUMNS = "e.doc, e.sample, e.position, e.outcome, e.kind, e.score, e.cost, e.tags, e.title, e.reply, e.reason"  # fmt: skip


class Line(NamedTuple):
    """One sample of a list."""

    doc: int
    sample: bytes
    position: int
    outcome: str
    kind: str
    score: float | None
    cost: float | None
    tags: str
    title: str
    reply: str
    reason: str

    @property
    def id(self) -> str:
        """As it stands in files."""
        return self.sample.hex()


@dataclass(frozen=True, slots=True)
class Query:
    """What a list shows. ``chosen`` are (attribute, value) pairs; a sample must have all of them."""

    text: str = ""
    chosen: tuple[tuple[str, str], ...] = (("kind", "sample"),)
    people: str = ""
    low: float | None = None
    high: float | None = None
    order: str = "made"

    @classmethod
    def of(cls, given: Sequence[tuple[str, str]]) -> Self:
        """From the address's parameters; what it cannot understand it leaves out."""
        known = {"kind", "outcome", *ATTRIBUTES}
        chosen = {name: value for name, value in given if name in known and value}
        chosen = {"kind": "sample"} | chosen
        single = dict(given)
        return cls(
            text=single.get("q", "").strip()[:200],
            chosen=tuple((name, value) for name, value in chosen.items() if value != "all"),
            people=single.get("people", "") if single.get("people") in PEOPLE else "",
            low=_number(single.get("low")),
            high=_number(single.get("high")),
            order=single.get("order", "") if single.get("order") in ORDERS else "made",
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters again, without those that change nothing."""
        chosen = [pair for pair in self.chosen if pair != ("kind", "sample")]
        if not any(name == "kind" for name, _ in self.chosen):
            chosen.append(("kind", "all"))
        numbers = [
            (n, f"{v:g}") for n, v in (("low", self.low), ("high", self.high)) if v is not None
        ]
        texts = [(n, v) for n, v in (("q", self.text), ("people", self.people)) if v]
        return [
            *texts,
            *chosen,
            *numbers,
            *([("order", self.order)] if self.order != "made" else []),
        ]

    def address(self, **more: object) -> str:
        """The parameters as part of an address, others added."""
        return urlencode([*self.pairs, *((name, str(value)) for name, value in more.items())])

    def having(self, name: str, value: str) -> Query:
        """The same with an attribute's value; without it where it is chosen already."""
        others = tuple(pair for pair in self.chosen if pair[0] != name)
        same = (name, value) in self.chosen
        return replace(self, chosen=others if same else (*others, (name, value)))

    @property
    def narrow(self) -> bool:
        """Whether it asks for more than one attribute's value."""
        return bool(self.text or self.people or len(self.chosen) > 1) or self.ranged

    @property
    def ranged(self) -> bool:
        """Whether it asks for some scores only."""
        return self.low is not None or self.high is not None


class _Parts(NamedTuple):
    """FROM and WHERE, with what fills their question marks; ``doc`` is the column to order by."""

    tables: str
    conditions: list[str]
    values: list[Any]
    doc: str = "e.doc"


def page(
    connection: sqlite3.Connection,
    query: Query,
    people: Mapping[str, Collection[bytes]],
    *,
    after: str = "",
    before: str = "",
    most: int = PAGE,
) -> tuple[list[Line], bool]:
    """One page in the query's order, and whether there are more beyond it.

    ``after`` and ``before`` are keys (`key_of`) of samples; the page ends or begins there.
    ``people`` holds the samples of each of `PEOPLE`.
    """
    _, column, downwards = ORDERS[query.order]
    back = bool(before) and not after
    down = downwards != back
    parts = _parts(connection, query, people)
    column = parts.doc if column == "doc" else f"e.{column}"
    conditions, values = list(parts.conditions), list(parts.values)
    by_doc = column == parts.doc
    if not by_doc:
        conditions.append(f"{column} IS NOT NULL")
    key = _key(before if back else after)
    sign = "<" if down else ">"
    if key is not None:
        conditions.append(
            f"{column} {sign} ?" if by_doc else f"({column}, {parts.doc}) {sign} (?, ?)"
        )
        values += [key[1]] if by_doc else [*key]
    way = "DESC" if down else "ASC"
    order = f"{column} {way}" if by_doc else f"{column} {way}, {parts.doc} {way}"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {parts.tables} WHERE {' AND '.join(conditions) or '1'} "  # noqa: S608  # names of ours
        f"ORDER BY {order} LIMIT ?",
        (*values, most + 1),
    ).fetchall()
    lines = [Line(*row) for row in rows[:most]]
    return (lines[::-1] if back else lines), len(rows) > most


def neighbour(
    connection: sqlite3.Connection,
    query: Query,
    people: Mapping[str, Collection[bytes]],
    line: Line,
    *,
    back: bool = False,
) -> Line | None:
    """The sample after a sample in the query's order, or before it."""
    key = key_of(query, line)
    given = {"before": key} if back else {"after": key}
    found, _ = page(connection, query, people, most=1, **given)
    return found[0] if found else None


def key_of(query: Query, line: Line) -> str:
    """Where a sample stands in the query's order."""
    value = getattr(line, ORDERS[query.order][1])
    return f"{value!r}_{line.doc}"


class Facets(NamedTuple):
    """How many samples a query finds, and how many of them have each value of each attribute.

    ``total`` is None where there are more than `COUNTED`, and the figures by value then are those
    of the whole run (``whole``).
    """

    total: int | None
    values: Mapping[str, list[tuple[str, int]]]
    whole: bool


def kinds(connection: sqlite3.Connection) -> dict[str, int]:
    """How many there are of each kind: samples, and controls with their planted defects."""
    return dict(
        connection.execute("SELECT value, count FROM attribute WHERE name = 'kind' AND count > 0")
    )


def facets(
    connection: sqlite3.Connection, query: Query, people: Mapping[str, Collection[bytes]]
) -> Facets:
    """The counts beside a list."""
    known = {
        number: (name, value, count)
        for number, name, value, count in connection.execute(
            "SELECT id, name, value, count FROM attribute WHERE count > 0"
        )
    }
    counts: Counter[int] = Counter({number: count for number, (_, _, count) in known.items()})
    total: int | None = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    whole = True
    if query.chosen and not query.narrow:
        total = next((c for n, v, c in known.values() if (n, v) == query.chosen[0]), 0)
    if query.narrow or (query.chosen and total is not None and total <= COUNTED):
        parts = _parts(connection, query, people)
        found = connection.execute(
            f"SELECT e.tags FROM {parts.tables} WHERE {' AND '.join(parts.conditions) or '1'} LIMIT ?",  # noqa: S608
            (*parts.values, COUNTED + 1),
        ).fetchall()
        whole = len(found) > COUNTED
        total = None if whole else len(found)
        if not whole:
            counts = Counter(int(tag) for (tags,) in found for tag in tags.split(","))
    values: dict[str, list[tuple[str, int]]] = {}
    sizes = Counter(name for name, _, _ in known.values())
    telling = {name for name, _, count in known.values() if count > 1 or sizes[name] <= _FEW}
    for number, (name, value, _) in known.items():
        if counts[number] and name in telling:  # what is another in each sample is no filter
            values.setdefault(name, []).append((value, counts[number]))
    for pairs in values.values():
        pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    order = ("kind", "outcome", *ATTRIBUTES)
    return Facets(total, {name: values[name] for name in order if name in values}, whole)


def _parts(
    connection: sqlite3.Connection, query: Query, people: Mapping[str, Collection[bytes]]
) -> _Parts:
    """Begin at what is rarest: a person's ratings, a value few samples have, a word few contain."""
    conditions, values = _plain(query)
    wanted = sorted(_attributes(connection, query), key=lambda pair: pair[1])
    words = _match(query.text)
    by_doc = ORDERS[query.order][1] == "doc"
    tables, doc = "entry e", "e.doc"
    if query.people:
        rated = "unrated" if query.people == "unrated" else query.people
        _temporary(connection, people["rated" if rated == "unrated" else rated])
        if rated == "unrated":
            conditions.append("e.sample NOT IN (SELECT sample FROM temp.rated)")
        else:
            tables = "temp.rated r CROSS JOIN entry e ON e.sample = r.sample"
    begun = tables != "entry e"
    if wanted and not begun and (wanted[0][1] <= COUNTED or (by_doc and not words)):
        tables, doc, begun = "tagged t CROSS JOIN entry e ON e.doc = t.doc", "t.doc", True
        conditions.append("t.attribute = ?")
        values.append(wanted.pop(0)[0])
    if words and not begun and (by_doc or _few(connection, words)):
        tables, doc = "words CROSS JOIN entry e ON e.doc = words.rowid", "words.rowid"
        conditions.append("words MATCH ?")
        values.append(words)
    elif words:
        conditions.append("e.doc IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(words)
    for number, _ in wanted:
        conditions.append("EXISTS (SELECT 1 FROM tagged x WHERE x.attribute = ? AND x.doc = e.doc)")
        values.append(number)
    return _Parts(tables, conditions, values, doc)


def _plain(query: Query) -> tuple[list[str], list[Any]]:
    """What is looked up in the sample's own line."""
    conditions: list[str] = []
    values: list[Any] = []
    if re.fullmatch(r"[0-9a-f]{32}", query.text):
        conditions.append("e.sample = ?")
        values.append(bytes.fromhex(query.text))
    elif row := re.fullmatch(r"#(\d{1,12})", query.text):
        conditions.append("e.position = ?")
        values.append(int(row[1]) - 1)
    for sign, bound in ((">=", query.low), ("<=", query.high)):
        if bound is not None:
            conditions.append(f"e.score {sign} ?")
            values.append(bound)
    return conditions, values


def _attributes(connection: sqlite3.Connection, query: Query) -> list[tuple[int, int]]:
    """The chosen attributes' numbers and counts; an unknown value has the number -1 and no sample."""
    total = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    found = []
    for pair in query.chosen:
        row = connection.execute(
            "SELECT id, count FROM attribute WHERE name = ? AND value = ?", pair
        ).fetchone()
        if row is None or row[1] < total:  # what all have needs no looking up
            found.append((-1, 0) if row is None else (row[0], row[1]))
    return found


def _match(text: str) -> str:
    """The text in FTS5's language: all words, in any order; what is in quotes stands together."""
    if re.fullmatch(r"[0-9a-f]{32}|#\d{1,12}", text):
        return ""
    parts = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', text.replace("\0", " ")):
        if any(character.isalnum() for character in phrase or word):
            begins = "*" if len(word) >= 3 else ""
            parts.append(f'"{phrase or word}"{begins}')
    return " AND ".join(parts)


def _few(connection: sqlite3.Connection, words: str) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
        (words, COUNTED + 1),
    ).fetchone()
    return bool(found[0] <= COUNTED)


def _temporary(connection: sqlite3.Connection, samples: Collection[bytes]) -> None:
    connection.execute("PRAGMA query_only=OFF")  # it refuses temporary tables too
    try:
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS rated(sample BLOB PRIMARY KEY)")
        connection.execute("DELETE FROM temp.rated")
        connection.executemany(
            "INSERT OR IGNORE INTO temp.rated VALUES (?)", ((sample,) for sample in samples)
        )
    finally:
        connection.execute("PRAGMA query_only=ON")


def _key(text: str) -> tuple[float | int, int] | None:
    value, _, doc = text.rpartition("_")
    found = _number(value)
    return (found, int(doc)) if found is not None and doc.isdecimal() and len(doc) < 19 else None


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if abs(found) < 1e18 else None  # NaN compares as false: it is no bound
