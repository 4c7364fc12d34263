"""What the tests of K-12 conversations share: a writer and an annotator who keep to their prompts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import orjson

from synthtutor.messages import Message, Request, Schema
from synthtutor.rubric import load_rubric
from synthtutor.testing.server import Reply

Script = Callable[[Request], str]

_DRAWN = re.compile(r"^- ([\w ,]+?)(?:, for this grade)?: (\S+)", re.MULTILINE)
_TURN = re.compile(r"^(\d+)\. (Student|Tutor): (.*)$", re.MULTILINE)
_WORDS = (
    *("red", "cup", "ten", "dog", "add", "map", "sun", "box", "pen", "cat", "hop", "leaf", "ball"),
    *("tree", "fish", "star", "boat", "drum", "milk", "sand", "bell", "frog", "lamp", "coin"),
)

LESSON: dict[str, Any] = {
    "learning_objective": "subtract with regrouping",
    "tutoring_approach_needed": "one column at a time",
    "confidence_level": 0.3,
    "motivation_level": 0.5,
    "exchanges": [
        {
            "student": {
                "message": "52 minus 38 never comes out right! I got 26 and my friend has 14.",
                "emotional_markers": ["frustration"],
                "academic_indicators": ["smaller from larger"],
                "learning_signals": ["compares with a friend"],
            },
            "tutor": {
                "message": "That would bother me too, and it was smart to compare. Show me how you did the ones.",
                "emotional_response": "validating",
                "teaching_technique": "error_analysis",
                "academic_strategy": "locate the step",
                "confidence_building": ["credit the comparison"],
            },
        },
        {
            "student": {
                "message": "8 minus 2 is 6. Oh. But it says 2 take away 8, and I only have 2!",
                "emotional_markers": [],
                "academic_indicators": ["sees the order"],
                "learning_signals": ["corrects themselves"],
            },
            "tutor": {
                "message": "You spotted it yourself. Where could you get more ones from?",
                "emotional_response": "encouraging",
                "teaching_technique": "guiding_question",
                "academic_strategy": "lead to regrouping",
                "confidence_building": ["credit the discovery"],
            },
        },
    ],
    "learning_objectives": ["subtract with regrouping", "check a result"],
    "emotional_outcomes": "calmer and curious",
    "academic_outcomes": "finds the wrong step",
}


HARD = (
    "Consequently, understanding subtraction necessitates appreciating positional representation, "
    "because exchanging denominations systematically guarantees mathematically equivalent quantities "
    "notwithstanding superficially contradictory intermediate calculations, which nevertheless "
    "demonstrates considerable algorithmic sophistication."
)


def with_tutor(message: str) -> dict[str, Any]:
    """The lesson, with other words in the tutor's first turn."""
    made: dict[str, Any] = orjson.loads(orjson.dumps(LESSON))
    made["exchanges"][0]["tutor"]["message"] = message
    return made


def said(request: Request) -> str:
    return "\n\n".join(message.content for message in request.messages)


def drawn(prompt: str) -> dict[str, str]:
    """The draw, as the prompt tells it."""
    found = dict(_DRAWN.findall(prompt))
    return {**found, "exchanges": re.findall(r"Write (\d+) exchanges", prompt)[0]}


def written(request: Request) -> dict[str, Any]:
    """A conversation that keeps to the draw, in small words that are others for each request."""
    draw = drawn(request.messages[-1].content)
    chance = random.Random(request.digest())

    def sentence(count: int) -> str:
        return " ".join(chance.choices(_WORDS, k=count)).capitalize() + "."

    exchange = LESSON["exchanges"][0]
    technique = draw["main technique of the tutor"]
    return {
        **LESSON,
        "exchanges": [
            {
                "student": {**exchange["student"], "message": sentence(12)},
                "tutor": {
                    **exchange["tutor"],
                    "message": f"{sentence(8)} {sentence(8)}",
                    "teaching_technique": technique,
                },
            }
            for _ in range(int(draw["exchanges"]))
        ],
    }


def noted(request: Request, **changes: Any) -> dict[str, Any]:
    """An annotation that quotes the last words of each turn."""
    turns = [(int(n), who, text) for n, who, text in _TURN.findall(request.messages[1].content)]
    quotes = {n: " ".join(text.split()[-3:]) for n, _, text in turns}
    students = [n for n, who, _ in turns if who == "Student"]
    evidence = [{"turn": students[0], "quote": quotes[students[0]]}]
    return {
        **{name: LESSON[name] for name in LESSON if name != "exchanges"},
        "grade_level": "elementary",
        "grade_evidence": evidence,
        "subject": "mathematics",
        "topic": "regrouping",
        "difficulty_level": "beginner",
        "student_emotion": "frustrated",
        "student_emotion_intensity": 0.6,
        "emotion_evidence": evidence,
        "student_turns": [
            {
                "turn": n,
                "quote": quotes[n] if n == students[0] else "",
                "emotional_markers": ["frustration"] if n == students[0] else [],
                "academic_indicators": ["takes a step"],
                "learning_signals": [],
            }
            for n in students
        ],
        "tutor_turns": [
            {
                "turn": n,
                "quote": quotes[n],
                "emotional_response": "neutral",
                "teaching_technique": "guiding_question",
                "academic_strategy": "one step at a time",
                "confidence_building": [],
            }
            for n, who, _ in turns
            if who == "Tutor"
        ],
        **changes,
    }


def content(*observed: str) -> str:
    """A judge who finds every merit, and the faults named."""
    criteria = load_rubric("k12-conversation").criteria
    return orjson.dumps(
        {
            c.id: {"evidence": "", "observed": c.id in observed or not c.is_fault}
            for c in criteria
            if c.kind == "judged"
        }
    ).decode()


def answering(request: Request) -> str:
    """The writer, the annotator or the judge, whoever is asked."""
    name = request.schema.name if request.schema is not None else ""
    if name == "Verdicts":
        return content()
    made = written(request) if name == "Conversation" else noted(request)
    return orjson.dumps(made).decode()


def on_the_wire(script: Script = answering) -> Callable[[dict[str, Any]], Reply]:
    """The same behind an endpoint: it sees the request's JSON alone."""

    def behave(body: dict[str, Any]) -> Reply:
        form = body["response_format"]["json_schema"]
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        return Reply(script(Request("m/m", messages, Schema(form["name"], {}, {}))))

    return behave
