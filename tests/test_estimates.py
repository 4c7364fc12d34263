from __future__ import annotations

import random

import pytest

from synthtutor.estimates import Evidence
from synthtutor.limits import Limits
from synthtutor.prices import FREE, UNKNOWN, price_of
from synthtutor.samplings import Figures, PerSample, Site
from tests.forecasting import DEAR, JUDGE, WRITER, dollars, forecast, of, own

# ── before anything is billed ────────────────────────────────────────────────────────────────


def test_what_was_rehearsed_is_scaled_to_all_rows() -> None:
    found = forecast(1000, of([Figures(2, 400, 100), Figures(1, 200, 50)]))
    assert found.calls == 1500
    assert found.total().input_tokens == 300_000
    assert found.cost_usd.expected == pytest.approx(dollars(1500, 200, 50))
    assert found.stages[0].basis == "declared lengths"


def test_a_fraction_of_a_token_is_paid_for_too() -> None:
    found = forecast(1000, of([Figures(1, 10, 2), Figures(1, 11, 3)]))
    assert found.cost_usd.expected == pytest.approx(dollars(1000, 10.5, 2.5))


def test_rows_that_ask_nothing_cost_nothing() -> None:
    found = forecast(1000, of([Figures(1, 100, 10)] * 4).of(8))
    assert found.calls == 500


def test_declared_lengths_may_be_well_off_and_prompts_by_their_counters_spread() -> None:
    surely = forecast(10, of([Figures(1, 1000, 0)])).cost_usd
    assert surely.low == surely.expected == surely.high
    counted = forecast(10, of([Figures(1, 1000, 0)]), spread={"x/m": 0.2}).cost_usd
    assert counted.high == pytest.approx(1.2 * counted.expected)
    guessed = forecast(10, of([Figures(1, 0, 1000)])).cost_usd
    assert guessed.low == pytest.approx(0.6 * guessed.expected)
    assert guessed.high == pytest.approx(1.6 * guessed.expected)


def test_where_replies_decide_how_many_calls_there_are_the_interval_covers_them_all() -> None:
    turns = [Figures(n, 100 * n, 20 * n) for n in (1, 1, 1, 1, 1, 2, 2, 3, 4, 8)]
    alike = [Figures(2.4, 240, 48)] * 10
    loose, tight = forecast(100, of(turns)).cost_usd, forecast(100, of(alike)).cost_usd
    assert loose.expected == pytest.approx(tight.expected)
    assert loose.high > loose.expected * 8 / 2.4
    assert loose.low < loose.expected / 2.4
    assert tight.high < 2 * tight.expected


# ── by what was billed ───────────────────────────────────────────────────────────────────────


def test_prompts_are_corrected_by_what_counted_ones_were_billed() -> None:
    counted = [Figures(1, 100 * n, 50) for n in range(1, 101)]
    short = counted[:10]  # the pilot happened to have the short rows
    billed = [Figures(1, 1.1 * figures.input_tokens, 80) for figures in short]
    found = forecast(
        90, of(counted[10:], first=10), also_rehearsed=of(short), evidence=own(of(billed))
    )
    total = found.total()
    assert total.input_tokens == pytest.approx(90 * 1.1 * 100 * 55.5)
    assert total.output_tokens == pytest.approx(90 * 80), "not the 50 that were declared"
    assert found.cost_usd.high - found.cost_usd.low < 0.001 * found.cost_usd.expected


def test_a_ratio_needs_no_more_than_three_pairs() -> None:
    counted = [Figures(1, 100, 50), Figures(1, 200, 50), Figures(1, 300, 50)]
    billed = [Figures(1, 120, 50), Figures(1, 240, 50), Figures(1, 360, 50)]
    found = forecast(
        10,
        of([Figures(1, 1000, 50)], first=9),
        also_rehearsed=of(counted),
        evidence=own(of(billed)),
    )
    assert found.total().input_tokens == pytest.approx(12_000)


def test_replies_that_follow_the_prompt_are_longer_where_prompts_are() -> None:
    """As in a translation: the pilot's rows were shorter than the rest."""
    counted = [Figures(1, 100 + 10 * n, 50) for n in range(12)]
    billed = [Figures(1, f.input_tokens, 2 * f.input_tokens) for f in counted]
    found = forecast(
        100,
        of([Figures(1, 400, 50)], first=50),
        also_rehearsed=of(counted),
        evidence=own(of(billed)),
    )
    assert found.total().output_tokens == pytest.approx(100 * 800)


