"""What holds of an estimate whatever its figures are."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.estimates import Evidence
from synthtutor.prices import FREE, UNKNOWN, Price, price_of
from synthtutor.samplings import Figures, PerSample
from tests.forecasting import DEAR, JUDGE, WRITER, forecast, of, own

AMOUNTS = st.integers(0, 5000)
CALLS = st.builds(
    lambda calls, into, out, cached: Figures(
        calls, calls * into, calls * out, calls * min(into, cached)
    ),
    st.integers(1, 6),
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
)
SAMPLES = st.lists(
    st.fixed_dictionaries({}, optional={WRITER: CALLS, JUDGE: CALLS}), min_size=1, max_size=25
).map(
    lambda made: PerSample({n.to_bytes(4, "big"): each for n, each in enumerate(made)}, len(made))
)
PRICED = st.sampled_from([DEAR, FREE, UNKNOWN, price_of("openai/gpt-4.1-mini")])


@given(SAMPLES, SAMPLES, st.booleans(), PRICED, PRICED, st.integers(0, 3000))
def test_totals_are_the_sums_of_stages_and_ranges_are_in_order(
    rehearsed: PerSample, billed: PerSample, own_run: bool, one: Price, other: Price, rows: int
) -> None:
    found = forecast(
        rows,
        rehearsed,
        also_rehearsed=rehearsed,
        evidence=Evidence(billed, "", own_run),
        prices={"x/m": one, "x/judge": other},
        controls=of([Figures(2, 100, 10)], JUDGE),
        batched=["x/m"],
        spread={"x/m": 0.1},
    )
    stages = found.stages
    assert found.calls == pytest.approx(sum(stage.figures.calls for stage in stages))
    priced = [stage.cost_usd.expected for stage in stages if stage.cost_usd is not None]
    assert found.cost_usd.expected == pytest.approx(sum(priced))
    assert found.tokens.expected == pytest.approx(sum(stage.tokens.expected for stage in stages))
    unpriced = [stage.figures.calls for stage in stages if stage.cost_usd is None]
    assert found.unpriced_calls == pytest.approx(sum(unpriced))
    ranges = [found.cost_usd, found.batch_usd, found.tokens]
    ranges += [stage.tokens for stage in stages]
    ranges += [stage.cost_usd for stage in stages if stage.cost_usd is not None]
    for each in ranges:
        assert 0 <= each.low <= each.expected <= each.high
    assert found.batch_usd.expected <= found.cost_usd.expected
    assert orjson.loads(orjson.dumps(found.to_dict()))["calls"] == found.calls


@given(SAMPLES, st.integers(1, 500), st.integers(2, 9))
def test_as_many_times_the_rows_cost_as_many_times(
    rehearsed: PerSample, rows: int, times: int
) -> None:
    once, often = forecast(rows, rehearsed), forecast(rows * times, rehearsed)
    assert often.cost_usd.expected == pytest.approx(times * once.cost_usd.expected)
    assert often.total().output_tokens == pytest.approx(times * once.total().output_tokens)


@given(SAMPLES, st.integers(1, 500))
def test_evidence_that_says_what_the_rehearsal_says_changes_nothing(
    rehearsed: PerSample, rows: int
) -> None:
    before = forecast(rows, rehearsed)
    after = forecast(rows, rehearsed, also_rehearsed=rehearsed, evidence=own(rehearsed))
    assert after.cost_usd.expected == pytest.approx(before.cost_usd.expected)
    assert after.total().input_tokens == pytest.approx(before.total().input_tokens)
    assert after.calls == pytest.approx(before.calls)
