"""Thousands of calls of which a tenth meets a fault: every row right, none twice, none lost."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pytest

from synthtutor.testing.server import Reply
from tests.faults.cases import said
from tests.faults.running import Scene, keys, played
from tests.faults.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow

_FAULTS = (
    Reply.failure(429, "slow down", headers={"retry-after-ms": "5"}),
    Reply.failure(500, "internal error"),
    Reply.failure(503, "overloaded"),
    said(drop=True),
    said(reset=True),
    said(raw=b'{"id": "chatcmpl-1", "choi'),
)
_MOST_CALLS_A_ROW = 1.13


def _fault(row: int, nth: int) -> Reply | None:
    """The fault that this row meets when it is asked the nth time: one time in ten, always the same."""
    chance = int.from_bytes(blake2b(f"{row}/{nth}".encode(), digest_size=8).digest())
    return _FAULTS[chance // 10 % len(_FAULTS)] if chance % 10 == 0 else None


def _words(row: int) -> str:
    return f"an answer for {row}"


def _reply(row: int, nth: int) -> Reply:
    return _fault(row, nth) or said(f'{{"words": "{_words(row)}", "number": {row}}}')


def _asks(row: int) -> int:
    """How often this row has to be asked."""
    return next(nth for nth in range(1, 100) if _fault(row, nth) is None)


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_a_tenth_of_the_calls_fails_and_every_row_is_right(
    vendor: Vendor, tmp_path: Path
) -> None:
    rows = 10_000 if vendor.name == "compatible" else 1_000
    with keys():
        happened = await played(vendor, tmp_path, Scene(_reply), rows=rows, concurrency=100)
    assert happened.result is not None
    assert happened.result.complete

    assert happened.outcomes == dict.fromkeys(range(rows), "kept")
    texts = {
        sample["metadata"]["n"]: sample["messages"][-1]["content"]
        for sample in happened.result.samples()
    }
    assert texts == {row: _words(row) for row in range(rows)}

    assert happened.calls == rows
    assert {row: len(replies) for row, replies in happened.replies.items()} == dict.fromkeys(
        range(rows), 1
    )

    asked = {row: len(times) for row, times in happened.asked.items()}
    assert asked == {row: _asks(row) for row in range(rows)}
    assert sum(asked.values()) <= _MOST_CALLS_A_ROW * rows
