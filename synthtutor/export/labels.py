"""What people said of samples, in the columns that ``synthtutor calibrate`` reads.

A column ``accept`` holds the majority's decision, and each criterion that somebody marked has a column
of its own: ``true`` where its statement holds. Samples that people edited are left out, since what was
said of them may be about the text before or after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["labels"]

_DECIDED = {"accept": "true", "reject": "false"}


def labels(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write a line for each sample that has a label in ``metadata.people``; how many.

    Each has ``id``, ``group`` (what samples of one problem share), ``writer`` (a model), ``context``,
    ``text`` and the labels. All lines have the same columns; one without a label has null there.
    """
    rated = [(row, said) for sample in samples for row, said in _rows(sample)]
    columns = sorted({name for _, said in rated for name in said})
    return write_lines(
        (
            encode({**row, **{name: said.get(name) for name in columns}}, name=row["id"])
            for row, said in rated
        ),
        path,
    )


def _rows(sample: dict[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    metadata = sample.get("metadata") or {}
    people = metadata.get("people") or {}
    said = {name: str(holds).lower() for name, holds in (people.get("criteria") or {}).items()}
    if people.get("decision") in _DECIDED:
        said["accept"] = _DECIDED[people["decision"]]
    if not said or people.get("edited") or not sample.get("messages"):
        return
    *before, last = turns(sample)
    text, about = last["content"], before
    if isinstance(metadata.get("belief_states"), list) and len(before) > 2:
        about = before[:2]  # a dialogue is judged as a whole, from the student's first words on
        text = _script([*before[2:], last])
    yield (
        {
            "id": str(sample["id"]),
            "group": str(metadata.get("seed_id") or metadata.get("problem_id") or sample["id"]),
            "writer": _writer(metadata),
            "context": _script(turn for turn in about if turn["role"] != "system"),
            "text": text,
        },
        said,
    )


def _script(said: Iterable[dict[str, Any]]) -> str:
    names = {"user": "Student", "assistant": "Tutor"}
    return "\n\n".join(
        f"{names.get(turn['role'], turn['role'])}: {turn['content']}" for turn in said
    )


def _writer(metadata: dict[str, Any]) -> str:
    calls = (metadata.get("lineage") or {}).get("calls") or []
    return next((str(call["model"]) for call in calls if call.get("role") != "judge"), "")
