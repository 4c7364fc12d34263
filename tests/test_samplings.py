from __future__ import annotations

from synthtutor.messages import Usage
from synthtutor.samplings import Figures, PerSample, Site

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
    chosen = per_sample().only({b"2": object(), b"9": object()})
    assert (chosen.count, list(chosen.by_sample)) == (1, [b"2"])


def test_of_nothing_the_mean_is_nothing() -> None:
    assert PerSample().mean(A) == Figures()
