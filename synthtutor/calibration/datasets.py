"""Human-labelled data in the forms in which it is published, and anybody's own by columns.

Each record becomes one `Item` or several: a text, what a judge must see beside it, and what people
said of it, by dimension. Items of one group (a conversation, a solution) are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["COLUMNS", "PACKS", "Item", "form_of", "items"]

COLUMNS = {
    "text": "the column of the judged text [text]",
    "context": "the column of what the text replies to",
    "id": "the column that names a record",
    "group": "the column that says which records belong together",
    "writer": "the column that names who wrote the text",
    "labels": "DIMENSION=COLUMN of people's labels, several with commas between",
}
PACKS = {"mrbench": "mrbench", "bridge": "bridge", "stepverify": "stepverify"}
_UNKNOWN = ("", "not available", "none", "null", "n/a")


@dataclass(frozen=True, slots=True)
class Item:
    """A text that people have labelled. ``labels`` maps dimensions to what they said."""

    id: str
    group: str
    text: str
    context: str
    labels: Mapping[str, str] = field(default_factory=dict)
    writer: str = ""


def form_of(path: Path) -> str:
    """The published form of a file: mrbench, bridge, stepverify or, of any other, own.

    Raises ConfigError for a file that cannot be read.
    """
    for record in read_rows(path):
        if isinstance(record, Record):
            return _form(record)
    raise ConfigError(f"{path}: there is no record in it")


def items(path: Path, columns: Mapping[str, str]) -> Iterator[Item | BadRow]:
    """The items of a file in whichever form it has; ``columns`` are those of `COLUMNS`, for ``own``.

    Raises ConfigError for a file that cannot be read and for columns that are not named.
    """
    records, seen = read_rows(path), []
    for record in records:
        seen.append(record)
        if isinstance(record, Record):
            read = _READERS.get(_form(record)) or _own(columns, record, path)
            return _items(chain(seen, records), read)
    raise ConfigError(f"{path}: there is no record in it")


def _items(
    records: Iterator[Record | BadRow], read: Callable[[Record], Iterator[Item]]
) -> Iterator[Item | BadRow]:
    for record in records:
        if isinstance(record, BadRow):
            yield record
            continue
        try:
            yield from list(read(record))  # all of a record or nothing
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            detail = f"no field {error}" if isinstance(error, KeyError) else str(error)
            yield BadRow(record.where, f"not in the published form: {detail}")


def _form(record: Mapping[str, Any]) -> str:
    marks = {
        "anno_llm_responses": "mrbench",
        "tutor_responses": "mrbench",
        "c_r_": "bridge",
        "incorrect_index": "stepverify",
    }
    return next((form for mark, form in marks.items() if mark in record), "own")


# ── MRBench: a conversation, the replies of several tutors, eight labels each ────────────────


def _mrbench(record: Record) -> Iterator[Item]:
    about = _context(
        ("Conversation", record["conversation_history"].replace("\u00a0", " ")),
        ("Topic", record.get("Topic")),
        ("Solution", record.get("Ground_Truth_Solution")),
    )
    group = str(record["conversation_id"])
    replies = record.get("anno_llm_responses") or record["tutor_responses"]
    for writer, reply in replies.items():
        labels = {name: str(label) for name, label in reply.get("annotation", {}).items()}
        if labels:  # the shared task's test set has none
            yield Item(f"{group}/{writer}", group, reply["response"], about, labels, writer)


# ── Bridge: a chat, and the reply that an expert wrote after choosing error, strategy, aim ───


def _bridge(record: Record) -> Iterator[Item]:
    named = {"error": "e", "strategy": "z_what", "intention": "z_why"}
    labels = {name: str(record[key]) for name, key in named.items() if record.get(key)}
    about = _context(("Topic", record["lesson_topic"]), ("Conversation", _chat(record["c_h"])))
    chat = str(record["c_id"])
    text = " ".join(turn["text"] for turn in record["c_r_"] if turn["user"] == "tutor")
    if text.strip() and labels:
        yield Item(chat, chat.partition("_")[0], text, about, labels, "expert")


def _chat(turns: list[Mapping[str, Any]]) -> str:
    return "\n".join(f"{str(turn['user']).capitalize()}: {turn['text']}" for turn in turns)


# ── StepVerify: a wrong solution, whose steps are sound up to a known one ────────────────────


def _stepverify(record: Record) -> Iterator[Item]:
    """One item a step, up to the first wrong one: of the steps after it nobody said anything."""
    steps, wrong = record["student_incorrect_solution"], int(record["incorrect_index"])
    if steps[wrong].strip() != str(record["incorrect_step"]).strip():
        raise ValueError("incorrect_index does not point to incorrect_step")
    for number, step in enumerate(steps[: wrong + 1]):
        before = "\n".join(steps[:number])
        about = _context(
            ("Problem", record["problem"]),
            ("Correct solution", record.get("reference_solution")),
            ("The student's steps so far", before),
        )
        labels = {"first_error": "wrong" if number == wrong else "sound"}
        if number == wrong and record.get("error_category"):
            labels["error_category"] = str(record["error_category"])
        name = f"{record.where.rpartition(', ')[2]}/step {number}"
        yield Item(name, name.partition("/")[0], step.strip(), about, labels)


_READERS: Mapping[str, Callable[[Record], Iterator[Item]]] = {
    "mrbench": _mrbench,
    "bridge": _bridge,
    "stepverify": _stepverify,
}


# ── anybody's own: one text a record, its labels in columns ──────────────────────────────────


def _own(
    columns: Mapping[str, str], first: Mapping[str, Any], path: Path
) -> Callable[[Record], Iterator[Item]]:
    text = columns.get("text", "text")
    labels = dict(_pair(pair) for pair in columns.get("labels", "").split(",") if pair.strip())
    named = [columns[name] for name in ("context", "id", "group", "writer") if name in columns]
    if missing := [column for column in (text, *named, *labels.values()) if column not in first]:
        known = ", ".join(first)
        raise ConfigError(f"{path}: no column {missing[0]!r}; there are {known}")
    if not labels:
        raise ConfigError(f"{path}: which columns hold people's labels? --labels DIMENSION=COLUMN")

    def cell(record: Record, name: str) -> str:
        value = record.get(columns[name]) if name in columns else None
        return "" if value is None else str(value)

    def read(record: Record) -> Iterator[Item]:
        place = record.where.rpartition(", ")[2]
        said = {name: record.get(column) for name, column in labels.items()}
        answered = {name: str(label) for name, label in said.items() if label not in (None, "")}
        name = cell(record, "id") or place
        group = cell(record, "group") or name
        about, writer = cell(record, "context"), cell(record, "writer")
        yield Item(name, group, str(record[text]), about, answered, writer)

    return read


def _pair(text: str) -> tuple[str, str]:
    dimension, equals, column = text.strip().partition("=")
    if not (dimension and equals and column):
        raise ConfigError(f"labels {text.strip()!r}: write DIMENSION=COLUMN")
    return dimension, column


def _context(*parts: tuple[str, str | None]) -> str:
    known = [(name, text.strip()) for name, text in parts if text]
    return "\n\n".join(f"{name}:\n{text}" for name, text in known if text.lower() not in _UNKNOWN)
