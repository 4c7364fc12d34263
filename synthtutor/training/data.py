"""Rows to train on: read from an exporter's file or a run's folder, checked, and told apart.

A row of a file that an exporter wrote says nothing but what is trained on. Where ``samples.jsonl``
lies beside it, what is known of a sample (its problem, persona, grade) is taken from there, so that
rows which belong together stay together when they are divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.k12 import k12_sample
from synthtutor.export.tagged import tagged_text
from synthtutor.sources import BadRow, canonical, read_rows
from synthtutor.training.settings import Task

__all__ = ["Example", "digest", "messages_of", "read_examples", "said_in", "value_at"]

_IN_A_RUN: Mapping[Task, str] = {
    "sft": "samples.jsonl",
    "prefer": "preference.jsonl",
    "classify": "grading/train.jsonl",
}
_ROLES = ("system", "user", "assistant")
_OF_SHAREGPT = {"system": "system", "human": "user", "gpt": "assistant"}


@dataclass(frozen=True, slots=True)
class Example:
    """One row to train on, where it stands, and what is known of the sample it came from."""

    row: dict[str, Any]
    where: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_examples(data: Path, task: Task) -> list[Example]:
    """The rows of a file, or of a run's folder, for a task.

    ``sft`` takes ``messages`` (or ShareGPT's ``conversations``, which become messages),
    ``instruction``/``input``/``output`` or ``text``; ``classify`` takes
    ``input`` and ``label``; ``prefer`` takes ``prompt``, ``chosen`` and ``rejected``. Raises
    ConfigError naming file, line and field at the first row that is none of these.
    """
    path = data / _IN_A_RUN[task] if data.is_dir() else data
    if data.is_dir() and not path.is_file():
        raise ConfigError(f"{data}: holds no {path.name}: export one, or name a file")
    known = _known_samples(path)
    examples = []
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise ConfigError(f"{row.where}: {row.reason}")
        if task == "sft" and "messages" not in row and "conversations" in row:
            row["messages"] = _of_sharegpt(row.pop("conversations"))
        fault = _fault(row, task)
        if fault:
            raise ConfigError(f"{row.where}: {fault}")
        metadata = row.pop("metadata", None) or known.get(_conversation_digest(row)) or {}
        examples.append(Example(dict(row), row.where, metadata))
    if not examples:
        raise ConfigError(f"{path}: is empty: nothing to train on")
    return examples


def _of_sharegpt(said: Any) -> Any:
    """ShareGPT's turns as messages; what is no turn of it stays, for the checks to tell."""
    if not isinstance(said, list) or not all(isinstance(turn, dict) for turn in said):
        return said
    return [
        {"role": _OF_SHAREGPT.get(str(turn.get("from"))), "content": turn.get("value")}
        for turn in said
    ]


def messages_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An sft row as messages; instruction rows become system, user and assistant, or the last two."""
    if "messages" in row:
        return list(row["messages"])
    if not row["input"]:
        asked = [{"role": "user", "content": row["instruction"]}]
    else:
        asked = [
            {"role": "system", "content": row["instruction"]},
            {"role": "user", "content": row["input"]},
        ]
    return [*asked, {"role": "assistant", "content": row["output"]}]


def said_in(row: Mapping[str, Any]) -> list[str]:
    """The texts of a row that are its own: everything but what a system message or label says."""
    if "text" in row:
        return [row["text"]]
    if "label" in row:
        return [row["input"]]
    if "prompt" in row:
        return [text for side in ("prompt", "chosen", "rejected") for text in _texts(row[side])]
    return _texts(messages_of(row))


def value_at(example: Example, place: str) -> Any:
    """The value of a field, dotted for one inside another: of the row, else of the metadata.

    ``prompt`` is what the student says first, whatever the form of the row; None where there is
    no such field.
    """
    if place == "prompt":
        return next(iter(said_in(example.row)), None)
    for start in (example.row, example.metadata):
        value: Any = start
        for name in place.removeprefix("metadata.").split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value not in (None, ""):
            return value
    return None


def digest(value: object) -> str:
    """A short name for a row's content."""
    return blake2b(canonical(value), digest_size=8).hexdigest()


def _texts(side: Any) -> list[str]:
    if isinstance(side, str):
        return [side]
    return [said["content"] for said in side if said["role"] != "system"]


def _known_samples(path: Path) -> dict[str, Mapping[str, Any]]:
    """What is known of each conversation, from the ``samples.jsonl`` beside the file."""
    beside = path.parent / "samples.jsonl"
    if path.name == beside.name or not beside.is_file():
        return {}
    known: dict[str, Mapping[str, Any]] = {}
    for sample in read_rows(beside):
        if not isinstance(sample, BadRow) and isinstance(sample.get("messages"), list):
            metadata = sample.get("metadata") or {}
            known[_conversation_digest(sample)] = metadata
            if "k12" in metadata:  # of the K-12 plan, which can be exported as tagged text
                known[digest(tagged_text(k12_sample(sample)))] = metadata
    return known


def _conversation_digest(row: Mapping[str, Any]) -> str:
    if "text" in row:
        return digest(row["text"])
    if "prompt" in row:
        sides = [row["prompt"], row["chosen"]]
        said = [m for side in sides if isinstance(side, list) for m in side]
    elif "messages" in row or "instruction" in row:
        said = messages_of(row)
    else:
        said = []
    return digest([[m["role"], m["content"]] for m in said if isinstance(m, Mapping)])


def _fault(row: dict[str, Any], task: Task) -> str | None:
    """What is wrong with a row, or nothing."""
    if task == "classify":
        if not isinstance(row.get("input"), str) or not row["input"].strip():
            return "input: must be a text: what is to be graded"
        return (
            None if isinstance(row.get("label"), str | int) else "label: must be a text or a number"
        )
    if task == "prefer":
        return next((said for side in _PAIR for said in _pair_faults(row, side)), None)
    if isinstance(row.get("text"), str) and row["text"].strip():
        return None
    if "messages" in row:
        return next(_message_faults(row["messages"]), None)
    if all(isinstance(row.get(name), str) for name in ("instruction", "input", "output")):
        return None if row["output"].strip() else "output: is empty: nothing to learn"
    return "messages: is missing: a row has messages, instruction/input/output, or text"


_PAIR = ("prompt", "chosen", "rejected")


def _pair_faults(row: dict[str, Any], side: str) -> Iterator[str]:
    value = row.get(side)
    if isinstance(value, str):
        if not value.strip():
            yield f"{side}: is empty"
    elif not isinstance(value, list) or not value or not all(map(_is_message, value)):
        yield f"{side}: must be a text or a list of messages"
    if type(value) is not type(row.get("prompt")):
        yield f"{side}: must have the form of prompt: all texts or all lists"


def _message_faults(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: must be a list of messages"
        return
    for at, message in enumerate(messages):
        if not _is_message(message):
            yield f"messages[{at}]: needs a role ({', '.join(_ROLES)}) and a text as content"
            return
    if messages[0]["role"] == "assistant":
        yield "messages[0].role: the student speaks first"
    learned = [
        at for at, m in enumerate(messages) if m["role"] == "assistant" and m.get("weight", 1)
    ]
    if not learned:
        yield "messages: has no tutor's turn to learn from"
    for at in learned:
        if not messages[at]["content"].strip():
            yield f"messages[{at}].content: is empty: the tutor would learn to say nothing"


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.get("role") in _ROLES
        and isinstance(message.get("content"), str)
    )
