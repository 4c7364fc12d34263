from __future__ import annotations

from collections import Counter
from itertools import count, islice, pairwise

import pytest

from synthtutor.spreading import Spread, spread


@pytest.mark.parametrize("total", [1, 19, 20, 21, 160, 161, 999, 1000, 4321])
def test_no_long_stretch_is_left_out(total: int) -> None:
    chosen = spread(range(total), 20, "a")
    assert len(chosen) == min(20, total)
    assert chosen == sorted(set(chosen))
    steps = [later - earlier for earlier, later in pairwise(chosen)]
    assert max([chosen[0], total - 1 - chosen[-1], *steps]) <= 2.5 * total / len(chosen) + 1


def test_right_and_wrong_answers_in_turn_are_both_chosen() -> None:
    """Every so-many-th row would be a right one each time."""
    for seed in range(20):
        chosen = Counter(number % 2 for number in spread(range(1000), 20, str(seed)))
        assert min(chosen[0], chosen[1]) >= 2


def test_each_row_is_as_likely_as_any_other() -> None:
    times = Counter(number for seed in range(2000) for number in spread(range(40), 4, str(seed)))
    assert set(times) == set(range(40))
    assert all(times[number] == pytest.approx(200, rel=0.35) for number in range(40))


def test_the_same_rows_and_seed_give_the_same_choice() -> None:
    assert spread(range(500), 7, "a") == spread(range(500), 7, "a")
    assert spread(range(500), 7, "a") != spread(range(500), 7, "b")


def test_only_a_few_are_kept_however_many_come() -> None:
    made = Spread[int](5, "a")
    for number in islice(count(), 100_000):
        made.add(number)
    assert len(made._kept) <= 40
    assert len(made.chosen()) == 5
