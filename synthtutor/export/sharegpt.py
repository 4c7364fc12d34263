"""ShareGPT's shape: ``conversations`` of ``from`` and ``value``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["sharegpt"]

_SPEAKERS = {"user": "human", "assistant": "gpt"}


def sharegpt(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"conversations": [{"from", "value"}, ...]}`` lines; how many."""
    return write_lines(map(_line, samples), path)


def _line(sample: dict[str, Any]) -> bytes:
    said = [
        {"from": _SPEAKERS.get(turn["role"], turn["role"]), "value": turn["content"]}
        for turn in turns(sample)
    ]
    return encode({"conversations": said}, name=sample.get("id"))
