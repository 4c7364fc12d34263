from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from synthtutor.errors import ConfigError, InvalidOutput
from synthtutor.messages import Request, Response, user
from synthtutor.recipes.misconception import Scenario
from synthtutor.structured import Shape, mended, schema_instructions, shape_of
from synthtutor.testing.scripted import plausible
from tests.doubles import Answer, reply


class Inner(BaseModel):
    kind: Literal["a", "b"]
    note: str | None = None


class Outer(BaseModel):
    name: Annotated[str, Field(min_length=2, max_length=30, pattern="^[a-z]+$")]
    score: Annotated[int, Field(ge=1, le=5)] = 3
    inners: Annotated[list[Inner], Field(min_length=1, max_length=4)]


@dataclass
class Point:
    x: int
    y: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Step(BaseModel):
    says: str
    then: list[Step]
    instead: Step | None


class Visit(BaseModel):
    place: tuple[int, str]
    span: tuple[float, float]
    at: datetime
    day: date
    id: UUID


GOOD = '{"words": "yes", "number": 3}'


def failure(shape: Shape[Any], response: Response) -> InvalidOutput:
    with pytest.raises(InvalidOutput) as caught:
        shape.parse(response)
    return caught.value


# ── parsing ──────────────────────────────────────────────────────────────────────────────────


def test_a_reply_becomes_a_value_of_its_type() -> None:
    assert shape_of(Answer).parse(Response(GOOD)) == Answer(words="yes", number=3)
    assert shape_of(Point).parse(Response('{"x": 1, "y": 2}')) == Point(1, 2)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{GOOD}\n```",
        f"Here you are:\n```\n{GOOD}\n```\nAnything else?",
        f"Sure! {GOOD}",
        "{'words': 'yes', 'number': 3}",
        '{"words": "yes", "number": 3,}',
        '{"words": "yes", "number": 3',
    ],
)
def test_json_that_is_only_wrapped_or_slightly_broken_is_repaired(text: str) -> None:
    assert shape_of(Answer).parse(Response(text)) == Answer(words="yes", number=3)


def test_whole_json_that_does_not_fit_is_not_guessed_at() -> None:
    error = failure(shape_of(Answer), Response('{"words": "yes"}'))
    assert error.kind == "unparsable"
    assert "number" in str(error)
    assert error.text == '{"words": "yes"}'


def test_the_error_names_each_field_for_the_model_to_read() -> None:
    error = failure(shape_of(Outer), Response('{"name": "X", "inners": [{"kind": "c"}]}'))
    assert "name: " in str(error)
    assert "inners.0.kind: " in str(error)


def test_text_without_json_is_unparsable() -> None:
    error = failure(shape_of(Answer), Response("I would rather not say."))
    assert (error.kind, error.text) == ("unparsable", "I would rather not say.")


def test_a_refusal_is_refused_even_when_it_is_json() -> None:
    error = failure(shape_of(Answer), Response(GOOD, finish="refusal", detail="policy"))
    assert (error.kind, str(error), error.text) == ("refused", "policy", GOOD)


def test_a_cut_reply_is_truncated_even_when_it_is_json() -> None:
    assert failure(shape_of(Answer), Response(GOOD, finish="length")).kind == "truncated"
    assert failure(shape_of(str), Response("Half a sen", finish="length")).kind == "truncated"


def test_plain_text_is_stripped_and_may_not_be_empty() -> None:
    assert shape_of(str).parse(Response(" Yes.\n")) == "Yes."
    assert failure(shape_of(str), Response(" \n")).kind == "unparsable"


@given(st.text() | st.text(alphabet='{}[]",:\\ \nu d8"a1-.eE`', max_size=60))
@example("[" * 3000)
@example('{"a":' * 3000)
@example("{" * 1000)
@example('"\\ud800"')
@example('{"words": "\\ud800", "number": 3}')
@example("NaN")
@example("```json\n")
@example("\0")
def test_no_text_is_too_odd_to_parse(text: str) -> None:
    for type_ in (Answer, Outer, Owner, Point, str):
        try:
            value = shape_of(type_).parse(Response(text))
        except InvalidOutput as error:
            assert error.kind == "unparsable"  # noqa: PT017  # any other error fails the test
        else:
            assert isinstance(value, type_)


@given(st.text(max_size=50), st.integers(-(2**40), 2**40))
def test_every_value_comes_back_from_its_own_json(words: str, number: int) -> None:
    answer = Answer(words=words, number=number)
    assert shape_of(Answer).parse(Response(answer.model_dump_json())) == answer


