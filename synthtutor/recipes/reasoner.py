"""The reasoner behind a tutor: a worked solution, its answer, and a belief state turn by turn.

One call solves the problem and sees the problem alone; the answer is compared with the gold
answer. Then one call for each time the student has spoken says what can be believed of them, from
the turns so far (`synthtutor.recipes.belief` holds each reply to that). Nothing that was written
after the dialogue enters a prompt, nor does the student's profile: in MathDial it tells the
weakness that the reasoner is to find out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, Field, StringConstraints

from synthtutor.errors import ConfigError, InvalidOutput
from synthtutor.messages import Message, Settings
from synthtutor.quality.symbolic import shared_equivalence
from synthtutor.recipes.belief import Belief, Moment, Update, watching
from synthtutor.recipes.problem_files import COLUMNS, problem_rows
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.recipes.verification import verified
from synthtutor.session import Session
from synthtutor.tutoring import Outcome, Sample

__all__ = ["NOT_COMPARABLE", "REASONER", "Solution", "State", "reasoner", "turns_due"]

DISAGREES = "disagreement: the final answer is not the gold answer"
NOT_COMPARABLE = "the final answer is written otherwise than the gold answer, and may be the same"


class Solution(BaseModel):
    """The way to the answer, and the answer."""

    chain_of_thought: Annotated[str, StringConstraints(min_length=1, max_length=6000)]
    final_answer: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
        Field(description="the answer alone"),
    ]


@dataclass(frozen=True, slots=True)
class State:
    """The belief in force after ``turn``; ``changed`` where it was made there.

    ``fault`` says why the reply of this turn is no belief; the one before then stands.
    """

    turn: int
    changed: bool
    belief: Belief | None
    fault: str = ""

    def to_metadata(self) -> dict[str, Any]:
        """As JSON values."""
        belief = self.belief.model_dump() if self.belief is not None else None
        shown = {"turn": self.turn, "changed": self.changed, "belief": belief}
        return {**shown, "fault": self.fault} if self.fault else shown


@shared_equivalence()
async def reasoner(session: Session, row: Problem) -> Sample:
    """Solve the problem, check the answer, and follow the student through the dialogue."""
    solution = await session.generate(
        Solution,
        "reasoner/solution.md.j2",
        role="reasoner",
        question=row.question,
        settings=Settings(max_tokens=4096),
    )
    thinking = session.reasoning
    agrees = await verified(row.answer, solution.final_answer)
    states: list[State] = []
    shown = row.solution or solution.chain_of_thought
    for turn in turns_due(row, _every(session.option("every"))):
        last = next((state for state in reversed(states) if not state.fault), None)
        since = last.turn + 1 if last is not None else 0
        moment = Moment.after(turn, row.said(), since, f"{row.question}\n{shown}")
        before = last.belief if last is not None else None
        states.append(await _believed(session, row.question, shown, moment, before))
    outcome, reasons = _outcome(agrees, states)
    return Sample(
        messages=_conversation(session, row, solution, states),
        metadata={
            "problem_id": row.id,
            "source": row.source,
            "question": row.question,
            "gold_answer": row.answer,
            "student_solution": row.student_solution,
            "student_profile": row.profile,
            "chain_of_thought": solution.chain_of_thought,
            "final_answer": solution.final_answer,
            "answer_agrees": agrees,
            "thinking": thinking,
            "turns": [
                {"turn": number, "speaker": turn.speaker, "text": turn.text, "move": turn.move}
                for number, turn in enumerate(row.turns, 1)
            ],
            "belief_states": [state.to_metadata() for state in states],
            "notes_after_the_dialogue": dict(row.notes),
        },
        outcome=outcome,
        reasons=reasons,
    )


def turns_due(row: Problem, every: int = 1) -> list[int]:
    """After which turns a belief is due: the wrong solution, then each end of the student's say.

    ``every`` is the step: 2 takes every second of the latter.
    """
    said = row.said()
    ends = [
        number
        for number, turn in enumerate(said)
        if number
        and turn.speaker == "student"
        and (number + 1 == len(said) or said[number + 1].speaker == "tutor")
    ]
    return [*([0] if row.student_solution else []), *ends[every - 1 :: every]]


async def _believed(
    session: Session, question: str, solution: str, moment: Moment, before: Belief | None
) -> State:
    """Ask for the belief at this moment: the prompt gets what was said, and nothing that was not."""
    shown = {
        "question": question,
        "solution": solution,
        "said": moment.said,
        "since": moment.since,
        "before": before.model_dump_json() if before is not None else "",
    }
    wanted: type[Belief | Update] = Belief if before is None else Update
    try:
        with watching(moment):
            found = await session.generate(
                wanted,
                "reasoner/belief.md.j2",
                role="reasoner",
                settings=Settings(max_tokens=3072),
                **shown,
            )
    except InvalidOutput as error:
        return State(moment.turn, False, before, f"{error.kind}: {error}")
    belief = found.belief if isinstance(found, Update) else found
    return State(moment.turn, belief is not None, belief or before)


def _every(value: str | None) -> int:
    if value is None:
        return 1
    if not value.isdigit() or int(value) < 1:
        raise ConfigError(f"option every={value!r}: give a whole number from 1")
    return int(value)


def _outcome(agrees: bool | None, states: Sequence[State]) -> tuple[Outcome, list[str]]:
    faults = [f"no belief with sound evidence at turn {s.turn}" for s in states if s.fault]
    if agrees is False:
        return "rejected", [DISAGREES, *faults]
    if faults:
        return "rejected", faults
    return ("kept", []) if agrees else ("undetermined", [NOT_COMPARABLE])


# ── the sample as a conversation ─────────────────────────────────────────────────────────────


def _conversation(
    session: Session, row: Problem, solution: Solution, states: Sequence[State]
) -> list[Message]:
    """What a reasoner is trained on: each answer has before it only what it may know."""
    sound = [state for state in states if not state.fault]
    start = sound[0].turn if sound else 0
    opening = session.render(
        "reasoner/task.md.j2",
        question=row.question,
        student_solution=row.student_solution,
        turns=row.turns[:start],
    )
    first = sound[0].belief if sound else None
    worked = solution.model_dump()
    messages = [*opening, _said({**worked, "belief_state": first} if first else worked)]
    for before, state in pairwise(sound):
        new: list[tuple[int, Turn]] = list(enumerate(row.turns, 1))[before.turn : state.turn]
        messages += session.render("reasoner/turns.md.j2", turns=new)
        messages.append(_said({"belief_state": state.belief if state.changed else "unchanged"}))
    return messages


def _said(content: dict[str, Any]) -> Message:
    text = orjson.dumps(content, default=lambda model: model.model_dump()).decode()
    return Message("assistant", text)


def rows(options: RowOptions) -> Rows[Problem]:
    """The problems of the file. Raises ConfigError for an option that cannot be used."""
    _every(options.options.get("every"))
    return problem_rows(options)


REASONER: Recipe[Problem] = Recipe(
    name="reasoner",
    function=reasoner,
    rows=rows,
    summary="A worked solution, its checked answer, and belief states turn by turn, with evidence.",
    roles=("reasoner",),
    output_tokens={"reasoner/solution.md.j2": 190, "reasoner/belief.md.j2": 220},
    options={
        "every": "make a belief after every Nth turn of the student (default 1)",
        **COLUMNS,
    },
)