def test_replies_that_do_not_follow_it_are_not() -> None:
    chance = random.Random(1)
    counted = [Figures(1, 100 + 10 * (n % 5), 50) for n in range(20)]
    billed = [Figures(1, f.input_tokens, chance.gauss(60, 10)) for f in counted]
    mean = sum(figures.output_tokens for figures in billed) / 20
    found = forecast(
        100,
        of([Figures(1, 140, 50)], first=50),
        also_rehearsed=of(counted),
        evidence=own(of(billed)),
    )
    assert found.total().output_tokens == pytest.approx(100 * mean, rel=0.1)


def test_where_prompts_go_their_own_ways_the_rehearsals_chance_is_not_multiplied() -> None:
    """As in a dialogue: rehearsed ones end by chance, real ones when the student has understood."""
    chance = random.Random(6)
    counted = [Figures(turns, 100 * turns, 50) for turns in (1, 1, 8, 1, 2, 1)]
    billed = [Figures(6, chance.gauss(3000, 300), 300) for _ in counted]
    mean = sum(figures.input_tokens for figures in billed) / 6
    found = forecast(
        100,
        of([Figures(1, 500, 50)], first=50),  # twice what the compared ones have on average
        also_rehearsed=of(counted),
        evidence=own(of(billed)),
    )
    assert found.total().input_tokens == pytest.approx(100 * mean, rel=0.05)


def test_how_many_calls_a_row_makes_is_known_before_they_are_billed() -> None:
    """As where a belief is asked for after each turn of a given dialogue: the pilot had short ones."""
    chance = random.Random(3)
    counted = [Figures(calls, 900 * calls, 200 * calls) for calls in (1, 2, 3, 4, 5, 2, 3, 1, 4, 5)]
    billed = [
        Figures(f.calls, f.input_tokens, 150 * f.calls * chance.uniform(0.9, 1.1)) for f in counted
    ]
    found = forecast(
        100,
        of([Figures(12, 900 * 12, 200 * 12)], first=50),
        also_rehearsed=of(counted),
        evidence=own(of(billed)),
    )
    assert found.total().calls == pytest.approx(100 * 12)
    assert found.total().output_tokens == pytest.approx(100 * 12 * 150, rel=0.05)
    spread = found.cost_usd.high / found.cost_usd.expected - 1
    assert spread < 0.1, "what was foreseen leaves nothing open"


def test_billed_samples_that_made_no_call_count() -> None:
    billed = of([Figures(1, 100, 10)] * 10).of(20)
    found = forecast(1000, of([Figures(1, 100, 10)]), evidence=own(billed))
    assert found.calls == 500
    all_called = own(of([Figures(1, 100, 10)] * 20))
    sure = forecast(1000, of([Figures(1, 100, 10)]), evidence=all_called).cost_usd
    assert sure.high - sure.expected < found.cost_usd.high - found.cost_usd.expected


def test_two_billed_samples_are_no_evidence() -> None:
    found = forecast(10, of([Figures(1, 100, 10)]), evidence=own(of([Figures(1, 100, 99)] * 2)))
    assert found.stages[0].basis == "declared lengths"
    assert found.total().output_tokens == 100
    assert found.enough is None


def test_what_only_real_replies_led_to_is_counted() -> None:
    repair = Site("writer", "repair.j2", "x/m")
    gone = Site("writer", "repair.j2", "x/an-earlier-model")
    billed = {
        n.to_bytes(4, "big"): {WRITER: Figures(1, 100, 10), repair: Figures(1, 50, 5)}
        for n in range(9)
    }
    billed[b"last"] = {WRITER: Figures(1, 100, 10), gone: Figures(1, 70, 7)}
    found = forecast(100, of([Figures(1, 100, 10)]), evidence=own(PerSample(billed, 10)))
    assert {(s.stage, s.model): round(s.figures.calls) for s in found.stages} == {
        ("reply.j2", "x/m"): 100,
        ("repair.j2", "x/m"): 90,
    }