@pytest.mark.parametrize("type_", [Answer, Owner, Point, Scenario, Step, Visit])
def test_plausible_text_of_a_schema_is_an_answer_to_it(type_: type[Any]) -> None:
    shape = shape_of(type_)
    for number in range(10):
        text = plausible(Request("s/m", [user(str(number))], shape.schema))
        assert isinstance(shape.parse(reply(text)), type_)


# ── schemas ──────────────────────────────────────────────────────────────────────────────────


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema in it."""
    if isinstance(node, list):
        return [found for item in node for found in objects(item)]
    if not isinstance(node, dict):
        return []
    here = [node] if "properties" in node else []
    return here + [found for value in node.values() for found in objects(value)]


@pytest.mark.parametrize("type_", [Answer, Outer, Owner, Point, Scenario])
def test_every_object_is_closed_and_complete(type_: type[Any]) -> None:
    schema = shape_of(type_).schema
    assert schema is not None
    for form in (schema.definition, schema.strict):
        found = objects(form)
        assert found
        for node in found:
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])


def test_the_common_subset_has_no_constraints_and_the_strict_form_keeps_them() -> None:
    schema = shape_of(Outer).schema
    assert schema is not None
    subset, strict = orjson.dumps(schema.definition), orjson.dumps(schema.strict)
    for word in (b"minLength", b"pattern", b"maximum", b"minItems", b"title", b"default"):
        assert word not in subset
    for word in (b"minLength", b"pattern", b"maximum", b"minItems"):
        assert word in strict


def test_a_property_named_like_a_keyword_is_kept() -> None:
    class Titled(BaseModel):
        title: str
        default: int
        pattern: str

    schema = shape_of(Titled).schema
    assert schema is not None
    for form in (schema.definition, schema.strict):
        assert list(form["properties"]) == ["title", "default", "pattern"]


def test_a_tagged_union_is_asked_for_as_any_of() -> None:
    schema = shape_of(Owner).schema
    assert schema is not None
    assert b"oneOf" not in orjson.dumps(schema.definition)
    assert b"discriminator" not in orjson.dumps(schema.definition)
    assert [len(option) for option in [schema.definition["properties"]["pet"]["anyOf"]]] == [2]


def test_a_type_that_contains_itself_has_an_object_at_its_root() -> None:
    schema = shape_of(Step).schema
    assert schema is not None
    for form in (schema.definition, schema.strict):
        assert form["type"] == "object"
        assert form["properties"]["then"]["items"] == {"$ref": "#/$defs/Step"}
    text = '{"says": "a", "then": [{"says": "b", "then": [], "instead": null}], "instead": null}'
    assert shape_of(Step).parse(Response(text)).then[0].says == "b"


def test_a_tuple_is_asked_for_as_a_list_whose_items_have_a_type() -> None:
    schema = shape_of(Visit).schema
    assert schema is not None
    asked = schema.definition["properties"]
    assert asked["place"]["items"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert asked["span"]["items"] == {"type": "number"}
    assert "prefixItems" not in asked["place"]


def test_what_a_vendor_does_not_enforce_is_said_in_words() -> None:
    class Bounded(BaseModel):
        share: Annotated[float, Field(gt=0, lt=1)]
        dozens: Annotated[int, Field(multiple_of=12)]
        day: date

    schema = shape_of(Bounded).schema
    assert schema is not None
    said = [field["description"] for field in schema.definition["properties"].values()]
    assert said == ["(more than 0, less than 1)", "(a multiple of 12)", "(format date)"]


def test_a_constraint_that_no_vendor_enforces_is_checked_here() -> None:
    text = '{"name": "ok", "score": 9, "inners": [{"kind": "a", "note": null}]}'
    assert "score" in str(failure(shape_of(Outer), Response(text)))


def test_a_shape_is_made_once() -> None:
    assert shape_of(Outer) is shape_of(Outer)


class Plain:
    """Not a type that JSON can be read into."""


class Holder(BaseModel):
    table: dict[str, int]


@pytest.mark.parametrize("type_", [int, list[int], dict[str, int], Holder, object, Plain])
def test_a_type_without_a_closed_object_schema_is_refused(type_: Any) -> None:
    with pytest.raises(ConfigError):
        shape_of(type_)


def test_instructions_hold_the_schema_as_json() -> None:
    schema = shape_of(Answer).schema
    assert schema is not None
    words = schema_instructions(schema)
    assert orjson.loads(words[words.index("{") :]) == schema.definition


def test_what_would_take_long_to_mend_is_no_answer_at_once() -> None:
    for text in ("{" * 1_000_000, '{"a": "' + "x" * 1_000_000):
        assert mended(text) is None
    long = '{"words": "' + "x" * 1_000_000 + '", "number": 1}'
    assert shape_of(Answer).parse(Response(long)).number == 1, "what is sound is read, however long"
