"""The paired statistics on data whose results are printed in books."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("scipy")

from synthtutor.errors import ConfigError
from synthtutor.evaluation.statistics import TooFew, friedman, holm, paired, wilcoxon

# Darwin's maize, crossed less self-fertilised, in eighths of an inch: Fisher (1935), The Design of
# Experiments, table 3; tested by rank sums in Wilcoxon (1945), Individual comparisons by ranking.
DARWIN = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
# Hours of sleep gained with two drugs: Student (1908), The probable error of a mean, p. 20.
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
# Depression scores of nine patients before and after: Hollander and Wolfe (1973), p. 29.
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)
# Seconds to round first base in three ways, 22 players: Hollander and Wolfe (1973), p. 140.
ROUNDING = [
    *([5.40, 5.50, 5.55], [5.85, 5.70, 5.75], [5.20, 5.60, 5.50], [5.55, 5.50, 5.40]),
    *([5.90, 5.85, 5.70], [5.45, 5.55, 5.60], [5.40, 5.40, 5.35], [5.45, 5.50, 5.35]),
    *([5.25, 5.15, 5.00], [5.85, 5.80, 5.70], [5.25, 5.20, 5.10], [5.65, 5.55, 5.45]),
    *([5.60, 5.35, 5.45], [5.05, 5.00, 4.95], [5.50, 5.50, 5.40], [5.45, 5.55, 5.50]),
    *([5.55, 5.55, 5.35], [5.45, 5.50, 5.55], [5.50, 5.45, 5.25], [5.65, 5.60, 5.40]),
    *([5.70, 5.65, 5.55], [6.30, 6.30, 6.25]),
]
# Weights of eleven men: Shapiro and Wilk (1965), section 4.1; they print W = .79.
WEIGHTS = [148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]


def zeros(n: int) -> list[float]:
    return [0.0] * n


def test_darwins_maize_has_the_rank_sum_of_wilcoxons_paper() -> None:
    found = wilcoxon(zeros(15), DARWIN)
    assert (found.w, found.method, found.zeros, found.ties) == (24, "exact", 0, 0)
    assert found.p == pytest.approx(0.04126, abs=1e-5)


def test_hollander_and_wolfes_patients_have_their_rank_sum_and_probability() -> None:
    found = wilcoxon(*DEPRESSION)
    assert found.w == 5
    assert found.p == pytest.approx(2 * 0.01953, abs=1e-4)


def test_the_order_of_two_systems_does_not_change_w_or_p() -> None:
    one, other = wilcoxon(*DEPRESSION), wilcoxon(*reversed(DEPRESSION))
    assert (one.w, one.p) == (other.w, other.p)


def test_shapiro_and_wilks_weights_have_the_w_of_their_paper() -> None:
    found = paired(zeros(11), WEIGHTS, resamples=100)
    assert found.shapiro_w == pytest.approx(0.79, abs=0.005)
    assert found.shapiro_p is not None
    assert found.shapiro_p < 0.01


def test_students_sleepers_have_the_d_that_follows_from_his_t() -> None:
    found = paired(*SLEEP, resamples=2000)
    assert found.difference == pytest.approx(1.58)
    assert found.d_z == pytest.approx(4.0621 / 10**0.5, abs=1e-4), "t = 4.0621, d_z = t / √n"
    assert found.d_z is not None
    assert found.d_z_interval is not None
    low, high = found.d_z_interval
    assert 0 < low < found.d_z < high
    assert found.d_av is not None
    assert found.d_av < found.d_z, "the sleepers differ more than their differences do"


def test_ties_and_zeros_are_counted_and_all_signs_gone_through() -> None:
    found = wilcoxon(*SLEEP)
    assert (found.zeros, found.ties, found.method) == (1, 2, "permutation")
    assert found.w == 0
    assert found.p == pytest.approx(2 / 2**9)


def test_many_tied_differences_are_tested_by_the_corrected_normal_distribution() -> None:
    chance = random.Random("ties")
    first = [float(chance.randint(1, 10)) for _ in range(40)]
    second = [value + chance.randint(-1, 3) for value in first]
    found = wilcoxon(first, second)
    assert found.method == "normal"
    assert found.p is not None
    assert 0 < found.p < 0.05


def test_a_difference_is_the_same_whatever_its_last_bits_say() -> None:
    found = wilcoxon([7.1, 6.1, 5.1], [7.3, 6.3, 5.3])
    assert found.ties == 3


def test_rounding_first_base_has_the_friedman_statistic_of_the_book() -> None:
    found = friedman(list(zip(*ROUNDING, strict=True)))
    assert found is not None
    assert found[0] == pytest.approx(11.143, abs=1e-3)
    assert found[1] == pytest.approx(0.003805, abs=1e-6)
    assert friedman([[1, 2], [1, 2], [1, 2]]) is None


def test_scores_that_are_equal_but_for_their_last_bits_are_ties() -> None:
    thirds = [sum([0.1] * 3), 0.3, 0.3, 0.3]
    assert thirds[0] != thirds[1]
    assert friedman([thirds, [0.3] * 4, [0.3] * 4]) is None


def test_p_values_are_corrected_step_by_step() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": None, "d": 0.03, "e": 0.005})
    assert found == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "c": None,
        "d": pytest.approx(0.06),
        "e": pytest.approx(0.02),
    }


def test_equal_systems_have_no_test_and_no_effect_rather_than_an_error() -> None:
    found = paired([7, 8, 9, 6], [7, 8, 9, 6], resamples=50)
    assert (found.difference, found.d_z, found.d_z_interval, found.shapiro_p) == (
        0,
        None,
        None,
        None,
    )
    assert (found.wilcoxon.w, found.wilcoxon.p, found.wilcoxon.zeros) == (None, None, 4)


def test_the_same_difference_for_everybody_has_no_d_but_a_test() -> None:
    found = paired([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], resamples=50)
    assert (found.d_z, found.shapiro_w) == (None, None)
    assert found.wilcoxon.p == pytest.approx(2 / 2**6)


def test_fewer_than_three_pairs_are_refused() -> None:
    with pytest.raises(TooFew, match="2 students are in both: at least 3"):
        paired([1, 2], [2, 3])
    with pytest.raises(ValueError, match="no pairs"):
        paired([1, 2, 3], [2, 3])


def test_the_interval_holds_the_true_effect_about_nineteen_times_in_twenty() -> None:
    held = 0
    for seed in range(60):
        chance = random.Random(seed)
        around = [chance.gauss(0.5, 1.0) for _ in range(40)]
        interval = paired(zeros(40), around, resamples=300, seed=seed).d_z_interval
        assert interval is not None
        held += interval[0] <= 0.5 <= interval[1]
    assert 50 <= held <= 60


def test_the_same_seed_gives_the_same_interval() -> None:
    one, same, other = (paired(*SLEEP, resamples=300, seed=s).d_z_interval for s in (1, 1, 2))
    assert one == same != other


def test_without_scipy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy", None)
    with pytest.raises(ConfigError, match=r"pip install \"synthtutor\[evaluation\]\""):
        paired(*SLEEP)
