"""A simulated vendor for the shipped recipes: replies in the form that each prompt asks for.

What is measured decides how long they are, where something like them was measured; the rest is
assumed (`CENTRES`, in tokens of OpenAI's o200k vocabulary, for each of which this vendor is taken
to have 1.12). Around that the mean of each prompt is drawn anew for each vendor, evenly within
±30 %, and each reply is lognormal around its prompt's mean. In 40 of MRBench's tutoring
conversations the replies of six models vary (standard deviation by mean) by 0.21 to 0.43, those of a
seventh by 2.3; for most of them, the longer the conversation, the longer the reply (correlation
0.1 to 0.5), which is left out here, so that nothing can be foreseen that way.

Some replies fail the recipe's checks, and are then asked for again as in life. These shares are
assumed: a quote that the student never said, a pair without its student's id, a wrong answer where
a right one was asked for. Each is drawn anew for each vendor, evenly from none to twice `_FAILS`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from prose import WORDS, lognormal, prose, tokens

from synthtutor.messages import Usage

__all__ = ["CENTRES", "Habits", "RecipeVendor"]

_TOKENS = 1.12  # of this vendor's for each of a public vocabulary's
_PUNCTUATED = 0.64  # of schemas, in which public vocabularies have tokens like {"type":
_WITHIN = 0.3
_FAILS = 0.06
_UNCHANGED = 0.25  # beliefs that a student's turn leaves as they are
_EASY = [word for word in WORDS if word.isalpha() and len(word) <= 5]
_REFUSAL = "I cannot help with that."
_STUDENT = re.compile(r"^\[(\d+)\] Student[^:\n]*: (.*)$", re.MULTILINE)
_BOUNDS = re.compile(r"from (\d+) to (\d+) words")
_OWN_TURN = re.compile(r"^You[^:\n]*: ", re.MULTILINE)

CENTRES: Mapping[str, float] = {
    # 84 of our seeds as such answers have 455 with four or five criteria, our 28 model replies 265.
    "misconception/scenario.md.j2": 455,
    "misconception/reply.md.j2": 265,
    "preference/reply.md.j2": 265,
    # 40 solutions to MathDial's problems have 69 by teachers, 99 by a model; with the form.
    "reasoner/solution.md.j2": 110,
    # Models' replies in MRBench have 31 to 64, students' turns in MathDial 51; with the form.
    "dialogue/tutor.md.j2": 60,
    "dialogue/student.md.j2": 70,
    # Assumed: what the recipes declare.
    "reasoner/belief.md.j2": 220,
    "persona_qa/pairs.md.j2": 620,
    "math_grading/answer.md.j2": 150,
    # Assumed: of one exchange of a conversation, and of one quotation of a judge.
    "k12-mix/conversation.md.j2": 200,
    "judge.md.j2": 13,
    "preference/degrade.md.j2": 1,  # as long as it is told to be
}


@dataclass(frozen=True)
class Habits:
    """How a model behaves: the variation of its lengths for one prompt, and what goes wrong how often."""

    cv: float = 0.3
    refuses: float = 0.0
    garbles: float = 0.0


@dataclass
class RecipeVendor:
    """Decides each reply by its prompt and its own name alone, in whatever order it is asked."""

    habits: Habits
    name: str
    means: dict[str, float] = field(default_factory=dict)
    garbles: float = 0.0
    fails: float = 0.0

    def __post_init__(self) -> None:
        chance = random.Random(f"vendor {self.name}")
        self.garbles = chance.uniform(0, 2 * self.habits.garbles)
        self.fails = chance.uniform(0, 2 * _FAILS)
        for stage, centre in CENTRES.items():
            self.means[stage] = centre * _TOKENS * (1 + chance.uniform(-_WITHIN, _WITHIN))

    def answer(
        self, stage: str, schema: Mapping[str, Any] | None, messages: Sequence[str], row: Any = None
    ) -> tuple[str, bool, Usage]:
        """The reply, whether it is a refusal, and what is billed for it."""
        chance = random.Random("\n".join((self.name, *messages)))
        refused = chance.random() < self.habits.refuses
        text = _REFUSAL if refused else self._text(_Asked(stage, schema, messages, row, chance))
        # What a vendor puts around messages, and what a schema comes to.
        form = tokens(orjson.dumps(schema).decode()) * _PUNCTUATED if schema else 0
        around = 3 + 5 * len(messages) + round(form)
        return text, refused, Usage(sum(map(tokens, messages)) + around, tokens(text))

    def _text(self, asked: _Asked) -> str:
        length = self.means[asked.stage] * lognormal(asked.chance, self.habits.cv)
        if asked.schema is not None and asked.chance.random() < self.garbles:
            return prose(asked.chance, length)
        made = _WRITERS[asked.stage](asked, length, asked.chance.random() < self.fails)
        return made if isinstance(made, str) else orjson.dumps(made).decode()


@dataclass(frozen=True)
class _Asked:
    """One call as the writers of replies see it."""

    stage: str
    schema: Mapping[str, Any] | None
    messages: Sequence[str]
    row: Any
    chance: random.Random

    @property
    def prompt(self) -> str:
        return "\n".join(self.messages)

    @property
    def properties(self) -> Mapping[str, Any]:
        assert self.schema is not None
        found: Mapping[str, Any] = self.schema["properties"]
        return found

    def prose(self, count: float) -> str:
        return prose(self.chance, count, plain=True)

    def easy(self, count: float) -> str:
        """Words that any grade can read, each of one token."""
        return " ".join(self.chance.choices(_EASY, k=max(1, round(count))))


# ── what is written, by prompt ───────────────────────────────────────────────────────────────


def _scenario(asked: _Asked, length: float, _fails: bool) -> object:
    """Divided as our seeds are: nearly half of the words are the explanation's."""
    count = asked.chance.randint(3, 6)
    words = max(100.0, length - 45 - 22 * count)
    return {
        "topic": asked.prose(4),
        "question": asked.prose(0.15 * words),
        "first_explanation": asked.prose(0.44 * words),
        "follow_up": asked.prose(0.17 * words),
        "rubric": [
            {
                "text": asked.prose(0.24 * words / count)[:300],
                "kind": "fault" if number == 2 else "wanted",
                "critical": number < 2,
            }
            for number in range(count)
        ],
    }