def test_a_role_with_a_new_model_is_expected_as_it_was_rehearsed() -> None:
    both = {WRITER: Figures(1, 100, 10), JUDGE: Figures(1, 200, 20)}
    old = {WRITER: Figures(1, 100, 30), JUDGE._replace(model="x/old"): Figures(1, 200, 90)}
    billed = PerSample({n.to_bytes(4, "big"): old for n in range(10)}, 10)
    found = forecast(100, PerSample({b"a": both}, 1), evidence=own(billed))
    assert [(s.model, s.figures.output_tokens, s.basis) for s in found.stages] == [
        ("x/m", 3000, "this run"),
        ("x/judge", 2000, "declared lengths"),
    ]
    judge = found.stages[1].cost_usd
    assert judge is not None
    assert found.cost_usd.high - found.cost_usd.expected == pytest.approx(
        judge.high - judge.expected
    )


def test_another_runs_samples_leave_more_open_than_this_runs() -> None:
    chance = random.Random(2)
    samples = of([Figures(1, 100, chance.gauss(50, 5)) for _ in range(200)])
    rehearsed = of([Figures(1, 100, 50)])
    ours = forecast(1000, rehearsed, evidence=own(samples)).cost_usd
    theirs = forecast(1000, rehearsed, evidence=Evidence(samples, "other", own=False)).cost_usd
    assert theirs.expected == pytest.approx(ours.expected)
    assert theirs.high - theirs.low > 2 * (ours.high - ours.low)


def test_another_runs_prompts_are_not_these_rows_prompts() -> None:
    other = Evidence(of([Figures(1, 100, 50)] * 10), "other", own=False)
    found = forecast(10, of([Figures(1, 700, 20)]), evidence=other)
    assert (found.total().input_tokens, found.total().output_tokens) == (7000, 500)


@pytest.mark.parametrize("own_run", [True, False])
def test_the_interval_gets_narrower_with_more_samples(own_run: bool) -> None:
    chance = random.Random(3)
    lengths = [chance.lognormvariate(4, 0.7) for _ in range(2000)]
    widths = []
    for count in (5, 20, 100, 2000):
        samples = of([Figures(1, 100, length) for length in lengths[:count]])
        evidence = Evidence(samples, "", own=own_run)
        cost = forecast(1000, of([Figures(1, 100, 50)]), evidence=evidence).cost_usd
        widths.append((cost.high - cost.low) / cost.expected)
    assert widths == sorted(widths, reverse=True)


def test_stages_that_even_each_other_out_leave_less_open_than_each_alone() -> None:
    samples = {
        n.to_bytes(4, "big"): {
            WRITER: Figures(1, 0, 100 + 10 * n),
            JUDGE: Figures(1, 0, 300 - 10 * n),
        }
        for n in range(10)
    }
    found = forecast(100, PerSample(samples, 10), evidence=own(PerSample(samples, 10)))
    each = [stage.cost_usd.high - stage.cost_usd.low for stage in found.stages if stage.cost_usd]
    assert found.cost_usd.high - found.cost_usd.low < min(each) / 100


def test_how_many_rows_would_be_enough_is_said() -> None:
    chance = random.Random(4)
    for sigma, few in ((0.05, True), (1.0, False)):
        lengths = [chance.lognormvariate(4, sigma) for _ in range(20)]
        samples = of([Figures(1, 0, length) for length in lengths])
        found = forecast(980, of([Figures(1, 0, 50)]), evidence=own(samples), all_rows=1000)
        assert found.enough is not None
        assert (found.enough < 20) is few
        assert found.enough < 1000


def test_rows_looked_at_only_in_part_leave_something_open() -> None:
    billed = of([Figures(1, 100 * n, 10) for n in range(1, 9)])
    rehearsed = of([Figures(1, 50 + 190 * n, 10) for n in range(10)], first=20)
    evidence = own(billed)
    part = forecast(1000, rehearsed, also_rehearsed=billed, evidence=evidence).cost_usd
    whole = forecast(10, rehearsed, also_rehearsed=billed, evidence=evidence).cost_usd
    assert (part.high - part.low) / part.expected > (whole.high - whole.low) / whole.expected


# ── controls ─────────────────────────────────────────────────────────────────────────────────


def test_controls_are_counted_once_however_many_rows_there_are() -> None:
    controls = of([Figures(2, 500, 60)] * 4, JUDGE)
    for rows in (10, 1000):
        found = forecast(rows, of([Figures(1, 100, 10)], JUDGE), controls=controls)
        assert [(s.kind, s.figures.calls) for s in found.stages] == [
            ("sample", rows),
            ("control", 8),
        ]


