from __future__ import annotations

import random

import pytest

from synthtutor.messages import Usage
from synthtutor.samplings import Figures, PerSample, Site, completed

A, B = Site("writer", "a.j2", "x/m"), Site("judge", "b.j2", "x/m")


def per_sample() -> PerSample:
    return PerSample(
        {
            b"1": {A: Figures(1, 100, 10), B: Figures(1, 50, 5)},
            b"2": {A: Figures(3, 300, 30)},
        },
        2,
    )


def test_figures_add_up_and_scale_field_by_field() -> None:
    one = Figures(1, 100, 10, 40, 20, 4, 2.0)
    assert one + one == one * 2
    assert Figures.names()[:3] == ("calls", "input_tokens", "output_tokens")


def test_the_average_call_is_a_usage_in_whole_tokens() -> None:
    assert Figures(4, 402, 10, 40, 20, 4).usage_of_one() == Usage(100, 2, 10, 5, 1)
    assert Figures().usage_of_one() == Usage()


def test_a_sample_that_made_no_call_at_a_site_has_zeros_there() -> None:
    assert list(per_sample().at(B)) == [Figures(1, 50, 5), Figures()]
    assert per_sample().mean(B) == Figures(0.5, 25, 2.5)


def test_sites_come_in_the_order_of_their_first_calls() -> None:
    assert per_sample().sites() == [A, B]


def test_samples_without_any_call_lower_the_mean() -> None:
    assert per_sample().of(4).mean(A) == Figures(1, 100, 10)
    assert per_sample().of(1).count == 2, "there cannot be fewer than have made calls"


def test_only_some_samples_are_as_many_as_they_are() -> None:
    chosen = per_sample().without({b"1", b"9"})
    assert (chosen.count, list(chosen.by_sample)) == (1, [b"2"])


def test_of_nothing_the_mean_is_nothing() -> None:
    assert PerSample().mean(A) == Figures()


def taking(*tokens: float, first: int = 0) -> PerSample:
    found = {
        n.to_bytes(4, "big"): {A: Figures(1, amount, 0)} for n, amount in enumerate(tokens, first)
    }
    return PerSample(found, len(found))


def amounts(samples: PerSample) -> list[float]:
    return sorted(figures.input_tokens for figures in samples.at(A))


def under_way(*tokens: float) -> PerSample:
    return taking(*tokens, first=5_000)


def test_a_sample_under_way_becomes_as_long_as_those_that_went_further() -> None:
    assert amounts(completed(taking(10, 20, 60), under_way(15))) == [10, 20, 40, 60]
    assert amounts(completed(taking(10, 20), under_way(50))) == [10, 20, 50], "none went further"
    assert completed(taking(10).of(4), under_way(5)).count == 5
    assert completed(taking(10, 20), PerSample()) == taking(10, 20)


def test_a_stopped_runs_mean_is_that_of_the_whole_run() -> None:
    """Dialogues of chance length, cut at a moment: the finished ones alone are too short."""
    chance = random.Random(3)
    whole = [chance.expovariate(1 / 100) for _ in range(2_000)]
    so_far = [chance.uniform(0, 200) for _ in whole]
    pairs = list(zip(whole, so_far, strict=True))
    done = taking(*[length for length, cut in pairs if length <= cut])
    begun = under_way(*[cut for length, cut in pairs if length > cut])
    assert done.tokens() < 70
    assert completed(done, begun).tokens() == pytest.approx(100, rel=0.15)