def _reply(asked: _Asked, length: float, _fails: bool) -> object:
    return asked.prose(length)


def _verdicts(asked: _Asked, length: float, _fails: bool) -> object:
    """A quotation where a statement holds; ``none`` where nothing decides the matter."""
    found = {}
    for name in asked.properties:
        holds = asked.chance.random() < 0.6
        words = min(25.0, length * lognormal(asked.chance, 0.5))
        found[name] = {"evidence": asked.prose(words)[:120] if holds else "none", "observed": holds}
    return found


def _degraded(asked: _Asked, _length: float, _fails: bool) -> object:
    """As long as it is told to be, give or take; some miss the bounds."""
    bounds = _BOUNDS.search(asked.prompt)
    least, most = map(int, bounds.groups()) if bounds else (80, 120)
    middle = (least + most) / 2 * lognormal(asked.chance, 0.12)
    return " ".join(asked.chance.choices([w for w in WORDS if w.isalpha()], k=round(middle)))


def _pairs(asked: _Asked, length: float, fails: bool) -> object:
    asked_for = re.search(r"Write (\d+)", asked.prompt)
    count = int(asked_for.group(1)) if asked_for else 10
    pairs = []
    for number in range(count):
        each = length / 10 * lognormal(asked.chance, 0.3)
        who = f"student with ID {asked.row.student}"
        if fails and number % 3 == 0:
            who = "student"
        question = f"Of the {who}, {asked.prose(0.2 * each)}?"
        pairs.append({"question": question, "answer": asked.prose(0.7 * each) + "."})
    return {"pairs": pairs}


def _solution(asked: _Asked, length: float, _fails: bool) -> object:
    return {"chain_of_thought": asked.prose(length - 15), "final_answer": asked.row.problem.answer
            if hasattr(asked.row, "problem") else asked.row.answer}  # fmt: skip


