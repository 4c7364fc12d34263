"""One run through the library's front door against a server of our own, and the truth about it.

The truth comes from the server (who was asked, and when) and from the journal, read with sqlite3.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.api import Result, arun
from synthtutor.errors import SynthtutorError
from synthtutor.messages import Message
from synthtutor.recipes.recipe import Recipe, recipe
from synthtutor.session import Session
from synthtutor.testing.server import Reply
from synthtutor.tutoring import Sample
from tests.doubles import Answer
from tests.faults.vendors import VENDORS, Vendor

__all__ = ["Happened", "Scene", "keys", "one_call", "played", "ran", "row_of", "said_back"]

_ROW = re.compile(r"row (\d+),")


@recipe(name="one_call")
async def one_call(session: Session, row: dict[str, Any]) -> Sample:
    """One structured call a row."""
    answer = await session.generate(Answer, f"row {row['n']}, please")
    return Sample([Message("user", f"{row['n']}?"), Message("assistant", answer.words)], row)


@recipe(name="said_back")
async def said_back(session: Session, row: dict[str, Any]) -> Sample:
    """One call in plain words a row."""
    text = await session.generate(str, f"row {row['n']}, please")
    return Sample([Message("user", f"{row['n']}?"), Message("assistant", text)], row)


def row_of(chat: dict[str, Any]) -> int:
    """The row that a request is about."""
    texts = (str(message["content"]) for message in chat["messages"])
    return next(int(found[1]) for found in map(_ROW.search, texts) if found)


@dataclass(slots=True)
class Scene:
    """A server's behaviour that notes when each row was asked. ``reply`` gets the row and how often."""

    reply: Callable[[int, int], Reply]
    asked: dict[int, list[float]] = field(default_factory=dict)

    def __call__(self, chat: dict[str, Any]) -> Reply:
        row = row_of(chat)
        times = self.asked.setdefault(row, [])
        times.append(time.monotonic())
        return self.reply(row, len(times))


@dataclass(frozen=True, slots=True)
class Happened:
    """What a run left behind. By row: outcomes, reasons, the text of failures, journaled replies."""

    outcomes: dict[int, str]
    reasons: dict[int, str]
    texts: dict[int, str | None]
    replies: dict[int, list[tuple[str, str]]]
    asked: dict[int, list[float]]
    calls: int
    dollars: float
    result: Result | None
    error: SynthtutorError | None


@contextmanager
def keys() -> Iterator[None]:
    """Every provider has a key in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for vendor in VENDORS:
            patch.setenv(vendor.key, "test-key-of-nobody")
        yield


async def played(vendor: Vendor, folder: Path, scene: Scene, **options: Any) -> Happened:
    """What happens in a run against a server that plays the scene."""
    async with vendor.server(scene) as server:
        return await ran(vendor, folder, scene, server.base_url, **options)


async def ran(
    vendor: Vendor,
    folder: Path,
    scene: Scene,
    base_url: str,
    *,
    rows: int = 3,
    chosen: Recipe[Any] = one_call,
    **options: Any,
) -> Happened:
    """What happens in a run of so many rows, through the provider's own plugin."""
    given = {
        "models": vendor.full_model,
        "base_urls": {vendor.name: base_url},
        "provider_options": {vendor.name: dict(vendor.options)},
        "prices": {vendor.full_model: (1.0, 2.0)},
        "concurrency": 1,
        **options,
    }
    result: Result | None = None
    error: SynthtutorError | None = None
    try:
        result = await arun(chosen, out=folder, rows=[{"n": n} for n in range(rows)], **given)
    except SynthtutorError as stopped:
        error = stopped
    return _truth(folder, scene, result, error)


def _truth(
    folder: Path, scene: Scene, result: Result | None, error: SynthtutorError | None
) -> Happened:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        samples = journal.execute("SELECT position, outcome, reason, body FROM samples").fetchall()
        calls = journal.execute(
            "SELECT request, response, cost_usd FROM calls ORDER BY id"
        ).fetchall()
    replies: dict[int, list[tuple[str, str]]] = {}
    for request, response, _ in calls:
        kept = orjson.loads(response)
        replies.setdefault(row_of(orjson.loads(request)), []).append((kept["finish"], kept["text"]))
    return Happened(
        outcomes={position: outcome for position, outcome, _, _ in samples},
        reasons={position: reason for position, _, reason, _ in samples},
        texts={
            position: orjson.loads(body)["metadata"].get("text") for position, *_, body in samples
        },
        replies=replies,
        asked=scene.asked,
        calls=len(calls),
        dollars=sum(cost for *_, cost in calls),
        result=result,
        error=error,
    )
