"""Recipes and a simulated vendor whose replies are as long, and as often wrong, as real ones are.

Its tokenizer is not the estimator's: pieces of at most six letters, digits one by one, which
comes to 1.12 times as many tokens. The mean length of its replies is drawn anew for each draw and
prompt, evenly within ±30 % of what the recipe declares; lengths around that mean are lognormal. The
share of replies that are not in the asked form is drawn anew too, evenly from none to twice the
behaviour's.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from pydantic import BaseModel
from synthtutor_compatible import Compatible
from synthtutor_openai import OpenAI

from synthtutor.messages import Message, Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint, Provider
from synthtutor.recipes.recipe import Recipe, rows_of_file
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer, Reply
from synthtutor.tutoring import Sample

__all__ = ["CASES", "PROMPTS", "Case", "Vendor", "asking", "rows_of"]

_DECLARED_WITHIN = 0.3
_LONGEST_DIALOGUE = 12

# ── the recipes ──────────────────────────────────────────────────────────────────────────────

PROMPTS = {
    "hint": "Give the student one hint and no more.\n{{ text }}",
    "problem": "Write a new problem of the same kind, with its answer.\n{{ text }}",
    "solution": "Solve it step by step, as for a student of that age.\n{{ text }}\n{{ said }}",
    "verdict": "Is this explanation right, and would a student follow it?\n{{ text }}\n{{ said }}",
    "tutor": "You are the tutor. Ask, do not tell.\n{{ text }}\n{{ said }}",
    "student": "You are the student, who is wrong at first.\n{{ text }}\n{{ said }}",
}
_DECLARED = {"hint": 60, "problem": 130, "solution": 320, "verdict": 80, "tutor": 70, "student": 45}


class Problem(BaseModel):
    """A problem with its answer."""

    statement: str
    answer: str


class Verdict(BaseModel):
    """What a judge says."""

    reason: str
    right: bool


class Turn(BaseModel):
    """What a student says, and whether the dialogue has reached its end."""

    says: str
    understood: bool


_FORMS: Mapping[str, type[Any]] = {"problem": Problem, "verdict": Verdict, "student": Turn}
_Row = Mapping[str, str]


async def _asked(session: Session, prompt: str, row: _Row, said: str = "") -> Any:
    role = "judge" if prompt == "verdict" else "writer"
    form = _FORMS.get(prompt, str)
    return await session.generate(form, f"{prompt}.j2", role=role, text=row["text"], said=said)


def _sample(text: str) -> Sample:
    return Sample(messages=[Message("user", "?"), Message("assistant", text)])


async def _chain(session: Session, row: _Row, prompts: Sequence[str]) -> Sample:
    """One prompt after the other, each about what the last one said."""
    said = ""
    for prompt in prompts:
        said = str(await _asked(session, prompt, row, said))
    return _sample(said)


async def _dialogue(session: Session, row: _Row) -> Sample:
    """Turn by turn until the student has understood."""
    said: list[str] = []
    for _ in range(_LONGEST_DIALOGUE):
        said.append(await _asked(session, "tutor", row, "\n".join(said)))
        turn = await _asked(session, "student", row, "\n".join(said))
        said.append(turn.says)
        if turn.understood:
            break
    return _sample(said[-1])


async def _drafts(session: Session, row: _Row) -> Sample:
    """Three drafts, and a verdict on each."""
    for number in range(3):
        draft = session.branch(f"draft {number}")
        said = await _asked(draft, "solution", row, f"Draft {number}")
        await _asked(draft, "verdict", row, said)
    return _sample(said)


def _recipe(name: str, function: Callable[..., Any]) -> Recipe[Any]:
    declared = {f"{prompt}.j2": float(tokens) for prompt, tokens in _DECLARED.items()}
    roles = ("writer", "judge")
    # A dialogue is expected to take five and a half turns, which is what it takes on average.
    return Recipe(
        name,
        function,
        rows_of_file,
        roles=roles,
        output_tokens=declared,
        odds={"understood": 1 / 5.5},
    )


# ── the vendor ───────────────────────────────────────────────────────────────────────────────

_AROUND_WORDS = 14  # the tokens of a form's JSON without its words
_REFUSAL = "I cannot help with that."
_PIECES = re.compile(r"[A-Za-z]{1,6}|\d|[^\w\s]")
_WORDS = [
    *("the", "denominator", "of", "each", "fraction", "tells", "how", "many", "equal", "parts"),
    *("make", "a", "whole", "so", "before", "adding", "we", "rewrite", "both", "with", "common"),
    *("multiple", "and", "compare", "numerators", "step", "by", "which", "part", "would", "you"),
    *("draw", "first", "because", "it", "explains", "why", "your", "answer", "cannot", "be"),
    *("right,", "then", "check", "equation:", "3/4", "+", "2/3", "=", "17/12.", "photosynthesis"),
]


def _tokens(text: str) -> int:
    return len(_PIECES.findall(text))


_TOKENS_PER_WORD = _tokens(" ".join(_WORDS)) / len(_WORDS)


def _prose(chance: random.Random, tokens: float) -> str:
    return " ".join(chance.choices(_WORDS, k=max(1, round(tokens / _TOKENS_PER_WORD))))


def _lognormal(chance: random.Random, cv: float) -> float:
    """Around 1, with that variation."""
    variance = math.log(1 + cv * cv)
    return chance.lognormvariate(-variance / 2, math.sqrt(variance))


@dataclass(frozen=True)
class _Habits:
    """How a model behaves: the variation of its lengths, and the shares of what goes wrong."""

    cv: float
    refuses: float = 0.0
    garbles: float = 0.0


@dataclass
class Vendor:
    """Decides each reply by its prompt and by the number of the draw alone, in whatever order it is asked."""

    habits: _Habits
    draw: str
    means: dict[str, float] = field(default_factory=dict)
    garbles: float = 0.0

    def __post_init__(self) -> None:
        chance = random.Random(f"means {self.draw}")
        self.garbles = random.Random(f"garbles {self.draw}").uniform(0, 2 * self.habits.garbles)
        for prompt, declared in _DECLARED.items():
            off = chance.uniform(-_DECLARED_WITHIN, _DECLARED_WITHIN)
            self.means[prompt] = declared * (1 + off)

    def answer(self, messages: Sequence[str]) -> tuple[str, bool, Usage]:
        """The reply, whether it is a refusal, and what is billed for it."""
        chance = random.Random("\n".join((self.draw, *messages)))
        task = messages[0].partition("\n")[0]
        kind = next(name for name, text in PROMPTS.items() if text.startswith(task))
        refused = chance.random() < self.habits.refuses
        text = _REFUSAL if refused else self._text(kind, messages[0], chance)
        # What a vendor puts around messages, and what its schema comes to.
        around = 3 + 5 * len(messages) + (40 if kind in _FORMS else 0)
        return text, refused, Usage(sum(map(_tokens, messages)) + around, _tokens(text))

    def _text(self, kind: str, prompt: str, chance: random.Random) -> str:
        length = self.means[kind] * _lognormal(chance, self.habits.cv)
        if kind not in _FORMS or chance.random() < self.garbles:
            return _prose(chance, length)
        length -= _AROUND_WORDS
        if kind == "problem":
            parts = {
                "statement": _prose(chance, 0.7 * length),
                "answer": _prose(chance, 0.3 * length),
            }
            return orjson.dumps(parts).decode()
        if kind == "verdict":
            yes = chance.random() < 0.7
        else:  # below the task and the row, the prompt has a line for whatever was said
            row = random.Random(f"{self.draw} {prompt.split(':')[1]}")
            yes = prompt.count("\n") // 2 >= row.randint(3, 8)
        first, second = _FORMS[kind].model_fields
        return orjson.dumps({first: _prose(chance, length), second: yes}).decode()

    def scripted(self, request: Request) -> Response:
        """As the scripted provider's script."""
        text, refused, usage = self.answer([message.content for message in request.messages])
        return Response(text, usage, "refusal" if refused else "stop", model=request.model_name)

    def served(self, body: Mapping[str, Any]) -> Reply:
        """As a server's behaviour."""
        text, refused, usage = self.answer([message["content"] for message in body["messages"]])
        return Reply(None, refusal=text, usage=usage) if refused else Reply(text, usage=usage)


