from __future__ import annotations

from decimal import Decimal
from math import fsum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.bills import Bill, Tokens, compare, price_plan
from synthtutor.cli.plans import plan_json
from synthtutor.errors import ConfigError
from synthtutor.messages import Usage
from synthtutor.plans import Plan, Step
from synthtutor.prices import Price, price_of
from tests.plans import STEP, TIERED, planned, shown, tokens


def step(**fields: Any) -> Step:
    return Step.model_validate({**STEP, **fields})


# ── sums ─────────────────────────────────────────────────────────────────────────────────────


counts = st.integers(0, 5000)


@given(
    calls=st.integers(1, 300),
    into=counts,
    grown=counts,
    out=counts,
    first=st.sampled_from([0, 1]),
    times=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 9), max_size=2),
    share=st.floats(0, 1),
)
def test_a_growing_steps_tokens_are_what_a_loop_adds_up(
    calls: int, into: int, grown: int, out: int, first: int, times: dict[str, int], share: float
) -> None:
    growth = {"input": grown, "cached": int(grown * share), "first": first}
    cached = int(into * share)
    made = tokens(
        dict(STEP, calls=calls, input=into, output=out, cached=cached, growth=growth, times=times)
    )
    looped = Tokens()
    for _ in range(step(times=times).factor):
        for i in range(first, first + calls):
            looped += Tokens(into + grown * i, out, cached=cached + int(grown * share) * i)
    assert made == looped


@given(
    calls=st.integers(1, 120),
    into=st.integers(0, 300_000),
    grown=st.integers(0, 9000),
    out=st.integers(0, 3000),
    first=st.sampled_from([0, 1]),
)
@settings(max_examples=40, deadline=None)
def test_a_growing_steps_dollars_are_what_a_loop_adds_up_across_price_tiers(
    calls: int, into: int, grown: int, out: int, first: int
) -> None:
    fields = {"model": TIERED, "calls": calls, "input": into, "output": out}
    growing = {**STEP, **fields, "growth": {"input": grown, "first": first}}
    price = price_of(TIERED)
    looped = fsum(
        price.cost(Usage(into + grown * i, out)) or 0 for i in range(first, first + calls)
    )
    (cast,) = planned(growing).casts
    assert cast.total.live.low == cast.total.live.high == pytest.approx(looped, rel=1e-9)
    assert cast.total.batch.low == pytest.approx(looped / 2, rel=1e-9)


def test_a_million_growing_calls_are_priced_without_a_million_look_ups() -> None:
    looked = 0

    class Counting(Price):
        def cost(self, usage: Usage, *, batched: bool = False) -> float | None:
            nonlocal looked
            looked += 1
            return super().cost(usage, batched=batched)

    plan = Plan.checked(
        {"title": "t", "steps": [{**STEP, "calls": 10**6, "growth": {"input": 3, "first": 0}}]}
    )
    price = Counting("given", per_million=(1.0, 0.0))
    (cast,) = price_plan(plan, given={"x/y": price}).casts
    assert cast.total.live.low == pytest.approx((100 * 10**6 + 3 * (10**6 - 1) * 10**6 / 2) / 1e6)
    assert looked < 100


several = st.lists(
    st.fixed_dictionaries(
        {"calls": st.integers(1, 10**6), "input": counts, "output": counts},
        optional={
            "margin": st.integers(0, 100),
            "times": st.fixed_dictionaries({"n": st.integers(1, 5)}),
        },
    ),
    min_size=1,
    max_size=5,
)


@given(several, st.integers(0, 50))
def test_totals_are_sums_and_margins_apply_once(steps: list[dict[str, Any]], margin: int) -> None:
    named = [{**STEP, **each, "name": str(number)} for number, each in enumerate(steps)]
    priced = planned(*named, margin=margin, prices={"x/y": [2.0, 8.0]})
    alone = [planned(each, prices={"x/y": [2.0, 8.0]}, margin=margin) for each in named]
    assert priced.subtotal == sum((each.subtotal for each in alone), Tokens())
    assert priced.total == sum(each.total for each in alone)
    with_margin = 0
    for each, fields in zip(priced.steps, named, strict=True):
        percent = fields.get("margin", margin)
        assert each.with_margin == round(Decimal(each.tokens.total) * (100 + percent) / 100)
        with_margin += each.with_margin
    assert priced.total == with_margin
    (cast,) = priced.casts
    assert cast.total.live.low == pytest.approx(fsum(e.casts[0].total.live.low for e in alone))
    exact = fsum(
        (each.tokens.input * 2 + each.tokens.output * 8) / 1e6 * (1 + float(each.margin) / 100)
        for each in priced.steps
    )
    assert cast.total.live.low == pytest.approx(exact)


def test_a_steps_own_margin_replaces_the_plans() -> None:
    priced = planned(STEP, {**STEP, "name": "b", "margin": 50}, margin=10)
    assert [each.with_margin for each in priced.steps] == [1320, 1800]
    assert priced.subtotal.total == 2400


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_any_split_of_a_total_lies_between_low_and_high(
    total: int, output: float, cached: float
) -> None:
    out = int(total * output)
    kept = int((total - out) * cached)
    model = "openai/gpt-4o-mini"
    whole: dict[str, Any] = {"name": "a", "model": model, "calls": 7, "total": total}
    (cast,) = planned({**whole, "cached": kept}).casts
    real = (price_of(model).cost(Usage(total - out, out, kept)) or 0) * 7
    assert cast.total.live.low <= real * (1 + 1e-9)
    assert real <= cast.total.live.high * (1 + 1e-9)


