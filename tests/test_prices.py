from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.messages import Usage
from synthtutor.prices import FREE, UNKNOWN, Price, parse_price, price_of

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
counts = st.integers(0, 10**6)


def test_a_model_of_the_table_has_its_price_with_its_source() -> None:
    price = price_of("openai/gpt-4o-mini")
    assert price.known
    assert price.source.startswith("genai-prices ")
    assert price.match == "openai/gpt-4o-mini"
    cost = price.cost(MILLION)
    assert cost is not None
    assert cost > 0


def test_cached_input_is_not_charged_twice() -> None:
    price = price_of("openai/gpt-4o-mini")
    plain = price.cost(Usage(input_tokens=100_000))
    cached = price.cost(Usage(input_tokens=100_000, cache_read_tokens=100_000))
    assert plain is not None
    assert cached is not None
    assert 0 < cached < plain


def test_reasoning_is_part_of_the_output_and_not_charged_again() -> None:
    price = price_of("openai/o4-mini")
    assert price.cost(Usage(10, 100)) == price.cost(Usage(10, 100, reasoning_tokens=90))


@pytest.mark.parametrize("model", ["nobody/nothing", "openai/no-such-model-of-any-kind", "x"])
def test_an_unknown_price_is_unknown_and_not_zero(model: str) -> None:
    price = price_of(model)
    assert price == UNKNOWN
    assert not price.known
    assert price.cost(MILLION) is None


def test_what_the_user_gives_wins_over_the_table_and_over_free() -> None:
    given_price = Price("given", per_million=(3.0, 4.0))
    for free in (False, True):
        found = price_of("openai/gpt-4o-mini", free=free, given={"openai/gpt-4o-mini": given_price})
        assert found.cost(MILLION) == 7.0


def test_a_free_model_costs_nothing_whatever_the_table_says() -> None:
    assert price_of("openai/gpt-4o-mini", free=True) is FREE
    assert FREE.cost(MILLION) == 0.0
    assert FREE.known


@given(st.floats(0, 1000), st.floats(0, 1000), counts, counts)
def test_a_given_price_is_linear(into: float, out: float, read: int, written: int) -> None:
    cost = Price("given", per_million=(into, out)).cost(Usage(read, written))
    assert cost == pytest.approx((read * into + written * out) / 1e6)


@given(counts, counts, st.integers(0, 1000))
def test_no_usage_costs_less_than_a_part_of_it(read: int, written: int, more: int) -> None:
    price = price_of("openai/gpt-4o-mini")
    less, rest = price.cost(Usage(read, written)), price.cost(Usage(read, written + more))
    assert less is not None
    assert rest is not None
    assert less <= rest


def test_a_price_is_parsed_as_the_command_line_takes_it() -> None:
    model, price = parse_price("hub/org/model=0.5/1.25")
    assert model == "hub/org/model"
    assert price.per_million == (0.5, 1.25)


def test_a_model_name_may_hold_an_equals_sign() -> None:
    assert parse_price("a/b=c=1/2")[0] == "a/b=c"


@pytest.mark.parametrize(
    "text",
    ["", "a/b", "a/b=1", "a/b=x/y", "b=1/2", "a/b=1/", "a/b=-1/2", "a/b=nan/1", "a/b=1/inf"],
)
def test_a_price_that_is_none_is_refused_with_the_form_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="IN/OUT"):
        parse_price(text)
