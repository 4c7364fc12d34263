"""The runs that are looked at: each a folder with its index and its ratings."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.ratings import FILE, Rating, Ratings, append
from synthtutor.viewer.details import Details
from synthtutor.viewer.index import Index
from synthtutor.viewer.people import groups

__all__ = ["Run", "rated"]

_LONGEST_EDIT = 200_000
_LONGEST_NOTE = 5_000


@dataclass
class Run:
    """One run. ``number`` is its place on the command line, from 0."""

    number: int
    folder: Path
    index: Index = field(init=False)
    ratings: Ratings = field(init=False)

    def __post_init__(self) -> None:
        self.index = Index(self.folder)
        self.ratings = Ratings(self.folder / FILE)
        self._groups: tuple[object, Mapping[str, Collection[bytes]]] = (None, {})
        self._rating = threading.Lock()

    @property
    def name(self) -> str:
        """The last two parts of its folder: enough to tell runs apart."""
        return "/".join(self.folder.resolve().parts[-2:]).lstrip("/")

    @property
    def about(self) -> str:
        """The recipe and the models of the newest session, as far as the journal names them."""
        with self.index.source() as source:
            row = source.execute(
                "SELECT configuration FROM passes ORDER BY pass DESC LIMIT 1"
            ).fetchone()
        found = orjson.loads(row[0]) if row else {}
        models = {str(model) for model in (found.get("models") or {}).values()}
        return " · ".join(filter(None, [str(found.get("recipe") or ""), ", ".join(sorted(models))]))

    def has(self, sample: bytes) -> bool:
        """Whether the run has a sample of that id."""
        with self.index.source() as source:
            row = source.execute("SELECT 1 FROM samples WHERE sample = ?", (sample,)).fetchone()
        return row is not None

    def groups(self, samples: int) -> Mapping[str, Collection[bytes]]:
        """Which samples people have rated and how; found anew when there are more of either."""
        state = (self.ratings.refresh(), samples)
        if self._groups[0] != state:
            with self.index.reading() as connection:
                self._groups = (state, groups(self.ratings, connection))
        return self._groups[1]

    def rate(self, sample: Details, rater: str, given: Mapping[str, Any]) -> Rating:
        """Add what a rater says now to what this rater has said; kept when this returns.

        Raises ValueError, naming the field, where it is no rating of this sample, and ConfigError
        where it cannot be written.
        """
        with self._rating:
            self.ratings.refresh()
            before = self.ratings.raters_of(sample.id).get(rater)
            rating = rated(sample, before or Rating(sample.id, rater), given)
            append(self.ratings.path, rating)
            self.ratings.refresh()
        return rating


def rated(sample: Details, before: Rating, given: Mapping[str, Any]) -> Rating:
    """The rating with what is given in place of what was; raises ValueError, naming the field."""
    raw: dict[str, Any] = {
        "sample": before.sample,
        "rater": before.rater,
        "decision": before.decision,
        "edits": {str(at): text for at, text in before.edits.items()},
        "criteria": dict(before.criteria),
        "note": before.note,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if unknown := given.keys() - {"decision", "edits", "criteria", "note"}:
        raise ValueError(f"{min(unknown)}: there is no such field")
    raw |= {name: given[name] for name in ("decision", "note") if name in given}
    for name in ("edits", "criteria"):
        new = given.get(name) or {}
        if not isinstance(new, dict):
            raise ValueError(f"{name}: must be an object")  # noqa: TRY004  # one error for bad input
        joined = {**raw[name], **new}
        raw[name] = {key: value for key, value in joined.items() if value is not None}
    _fits(sample, raw)
    originals = {str(said.number): said.text for said in sample.messages}
    raw["edits"] = {at: text for at, text in raw["edits"].items() if originals[at] != text}
    return Rating.of(raw)


def _fits(sample: Details, raw: Mapping[str, Any]) -> None:
    numbers = {str(said.number) for said in sample.messages}
    for at, text in raw["edits"].items():
        if at not in numbers:
            raise ValueError(f"edits: there is no message {at}")
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_EDIT:
            raise ValueError("edits: a message must have some text, and not too much")
    known = {verdict.id for verdict in sample.verdicts}
    if strange := raw["criteria"].keys() - known:
        raise ValueError(f"criteria: the sample was not judged by {min(strange)!r}")
    if len(str(raw["note"])) > _LONGEST_NOTE:
        raise ValueError(f"note: at most {_LONGEST_NOTE:,} characters")
    if raw["decision"] == "accept" and not sample.messages:
        raise ValueError("decision: there is nothing to accept, the sample has no messages")


def opened(folders: Sequence[Path]) -> list[Run]:
    """The runs in the folders. Raises JournalError where there is none, ConfigError for the same twice."""
    seen = [folder.resolve() for folder in folders]
    if len(set(seen)) < len(seen):
        raise ConfigError("the same run twice: give each folder once")
    return [Run(number, folder) for number, folder in enumerate(folders)]
