from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.quality.splitting import Split, split

Row = tuple[str, str, int]
ROWS = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("xyz")), max_size=80)
SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,), (0.7, 0.0, 0.3), (0.25,) * 4])


def _split(rows: list[Row], shares: tuple[float, ...], seed: int = 0) -> Split[Row]:
    return split(rows, groups=lambda r: r[0], strata=lambda r: r[1], shares=shares, seed=seed)


@given(ROWS, SHARES, st.integers(0, 9), st.randoms())
def test_sides_are_whole_safe_and_the_same_in_any_order(
    pairs: list[tuple[str, str]], shares: tuple[float, ...], seed: int, chance: random.Random
) -> None:
    rows = [(*pair, at) for at, pair in enumerate(pairs)]
    sides = _split(rows, shares, seed).sides
    assert sorted(row for side in sides for row in side) == sorted(rows)
    homes = [{group for group, _, _ in side} for side in sides]
    assert sum(map(len, homes)) == len(set[str]().union(*homes))
    chance.shuffle(rows)
    assert [sorted(side) for side in _split(rows, shares, seed)] == [sorted(s) for s in sides]


@given(ROWS, SHARES)
def test_no_side_is_over_its_share_by_more_than_the_biggest_group(
    pairs: list[tuple[str, str]], shares: tuple[float, ...]
) -> None:
    rows = [(*pair, at) for at, pair in enumerate(pairs)]
    groups = [group for group, _ in pairs]
    biggest = max(map(groups.count, groups), default=0)
    for side, share in zip(_split(rows, shares), shares, strict=True):
        assert len(side) < share * len(rows) + biggest + 1e-6
        assert len(side) > share * len(rows) - biggest * len(shares) - 1e-6
        assert share or not side


def _many(seed: int) -> list[Row]:
    chance = random.Random(seed)
    strata = {f"g{n}": chance.choices("xyz", (6, 3, 1))[0] for n in range(300)}
    names = chance.choices(list(strata), k=2000)
    return [(name, strata[name], at) for at, name in enumerate(names)]


def test_strata_are_alike_where_groups_are_small() -> None:
    for seed in range(5):
        train, validation, test = made = _split(_many(seed), (0.8, 0.1, 0.1), seed)
        assert [len(train), len(validation), len(test)] == pytest.approx([1600, 200, 200], abs=8)
        assert made.summary()["worst_stratum"] < 0.03


def test_another_seed_is_another_split() -> None:
    rows = _many(0)
    assert _split(rows, (0.5, 0.5), 1).sides != _split(rows, (0.5, 0.5), 2).sides


def test_the_summary_says_where_strata_differ_most() -> None:
    rows: list[Row] = [("a", "x", 0), ("a", "x", 1), ("b", "y", 2), ("b", "y", 3)]
    found = _split(rows, (0.5, 0.5)).summary()
    assert found["worst_stratum"] == 0.5
    assert [side["samples"] for side in found["sides"]] == [2, 2]
    assert _split([], (1.0,)).summary()["worst_stratum"] is None


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5)])
def test_shares_that_do_not_add_up_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        _split([], shares)
