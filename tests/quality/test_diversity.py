from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.diversity import Diversity


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=8))
def test_small_corpora_are_counted_exactly(texts: list[list[str]]) -> None:
    diversity = Diversity()
    for text in texts:
        diversity.add(" ".join(text))
    for size in (1, 2, 3):
        runs = [tuple(text[at : at + size]) for text in texts for at in range(len(text) - size + 1)]
        counted = diversity.summary()[f"distinct_{size}"]
        assert (counted["different"], counted["all"]) == (len(set(runs)), len(runs))
        expected = pytest.approx(len(set(runs)) / len(runs), abs=1e-4) if runs else None
        assert counted["share"] == expected


def test_large_corpora_are_estimated_in_bounded_memory() -> None:
    diversity = Diversity([1], capacity=4096)
    for at in range(0, 60_000, 100):
        words = [f"w{n}" for n in range(at, at + 100)]
        diversity.add(" ".join(words * 2))
    counted = diversity.summary()["distinct_1"]
    assert counted["all"] == 120_000
    assert counted["different"] == pytest.approx(60_000, rel=0.06)


def test_repeating_the_same_is_less_diverse() -> None:
    same, other = Diversity(), Diversity()
    for n in range(50):
        same.add("You've hit on something important here")
        other.add(f"Number {n} is {n * n} squared")
    one, two = (d.summary()["distinct_3"]["share"] for d in (same, other))
    assert one is not None
    assert two is not None
    assert one < 0.05 < two
