"""How a dialogue comes about, turn by turn: `simulate` from nothing, `enhance` from a given one.

Who knows what. The reasoner sees the problem, a correct solution and the turns so far. The talker
sees that, the reasoner's belief and the visible part of the persona. The student sees the persona
as a whole, its own misconception and the turns; not the solution, unless the run says so. What
can be computed is computed: the student's answers from its malrule, and whether it has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from synthtutor.errors import InvalidOutput
from synthtutor.malrules import MALRULES, Malrule
from synthtutor.messages import Settings
from synthtutor.quality.numbers import numbers
from synthtutor.recipes.belief import Belief, Moment, Update, watching
from synthtutor.recipes.leak_judging import given_away
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.reasoner import DISAGREES, NOT_COMPARABLE, Solution, State
from synthtutor.recipes.tutor_rules import concludes, leak_of, same_answer, states, tutor_faults
from synthtutor.recipes.verification import verified
from synthtutor.session import Session

__all__ = ["Row", "StudentTurn", "Talk", "TutorTurn", "Violation", "enhance", "simulate"]

T = TypeVar("T")

_REASKS = 2
_TUTOR = Settings(max_tokens=512, temperature=0.7)
_STUDENT = Settings(max_tokens=512, temperature=0.9)

_Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=800)]


@dataclass(frozen=True, slots=True)
class Row:
    """One dialogue to make. ``numbers`` are the malrule's operands, where a malrule is at its bottom."""

    mode: str
    problem: Problem
    persona: Mapping[str, Any]
    malrule: str = ""
    numbers: tuple[int, ...] = ()
    number: int = 0

    @property
    def rule(self) -> Malrule | None:
        """The executable misconception of the student, if it has one."""
        return MALRULES[self.malrule] if self.malrule else None


class TutorTurn(BaseModel):
    """What the talker says, and which move it is."""

    move: Literal["focus", "probing", "generic", "telling"]
    says: _Said


class StudentTurn(BaseModel):
    """What the student says, and where it stands.

    ``answer`` is the student's own statement of the problem's answer in this turn.
    """

    says: _Said
    idea: Annotated[
        Literal["holds", "doubts", "dropped"],
        Field(description="where you stand with your idea after the tutor's last turn"),
    ]
    answer: Annotated[
        str | None,
        Field(description="the answer to the whole problem as you state it in says, or null"),
    ]


class Violation(Exception):
    """A turn or a belief that stays wrong when it is asked again: the dialogue ends as rejected."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.text = text


@dataclass(slots=True)
class Talk:
    """A dialogue under way. ``solution`` is the correct one; ``shown`` is what a tutor may know."""

    session: Session
    row: Row
    shown: Mapping[str, Any]
    solution: str = ""
    turns: list[Turn] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)
    doubts: list[dict[str, Any]] = field(default_factory=list)
    solved: bool = False
    ended: str = ""

    @property
    def problem(self) -> Problem:
        """The problem that is talked about."""
        return self.row.problem

    def said(self) -> tuple[Turn, ...]:
        """Everything by number: 0 is what the student handed in."""
        return (Turn("student", self.problem.student_solution), *self.turns)

    @property
    def belief(self) -> Belief | None:
        """The belief in force."""
        return self.states[-1].belief if self.states else None

    @property
    def rehearsing(self) -> bool:
        """Whether the run is only estimated: filler keeps no rules."""
        return self.session.rehearsing

    def context(self) -> dict[str, Any]:
        """What the talker is told; nothing of the student that a tutor could not know."""
        return {
            "question": self.problem.question,
            "solution": self.solution,
            "answer": self.problem.answer,
            "persona": self.shown,
            "belief": self.belief.model_dump_json() if self.belief else "",
            "said": self.said(),
        }

    def inner(self) -> dict[str, Any]:
        """What the student is told; nothing of the belief, and of the solution only on demand."""
        rule = self.row.rule
        knows = self.session.option("student_knows") == "yes"
        return {
            "question": self.problem.question,
            "persona": self.row.persona,
            "profile": self.problem.profile,
            "idea": rule.belief if rule else "",
            "solution": self.solution if knows else "",
            "said": self.said(),
        }


# ── the two modes ────────────────────────────────────────────────────────────────────────────


async def simulate(talk: Talk, limit: int) -> None:
    """Talk until the student states the right answer, or for ``limit`` turns of the tutor."""
    await _solve(talk)
    for _ in range(limit):
        await _believe(talk)
        await _tutor(talk)
        await _student(talk)
        if talk.solved:
            talk.ended = "solved"
            await _believe(talk)
            await _tutor(talk, closing=True)
            return
    talk.ended = "turn limit"


async def enhance(talk: Talk) -> None:
    """Say each given turn anew, as this persona and to this persona; the moves stay as they are."""
    await _solve(talk)
    for given in _merged(talk.problem.turns):
        if given.speaker == "tutor":
            if talk.said()[-1].speaker == "student":
                await _believe(talk)
            await _say_again(talk, given)
        else:
            await _answer_again(talk, given)
    talk.ended = "end of the given dialogue"


async def _solve(talk: Talk) -> None:
    """The solution is the given one; where there is none, the reasoner's, if it is right."""
    talk.solution = talk.problem.solution
    if talk.solution:
        return
    made = await talk.session.generate(
        Solution,
        "reasoner/solution.md.j2",
        role="reasoner",
        question=talk.problem.question,
        settings=Settings(max_tokens=4096),
    )
    right = talk.rehearsing or await verified(talk.problem.answer, made.final_answer)
    if not right:
        raise Violation(NOT_COMPARABLE if right is None else DISAGREES, made.final_answer)
    talk.solution = made.chain_of_thought


