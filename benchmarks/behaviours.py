"""Recipes and a simulated vendor whose replies are as long, and as often wrong, as real ones are.

Its tokenizer (`prose.py`) is not the estimator's. The mean length of its replies is drawn anew for
each vendor and prompt, evenly within ±30 % of what the recipe declares; lengths around that mean
are lognormal. The share of replies that are not in the asked form is drawn anew too, evenly from
none to twice the behaviour's.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from prose import WORDS, lognormal, prose, tokens
from pydantic import BaseModel
from recording import Combination
from synthtutor_compatible import Compatible
from synthtutor_openai import OpenAI

from synthtutor.messages import Message, Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint, Provider
from synthtutor.recipes.recipe import Recipe, rows_of_file
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer, Reply
from synthtutor.tutoring import Sample

__all__ = ["CASES"]

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

_AROUNDWORDS = 14  # the tokens of a form's JSON without its words
_REFUSAL = "I cannot help with that."


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
        return text, refused, Usage(sum(map(tokens, messages)) + around, tokens(text))

    def _text(self, kind: str, prompt: str, chance: random.Random) -> str:
        length = self.means[kind] * lognormal(chance, self.habits.cv)
        if kind not in _FORMS or chance.random() < self.garbles:
            return prose(chance, length)
        length -= _AROUNDWORDS
        if kind == "problem":
            parts = {
                "statement": prose(chance, 0.7 * length),
                "answer": prose(chance, 0.3 * length),
            }
            return orjson.dumps(parts).decode()
        if kind == "verdict":
            yes = chance.random() < 0.7
        else:  # below the task and the row, the prompt has a line for whatever was said
            row = random.Random(f"{self.draw} {prompt.split(':')[1]}")
            yes = prompt.count("\n") // 2 >= row.randint(3, 8)
        first, second = _FORMS[kind].model_fields
        return orjson.dumps({first: prose(chance, length), second: yes}).decode()

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
    lengths = [min(250.0, max(25.0, 70 * lognormal(chance, 0.6))) for _ in range(count)]
    words = [" ".join(chance.choices(WORDS, k=round(length))) for length in lengths]
    return [{"text": f"Row {number}: {text}"} for number, text in enumerate(words)]


# ── the combinations ───────────────────────────────────────────────────────────────────────────────


def _case(
    recipe: Recipe[Any], habits: _Habits, name: str, asking: Any = None, **config: Any
) -> Combination:
    scripted = {"models": {"default": "scripted/m"}, "prices": {"scripted/m": [1.0, 4.0]}}
    return Combination(
        name, recipe, rows_of, partial(asking or _scripted, habits), scripted | config, PROMPTS
    )


@asynccontextmanager
async def _scripted(habits: _Habits, vendor: str) -> AsyncIterator[Mapping[str, Provider]]:
    script = Vendor(habits, vendor).scripted
    yield {"scripted": ScriptedProvider(script, keep=False, capabilities=Capabilities())}


@asynccontextmanager
async def _only_json(habits: _Habits, vendor: str) -> AsyncIterator[Mapping[str, Provider]]:
    """An endpoint that promises JSON and not the schema, as many do."""
    async with OpenAIServer(Vendor(habits, vendor).served, keep=False) as server:
        options = {"structured_output": "json"}
        provider = Compatible(
            Endpoint(server.base_url, "unused", max_in_flight=100, options=options)
        )
        try:
            yield {"compatible": provider}
        finally:
            await provider.aclose()


@asynccontextmanager
async def _openai(habits: _Habits, vendor: str) -> AsyncIterator[Mapping[str, Provider]]:
    async with OpenAIServer(Vendor(habits, vendor).served, keep=False) as server:
        provider = OpenAI(Endpoint(server.base_url, "unused", max_in_flight=100))
        try:
            yield {"openai": provider}
        finally:
            await provider.aclose()


def _prompted(name: str, *prompts: str) -> Recipe[Any]:
    return _recipe(name, partial(_chain, prompts=prompts))


CASES = (
    _case(_prompted("short", "hint"), _Habits(0.3), "short"),
    _case(
        _prompted("long-tailed", "problem", "solution", "verdict"),
        _Habits(0.9),
        "long-tailed, 3 calls",
    ),
    _case(
        _prompted("refusing", "solution", "verdict"), _Habits(0.5, refuses=0.05), "refusing (5 %)"
    ),
    _case(
        _prompted("re-asking", "problem", "verdict"),
        _Habits(0.5, garbles=0.1),
        "re-asking (0–20 %), HTTP",
        _only_json,
        models={"default": "compatible/m"},
        prices={"compatible/m": [1.0, 4.0]},
    ),
    _case(_recipe("dialogue", _dialogue), _Habits(0.6), "dialogue, 3–8 turns"),
    _case(_recipe("fan-out", _drafts), _Habits(0.6), "fan-out, 3 drafts"),
    _case(
        _prompted("batch", "solution", "verdict"),
        _Habits(0.6),
        "batch, HTTP",
        _openai,
        models={"default": "openai/gpt-4.1-mini"},
        prices={},
        batch=True,
        batch_wait_s=0.1,
        batch_poll_s=0.1,
    ),
)
