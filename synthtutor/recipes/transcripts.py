"""Transcripts out of files: chat messages, MathDial's records, and lists of turns.

A turn's text is kept as it is in the file, character by character, except that MathDial's string
is cut at its own marks (``|EOM|``, the speaker, the move).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import orjson

from synthtutor.errors import ConfigError
from synthtutor.recipes.mathdial import dialogue, is_mathdial, mathdial
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.recipe import RowOptions, Rows
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["COLUMNS", "Transcript", "read_transcript", "transcript_rows"]

COLUMNS = {
    "conversation": "column of the turns, or of a dialogue in MathDial's form (default conversation)",
    "question": "column of the problem that is talked about (default question)",
    "id": "column of the transcript's own id (default id)",
}
_SIDES: Mapping[str, Literal["tutor", "student"]] = {
    **dict.fromkeys(("tutor", "teacher", "assistant", "model", "gpt", "bot"), "tutor"),
    **dict.fromkeys(("student", "learner", "pupil", "user", "human"), "student"),
}
_SPEAKER = ("speaker", "role", "from")
_TEXT = ("text", "message", "content", "value")
_LEFT_OUT = ("system", "developer", "tool")


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation as it was found. ``work`` is what the student had in hand when it began."""

    turns: tuple[Turn, ...]
    id: str
    question: str = ""
    work: str = ""
    source: str = "own"


def transcript_rows(options: RowOptions) -> Rows[Transcript]:
    """The transcripts of the user's file, each ``per_seed`` times. Raises ConfigError without a file."""
    if options.path is None:
        raise ConfigError(
            "transcripts come from a file: give --rows FILE (messages, turns, or MathDial)"
        )
    columns = {name: options.options.get(name, name) for name in COLUMNS}
    return Rows(_transcripts(options, columns))


def _transcripts(options: RowOptions, columns: Mapping[str, str]) -> Iterator[Transcript | BadRow]:
    assert options.path is not None  # noqa: S101  # transcript_rows has looked
    for time in range(options.per_seed or 1):
        for record in read_rows(options.path):
            found = record if isinstance(record, BadRow) else read_transcript(record, columns)
            if isinstance(found, Transcript) or time == 0:
                yield found


def read_transcript(record: Record, columns: Mapping[str, str]) -> Transcript | BadRow:
    """A transcript from a record, or why it is none; ``columns`` has the names of `COLUMNS`."""
    if is_mathdial(record):
        found = mathdial(record)
        return found if isinstance(found, BadRow) else _of_problem(found, record.where)
    known = record.get("metadata")
    inner = known if isinstance(known, Mapping) else {}
    question = str(record.get(columns["question"]) or inner.get("question") or "")
    try:
        turns = _turns(record, inner, columns["conversation"])
    except ValueError as error:
        return BadRow(record.where, str(error))
    if {turn.speaker for turn in turns} != {"student", "tutor"}:
        return BadRow(record.where, "a transcript needs a turn of the student and one of the tutor")
    name = str(record.get(columns["id"]) or "") or _name(turns)
    return Transcript(turns, name, question)


def _of_problem(problem: Problem, where: str) -> Transcript | BadRow:
    if {turn.speaker for turn in problem.turns} != {"student", "tutor"}:
        return BadRow(where, "conversation: needs a turn of the student and one of the tutor")
    name = problem.id or _name(problem.turns)
    return Transcript(problem.turns, name, problem.question, problem.student_solution, "mathdial")


def _turns(
    record: Mapping[str, Any], inner: Mapping[str, Any], conversation: str
) -> tuple[Turn, ...]:
    """The first of the places where the record has turns. Raises ValueError where there are none."""
    places = [(conversation, record), ("turns", record), ("turns", inner), ("messages", record)]
    for name, holder in places:
        value = holder.get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = _json(value, name)
        if isinstance(value, str) and value.strip():
            return dialogue(value)
        if isinstance(value, list) and value:
            listed = [_turn(each, f"{name}[{at}]") for at, each in enumerate(value)]
            return tuple(turn for turn in listed if turn is not None)
    raise ValueError(
        f"no {conversation!r}, 'turns' or 'messages'; name the column with --option conversation=COLUMN"
    )


def _json(value: str, name: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{name}: not JSON: {error}") from None


def _turn(value: object, where: str) -> Turn | None:
    """A turn; None for one that belongs to neither side, such as a system message."""
    fields = value if isinstance(value, Mapping) else {}
    speaker = next((fields[name] for name in _SPEAKER if name in fields), None)
    text = next((fields[name] for name in _TEXT if name in fields), None)
    if not (isinstance(speaker, str) and isinstance(text, str)):
        raise ValueError(f"{where}: needs {_either(_SPEAKER)} and {_either(_TEXT)}, both texts")  # noqa: TRY004  # of a file, not of a caller
    if speaker.casefold() in _LEFT_OUT:
        return None
    if speaker.casefold() not in _SIDES:
        raise ValueError(f"{where}: speaker {speaker[:40]!r}: say {_either(tuple(_SIDES))}")
    if not text.strip():
        raise ValueError(f"{where}: the turn is empty; leave it out")
    move = fields.get("move")
    return Turn(_SIDES[speaker.casefold()], text, move if isinstance(move, str) else "")


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)


def _name(turns: Sequence[Turn]) -> str:
    """A name made of what was said, so that it is the same in every run."""
    said = orjson.dumps([[turn.speaker, turn.text] for turn in turns])
    return blake2b(said, digest_size=6).hexdigest()
