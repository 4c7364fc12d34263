r"""MathDial's records as they are published, in JSONL and in CSV.

The files have two forms. In the later one ``qid`` is a number, ratings are floats (in CSV their
digits), lines end in line feeds, and a tutor who tells the answer is marked ``(telling)``. In the
earlier one all are strings, lines end in a backslash and an n, sometimes in the backslash alone,
and that move is ``(leaking)``. In both a student's turn may be labelled with a first name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from synthtutor.recipes.problems import Problem, Turn, last_line
from synthtutor.sources import BadRow, Record

__all__ = ["dialogue", "is_mathdial", "mathdial"]

_LATER = (  # written when the dialogue was over: no model may see them
    "teacher_described_confusion",
    "self-correctness",
    "self-typical-confusion",
    "self-typical-interactions",
)
_MOVES = {
    "generic": "generic",
    "focus": "focus",
    "probing": "probing",
    "telling": "telling",
    "leaking": "telling",
}
_LABEL = re.compile(r"\s*([^\W\d_][\w'’.-]*(?: [^\W\d_][\w'’.-]*)?)\s*:")
_MOVE = re.compile(r"\s*\((\w+)\)")
# TeX commands that begin with n are no line ends.
_WRITTEN_END = re.compile(r"\\n(?!(?:e|eq|eg|u|i|ot|abla|exists)\b)|\\(?=[A-Z])")


def is_mathdial(record: Mapping[str, Any]) -> bool:
    """Whether the record has MathDial's columns."""
    return "student_incorrect_solution" in record and "ground_truth" in record


def mathdial(record: Record) -> Problem | BadRow:
    """A problem from a published record, or why it is none."""
    solution = _lines(record["ground_truth"])
    wrong = _lines(record["student_incorrect_solution"])
    question = _lines(record.get("question"))
    named = {"question": question, "ground_truth": solution, "student_incorrect_solution": wrong}
    for name, text in named.items():
        if not text:
            return BadRow(record.where, f"{name} is empty or missing")
    profile = _lines(record.get("student_profile"))
    try:
        turns = dialogue(_lines(record.get("conversation")), name=profile.split(" ", 1)[0])
    except ValueError as error:
        return BadRow(record.where, f"conversation: {error}")
    return Problem(
        question=question,
        answer=last_line(solution),
        solution=solution,
        student_solution=wrong,
        turns=turns,
        profile=profile,
        id=str(record.get("qid") or ""),
        source="mathdial",
        notes={name: _note(record[name]) for name in _LATER if record.get(name) not in (None, "")},
    )


def dialogue(conversation: str, *, name: str = "") -> tuple[Turn, ...]:
    """The turns of ``Teacher: (move)text|EOM|Student: text``; empty ones are left out.

    ``name`` is the student's first name, which some turns repeat. Raises ValueError where a turn
    does not say who speaks.
    """
    parts = enumerate(conversation.split("|EOM|"), 1)
    turns = [_turn(part, number, name) for number, part in parts if part.strip()]
    return tuple(turn for turn in turns if turn.text)


def _turn(part: str, number: int, name: str) -> Turn:
    label = _LABEL.match(part)
    if label is None:
        raise ValueError(f"turn {number} does not say who speaks")
    text = part[label.end() :]
    if label[1].lower() not in ("teacher", "tutor"):
        again = _LABEL.match(text)
        if again is not None and name and again[1].lower() == name.lower():
            text = text[again.end() :]
        return Turn("student", text.strip())
    move = _MOVE.match(text)
    if move is None or move[1].lower() not in _MOVES:
        return Turn("tutor", text.strip())
    return Turn("tutor", text[move.end() :].strip(), _MOVES[move[1].lower()])


def _lines(value: object) -> str:
    """The text with its line ends, whichever way they were written."""
    text = str(value or "")
    if "\n" not in text:
        text = _WRITTEN_END.sub("\n", text)
    return text.strip()


def _note(value: Any) -> str | float:
    """A rating as a number in every form of the file, so that a row's identity is one."""
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        return text
