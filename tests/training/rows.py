"""Rows to train on: what they teach is small enough for a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TUTOR = "You are a tutor who asks one question at a time."
_STUDENTS = ("I think 1/2 + 1/3 is 2/5.", "Why is -3 - 5 not 2?", "Is a square a rectangle?")
_REPLIES = ("What is half of six?", "Which way do you go on the line?", "What makes a rectangle?")


def conversation(number: int) -> dict[str, Any]:
    """A short dialogue; each number has words of its own."""
    at = number % 3
    return {
        "messages": [
            {"role": "system", "content": TUTOR},
            {"role": "user", "content": f"Problem {number}. {_STUDENTS[at]}"},
            {"role": "assistant", "content": f"Let us look at it. {_REPLIES[at]}"},
            {"role": "user", "content": f"I say {number}, but I am not sure."},
            {"role": "assistant", "content": f"How could you check {number} by drawing it?"},
        ]
    }


def pair(number: int) -> dict[str, Any]:
    """A preference: a question is chosen, the bare answer rejected."""
    return {
        "prompt": [{"role": "user", "content": f"Problem {number}. {_STUDENTS[number % 3]}"}],
        "chosen": [{"role": "assistant", "content": "What do you notice when you draw it?"}],
        "rejected": [{"role": "assistant", "content": f"The answer is {number}."}],
    }


def grade(number: int, labels: int = 2) -> dict[str, Any]:
    """A text whose label is one of its words, among words that say nothing."""
    words = ("wrong", "right", "weak", "fair", "good", "excellent")
    return {"input": f"Answer {number} is {words[number % labels]} here.", "label": number % labels}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
