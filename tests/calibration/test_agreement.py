"""The figures, against worked examples from print and what must hold for any raters."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.calibration.agreement import (
    Counts,
    accuracy,
    agreement,
    bootstrap,
    cohen_kappa,
    correlation,
    krippendorff_alpha,
    macro_f1,
    pair_alpha,
    ranks,
)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): 4 observers, 12 units, gaps.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
LABELS = st.sampled_from(["yes", "some", "no"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=2, max_size=40)


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_that_of_krippendorffs_example_with_missing_ratings(
    scale: str, alpha: float
) -> None:
    units = list(zip(*OBSERVERS, strict=True))
    found = krippendorff_alpha(units, scale)  # type: ignore[arg-type]  # one of the three
    assert found == pytest.approx(alpha, abs=0.0005)


def test_alpha_of_two_raters_is_that_of_krippendorffs_example_of_binary_data() -> None:
    one = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    two = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    units = list(zip(one, two, strict=True))
    assert krippendorff_alpha(units) == pytest.approx(0.095, abs=0.0005)


def test_kappa_is_that_of_cohens_psychiatrists() -> None:
    table = {(0, 0): 88, (0, 1): 10, (0, 2): 2, (1, 0): 14, (1, 1): 40, (1, 2): 6}
    table |= {(2, 0): 18, (2, 1): 10, (2, 2): 12}
    assert accuracy(table) == pytest.approx(0.70)
    assert cohen_kappa(table) == pytest.approx((140 - 82) / (200 - 82))


def test_macro_f1_counts_a_label_that_nobody_gave() -> None:
    pairs = {("yes", "yes"): 8, ("no", "yes"): 2}
    assert macro_f1(pairs, ["yes", "no"]) == pytest.approx((16 / 18) / 2)
    assert macro_f1(pairs, ["yes", "no", "some"]) == pytest.approx((16 / 18) / 3)


@given(st.lists(LABELS, min_size=2, max_size=30))
def test_raters_who_agree_have_1_wherever_there_is_something_to_agree_on(said: list[str]) -> None:
    pairs = Counter(zip(said, said, strict=True))
    assert accuracy(pairs) == 1
    assert macro_f1(pairs, sorted({*said})) == 1
    expected = pytest.approx(1) if len({*said}) > 1 else None
    assert cohen_kappa(pairs) == expected
    assert pair_alpha(pairs) == expected


@given(PAIRS, st.permutations(["yes", "some", "no"]))
def test_no_figure_depends_on_what_the_labels_are_called(
    said: list[tuple[str, str]], names: list[str]
) -> None:
    renamed = dict(zip(["yes", "some", "no"], names, strict=True))
    before = agreement(Counter(said), ["yes", "some", "no"])
    after = agreement(Counter((renamed[a], renamed[b]) for a, b in said), names)
    assert after == pytest.approx(before)


@given(PAIRS)
def test_alpha_from_counts_is_alpha_from_units(said: list[tuple[str, str]]) -> None:
    for scale in ("nominal", "ordinal"):
        order = ["yes", "some", "no"] if scale == "ordinal" else []
        whole = krippendorff_alpha(said, scale, order)
        assert pair_alpha(Counter(said), scale, order) == pytest.approx(whole)


@given(PAIRS)
def test_a_unit_with_one_rating_says_nothing_about_agreement(said: list[tuple[str, str]]) -> None:
    lonely: list[tuple[str | None, str | None]] = [*said, ("yes", None), (None, "no")]
    assert krippendorff_alpha(lonely) == krippendorff_alpha(said)


def test_raters_who_know_nothing_of_each_other_have_0_on_average() -> None:
    chance = random.Random(1)
    kappas, alphas = [], []
    for _ in range(400):
        people = chance.choices("abc", [6, 3, 1], k=60)
        judge = chance.choices("abc", [1, 1, 1], k=60)
        kappas.append(cohen_kappa(Counter(zip(people, judge, strict=True))) or 0.0)
        same = chance.choices("abc", [6, 3, 1], k=60)
        alphas.append(pair_alpha(Counter(zip(people, same, strict=True))) or 0.0)
    assert abs(sum(kappas) / 400) < 0.015
    assert abs(sum(alphas) / 400) < 0.02


def test_ranks_share_the_middle_of_what_is_equal() -> None:
    assert ranks([30, 10, 10, 20]) == [1.0, 1 / 6, 1 / 6, 2 / 3]


def test_a_correlation_from_sums_is_1_along_a_line_and_none_where_nothing_varies() -> None:
    def sums(points: list[tuple[float, float]]) -> dict[str, float]:
        both = [(x, y, x * x, y * y, x * y) for x, y in points]
        totals = [sum(column) for column in zip(*both, strict=True)]
        return {"n": len(points), **dict(zip(("x", "y", "xx", "yy", "xy"), totals, strict=True))}

    assert correlation(sums([(1, 3), (2, 5), (4, 9)])) == pytest.approx(1)
    assert correlation(sums([(1, 9), (2, 5), (3, 1)])) == pytest.approx(-1)
    assert correlation(sums([(1, 5), (2, 5), (3, 5)])) is None


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = random.Random(2)
    covered = 0
    for trial in range(200):
        groups = [Counter(chance.choices([(1, 1), (1, 0)], [7, 3], k=4)) for _ in range(40)]
        found = bootstrap(groups, lambda c: {"a": accuracy(c)}, resamples=200, seed=trial)["a"]
        assert found is not None
        covered += found[0] <= 0.7 <= found[1]
    assert 175 <= covered <= 199


def test_replies_to_one_conversation_are_resampled_together() -> None:
    alike = [Counter({(1, number % 2): 10}) for number in range(20)]
    apart = [Counter({(1, number % 2): 1}) for number in range(200)]

    def width(groups: list[Counter[tuple[int, int]]]) -> float:
        found = bootstrap(groups, lambda c: {"a": accuracy(c)})["a"]
        assert found is not None
        return found[1] - found[0]

    assert width(alike) > 2 * width(apart)


def test_an_interval_is_the_same_in_every_run_and_absent_where_there_is_too_little() -> None:
    groups = [Counter({("yes", "no"): n, ("yes", "yes"): 3}) for n in range(1, 9)]

    def figures(counts: Counts) -> dict[str, float | None]:
        return {"a": accuracy(counts)}

    assert bootstrap(groups, figures) == bootstrap(groups[::-1], figures)
    assert bootstrap(groups[:4], figures) == {"a": None}
    undefined = bootstrap(groups, lambda c: {"k": cohen_kappa({("a", "a"): sum(c.values())})})
    assert undefined == {"k": None}
