from __future__ import annotations

from collections import Counter
from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.coverage import Coverage
from synthtutor.tutoring import MISCONCEPTION_TYPES, SUBJECTS

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=3)
seeds = st.integers(0, 2**32)
CELLS = {"subject": SUBJECTS, "misconception_type": tuple(MISCONCEPTION_TYPES)}


def coverage(sizes: list[int], seed: int) -> Coverage:
    return Coverage({f"a{i}": [f"v{v}" for v in range(n)] for i, n in enumerate(sizes)}, seed=seed)


def cell(draw: dict[str, str]) -> tuple[str, ...]:
    return tuple(draw.values())


@given(sizes, seeds, st.integers(0, 10**6), st.integers(0, 50))
def test_any_window_of_rows_fills_every_cell_exactly_once(
    sizes: list[int], seed: int, start: int, variation: int
) -> None:
    drawn = coverage(sizes, seed)
    window = {cell(drawn.draw(start + row, variation)) for row in range(len(drawn))}
    assert len(window) == len(drawn)


@given(sizes, seeds, st.integers(0, 10**6), st.integers(0, 50))
def test_any_window_of_variations_fills_every_cell_exactly_once(
    sizes: list[int], seed: int, row: int, start: int
) -> None:
    drawn = coverage(sizes, seed)
    window = {cell(drawn.draw(row, start + variation)) for variation in range(len(drawn))}
    assert len(window) == len(drawn)


@given(seeds, st.integers(1, 300), st.integers(1, 8), st.integers(0, 300), st.integers(0, 8))
def test_growing_changes_no_earlier_draw(
    seed: int, rows: int, variations: int, more_rows: int, more_variations: int
) -> None:
    def grid(rows: int, variations: int) -> dict[tuple[int, int], tuple[str, ...]]:
        drawn = Coverage(CELLS, seed=seed)
        return {
            (r, v): cell(drawn.draw(r, v))
            for v in range(variations)
            for r in range(0, rows, 7)  # a sample of the rows keeps this fast
        }

    small = grid(rows, variations)
    assert small.items() <= grid(rows + more_rows, variations + more_variations).items()


@given(seeds)
def test_250_rows_of_4_variations_fill_all_224_cells_evenly(seed: int) -> None:
    drawn = Coverage(CELLS, seed=seed)
    counts = Counter(cell(drawn.draw(row, v)) for v in range(4) for row in range(250))
    assert len(counts) == len(drawn) == 224
    assert max(counts.values()) - min(counts.values()) <= 4


def test_the_seed_decides_the_order_and_nothing_else() -> None:
    first, same, other = (Coverage(CELLS, seed=seed) for seed in (1, 1, 2))
    order = [cell(first.draw(row)) for row in range(224)]
    assert order == [cell(same.draw(row)) for row in range(224)]
    assert order != [cell(other.draw(row)) for row in range(224)]
    assert set(order) == {cell(other.draw(row)) for row in range(224)}


def test_two_counters_that_run_in_step_would_miss_most_cells() -> None:
    # What this module exists for: the naive way fills lcm(28, 8) = 56 of the 224 cells.
    naive = {(SUBJECTS[i % 28], tuple(MISCONCEPTION_TYPES)[i % 8]) for i in range(1000)}
    assert len(naive) == 28 * 8 // gcd(28, 8) == 56


@pytest.mark.parametrize("size", [1, 2, 3, 6, 224])
def test_variations_of_one_row_lie_far_apart(size: int) -> None:
    drawn = coverage([size], 0)
    neighbours = {cell(drawn.draw(0, v)) for v in range(min(size, 3))}
    assert len(neighbours) == min(size, 3)


@given(seeds, st.integers(1, 960))
def test_however_many_rows_are_drawn_each_value_comes_about_as_often_as_the_others(
    seed: int, rows: int
) -> None:
    many = {"class": 12, "syllabus": 5, "performance": 4, "style": 4}
    drawn = Coverage({name: [f"{n}" for n in range(of)] for name, of in many.items()}, seed=seed)
    cells = [drawn.draw(row) for row in range(rows)]
    for name, of in many.items():
        counts = Counter(each[name] for each in cells)
        least = min(counts.values()) if len(counts) == of else 0
        assert max(counts.values()) - least <= 4
