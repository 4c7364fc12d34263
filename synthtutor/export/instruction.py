"""Alpaca's shape: one question and one answer a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["instruction"]


def instruction(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"instruction", "input", "output"}`` lines; how many.

    With a system message, that is the instruction and the question is the input; without one,
    the question is the instruction. A sample whose metadata says that its ``exchanges`` are
    ``independent`` gives a line for each. Raises ConfigError at any other sample with more than one
    question.
    """
    return write_lines((line for sample in samples for line in _lines(sample)), path)


def _lines(sample: dict[str, Any]) -> Iterator[bytes]:
    said = [(turn["role"], turn["content"]) for turn in turns(sample)]
    if (sample.get("metadata") or {}).get("exchanges") != "independent":
        yield _line(said, sample)
        return
    system = said[:1] if said[0][0] == "system" else []
    for start in range(len(system), len(said), 2):
        yield _line([*system, *said[start : start + 2]], sample)


def _line(said: list[tuple[str, str]], sample: dict[str, Any]) -> bytes:
    match said:
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
