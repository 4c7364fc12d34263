"""Dialogues as rows for a talker: one for each turn of the tutor, with what was known before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.lines import encode, write_lines

__all__ = ["tutor_turns"]


def tutor_turns(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"instruction", "input", "output"}`` lines, one a tutor turn; how many.

    ``input`` is JSON: ``student_persona``, ``reasoner_context`` (question, solution and the belief
    in force) and ``conversation_history``. Raises ConfigError at a sample that is no dialogue with
    belief states.
    """
    return write_lines((line for sample in samples for line in _lines(sample)), path)


def _lines(sample: dict[str, Any]) -> Iterator[bytes]:
    known = sample.get("metadata") or {}
    try:
        instruction, turns, states = known["instruction"], known["turns"], known["belief_states"]
        for turn in turns:
            if turn["speaker"] == "tutor":
                row = {
                    "instruction": instruction,
                    "input": orjson.dumps(_before(turn["turn"], known, states)).decode(),
                    "output": turn["text"],
                }
                yield encode(row, name=sample.get("id"))
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"sample {sample.get('id')!r} is no dialogue with belief states, which is what tutor-turns "
            "needs: export the samples of the recipe dialogue"
        ) from error


def _before(number: int, known: dict[str, Any], states: list[dict[str, Any]]) -> dict[str, Any]:
    """What a talker is told at this turn: nothing that was said or believed later."""
    belief = next((s["belief"] for s in reversed(states) if s["turn"] < number), None)
    return {
        "student_persona": known["student_persona"],
        "reasoner_context": {
            "question": known["question"],
            "solution": known["solution"],
            "belief_state": belief,
        },
        "conversation_history": [
            {"speaker": turn["speaker"], "text": turn["text"]}
            for turn in known["turns"]
            if turn["turn"] < number
        ],
    }
