"""Against aimock, which others wrote: the wires as they understand them, well and ill."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults.cases import GOOD
from tests.faults.mocks import aimock, asked
from tests.faults.running import Happened, Scene, keys, ran, row_of
from tests.faults.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow

_USAGE = {"prompt_tokens": 11, "completion_tokens": 7}
_GOOD = {"content": GOOD, "reasoning": "Seven is what was asked.", "usage": _USAGE}
_OVERLOADED = {"message": "Overloaded", "type": "overloaded_error"}
_TOO_MANY = {"message": "Rate limit reached", "type": "rate_limit_error"}

# What each row of one run meets the first time it is asked; from then on it is answered.
_FIRST: tuple[tuple[str, dict[str, Any]], ...] = (
    ("success", {"response": _GOOD}),
    ("429", {"response": {"error": _TOO_MANY, "status": 429, "retryAfter": 1}}),
    ("529", {"response": {"error": _OVERLOADED, "status": 529}}),
    ("500", {"response": _GOOD, "chaos": {"dropRate": 1}}),
    ("malformed", {"response": _GOOD, "chaos": {"malformedRate": 1}}),
    ("disconnected", {"response": _GOOD, "chaos": {"disconnectRate": 1}}),
    ("cut by length", {"response": {**_GOOD, "content": '{"wo', "finishReason": "length"}}),
    ("wrong schema", {"response": {**_GOOD, "content": '{"sentences": 3}'}}),
)
_PAID_TWICE = {6, 7}
_ASKED_ONCE = {0}


def _fixtures() -> Iterator[dict[str, Any]]:
    yield {"match": {"userMessage": "That reply cannot be used"}, "response": _GOOD}
    for row, (_, first) in enumerate(_FIRST):
        about = f"row {row},"
        yield {"match": {"userMessage": about, "sequenceIndex": 0}, **first}
        yield {"match": {"userMessage": about}, "response": _GOOD}


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_aimock_s_faults_cost_no_row_and_no_reply(vendor: Vendor, tmp_path: Path) -> None:
    with aimock(list(_fixtures()), tmp_path) as url, keys():
        happened = asyncio.run(_ran(vendor, tmp_path / "run", url + vendor.at_aimock))
        arrived = asked(f"{url}/__aimock/journal?limit=100")

    rows = range(len(_FIRST))
    assert happened.outcomes == dict.fromkeys(rows, "kept"), happened.reasons
    assert {row: replies[-1] for row, replies in happened.replies.items()} == dict.fromkeys(
        rows, ("stop", GOOD)
    )
    paid = {row: len(replies) for row, replies in happened.replies.items()}
    assert paid == {row: 2 if row in _PAID_TWICE else 1 for row in rows}
    assert happened.replies[6][0] == ("length", '{"wo')
    assert len(arrived) == 2 * len(rows) - len(_ASKED_ONCE), "one fault, one more call"

    reply = _journaled(tmp_path / "run", row=0)
    assert reply["usage"]["input_tokens"] == _USAGE["prompt_tokens"]
    assert reply["usage"]["output_tokens"] == _USAGE["completion_tokens"]
    if vendor.tells_reasoning:
        assert reply["reasoning"] == _GOOD["reasoning"]


async def _ran(vendor: Vendor, folder: Path, base_url: str) -> Happened:
    scene = Scene(lambda row, nth: pytest.fail("the mock answers"))
    return await ran(vendor, folder, scene, base_url, rows=len(_FIRST), concurrency=8)


def _journaled(folder: Path, row: int) -> dict[str, Any]:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        for request, response in journal.execute("SELECT request, response FROM calls"):
            if row_of(orjson.loads(request)) == row:
                reply: dict[str, Any] = orjson.loads(response)
                return reply
    raise AssertionError(f"no call about row {row}")
