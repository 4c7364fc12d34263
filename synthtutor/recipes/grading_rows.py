"""What is graded, out of files: problems with a gold answer, and the answers to be written to them.

Problems come as in `synthtutor.recipes.problem_files`, with MathX's columns known as they are, or
as instruction rows in Gemma's form. Without a file they are the tasks of the executable
misconceptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from random import Random

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError
from synthtutor.malrules import MALRULES, Case
from synthtutor.quality.numeric import same_answer
from synthtutor.recipes.grading import Terms
from synthtutor.recipes.problem_files import problem_rows
from synthtutor.recipes.problems import Problem, last_line
from synthtutor.recipes.recipe import RowOptions, Rows
from synthtutor.recipes.student_work import ABILITIES, ERROR_TYPES, MISAPPLIED_RULE
from synthtutor.sources import BadRow, Record, read_rows

__all__ = ["Row", "instruction_column", "instruction_turns", "math_rows"]

_MATHX = {"question": "problem", "answer": "expected_answer", "solution": "generated_solution"}
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_TURN = re.compile(
    r"<start_of_turn>\s*(user|model)\s*\n(.*?)(?=<end_of_turn>|<start_of_turn>|\Z)", re.DOTALL
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_QUESTION = re.compile(r"^\s*(?:Q|Question|Problem)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer to write. ``numbers`` are the operands of the misconception, where there is one."""

    problem: Problem
    right: bool
    ability: str
    error_type: str = ""
    malrule: str = ""
    numbers: tuple[int, ...] = ()
    variation: int = 0

    @property
    def case(self) -> Case | None:
        """What the misconception makes of the problem."""
        return MALRULES[self.malrule].on(self.numbers) if self.malrule else None


def math_rows(options: RowOptions) -> Rows[Row]:
    """Each problem ``per_seed`` times (2), right and wrong in turn; first all problems once.

    Raises ConfigError for options that cannot be used.
    """
    Terms.of(options.options.get)
    malrules = options.options.get("malrules", "yes")
    if malrules not in ("yes", "no"):
        raise ConfigError(f"option malrules={malrules!r}: choose yes or no")
    quotas = _Quotas(options.seed, malrules == "yes")
    if options.path is None:
        total = options.per_seed * len(MALRULES) if options.per_seed else None
        return Rows(_of_malrules(quotas, options.seed, total), total)
    return Rows(_of_file(options, quotas, options.per_seed or 2))


class _Quotas:
    """Who answers how: right and wrong in turn, each through all its cells before one comes again."""

    def __init__(self, seed: int, malrules: bool) -> None:
        self._right = Coverage({"ability": tuple(ABILITIES)}, seed=seed)
        self._wrong = Coverage(
            {"ability": tuple(ABILITIES), "error_type": tuple(ERROR_TYPES)}, seed=seed
        )
        self._malrules = malrules

    def row(self, problem: Problem, number: int, variation: int) -> Row:
        if (number + variation) % 2 == 0:
            cell = self._right.draw(number // 2, variation)
            return Row(problem, True, cell["ability"], variation=variation)
        cell = self._wrong.draw(number // 2, variation)
        fitting = _fitting(problem) if self._malrules else []
        if not fitting:
            return Row(problem, False, cell["ability"], cell["error_type"], variation=variation)
        case = fitting[(number + variation // 2) % len(fitting)]
        return _misapplied(problem, cell["ability"], case, variation)


def _misapplied(problem: Problem, ability: str, case: Case, variation: int = 0) -> Row:
    return Row(problem, False, ability, MISAPPLIED_RULE, case.malrule, case.numbers, variation)


def _fitting(problem: Problem) -> list[Case]:
    """The misconceptions that have an answer to just this problem, and a wrong one."""
    found = [rule.answers(problem.question) for rule in MALRULES.values()]
    cases = [tasks[0][1] for tasks in found if len(tasks) == 1]
    return [
        case
        for case in cases
        if same_answer(case.right.said, problem.answer)
        and not same_answer(case.wrong.said, problem.answer)
    ]


def _of_malrules(quotas: _Quotas, seed: int, total: int | None) -> Iterator[Row]:
    """A task of each misconception in turn, answered rightly and then wrongly, and so on."""
    drawn = Coverage({"malrule": tuple(MALRULES)}, seed=seed)
    made = 0
    for number in count():
        name = drawn.draw(number)["malrule"]
        case = MALRULES[name].case(Random(f"math-grading {seed} {number}"))
        problem = Problem(
            question=case.question,
            answer=case.right.said,
            solution="\n".join(case.right.steps),
            id=f"{name}:{'-'.join(map(str, case.numbers))}",
            source="malrule",
        )
        right = quotas.row(problem, 2 * number, 0)
        for row in (right, _misapplied(problem, right.ability, case)):
            if made == total:
                return
            yield row
            made += 1


# ── files ────────────────────────────────────────────────────────────────────────────────────


def _of_file(options: RowOptions, quotas: _Quotas, times: int) -> Iterator[Row | BadRow]:
    for variation in range(times):
        number = 0
        for found in _problems(replace(options, per_seed=1)):
            if isinstance(found, BadRow):
                if variation == 0:
                    yield found
                continue
            yield quotas.row(found, number, variation)
            number += 1


def _problems(options: RowOptions) -> Iterator[Problem | BadRow]:
    assert options.path is not None  # noqa: S101  # asked for by the only caller
    first = _first(options.path)
    column = instruction_column(first, options.options.get("text"))
    if column is not None:
        for record in read_rows(options.path):
            yield record if isinstance(record, BadRow) else _instructed(record, column)
        return
    if first is not None and {"problem", "expected_answer"} <= first.keys():
        options = replace(options, options={**_MATHX, **options.options})
    for found in problem_rows(options).rows:
        yield found if isinstance(found, BadRow) else _bare(found)


def _bare(found: Problem) -> Problem:
    """The problem alone: what a student once made of it is of no use here."""
    solution = _THOUGHT.sub("", found.solution).strip()
    return Problem(
        found.question, found.answer, solution=solution, id=found.id, source=found.source
    )


def _first(path: Path) -> Record | None:
    return next((each for each in read_rows(path) if isinstance(each, Record)), None)


# ── instruction rows ─────────────────────────────────────────────────────────────────────────


def instruction_column(first: Record | None, given: str | None) -> str | None:
    """The column that holds turns, named or found in a file's first record; None where none does."""
    if given is not None or first is None:
        return given
    holding = (name for name, value in first.items() if "<start_of_turn>" in str(value))
    return next(holding, None)


def instruction_turns(record: Record, column: str) -> tuple[str, str] | BadRow:
    """What the user said first and the model answered, of a row in Gemma's form."""
    turns: Sequence[tuple[str, str]] = _TURN.findall(str(record.get(column) or ""))
    said = {who: text.strip() for who, text in reversed(turns)}
    if not said.get("user") or not said.get("model"):
        return BadRow(record.where, f"{column}: no <start_of_turn>user and <start_of_turn>model")
    return said["user"], said["model"]


def _instructed(record: Record, column: str) -> Problem | BadRow:
    turns = instruction_turns(record, column)
    if isinstance(turns, BadRow):
        return turns
    question, solution = _QUESTION.sub("", turns[0]), _THOUGHT.sub("", turns[1]).strip()
    boxed = _BOXED.findall(solution)
    answer = boxed[-1] if boxed else last_line(solution.rpartition("####")[2])
    if not answer:
        return BadRow(record.where, f"{column}: the model's turn states no answer")
    return Problem(
        question, answer, solution=solution, id=str(record.get("id") or ""), source="instruction"
    )
