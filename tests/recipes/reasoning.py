"""What the reasoner's tests share: a dialogue, and models that follow it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from synthtutor.journal import Journal
from synthtutor.messages import Request
from synthtutor.prompts import Prompts
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.reasoner import reasoner
from synthtutor.session import RunContext, Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.doubles import roles

PROBLEM = Problem(
    question="A baker has 4 trays with 6 rolls on each, and 5 loose rolls. How many rolls?",
    answer="29",
    solution="4 x 6 = 24 rolls lie on trays.\n24 + 5 = 29\n29",
    student_solution="There are 4 + 6 = 10 rolls on the trays. 10 + 5 = 15",
    turns=(
        Turn("tutor", "How did you find the number of rolls on the trays?", "probing"),
        Turn("student", "I added the trays and the rolls, four and six."),
        Turn("tutor", "Draw one tray and then the next one, what do you see?", "focus"),
        Turn("student", "ok i drew it"),
        Turn("tutor", "How many rolls are on all the trays in your drawing?", "probing"),
        Turn("student", "Oh, every tray has six rolls of its own, so it is twenty-four."),
        Turn("tutor", "Well done, that is what the drawing shows us.", "generic"),
    ),
    profile="Ines is a 7th grade student. She struggles with choosing an operation.",
    notes={
        "teacher_described_confusion": "took the sum of unlike things",
        "self-correctness": "Yes",
    },
)
DUE = [0, 2, 4, 6]
_NUMBERED = re.compile(r"^\[(\d+)\] (Student|Tutor)(?: \(handed in\))?: (.*)$", re.MULTILINE)

Script = Callable[[Request], str]


def prompt(request: Request) -> str:
    """What we say to the model: everything but its own earlier replies."""
    return "\n".join(m.content for m in request.messages if m.role != "assistant")


def turn_of(request: Request) -> int:
    return max(int(number) for number, *_ in _NUMBERED.findall(prompt(request)))


def solved(answer: str = "29") -> str:
    return orjson.dumps(
        {"chain_of_thought": f"4 x 6 = 24\n24 + 5 = {answer}", "final_answer": answer}
    ).decode()


def believed(turn: int, quote: str, says: str = "adds groups to their size") -> dict[str, Any]:
    cited = [{"turn": turn, "quote": quote}]
    return {
        "evidence": cited,
        "last_correct_step": "none",
        "misconceptions": [{"misconception": says, "probability": 0.8, "evidence": cited}],
        "affect": "unclear",
        "next_move": "let them draw one tray",
    }


def as_asked(request: Request, belief: dict[str, Any] | None) -> str:
    assert request.schema is not None
    if request.schema.name == "Update":
        return orjson.dumps({"changed": belief is not None, "belief": belief}).decode()
    return orjson.dumps(belief).decode()


def honest(request: Request) -> str:
    """Quotes the student's newest turn, whole or its beginning."""
    if request.schema is not None and request.schema.name == "Solution":
        return solved()
    number, _, text = [m for m in _NUMBERED.findall(prompt(request)) if m[1] == "Student"][-1]
    return as_asked(request, believed(int(number), text[:200]))


async def made(
    journal: Journal, script: Script = honest, row: Problem = PROBLEM, **options: str
) -> tuple[Sample, list[Request]]:
    provider = ScriptedProvider(script)
    run = RunContext(journal, roles(provider, "reasoner"), Prompts(), options=options)
    return await reasoner(Session(run, b"sample"), row), provider.requests
