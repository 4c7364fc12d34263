"""Conversations in which the tutor speaks next, and replies to them: read from the files people have.

A record holds its conversation in one of four ways: ``messages`` (chat roles), ``instruction`` with
``input`` and ``output``, ``turns`` with speakers, or a ``prompt``. What else is known (grade,
subject, answer, profile, …) may stand in the record, in its ``metadata``, or in the student's persona.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["Conversation", "Said", "conversations", "replies", "sound"]

_PERSONAS = ("student_persona", "persona", "profile", "student_profile")
_ROLES = {
    **dict.fromkeys(("user", "human", "student"), "user"),
    **dict.fromkeys(("assistant", "gpt", "tutor", "teacher"), "assistant"),
    "system": "system",
}
_REFERENCES = ("reference", "output", "completion", "reply")


@dataclass(frozen=True, slots=True)
class Said:
    """One message: ``role`` is system, user (the student) or assistant (the tutor)."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A moment at which the tutor speaks next; ``reply`` is what a system said there, if any did.

    ``grade`` is a school year (0 is kindergarten). ``profile`` and ``context`` (what a reasoner
    noted of the student) are text. Empty text means that it is not known.
    """

    id: str
    student: str
    said: tuple[Said, ...]
    reply: str | None = None
    reference: str = ""
    problem: str = ""
    answer: str = ""
    grade: int | None = None
    subject: str = ""
    feeling: str = ""
    profile: str = ""
    context: str = ""

    @property
    def transcript(self) -> str:
        """What was said, a line for each turn, without the system message."""
        names = {"user": "Student", "assistant": "Tutor"}
        return "\n".join(f"{names[s.role]}: {s.content}" for s in self.said if s.role in names)

    def of(self, role: str) -> str:
        """All that one side said."""
        return "\n".join(each.content for each in self.said if each.role == role)


def conversations(path: Path, *, every: bool = False) -> Iterator[Conversation | BadRow]:
    """The conversations of a file, each up to its last tutor turn, which becomes the reference.

    With ``every``, one for each tutor turn. Raises ConfigError for a file that cannot be read or
    whose ids are not unique.
    """
    return _unique(path, (each for row in read_rows(path) for each in _moments(row, every)))


def replies(path: Path) -> Iterator[Conversation | BadRow]:
    """Replies in a file: under ``reply``, or the last tutor turn of a conversation.

    A ``reply`` that is null marks a system that gave none. Raises ConfigError as `conversations`.
    """
    return _unique(path, map(_replied, read_rows(path)))


def sound(rows: Iterable[Conversation | BadRow]) -> list[Conversation]:
    """The conversations; raises ConfigError at the first row that is none, or where there are none."""
    found = []
    for row in rows:
        if isinstance(row, BadRow):
            raise ConfigError(f"{row.where}: {row.reason}")
        found.append(row)
    return found


def _moments(row: Record | BadRow, every: bool) -> Iterator[Conversation | BadRow]:
    if isinstance(row, BadRow):
        yield row
        return
    found = _conversation(row)
    if isinstance(found, BadRow):
        yield found
        return
    if not every or ("messages" not in row and "turns" not in row):
        yield found
        return
    whole = [*found.said, *([Said("assistant", found.reference)] if found.reference else [])]
    ends = [n for n, s in enumerate(whole) if s.role == "assistant" and n]
    for number, end in enumerate(ends, 1):
        said, reference = tuple(whole[:end]), whole[end].content
        if any(each.role == "user" for each in said):
            yield replace(found, id=f"{found.id}/{number}", said=said, reference=reference)


def _replied(row: Record | BadRow) -> Conversation | BadRow:
    if isinstance(row, BadRow):
        return row
    found = _conversation(row, references=_REFERENCES if "reply" not in row else _REFERENCES[:-1])
    if isinstance(found, BadRow):
        return found
    if "reply" in row:
        reply = row["reply"]
        if reply is not None and not isinstance(reply, str):
            return BadRow(row.where, "field reply: must be text, or null where there is none")
        return replace(found, reply=(reply or "").strip() or None)
    if not found.reference:
        return BadRow(row.where, "no reply: give it under 'reply', or as the last tutor turn")
    return replace(found, reply=found.reference, reference="")


def _conversation(row: Record, references: Sequence[str] = _REFERENCES) -> Conversation | BadRow:
    known = _known(row)
    try:
        said = _said(row)
        grade = _grade(_first(known, "grade", "class_level", "grade_level"))
    except ValueError as error:
        return BadRow(row.where, str(error))
    reference = next((str(row[name]) for name in references if row.get(name)), "")
    if said[-1].role == "assistant":
        reference = reference or said[-1].content
        said = said[:-1]
    if not any(each.role == "user" for each in said):
        return BadRow(row.where, "the student says nothing before the tutor's turn")
    persona = next((row_[name] for row_ in known for name in _PERSONAS if row_.get(name)), "")
    digest = blake2b(orjson.dumps(row, default=str), digest_size=6).hexdigest()
    name = str(_first(known, "id", "conversation_id", "qid") or digest)
    context = _first(known, "reasoner_context", "context") or _belief(known)
    return Conversation(
        id=name,
        student=str(
            _first(known, "student", "student_id", "persona_id") or _named(persona) or name
        ),
        said=tuple(said),
        reference=reference.strip(),
        problem=str(_first(known, "problem", "question") or ""),
        answer=str(_first(known, "answer", "gold_answer") or ""),
        grade=grade,
        subject=str(_first(known, "subject") or ""),
        feeling=str(_first(known, "feeling", "emotion", "affect") or ""),
        profile=_text(persona),
        context=_text(context),
    )


def _known(row: Record) -> list[Mapping[str, Any]]:
    """Where a field is looked for: the record, its metadata, a JSON input, and the persona in them."""
    places: list[Mapping[str, Any]] = [row]
    inside = (row.get("metadata"), _json(row.get("input")))
    places += [inner for inner in inside if isinstance(inner, Mapping)]
    noted = [place["reasoner_context"] for place in places if "reasoner_context" in place]
    people = [place[name] for place in places for name in _PERSONAS if name in place]
    return [*places, *(each for each in [*noted, *people] if isinstance(each, Mapping))]


def _said(row: Record) -> list[Said]:
    """The messages of a record. Raises ValueError in words that name the field."""
    for name in ("messages", "turns"):
        if name in row:
            return _listed(row[name], name)
    if row.get("instruction"):
        asked, given = str(row["instruction"]), str(row.get("input") or "")
        return [Said("system", asked), Said("user", given)] if given else [Said("user", asked)]
    if isinstance(row.get("prompt"), list):
        return _listed(row["prompt"], "prompt")
    if row.get("prompt"):
        return [Said("user", str(row["prompt"]))]
    raise ValueError("no conversation: give messages, turns, instruction or prompt")


def _listed(entries: object, field: str) -> list[Said]:
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"field {field}: must be a list of messages")
    found = []
    for number, entry in enumerate(entries):
        said = entry if isinstance(entry, Mapping) else {}
        role = _ROLES.get(str(said.get("role") or said.get("speaker") or "").lower())
        text = said.get("content", said.get("text"))
        if role is None or not isinstance(text, str):
            raise ValueError(
                f"field {field}[{number}]: needs a role (system, user, assistant) and a content"
            )
        found.append(Said(role, text))
    return found


def _grade(value: object) -> int | None:
    """A school year from 0 to 16. Raises ValueError for what is none."""
    if value is None or value == "":
        return None
    text = str(value).strip().lower()
    if text in ("k", "kindergarten"):
        return 0
    number = re.search(r"\d+", text)
    if number is None or not 0 <= int(number[0]) <= 16:
        raise ValueError(f"field grade: {value!r} is no school year; write a number from 0 to 16")
    return int(number[0])


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> Any:
    return next((p[n] for p in places for n in names if p.get(n) not in (None, "")), None)


def _belief(places: Sequence[Mapping[str, Any]]) -> Any:
    """A belief state that stands beside the conversation, and so was made before the tutor's turn."""
    return next((p["belief_state"] for p in places if p.get("belief_state")), "")


def _named(persona: object) -> str:
    """A stable name for a student of whom only a profile is known."""
    if not persona:
        return ""
    return f"profile-{blake2b(_text(persona).encode(), digest_size=5).hexdigest()}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if value else ""


def _json(value: object) -> object:
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _unique(path: Path, rows: Iterable[Conversation | BadRow]) -> Iterator[Conversation | BadRow]:
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, Conversation):
            if row.id in seen:
                raise ConfigError(f"{path}: id {row.id!r} occurs twice; ids must be unique")
            seen.add(row.id)
        yield row
