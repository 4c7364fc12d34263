from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.intervals import interval, needed, slope_of, student

FIGURES = st.lists(st.floats(0, 1e6), min_size=3, max_size=40)


def lognormal(chance: random.Random, cv: float) -> float:
    variance = math.log(1 + cv * cv)
    return chance.lognormvariate(-variance / 2, math.sqrt(variance))


def test_students_t_is_that_of_the_tables() -> None:
    tables = {2: 4.303, 4: 2.776, 9: 2.262, 19: 2.093, 60: 2.000, 10_000: 1.960}
    for freedom, t in tables.items():
        assert student(freedom) == pytest.approx(t, rel=0.035)


def test_figures_without_skewness_have_students_interval() -> None:
    figures = [8.0, 9.0, 10.0, 11.0, 12.0]
    low, high = interval(figures, 10**9)
    assert low == pytest.approx(high)
    assert low == pytest.approx(2.776 * math.sqrt(2.5 / 5), rel=0.01)


def test_a_tail_to_the_right_makes_the_interval_longer_there() -> None:
    low, high = interval([1.0] * 18 + [2.0, 9.0], 1000)
    assert high > 1.5 * low > 0


def test_equal_figures_leave_nothing_open() -> None:
    assert interval([7.0] * 5, 100) == (0.0, 0.0)


def test_the_further_figures_vary_too() -> None:
    figures = [1.0, 2.0, 3.0, 4.0]
    assert interval(figures, 1)[1] > interval(figures, 10_000)[1]


def test_an_error_from_elsewhere_comes_on_top() -> None:
    figures = [1.0, 2.0, 3.0, 4.0]
    assert interval(figures, 100, also=2.0)[1] > interval(figures, 100)[1]
    assert interval([7.0] * 5, 100, also=1.0) == (1.96, 1.96)


def test_of_long_tailed_figures_nineteen_in_twenty_intervals_nearly_hold_what_comes() -> None:
    chance = random.Random(1)
    held = symmetric = 0
    for _ in range(600):
        known = [lognormal(chance, 1.0) for _ in range(20)]
        to_come = sum(lognormal(chance, 1.0) for _ in range(200)) / 200
        mean = sum(known) / 20
        low, high = interval(known, 200)
        held += mean - low <= to_come <= mean + high
        spread = math.sqrt(sum((x - mean) ** 2 for x in known) / 19)
        symmetric += abs(to_come - mean) <= student(19) * spread * math.sqrt(1 / 20 + 1 / 200)
    assert held / 600 >= 0.91
    assert held > symmetric, "which is why Student's is not enough"


@given(FIGURES, st.integers(1, 10_000))
def test_an_interval_is_never_the_wrong_way_round(figures: list[float], more: int) -> None:
    low, high = interval(figures, more)
    assert low >= 0
    assert high >= 0
    assert math.isfinite(low + high)


@given(st.lists(st.floats(0.1, 1e4), min_size=3, max_size=30), st.floats(0.01, 100))
def test_an_interval_has_the_unit_of_its_figures(figures: list[float], factor: float) -> None:
    whole = interval(figures, 50)
    scaled = interval([factor * figure for figure in figures], 50)
    assert scaled == pytest.approx((whole[0] * factor, whole[1] * factor), rel=1e-3, abs=1e-6)


def test_what_is_needed_follows_from_the_variation() -> None:
    chance = random.Random(2)
    figures = [chance.gauss(100, 30) for _ in range(5000)]
    endless = (NormalDist().inv_cdf(0.975) * 0.3 / 0.05) ** 2
    assert needed(figures, 0.05, 10**9) == pytest.approx(endless, rel=0.05)
    assert needed(figures, 0.05, 200) < endless, "of few, those known are a large part"
    assert needed([5.0, 5.0, 5.0], 0.05, 1000) == 3
    assert needed([0.0, 0.0, 0.0], 0.05, 1000) == 3
    assert needed(figures, 0.0001, 40) == 40


def test_a_straight_line_has_its_slope() -> None:
    known = [float(x) for x in range(10)]
    assert slope_of(known, [3 + 2 * x for x in known]) == pytest.approx(2.0)
    assert slope_of(known, [3 - 2 * x for x in known]) == pytest.approx(-2.0)


def test_what_follows_nothing_has_hardly_a_slope() -> None:
    chance = random.Random(3)
    slopes = []
    for _ in range(200):
        known = [chance.gauss(0, 1) for _ in range(20)]
        slopes.append(slope_of(known, [chance.gauss(0, 1) for _ in known]))
    assert sum(slope == 0 for slope in slopes) > 100, "most are less than chance explains"
    assert sum(map(abs, slopes)) / len(slopes) < 0.12


def test_a_few_pairs_or_equal_ones_make_no_rule() -> None:
    known = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert slope_of(known, known) == 0
    assert slope_of([4.0] * 12, [float(x) for x in range(12)]) == 0
    assert slope_of([float(x) for x in range(12)], [4.0] * 12) == 0
