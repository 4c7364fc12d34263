"""Text in form: what a rehearsed reply says, which must be as long as asked and pass as an answer."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints

from synthtutor.messages import Response
from synthtutor.recipes.misconception import Scenario
from synthtutor.rehearsal import in_form
from synthtutor.structured import shape_of
from synthtutor.tokens import counter_for


class Turn(BaseModel):
    """What decides whether a dialogue goes on."""

    says: str
    understood: bool


class Step(BaseModel):
    """Something nested."""

    text: Annotated[str, StringConstraints(min_length=3, max_length=400)]
    kind: Literal["wanted", "fault"]
    share: Annotated[float, Field(gt=0, lt=1)]


class Nested(BaseModel):
    """One of each."""

    title: Annotated[str, StringConstraints(max_length=60)]
    steps: Annotated[list[Step], Field(min_length=2, max_length=5)]
    tags: list[Literal["a", "b", "c"]]
    grade: Annotated[int, Field(ge=1, le=12)]
    even: Annotated[int, Field(ge=3, multiple_of=2)]
    note: str | None
    first: Step
    done: bool


class Visit(BaseModel):
    """What holds itself, and what no words fit into."""

    place: tuple[int, str]
    at: datetime
    id: UUID
    then: list[Visit]
    instead: Visit | None


FORMS: list[type[Any]] = [Nested, Scenario, Turn, Step, Visit]


@given(st.sampled_from(FORMS), st.floats(0, 600), st.integers(), st.floats(0, 1))
def test_text_in_form_is_accepted_as_an_answer(
    form: type[Any], tokens: float, seed: int, odds: float
) -> None:
    shape = shape_of(form)
    text = in_form(shape.schema, tokens, random.Random(seed), odds)
    assert isinstance(shape.parse(Response(text)), form)


@given(st.integers(20, 800), st.integers())
def test_prose_has_about_as_many_tokens_as_were_asked_for(tokens: int, seed: int) -> None:
    text = in_form(None, tokens, random.Random(seed))
    assert counter_for("openai/gpt-4o").text(text) == pytest.approx(tokens, rel=0.15, abs=3)


class Lesson(BaseModel):
    """Nested, with nothing that bounds its strings."""

    explanation: str
    steps: list[str]
    turns: Annotated[list[Turn], Field(min_length=2)]


@given(st.sampled_from([Lesson, Turn]), st.integers(60, 900), st.integers())
def test_json_has_about_as_many_tokens_as_were_asked_for(
    form: type[Any], tokens: int, seed: int
) -> None:
    text = in_form(shape_of(form).schema, tokens, random.Random(seed))
    assert counter_for("openai/gpt-4o").text(text) == pytest.approx(tokens, rel=0.2, abs=12)


@given(st.integers())
def test_choices_do_not_depend_on_the_length_that_is_asked_for(seed: int) -> None:
    schema = shape_of(Nested).schema
    short, long = (
        orjson.loads(in_form(schema, tokens, random.Random(seed))) for tokens in (10, 900)
    )
    assert [step["kind"] for step in short["steps"]] == [step["kind"] for step in long["steps"]]
    assert (short["tags"], short["done"]) == (long["tags"], long["done"])


def test_the_odds_of_a_yes_are_those_that_are_said() -> None:
    schema = shape_of(Turn).schema
    for odds in (0.0, 0.25, 1.0):
        said = [
            orjson.loads(in_form(schema, 20, random.Random(seed), odds))["understood"]
            for seed in range(400)
        ]
        assert sum(said) / 400 == pytest.approx(odds, abs=0.07)


@given(st.integers(), st.floats(0, 1))
def test_a_declared_field_goes_by_its_own_odds(seed: int, odds: float) -> None:
    schema = shape_of(Nested).schema

    def drawn(declared: dict[str, float]) -> Any:
        return orjson.loads(in_form(schema, 20, random.Random(seed), odds, declared))

    assert drawn({"done": 1.0})["done"] is True
    assert drawn({"done": 0.0})["done"] is False
    assert {step["kind"] for step in drawn({"kind=fault": 1.0})["steps"]} == {"fault"}
    assert drawn({"kind=fault": 0.0})["first"]["kind"] == "wanted"


def test_the_rest_of_a_declared_choice_is_shared_by_the_other_values() -> None:
    class Idea(BaseModel):
        idea: Literal["holds", "doubts", "dropped"]

    schema = shape_of(Idea).schema
    declared = {"idea=dropped": 0.2}
    said = [
        orjson.loads(in_form(schema, 5, random.Random(seed), 0.5, declared))["idea"]
        for seed in range(3000)
    ]
    shares = {idea: said.count(idea) / len(said) for idea in ("holds", "doubts", "dropped")}
    assert shares["dropped"] == pytest.approx(0.2, abs=0.03)
    assert shares["holds"] == pytest.approx(0.4, abs=0.04)
    assert shares["doubts"] == pytest.approx(0.4, abs=0.04)