async def _believe(talk: Talk) -> None:
    """One belief more, from the turns so far. Raises Violation where it has no sound evidence."""
    said, before = talk.said(), talk.states[-1] if talk.states else None
    since = before.turn + 1 if before else 0
    known = f"{talk.problem.question}\n{talk.solution}"
    moment = Moment(said, since, (), known)
    wanted: type[Belief | Update] = Update if before else Belief
    try:
        with nullcontext() if talk.rehearsing else watching(moment):
            found = await talk.session.generate(
                wanted,
                "reasoner/belief.md.j2",
                role="reasoner",
                settings=Settings(max_tokens=3072),
                question=talk.problem.question,
                solution=talk.solution,
                said=said,
                since=since,
                before=before.belief.model_dump_json() if before and before.belief else "",
            )
    except InvalidOutput as error:
        raise Violation(
            f"no belief with sound evidence at turn {moment.turn}", str(error)
        ) from None
    new = found.belief if isinstance(found, Update) else found
    talk.states.append(
        State(moment.turn, new is not None, new or (before.belief if before else None))
    )


# ── the tutor ────────────────────────────────────────────────────────────────────────────────


async def _tutor(talk: Talk, *, closing: bool = False) -> None:
    async def ask(faults: Sequence[str], failed: str) -> tuple[Turn, str]:
        made = await talk.session.generate(
            TutorTurn,
            "dialogue/tutor.md.j2",
            role="tutor",
            settings=_TUTOR,
            closing=closing,
            faults=faults,
            failed=failed,
            **talk.context(),
        )
        return Turn("tutor", made.says, made.move), made.says

    await _kept(talk, ask)


async def _say_again(talk: Talk, given: Turn) -> None:
    async def ask(faults: Sequence[str], failed: str) -> tuple[Turn, str]:
        text = await talk.session.generate(
            str,
            "dialogue/tutor_again.md.j2",
            role="tutor",
            settings=_TUTOR,
            given=given,
            faults=faults,
            failed=failed,
            **talk.context(),
        )
        return Turn("tutor", text, given.move), text

    await _kept(talk, ask)


async def _kept(talk: Talk, ask: Any) -> None:
    """Take the turn that keeps the tutor's rules. Raises Violation where none does."""
    faults: list[str] = []
    text = ""
    for _ in range(_REASKS + 1):
        turn, text = await ask(faults, text)
        faults = [] if talk.rehearsing else await _faults(talk, text)
        if not faults:
            talk.turns.append(turn)
            return
        _note(talk, "tutor", text, faults)
    raise Violation(f"tutor turn {len(talk.said())} {'; '.join(faults)}", text)