def rows_of(count: int, draw: str) -> list[_Row]:
    """Problems of 25 to 250 words, most of them short."""
    chance = random.Random(f"rows {draw}")
    lengths = [min(250.0, max(25.0, 70 * _lognormal(chance, 0.6))) for _ in range(count)]
    words = [" ".join(chance.choices(_WORDS, k=round(length))) for length in lengths]
    return [{"text": f"Row {number}: {text}"} for number, text in enumerate(words)]


# ── the combinations ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Case:
    """A recipe and how the model behaves; ``model`` says by which way it is asked.

    ``only_json`` is an endpoint that promises JSON and not the schema, as many do.
    """

    name: str
    recipe: Recipe[Any]
    habits: _Habits
    model: str = "scripted/m"
    batch: bool = False
    only_json: bool = False


CASES = (
    Case("short", _recipe("short", partial(_chain, prompts=["hint"])), _Habits(0.3)),
    Case(
        "long-tailed",
        _recipe("long-tailed", partial(_chain, prompts=["problem", "solution", "verdict"])),
        _Habits(0.9),
    ),
    Case(
        "refusing (5 %)",
        _recipe("refusing", partial(_chain, prompts=["solution", "verdict"])),
        _Habits(0.5, refuses=0.05),
    ),
    Case(
        "re-asking (0–20 %), HTTP",
        _recipe("re-asking", partial(_chain, prompts=["problem", "verdict"])),
        _Habits(0.5, garbles=0.1),
        "compatible/m",
        only_json=True,
    ),
    Case("dialogue, 3–8 turns", _recipe("dialogue", _dialogue), _Habits(0.6)),
    Case("fan-out, 3 drafts", _recipe("fan-out", _drafts), _Habits(0.6)),
    Case(
        "batch, HTTP",
        _recipe("batch", partial(_chain, prompts=["solution", "verdict"])),
        _Habits(0.6),
        "openai/gpt-4.1-mini",
        batch=True,
    ),
)


@asynccontextmanager
async def asking(case: Case, vendor: Vendor) -> AsyncIterator[Provider]:
    """The provider that the case's model is asked through, with the vendor behind it."""
    if case.model.startswith("scripted/"):
        yield ScriptedProvider(vendor.scripted, keep=False, capabilities=Capabilities())
        return
    async with OpenAIServer(vendor.served, keep=False) as server:
        options = {"structured_output": "json"} if case.only_json else {}
        endpoint = Endpoint(server.base_url, "unused", max_in_flight=100, options=options)
        provider: Provider
        provider = OpenAI(endpoint) if case.batch else Compatible(endpoint)
        try:
            yield provider
        finally:
            await provider.aclose()
