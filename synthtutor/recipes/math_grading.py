"""Students' answers to problems, right and wrong in equal parts, with a label that is verified.

One call an answer, two more at most where it is not what was asked for. The writer knows the gold
solution and is told whether to be right and, if not, by which error; what it made of that is then
looked at. The label is whether the final answer is the gold answer, by numbers or by algebra, and
never what the writer meant: an answer that was to be wrong and is right is written again, and
dropped in the end. The first wrong step is the writer's word, held against what arithmetic can
prove; where the two disagree the sample is dropped with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from synthtutor.malrules import MALRULES, Case
from synthtutor.messages import Settings
from synthtutor.quality.answers import parts
from synthtutor.quality.labels import math_label
from synthtutor.quality.numbers import numbers
from synthtutor.quality.numeric import WrongStep, first_wrong_step, same_answer
from synthtutor.quality.symbolic import shared_equivalence
from synthtutor.recipes.grading import OPTIONS, Answer, Terms, graded, group_of
from synthtutor.recipes.grading_rows import Row, math_rows
from synthtutor.recipes.problem_files import COLUMNS
from synthtutor.recipes.recipe import Recipe
from synthtutor.recipes.student_work import ABILITIES, ERROR_TYPES
from synthtutor.recipes.verification import verified
from synthtutor.session import Session
from synthtutor.tutoring import Outcome, Sample

__all__ = ["MATH_GRADING", "Checked", "Work", "examined", "math_grading"]

_TRIES = 3
_LONGEST_SOLUTION = 4000  # characters; longer ones are traces of thought, and no help to a writer

_Step = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class Work(BaseModel):
    """A student's way to an answer, and where it first goes wrong."""

    steps: Annotated[list[_Step], Field(min_length=1, max_length=12)]
    final_answer: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
        Field(description="the answer alone, as the student states it"),
    ]
    first_wrong_step: Annotated[
        int | None,
        Field(description="the number of the first wrong step, from 1; null where all are right"),
    ]
    error: Annotated[
        str | None,
        Field(description="what goes wrong there, for a teacher; null where nothing does"),
    ]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of an answer: ``right`` is None where nobody can tell.

    ``faults`` keep it from being used. ``proven`` is the first step whose sum is wrong.
    """

    right: bool | None
    faults: tuple[str, ...]
    proven: WrongStep | None

    @property
    def outcome(self) -> Outcome:
        """What becomes of the sample."""
        if self.right is None:
            return "undetermined"
        return "rejected" if self.faults else "kept"


@shared_equivalence()
async def math_grading(session: Session, row: Row) -> Sample:
    """One student's answer with its verified label, or the reason why it has none."""
    terms = Terms.of(session.option)
    case = row.case
    faults: tuple[str, ...] = ()
    for _ in range(_TRIES):
        work = await _written(session, row, case, faults)
        checked = examined(work, row, await verified(row.problem.answer, work.final_answer))
        faults = checked.faults
        if session.rehearsing or checked.outcome != "rejected":
            break
    question, text = row.problem.question, answer_text(work)
    answer = Answer(
        input=f"Q: {question} Student Answer: {text}",
        text=text,
        reference=row.problem.solution or row.problem.answer,
        group=group_of(question),
        trusted=None if checked.right is None else int(checked.right),
        wanted=int(row.right),
    )
    about = _about(row, work, checked)
    return await graded(answer, terms, math_label, about, checked.outcome, checked.faults)


async def _written(session: Session, row: Row, case: Case | None, faults: tuple[str, ...]) -> Work:
    solution = row.problem.solution
    return await session.generate(
        Work,
        "math_grading/answer.md.j2",
        settings=Settings(max_tokens=1200, temperature=0.9),
        question=row.problem.question,
        answer=row.problem.answer,
        solution=solution if len(solution) <= _LONGEST_SOLUTION else "",
        right=row.right,
        ability=row.ability,
        manner=ABILITIES[row.ability],
        error_type=row.error_type,
        error=ERROR_TYPES.get(row.error_type, ""),
        belief=MALRULES[row.malrule].belief if row.malrule else "",
        case=case,
        faults=faults,
    )


def answer_text(work: Work) -> str:
    """The student's answer as a grader sees it; the last line is the same in right and wrong ones."""
    return "\n".join([*work.steps, f"Answer: {work.final_answer}"])


def _about(row: Row, work: Work, checked: Checked) -> dict[str, Any]:
    proven, named = checked.proven, work.first_wrong_step
    confirmed = proven is not None and proven.index + 1 == named
    return {
        "problem_id": row.problem.id,
        "source": row.problem.source,
        "question": row.problem.question,
        "gold_answer": row.problem.answer,
        "wanted": "right" if row.right else "wrong",
        "ability": row.ability,
        "error_type": row.error_type,
        "malrule": row.malrule,
        "variation": row.variation,
        "steps": work.steps,
        "final_answer": work.final_answer,
        "first_wrong_step": named,
        "first_wrong_step_is": "proven" if confirmed else "named" if named else None,
        "error": work.error,
        "wrong_sum": {"step": proven.index + 1, "quote": proven.quote, "value": str(proven.value)}
        if proven
        else None,
    }


# ── what is looked at ────────────────────────────────────────────────────────────────────────


def examined(work: Work, row: Row, right: bool | None) -> Checked:
    """What is wrong with an answer, given whether its final answer is right."""
    proven = first_wrong_step(work.steps)
    if right is None:
        return Checked(None, ("the final answer cannot be compared with the gold answer",), proven)
    if right != row.right:
        made = "right" if right else "wrong"
        return Checked(right, (f"asked for: the final answer was not to be {made}",), proven)
    faults = [*_unfinished(work), *(_in_right(work, proven) if right else _in_wrong(work, proven))]
    case = row.case
    if case and not right and not same_answer(work.final_answer, case.wrong.said):
        faults.append("asked for: the final answer is not what the misconception comes to")
    return Checked(right, tuple(faults), proven)


def _unfinished(work: Work) -> list[str]:
    """Steps that arrive elsewhere: a wrong number under right steps is no student's work."""
    stated = [part.value for part in parts(work.final_answer)]
    reached = {number.value for number in numbers(work.steps[-1])}
    if not reached or None in stated or reached & set(stated):
        return []
    return ["the last step does not come to the final answer"]


def _in_right(work: Work, proven: WrongStep | None) -> list[str]:
    if proven is not None:
        return ["disagreement: the final answer is right, and a sum in the steps is wrong"]
    if work.first_wrong_step is not None:
        return ["disagreement: the final answer is right, and a wrong step is named"]
    return []


def _in_wrong(work: Work, proven: WrongStep | None) -> list[str]:
    named = work.first_wrong_step
    if named is None or not 1 <= named <= len(work.steps):
        return ["no step of the answer is named as the first wrong one"]
    if proven is not None and proven.index + 1 < named:
        return ["disagreement: a sum is wrong before the step that is named as the first wrong one"]
    return []


MATH_GRADING: Recipe[Row] = Recipe(
    name="math-grading",
    function=math_grading,
    rows=math_rows,
    summary="Students' right and wrong answers to problems, each with a verified 0 or 1.",
    chat_roles=("user", "assistant"),
    output_tokens={"math_grading/answer.md.j2": 150},
    options={
        **OPTIONS,
        "malrules": "no leaves out executable misconceptions where one fits (default yes)",
        **{name: COLUMNS[name] for name in ("question", "answer", "solution", "id")},
        "text": "column of instruction rows with <start_of_turn> (default: found)",
    },
)
