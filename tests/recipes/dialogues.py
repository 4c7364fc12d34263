"""What the dialogue's tests share: models for all the roles, which follow the script that they get."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from synthtutor.journal import Journal
from synthtutor.messages import Message, Request, Schema
from synthtutor.prompts import Prompts
from synthtutor.recipes.dialogue import dialogue
from synthtutor.recipes.dialogue_modes import Row
from synthtutor.recipes.problems import Problem
from synthtutor.rubric import load_rubric
from synthtutor.session import RunContext, Session
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import Reply
from synthtutor.tutoring import Sample
from tests.doubles import roles
from tests.recipes.reasoning import honest, prompt

RULE = "smaller-from-larger"
PROBLEM = Problem(
    question="What is 62 - 38?",
    answer="24",
    solution="One ten is opened: 12 - 8 = 4 and 5 - 3 = 2.",
    student_solution="8 - 2 = 6\n6 - 3 = 3\nSo my answer is 36.",
)
PERSONA = {
    "name": "Noor",
    "grade": 3,
    "interest": "birds",
    "manner": "thinks aloud",
    "struggles": ["never opens a ten HIDDEN"],
}
ROW = Row("simulate", PROBLEM, PERSONA, RULE, (62, 38))

Says = Callable[[str], dict[str, Any] | str]
Script = Callable[[Request], str]


def name_of(request: Request) -> str:
    """Who is asked: by schema, or by the words of the prompts that ask for plain text."""
    if request.schema is not None:
        return request.schema.name
    return "TutorAgain" if "rewrite a tutor's turn" in prompt(request) else "StudentAgain"


def student(says: str, idea: str = "holds", answer: str | None = None) -> dict[str, Any]:
    return {"says": says, "idea": idea, "answer": answer}


def tutor(says: str, move: str = "probing") -> dict[str, Any]:
    return {"says": says, "move": move}


LEARNS = (
    student("I took 2 from 8, that is 6."),
    student("I would owe 6 birds then. So it does not fit?", "doubts"),
    student("I open a ten: 12 - 8 is 4, and 5 - 3 is 2. So 24!", "dropped", "24"),
)
ASKS = (
    tutor("How did you get the ones?"),
    tutor("With 2 birds on the wire, can 8 fly off?", "focus"),
    tutor("Where could more ones come from?"),
    tutor("Yes, opening a ten was the thought that made it fit.", "generic"),
)


def cast(
    students: tuple[dict[str, Any], ...] = LEARNS, tutors: tuple[dict[str, Any], ...] = ASKS
) -> Script:
    """A reasoner who quotes, a judge who is content, and the others as listed, the last for ever."""
    told: dict[str, Iterator[dict[str, Any]]] = {"s": iter(students), "t": iter(tutors)}

    def script(request: Request) -> str:
        match name_of(request):
            case "StudentTurn":
                return orjson.dumps(next(told["s"], students[-1])).decode()
            case "TutorTurn":
                return orjson.dumps(next(told["t"], tutors[-1])).decode()
            case "Verdicts":
                return content()
            case "TutorAgain":
                return "What does the picture tell you about that?"
            case "StudentAgain":
                return str(re.findall(r"The original turn:\n<turn>\n(.*)", prompt(request))[0])
        return honest(request)

    return script


def content() -> str:
    criteria = load_rubric("dialogue-arc").criteria
    return orjson.dumps(
        {c.id: {"evidence": "", "observed": not c.is_fault} for c in criteria}
    ).decode()


async def made(
    journal: Journal, script: Script | None = None, row: Row = ROW, **options: str
) -> tuple[Sample, list[Request]]:
    provider = ScriptedProvider(script or cast())
    run = RunContext(
        journal,
        roles(provider, "tutor", "reasoner", "student", "judge"),
        Prompts(),
        options=options,
        rubric=load_rubric("dialogue-arc"),
    )
    return await dialogue(Session(run, b"sample"), row), provider.requests


def on_the_wire(script: Script) -> Callable[[dict[str, Any]], Reply]:
    """The cast behind an endpoint: it sees the request's JSON alone."""

    def behave(body: dict[str, Any]) -> Reply:
        wanted = body.get("response_format", {}).get("json_schema", {}).get("name")
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        schema = Schema(wanted, {}, {}) if wanted else None
        return Reply(script(Request("m/m", messages, schema)))

    return behave