async def _faults(talk: Talk, text: str) -> list[str]:
    problem, said = talk.problem, talk.said()
    # A stated answer can be confirmed; in a given dialogue, that it was stated is only likely.
    confirmed = talk.solved and talk.row.mode != "enhance"
    if confirmed or not problem.answer:
        return tutor_faults(text)
    leak = leak_of(text, problem.question, problem.answer, said)
    if not leak.sure and talk.session.option("leaks") != "code":
        found = await given_away(talk.session, text, leak, problem, said)
        talk.doubts.append({"turn": len(said), "text": text, "code": leak.found, "judge": found})
        leak = replace(leak, found=found)
    return tutor_faults(text, leak)


def _note(talk: Talk, speaker: str, text: str, faults: Sequence[str]) -> None:
    entry = {"turn": len(talk.said()), "speaker": speaker, "text": text, "faults": list(faults)}
    talk.violations.append(entry)


# ── the student ──────────────────────────────────────────────────────────────────────────────


async def _student(talk: Talk) -> None:
    rule, asked = talk.row.rule, talk.turns[-1].text
    computed = rule.answers(asked) if rule else []
    mine = rule.on(talk.row.numbers).wrong.said if rule else ""
    faults: list[str] = []
    failed = ""
    for _ in range(_REASKS + 1):
        made = await talk.session.generate(
            StudentTurn,
            "dialogue/student.md.j2",
            role="student",
            settings=_STUDENT,
            computed=[(written, case.wrong.said) for written, case in computed],
            mine=mine,
            faults=faults,
            failed=failed,
            **talk.inner(),
        )
        faults = [] if talk.rehearsing else _inconsistencies(made, mine, computed)
        if not faults:
            talk.turns.append(Turn("student", made.says))
            talk.solved = await _arrived(talk, made)
            return
        failed = made.says
        _note(talk, "student", made.says, faults)
    raise Violation(f"student turn {len(talk.said())} {'; '.join(faults)}", failed)


async def _arrived(talk: Talk, made: StudentTurn) -> bool:
    if talk.rehearsing:
        return made.idea == "dropped"
    if made.answer is None:
        return False
    right = await verified(talk.problem.answer, made.answer)
    return same_answer(made.answer, talk.problem.answer) if right is None else right


def _inconsistencies(
    made: StudentTurn, mine: str, computed: Sequence[tuple[str, Any]]
) -> list[str]:
    """Where a student departs from itself; only what can be computed is held against it."""
    found = []
    if made.answer is not None and not states(made.says, made.answer):
        found.append("answer: it does not occur in what you say; say it there, or make answer null")
    if not mine or made.idea != "holds":
        return found
    if made.answer is not None and not same_answer(made.answer, mine):
        found.append(
            f"you still hold your idea, by which the answer is {mine}; say that or doubt it"
        )
    for written, case in computed:
        differs = case.wrong.value != case.right.value
        if (
            differs
            and not states(made.says, case.wrong.said)
            and states(made.says, case.right.said)
        ):
            found.append(f"you still hold your idea, by which {written} is {case.wrong.said}")
    return found


async def _answer_again(talk: Talk, given: Turn) -> None:
    """A given turn in the persona's own words, with the numbers that it had."""
    wanted = {number.value for number in numbers(given.text)}
    faults: list[str] = []
    text = ""
    for _ in range(_REASKS + 1):
        text = await talk.session.generate(
            str,
            "dialogue/student_again.md.j2",
            role="student",
            settings=_STUDENT,
            given=given,
            faults=faults,
            failed=text,
            **talk.inner(),
        )
        kept = {number.value for number in numbers(text)}
        if talk.rehearsing or kept == wanted:
            talk.turns.append(Turn("student", text))
            talk.solved = talk.solved or concludes(given.text, talk.problem.answer)
            return
        faults = ["has other numbers than the given turn; keep exactly those"]
        _note(talk, "student", text, faults)
    raise Violation(f"student turn {len(talk.said())} {faults[0]}", text)


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """Turns of one side that follow each other as one, so that the sides take turns."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].speaker == turn.speaker:
            before = merged.pop()
            move = turn.move or before.move
            turn = Turn(turn.speaker, f"{before.text} {turn.text}", move)
        merged.append(turn)
    return merged