# ── prices ───────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_price_is_counted_apart_and_never_0() -> None:
    priced = planned(STEP, {**STEP, "name": "b", "model": "known/z"}, prices={"known/z": [1, 1]})
    (cast,) = priced.casts
    assert cast.bills[0] is None
    assert cast.unknown == ["x/y"]
    assert (cast.unknown_calls, cast.unknown_tokens) == (10, 1200)
    assert cast.total.live.low == cast.total.live.high == pytest.approx(0.0012)
    assert "+ unknown" in shown(priced)
    assert "1,200 tokens in 10 calls of unknown price (x/y)" in shown(priced)


def test_where_no_price_is_known_there_is_no_total() -> None:
    priced = planned(STEP)
    assert not priced.casts[0].known
    assert "$" not in shown(priced)
    assert plan_json(priced)["casts"][0]["cost_usd"] is None


def test_what_has_no_model_has_tokens_and_no_price() -> None:
    for none in (None, "none", "None"):
        priced = planned({**STEP, "model": none})
        assert priced.casts == ()
        assert priced.without_model == 1200
        assert "$" not in shown(priced)


def test_a_given_price_wins_over_the_plans_and_that_over_the_table() -> None:
    fields = {"title": "t", "steps": [{**STEP, "model": TIERED}]}
    own = Plan.checked({**fields, "prices": {TIERED: [5, 5]}})
    theirs = {TIERED: Price("command line", per_million=(7.0, 7.0))}
    table, mine, given_ = (
        price_plan(Plan.checked(fields)),
        price_plan(own),
        price_plan(own, given=theirs),
    )
    sources = [each.casts[0].prices[TIERED].source for each in (table, mine, given_)]
    assert sources[0].startswith("genai-prices")
    assert sources[1:] == ["given in the plan", "command line"]
    assert mine.casts[0].total.live.low == pytest.approx(1200 * 5 / 1e6)
    assert given_.casts[0].total.live.low == pytest.approx(1200 * 7 / 1e6)


def test_a_price_of_0_that_is_given_is_0() -> None:
    (cast,) = planned(STEP, prices={"x/y": [0, 0]}).casts
    assert cast.known
    assert not cast.unknown
    assert cast.total == Bill()


def test_cached_input_costs_less_and_is_counted_no_less() -> None:
    model = "openai/gpt-4o-mini"
    plain = planned({**STEP, "model": model})
    cached = planned({**STEP, "model": model, "cached": 80})
    assert cached.subtotal.total == plain.subtotal.total
    assert cached.casts[0].total.live.low < plain.casts[0].total.live.low


def test_a_step_that_no_batch_can_take_keeps_its_live_price() -> None:
    prices = {"x/y": [1, 1]}
    both = planned({**STEP, "batch": False}, {**STEP, "name": "b"}, prices=prices)
    first, second = both.casts[0].bills
    assert first is not None
    assert second is not None
    assert first.batch == first.live
    assert second.batch == second.live * 0.5
    assert "not in batches, so at the live price in both: a" in shown(both)


def test_a_model_priced_as_another_is_shown_as_such() -> None:
    told = shown(planned({**STEP, "model": "openai/gpt-5-mini-2025-08-07"}))
    assert "openai/gpt-5-mini-2025-08-07 (as openai/gpt-5-mini)" in told


# ── casts ────────────────────────────────────────────────────────────────────────────────────


def test_a_role_is_played_by_each_casts_model() -> None:
    priced = planned(
        {**STEP, "model": "writer"},
        {**STEP, "name": "b", "model": "judge"},
        {**STEP, "name": "c", "model": "fixed/m"},
        casts={"one": {"writer": "a/w", "judge": "b/j"}, "two": {"writer": "b/w", "judge": "a/j"}},
        prices={"a/w": [1, 1], "b/j": [2, 2], "b/w": [3, 3], "a/j": [4, 4], "fixed/m": [5, 5]},
    )
    assert [cast.models for cast in priced.casts] == [
        ("a/w", "b/j", "fixed/m"),
        ("b/w", "a/j", "fixed/m"),
    ]
    each = 1200 / 1e6
    assert [cast.total.live.low for cast in priced.casts] == pytest.approx([8 * each, 12 * each])


# ── side by side ─────────────────────────────────────────────────────────────────────────────


def test_plans_are_compared_by_their_totals_and_by_the_casts_they_share() -> None:
    prices, roles = {"x/y": [1, 1], "x/z": [3, 3]}, {"writer": "x/y"}
    small = {**STEP, "model": "writer"}
    first = planned(small, casts={"one": roles, "two": roles}, prices=prices)
    second = planned({**small, "calls": 5}, casts={"one": {"writer": "x/z"}}, prices=prices)
    third = planned({**small, "calls": 5}, casts={"one": {"writer": "no/price"}})
    comparison = compare([first, second, third])
    assert comparison.ratios == (1.0, 0.5, 0.5)
    (cast,) = comparison.casts
    assert cast.name == "one"
    for ratio in (cast.live[1], cast.batch[1]):
        assert ratio is not None
        assert ratio.low == ratio.high == pytest.approx(1.5)
    assert cast.live[2] is None, "what is unknown has no ratio"
    with pytest.raises(ConfigError, match="two plans"):
        compare([first])


def test_a_plan_that_comes_to_nothing_has_no_ratio() -> None:
    nothing = planned({**STEP, "input": 0, "output": 0}, prices={"x/y": [1, 1]})
    comparison = compare([nothing, nothing])
    assert comparison.ratios == (None, None)
    assert comparison.casts[0].live == (None, None)


def test_markup_in_a_plans_words_is_shown_as_it_is() -> None:
    told = shown(planned({**STEP, "name": "[bold]x[/nothing]"}, title="[red]t"))
    assert "[bold]x[/nothing]" in told
    assert "[red]t" in told
