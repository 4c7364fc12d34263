"""OpenAI's chat fine-tuning file: one conversation a line, and nothing else in the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["finetune"]


def finetune(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"messages": [...]}`` lines; how many.

    Where a sample came from stays in ``samples.jsonl``: trainers refuse a line with more keys.
    """
    return write_lines(
        (encode({"messages": turns(sample)}, name=sample.get("id")) for sample in samples), path
    )
