"""Alpaca's shape, for samples of one question and one answer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["instruction"]


def instruction(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"instruction", "input", "output"}`` lines; how many.

    With a system message, that is the instruction and the question is the input; without one,
    the question is the instruction. Raises ConfigError at a sample with more than one question.
    """
    return write_lines(map(_line, samples), path)


def _line(sample: dict[str, Any]) -> bytes:
    match [(turn["role"], turn["content"]) for turn in turns(sample)]:
        case [("system", system), ("user", question), ("assistant", answer)]:
            row = {"instruction": system, "input": question, "output": answer}
        case [("user", question), ("assistant", answer)]:
            row = {"instruction": question, "input": "", "output": answer}
        case _:
            raise ConfigError(
                f"sample {sample.get('id')!r} is not one question and one answer, which is all that"
                " instruction rows can hold: export it as finetune or sharegpt"
            )
    return encode(row, name=sample.get("id"))
