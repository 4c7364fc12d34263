from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.messages import (
    Message,
    RateLimitStatus,
    Request,
    Response,
    Schema,
    Settings,
    Usage,
    system,
    user,
)

texts = st.text(max_size=40)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
counts = st.integers(0, 10**9)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts)
settings_values = st.builds(
    Settings,
    max_tokens=st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**31),
    stop=st.lists(texts, max_size=2).map(tuple),
    reasoning_effort=st.sampled_from([None, "minimal", "low", "medium", "high"]),
)
requests = st.builds(
    Request,
    model=st.sampled_from(["a/b", "openai/gpt-5-mini", "hub/org/model"]),
    messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
    schema=st.none() | st.builds(Schema, texts, objects, objects),
    settings=settings_values,
)
usages = st.builds(Usage, counts, counts, counts, counts, counts)
responses = st.builds(
    Response,
    text=texts,
    usage=usages,
    finish=st.sampled_from(["stop", "length", "refusal", "other"]),
    reasoning=texts,
    model=texts,
    request_id=st.none() | texts,
    detail=st.none() | texts,
)

PLAIN = Request("a/b", (user("hi"),))


@given(requests)
def test_a_request_comes_back_from_its_json(request: Request) -> None:
    again = Request.from_json(request.to_json())
    assert again == request
    assert again.to_json() == request.to_json()
    assert again.digest() == request.digest()


@given(responses)
def test_a_response_comes_back_from_its_json(response: Response) -> None:
    again = Response.from_json(response.to_json())
    assert again == response
    assert again.to_json() == response.to_json()


@given(requests, requests)
def test_two_requests_share_a_digest_exactly_when_they_share_their_content(
    one: Request, other: Request
) -> None:
    assert (one.digest() == other.digest()) == (one.to_json() == other.to_json())


def test_the_digest_is_the_same_in_every_version_of_the_library() -> None:
    # Journals of earlier versions are keyed by it: a change here makes every run pay again.
    asked = Request("a/b", [system("s"), user("u")], None, Settings(temperature=0.5))
    assert asked.digest().hex() == "445cd33ba1b21844b682d756cc3caff9"


@pytest.mark.parametrize(
    "changed",
    [
        replace(PLAIN, model="a/c"),
        replace(PLAIN, messages=(user("hi "),)),
        replace(PLAIN, messages=(system("hi"),)),
        replace(PLAIN, messages=(user("hi"), user("hi"))),
        replace(PLAIN, schema=Schema("S", {}, {})),
        replace(PLAIN, settings=Settings(max_tokens=1)),
        replace(PLAIN, settings=Settings(temperature=0.0)),
        replace(PLAIN, settings=Settings(seed=1)),
        replace(PLAIN, settings=Settings(stop=("x",))),
    ],
)
def test_any_change_of_content_changes_the_digest(changed: Request) -> None:
    assert changed.digest() != PLAIN.digest()


def test_a_list_and_a_tuple_of_messages_are_the_same_content() -> None:
    assert replace(PLAIN, messages=[user("hi")]).digest() == PLAIN.digest()


def test_a_model_name_may_hold_slashes_of_its_own() -> None:
    asked = Request("fireworks/accounts/x/models/y", [])
    assert (asked.provider, asked.model_name) == ("fireworks", "accounts/x/models/y")


def test_rate_limits_are_neither_journaled_nor_compared() -> None:
    limited = Response("x", rate_limits=RateLimitStatus(requests_remaining=1))
    assert limited == Response("x")
    assert limited.to_json() == Response("x").to_json()
    assert Response.from_json(limited.to_json()).rate_limits is None


@pytest.mark.parametrize("field", ["text", "reasoning", "detail"])
def test_half_a_surrogate_pair_in_a_reply_becomes_a_replacement_character(field: str) -> None:
    # Models are cut in the middle of an emoji, and JSON decoders let the half through.
    fields: dict[str, Any] = {"text": "", field: "a\ud83d b"}
    broken = Response(**fields)
    assert getattr(broken, field) == "a\ufffd b"
    assert Response.from_json(broken.to_json()) == broken


@given(usages, usages)
def test_usages_add_field_by_field(one: Usage, other: Usage) -> None:
    both = one + other
    for name in (field.name for field in fields(Usage)):
        assert getattr(both, name) == getattr(one, name) + getattr(other, name)
    assert both.total_tokens == one.total_tokens + other.total_tokens


def test_the_estimate_counts_the_schema_too() -> None:
    definition = {"type": "object", "properties": {"a" * 300: {"type": "string"}}}
    with_schema = replace(PLAIN, schema=Schema("S", definition, definition))
    assert with_schema.estimated_input_tokens() > PLAIN.estimated_input_tokens() + 100


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=300))
def test_the_estimate_is_above_a_token_for_every_four_characters(text: str) -> None:
    assert Request("a/b", [user(text)]).estimated_input_tokens() > len(text) / 4