def _belief(asked: _Asked, length: float, fails: bool) -> object:
    """A belief on the student's newest words, which are copied; a failing one makes them up."""
    later = "changed" in asked.properties
    if later and asked.chance.random() < _UNCHANGED:
        return {"changed": False, "belief": None}
    number, text = _STUDENT.findall(asked.prompt)[-1]
    words = text.split()
    start = asked.chance.randrange(max(1, len(words) - 8))
    quote = "words that nobody said" if fails else " ".join(words[start : start + 8])
    evidence = [{"turn": int(number), "quote": quote}]
    left = max(20.0, length - 60 - 2 * tokens(quote)) / 4
    belief = {
        "evidence": evidence,
        "last_correct_step": asked.prose(left)[:200],
        "misconceptions": [
            {"misconception": asked.prose(left)[:200], "probability": 0.6, "evidence": evidence}
        ],
        "affect": "unsure",
        "next_move": asked.prose(2 * left)[:200],
    }
    return {"changed": True, "belief": belief} if later else belief


def _work(asked: _Asked, length: float, fails: bool) -> object:
    """The row's own steps, with words between them; a failing one gets the other answer."""
    right = asked.row.right != fails
    case = asked.row.case
    steps = asked.row.problem.solution.split("\n")
    answer = asked.row.problem.answer
    if not right and case is not None:
        steps, answer = list(case.wrong.steps), case.wrong.said
    elif not right:
        answer = f"{answer}1"
    bare = tokens(orjson.dumps(steps).decode()) + 40
    more = max(0.0, length - bare) / len(steps)
    steps = [f"{asked.prose(more)}: {step}"[-400:] if more > 2 else step for step in steps]
    steps.append(f"So it is {answer}.")
    error = None if asked.row.right else "it goes wrong there"
    return {"steps": steps, "final_answer": answer, "first_wrong_step": 1 if error else None,
            "error": error}  # fmt: skip


def _conversation(asked: _Asked, length: float, fails: bool) -> object:
    """``length`` tokens an exchange; a failing one does not use the technique."""
    draw = asked.row.draw
    technique = "none" if fails and draw["technique"] != "none" else draw["technique"]
    each = max(20.0, length - 90)
    exchanges = [
        {
            "student": {
                "message": asked.prose(0.4 * each)[:1200],
                "emotional_markers": ["unsure"],
                "academic_indicators": ["partial_idea"],
                "learning_signals": [],
            },
            "tutor": {
                "message": ". ".join(asked.easy(0.6 * each / 8) for _ in range(8))[:1190] + ".",
                "emotional_response": "calm_words",
                "teaching_technique": technique,
                "academic_strategy": "one_step",
                "confidence_building": ["credit_for_a_step"],
            },
        }
        for _ in range(int(draw["exchanges"]))
    ]
    return {
        "learning_objective": "name_the_parts",
        "tutoring_approach_needed": "small_steps",
        "confidence_level": 0.4,
        "motivation_level": 0.5,
        "exchanges": exchanges,
        "learning_objectives": ["name_the_parts"],
        "emotional_outcomes": "calmer",
        "academic_outcomes": "one_step_done",
    }


def _tutor_turn(asked: _Asked, length: float, fails: bool) -> object:
    """One question; a failing one has too many sentences."""
    text = asked.prose(max(5.0, length - 14))
    return {"move": "probing", "says": f"One. Two. Three. {text}?" if fails else f"{text}?"}


def _student_turn(asked: _Asked, length: float, _fails: bool) -> object:
    """The idea is dropped after as many turns as a dialogue in MathDial has (5.4, varying by 0.47)."""
    row = asked.row
    patience = 5.4 * lognormal(random.Random(f"{row.number} {row.problem.id}"), 0.47)
    done = len(_OWN_TURN.findall(asked.prompt)) >= round(patience)
    text = asked.prose(max(4.0, length - 22))
    answer = row.problem.answer if done else None
    says = f"{text}, so it is {answer}." if done else f"{text}."
    return {"says": says, "idea": "dropped" if done else "holds", "answer": answer}


_WRITERS: Mapping[str, Callable[[_Asked, float, bool], object]] = {
    "misconception/scenario.md.j2": _scenario,
    "misconception/reply.md.j2": _reply,
    "preference/reply.md.j2": _reply,
    "preference/degrade.md.j2": _degraded,
    "persona_qa/pairs.md.j2": _pairs,
    "reasoner/solution.md.j2": _solution,
    "reasoner/belief.md.j2": _belief,
    "math_grading/answer.md.j2": _work,
    "k12-mix/conversation.md.j2": _conversation,
    "dialogue/tutor.md.j2": _tutor_turn,
    "dialogue/student.md.j2": _student_turn,
    "judge.md.j2": _verdicts,
}
