"""Problems out of files: MathDial's as they are published, GSM8K's form, and columns that are named.

GSM8K's form is a solution whose last line is ``#### 18``, with notes to a calculator in ``<<…>>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from synthtutor.errors import ConfigError
from synthtutor.recipes.mathdial import dialogue, is_mathdial, mathdial
from synthtutor.recipes.problems import Problem, last_line
from synthtutor.recipes.recipe import RowOptions, Rows
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["COLUMNS", "problem_rows"]

COLUMNS = {
    "question": "column of the problem's text (default question)",
    "answer": "column of the gold answer, or of a solution that ends in it (default answer)",
    "solution": "column of the gold solution (default solution)",
    "student_solution": "column of the student's wrong solution (default student_solution)",
    "conversation": "column of the dialogue in MathDial's form (default conversation)",
    "id": "column of the problem's own id (default id)",
}
_PICKLES = (".pkl", ".pickle", ".p")
_CALCULATOR = re.compile(r"<<[^<>]*>>")


def problem_rows(options: RowOptions) -> Rows[Problem]:
    """The problems of the user's file, each ``per_seed`` times.

    Raises ConfigError where there is no file, or where it is a pickle.
    """
    if options.path is None:
        raise ConfigError("problems come from a file: give --rows FILE (MathDial, GSM8K or own)")
    if options.path.suffix.lower() in _PICKLES:
        raise ConfigError(
            f"{options.path}: a pickle can run any code when it is read; where you trust it, convert "
            "it yourself to JSONL or CSV, and give that"
        )
    columns = {name: options.options.get(name, name) for name in COLUMNS}
    return Rows(_problems(options.path, columns, options.per_seed or 1))


def _problems(path: Path, columns: Mapping[str, str], times: int) -> Iterator[Problem | BadRow]:
    for time in range(times):
        for record in read_rows(path):
            found = record if isinstance(record, BadRow) else _problem(record, columns)
            if isinstance(found, Problem) or time == 0:
                yield found


def _problem(record: Record, columns: Mapping[str, str]) -> Problem | BadRow:
    if is_mathdial(record):
        return mathdial(record)
    values = {name: str(record.get(column) or "").strip() for name, column in columns.items()}
    for name in ("question", "answer"):
        if not values[name]:
            return BadRow(
                record.where,
                f"no {columns[name]!r}; name the column with --option {name}=COLUMN",
            )
    steps, mark, answer = values["answer"].rpartition("####")
    try:
        turns = dialogue(values["conversation"])
    except ValueError as error:
        return BadRow(record.where, f"{columns['conversation']}: {error}")
    return Problem(
        question=values["question"],
        answer=answer.strip() if mark else last_line(values["answer"]),
        solution=values["solution"] or _CALCULATOR.sub("", steps).strip(),
        student_solution=values["student_solution"],
        turns=turns,
        id=values["id"],
        source="gsm8k" if mark else "own",
    )
