"""The shipped recipes on 1,000 rows of their own, asked of a simulated vendor (`recipe_vendor.py`).

Seeds, executable misconceptions and the data plan are the real ones. Profiles and the dialogues
that the reasoner follows are made up, as long as real ones are: MathDial's teachers take 5.4 turns
(varying by 0.47), with 19 and their students with 50 tokens a turn (both varying by 0.7).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from prose import lognormal, prose
from recipe_vendor import Habits, RecipeVendor
from recording import Combination
from synthtutor_openai import OpenAI

from synthtutor.messages import Request, Response
from synthtutor.preflight import find_recipe
from synthtutor.provider import Capabilities, Endpoint, Provider
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.recipes.recipe import Recipe, RowOptions
from synthtutor.session import Session, call_at_hand
from synthtutor.sources import BadRow
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer, Reply

__all__ = ["RECIPES"]

_MODEL = "openai/gpt-5-mini"  # by whose tokenizer prompts are counted; it is not asked

_at_hand: ContextVar[Any] = ContextVar("row_at_hand")


def _noting(name: str) -> Recipe[Any]:
    """The shipped recipe; the vendor sees which row it is asked about, however prompts are worded."""
    recipe = find_recipe(name)

    async def noted(session: Session, row: Any) -> Any:
        _at_hand.set(row)
        return await recipe.function(session, row)

    return replace(recipe, function=noted)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def _own_rows(name: str, count: int, _vendor: str) -> list[Any]:
    """The recipe's own, without a file."""
    made = find_recipe(name).rows(RowOptions(seed=7)).rows
    return list(islice(made, count))


def _problems(count: int, _vendor: str) -> list[Problem]:
    """The misconceptions' tasks, each with a dialogue about it."""
    given = (row.problem for row in _own_rows("dialogue", count, ""))
    return [_talked_about(problem, number) for number, problem in enumerate(given)]


def _talked_about(problem: Problem, number: int) -> Problem:
    chance = random.Random(f"dialogue {number}")
    turns: list[Turn] = []
    for _ in range(max(2, min(12, round(5.4 * lognormal(chance, 0.47))))):
        turns.append(Turn("tutor", _said(chance, 19)))
        turns.append(Turn("student", _said(chance, 50)))
    return replace(problem, turns=tuple(turns), id=f"{problem.id} {number}")


def _said(chance: random.Random, tokens: float) -> str:
    return prose(chance, 1.12 * tokens * lognormal(chance, 0.7), plain=True)


def _students(count: int, _vendor: str) -> list[Any]:
    """Five categories of each student; read from a file, as profiles are."""
    with TemporaryDirectory(prefix="synthtutor-benchmark-") as folder:
        path = Path(folder) / "profiles.jsonl"
        profiles = (_profile(number) for number in range(-(-count // 5)))
        path.write_bytes(b"\n".join(orjson.dumps(profile) for profile in profiles))
        rows = list(find_recipe("persona-qa").rows(RowOptions(path=path)).rows)
    assert not any(isinstance(row, BadRow) for row in rows)
    return rows[:count]


def _profile(number: int) -> dict[str, Any]:
    chance = random.Random(f"profile {number}")

    def word() -> str:  # nobody else's, as an answer must not have another student's words
        return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(3))

    def items() -> list[str]:
        return [f"{word()} {word()}" for _ in range(chance.randint(2, 4))]

    def marks() -> list[dict[str, Any]]:
        subjects = ("Mathematics", "English", "Science", "History", "Geography", "Music")
        named = chance.sample(subjects, chance.randint(3, 6))
        return [{"subject": subject, "mark": chance.randint(30, 99)} for subject in named]

    return {
        "student_id": f"S{number:04}",
        "name": f"Pupil{number} Of{number}",
        "age": chance.randint(8, 17),
        "class_level": chance.randint(3, 12),
        "syllabus": "CBSE",
        "interests": items(),
        "personality": prose(chance, chance.uniform(12, 40), plain=True),
        "hobbies": items(),
        "study_routine_start": "17:00",
        "study_routine_end": "18:30",
        "marks_last_year_final": marks(),
        "marks_last_internals": marks(),
        "emotional_traits": items(),
        "group_behavior": prose(chance, chance.uniform(12, 40), plain=True),
        "learning_style": "visual",
        "strengths": items(),
        "struggles": items(),
    }


# ── the vendor, however it is reached ────────────────────────────────────────────────────────


@asynccontextmanager
async def _scripted(
    habits: Habits, structured: str, vendor: str
) -> AsyncIterator[Mapping[str, Provider]]:
    made = RecipeVendor(habits, vendor)

    def script(request: Request) -> Response:
        site = call_at_hand.get()
        schema = None if site.schema is None else site.schema.strict
        messages = [message.content for message in request.messages]
        text, refused, usage = made.answer(site.stage, schema, messages, _at_hand.get(None))
        return Response(text, usage, "refusal" if refused else "stop", model=request.model_name)

    capabilities = Capabilities(structured_output=structured)  # type: ignore[arg-type]
    yield {"openai": ScriptedProvider(script, keep=False, capabilities=capabilities)}


@asynccontextmanager
async def _served(habits: Habits, vendor: str) -> AsyncIterator[Mapping[str, Provider]]:
    """Behind a server on the loopback interface, which knows prompts and forms and nothing else."""
    made = RecipeVendor(habits, vendor)

    def served(body: Mapping[str, Any]) -> Reply:
        form = (body.get("response_format") or {}).get("json_schema")
        schema = form["schema"] if form else None
        stage = "misconception/reply.md.j2"
        if schema is not None:
            own = "follow_up" in schema["properties"]
            stage = "misconception/scenario.md.j2" if own else "judge.md.j2"
        text, refused, usage = made.answer(stage, schema, [m["content"] for m in body["messages"]])
        return Reply(None, refusal=text, usage=usage) if refused else Reply(text, usage=usage)

    async with OpenAIServer(served, keep=False) as server:
        provider = OpenAI(Endpoint(server.base_url, "unused", max_in_flight=100))
        try:
            yield {"openai": provider}
        finally:
            await provider.aclose()


# ── the combinations ─────────────────────────────────────────────────────────────────────────


def _case(
    title: str,
    name: str,
    habits: Habits | None = None,
    rows: Callable[[int, str], Sequence[Any]] | None = None,
    structured: str = "schema",
    **config: Any,
) -> Combination:
    return Combination(
        title,
        _noting(name),
        rows or partial(_own_rows, name),
        partial(_scripted, habits or Habits(), structured),
        {"models": {"default": _MODEL}, "prices": {_MODEL: [1.0, 5.0]}, **config},
    )


RECIPES = (
    _case("misconception, judged", "misconception"),
    replace(
        _case("misconception, batch, HTTP", "misconception"),
        asking=partial(_served, Habits()),
        config={"models": {"default": "openai/gpt-4.1-mini"}, "batch": True,
                "batch_wait_s": 0.1, "batch_poll_s": 0.1},
    ),
    _case("misconception, long-tailed (0.9)", "misconception", Habits(0.9)),
    _case("preference", "preference"),
    _case("preference, refusing (5 %)", "preference", Habits(refuses=0.05)),
    _case("persona-qa", "persona-qa", rows=_students),
    _case("reasoner", "reasoner", rows=_problems),
    _case("dialogue, simulate", "dialogue"),
    _case("math-grading", "math-grading"),
    _case("math-grading, re-asking (0–20 %)", "math-grading", Habits(garbles=0.1),
          structured="json"),
    _case("k12-mix", "k12-mix"),
)  # fmt: skip
