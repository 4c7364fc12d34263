from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.distribution import Distribution


def _summary(numbers: list[float], step: float = 1) -> dict[str, float | int | None]:
    distribution = Distribution(step)
    for number in numbers:
        distribution.add(number)
    return distribution.summary()


@given(st.lists(st.integers(-1000, 1000), min_size=1))
def test_whole_numbers_are_summed_up_exactly(numbers: list[int]) -> None:
    summary, ordered = _summary(list(numbers)), sorted(numbers)
    assert summary["n"] == len(numbers)
    assert summary["mean"] == pytest.approx(sum(numbers) / len(numbers), abs=0.001)
    assert (summary["min"], summary["max"]) == (ordered[0], ordered[-1])
    for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
        assert summary[name] == ordered[math.ceil(share * len(ordered)) - 1]


@given(st.lists(st.floats(-100, 100), min_size=1))
def test_percentiles_are_ordered_and_inside(numbers: list[float]) -> None:
    summary = _summary(numbers, step=0.1)
    ordered = [summary[name] for name in ("min", "p10", "p50", "p90", "max")]
    assert ordered == sorted(ordered, key=lambda value: value or 0.0)


def test_nothing_has_no_mean() -> None:
    assert _summary([]) == {
        "n": 0, "mean": None, "min": None, "p10": None, "p50": None, "p90": None, "max": None,
    }  # fmt: skip