def test_a_control_is_answered_as_long_as_a_sample_is() -> None:
    controls = of([Figures(2, 500, 60)] * 4, JUDGE)
    billed = of([Figures(1, 100, 25)] * 10, JUDGE)
    found = forecast(90, of([Figures(1, 100, 10)], JUDGE), controls=controls, evidence=own(billed))
    assert found.stages[1].figures.output_tokens == 8 * 25
    assert found.stages[1].figures.input_tokens == 2000


# ── prices ───────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_price_is_counted_apart_and_is_never_nothing() -> None:
    samples = PerSample({b"a": {WRITER: Figures(1, 100, 10), JUDGE: Figures(2, 50, 5)}}, 1)
    found = forecast(10, samples, prices={"x/m": DEAR, "x/judge": UNKNOWN})
    assert found.unpriced_calls == 20
    assert [stage.cost_usd is None for stage in found.stages] == [False, True]
    assert found.cost_usd.expected == pytest.approx(dollars(10, 100, 10))
    assert found.tokens.expected == 10 * (110 + 55)


def test_with_no_known_price_evidence_still_tells_tokens() -> None:
    billed = own(of([Figures(1, 100, out) for out in (40, 50, 60, 50)]))
    for price in (UNKNOWN, FREE):
        found = forecast(10, of([Figures(1, 100, 10)]), evidence=billed, prices={"x/m": price})
        assert found.cost_usd.expected == found.cost_usd.high == 0
        assert found.tokens.low < found.tokens.expected == 1500 < found.tokens.high
        assert found.unpriced_calls == (10 if price is UNKNOWN else 0)
        assert found.enough is None


def test_free_models_cost_nothing_beside_others() -> None:
    samples = PerSample({b"a": {WRITER: Figures(1, 100, 10), JUDGE: Figures(1, 50, 5)}}, 1)
    found = forecast(10, samples, prices={"x/m": FREE, "x/judge": DEAR})
    assert found.unpriced_calls == 0
    assert found.cost_usd.expected == pytest.approx(dollars(10, 50, 5))


def test_batches_cost_half_where_there_are_any() -> None:
    samples = PerSample({b"a": {WRITER: Figures(1, 100, 10), JUDGE: Figures(1, 100, 10)}}, 1)
    found = forecast(10, samples, batched=["x/judge"])
    assert found.batch_usd.expected == pytest.approx(0.75 * found.cost_usd.expected)
    assert forecast(10, samples).batch_usd == found.cost_usd


def test_cached_tokens_have_their_own_price() -> None:
    model = "openai/gpt-4.1-mini"
    site = WRITER._replace(model=model)
    prices = {model: price_of(model)}
    full, cached = Figures(1, 1000, 10), Figures(1, 1000, 10, cache_read_tokens=800)
    evidence = own(of([full, cached] * 5, site))
    found = forecast(100, of([full], site), evidence=evidence, prices=prices)
    table = prices[model]
    ends = [table.cost(figures.usage_of_one()) or 0.0 for figures in (full, cached)]
    assert ends[1] < ends[0]
    assert found.cost_usd.expected == pytest.approx(100 * sum(ends) / 2)


# ── time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limits", "binding", "seconds"),
    [
        (Limits(concurrency=10), "10 calls in flight (x/m)", 100 * 3.0 / 10),
        (Limits(50, requests_per_minute=20), "requests per minute (x/m)", 300.0),
        (Limits(50, tokens_per_minute=1000), "tokens per minute (x/m)", 100 * 150 / 1000 * 60),
    ],
)
def test_the_limit_that_binds_is_named(limits: Limits, binding: str, seconds: float) -> None:
    billed = of([Figures(1, 100, 50, seconds=3.0)] * 10)
    found = forecast(100, of([Figures(1, 100, 50)]), evidence=own(billed), limits=limits)
    assert found.binding == binding
    assert found.seconds == pytest.approx(seconds)


def test_the_slowest_model_decides() -> None:
    samples = PerSample({b"a": {WRITER: Figures(1, 10, 10), JUDGE: Figures(1, 10, 6000)}}, 1)
    assert forecast(100, samples).binding == "50 calls in flight (x/judge)"


def test_with_nothing_left_to_do_there_is_nothing_to_pay() -> None:
    found = forecast(0, PerSample(), all_rows=10, paid_usd=1.5, evidence=own(of([Figures(1)] * 9)))
    assert found.cost_usd.high == found.seconds == found.calls == 0
    assert found.paid_usd == 1.5
