"""What the tests of evaluations share: conversations, files, and judges whose mind is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from synthtutor.testing.server import Reply

LEVEL = re.compile(r"L(\d+)")


def conversation(number: int, **more: Any) -> dict[str, Any]:
    """A conversation with everything known; ``more`` replaces fields, None leaves one out."""
    row = {
        "id": f"c{number}",
        "student": f"s{number}",
        "grade": 6,
        "subject": "mathematics",
        "feeling": "anxious" if number % 2 else "curious",
        "problem": "A farmer has 17 sheep and buys 25 more. How many sheep are there?",
        "answer": "42",
        "profile": {"name": "Ada", "interest": "chess"},
        "messages": [
            {"role": "user", "content": f"I took 17 from 25 and have 8. Try {number}."},
            {"role": "assistant", "content": "What does the farmer do with the 25 sheep?"},
        ],
        **more,
    }
    return {name: value for name, value in row.items() if value is not None}


def replied(number: int, reply: str | None, **more: Any) -> dict[str, Any]:
    row = conversation(number, **more)
    row["messages"] = row["messages"][:1]
    return {**row, "reply": reply}


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def judge_reading_levels(add: int = 0) -> Callable[[dict[str, Any]], Reply]:
    """Gives each scale the level that the reply names (``L7``), held within the scale."""

    def judge(body: dict[str, Any]) -> Reply:
        system, user = (message["content"] for message in body["messages"][:2])
        reply = user.partition("<reply>")[2].partition("</reply>")[0]
        named = LEVEL.search(reply)
        level = (int(named[1]) if named else 1) + add
        scales = re.findall(r"^(\w+) \(.*\), (\d+) to (\d+):", system, re.MULTILINE)
        said = {
            name: {"reason": reply.strip()[:40], "level": max(int(low), min(int(high), level))}
            for name, low, high in scales
        }
        return Reply(orjson.dumps(said).decode())

    return judge
