from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.recipes.quotas import DataPlan, Row, apportioned, builtin_plan, load_plan, rows

SIZES = st.lists(st.integers(1, 10_000), min_size=1, max_size=6)
GROUPS = (("a", "b"), ("c",))


def plan(*sizes: int, files: int = 2, draw: dict[str, list[str]] | None = None) -> DataPlan:
    folders = {
        f"folder{at}": {
            "samples": size,
            "files": {f"file{n}": {"about": "x"} for n in range(files)},
        }
        for at, size in enumerate(sizes)
    }
    values = draw or {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["p", "q", "r", "s"]}
    return DataPlan.model_validate({"id": "p", "draw": values, "folders": folders, "topics": {}})


def first(wanted: DataPlan, n: int, seed: int = 0) -> list[Row]:
    groups = [[name] for name in wanted.draw] if wanted is builtin_plan() else GROUPS
    return list(islice(rows(wanted, groups, seed=seed), n))


def of_folders(made: list[Row], wanted: DataPlan) -> list[int]:
    counts = Counter(row.folder for row in made)
    return [counts[name] for name in wanted.folders]


# ── the plan that comes with the library ─────────────────────────────────────────────────────


def test_the_plan_has_the_guides_folders_files_and_sizes() -> None:
    shape = {
        name: (folder.samples, len(folder.files)) for name, folder in builtin_plan().folders.items()
    }
    assert shape == {
        "grade_specific_conversations": (60_000, 5),
        "subject_specific_data": (100_000, 5),
        "emotional_learning_support": (40_000, 4),
        "adaptive_learning_data": (30_000, 4),
    }
    assert builtin_plan().total == 230_000


def test_a_thousandth_of_the_plan_has_exactly_its_proportions() -> None:
    made = first(builtin_plan(), 230)
    assert of_folders(made, builtin_plan()) == [60, 100, 40, 30]
    files = Counter((row.folder, row.file) for row in made)
    assert len(files) == 18
    assert set(files.values()) == {12, 20, 10, 7, 8}


def test_every_fraction_of_the_plan_is_by_largest_remainders() -> None:
    sizes = [folder.samples for folder in builtin_plan().folders.values()]
    made = first(builtin_plan(), 1_000)
    for n in range(1, 1_001):
        assert of_folders(made[:n], builtin_plan()) == apportioned(sizes, n)


# ── any plan ─────────────────────────────────────────────────────────────────────────────────


@given(SIZES, st.integers(0, 3_000))
def test_largest_remainders_give_all_seats_and_stay_within_one_of_the_share(
    sizes: list[int], n: int
) -> None:
    seats = apportioned(sizes, n)
    assert sum(seats) == n
    shares = [Fraction(size * n, sum(sizes)) for size in sizes]
    assert all(abs(seat - share) < 1 for seat, share in zip(seats, shares, strict=True))
    given_up = [share - seat for seat, share in zip(seats, shares, strict=True)]
    rounded_up = [left for left in given_up if left < 0]
    rounded_down = [left for left in given_up if left > 0]
    if rounded_up and rounded_down:
        assert min(rounded_up) + 1 >= max(rounded_down), "no smaller remainder got a seat"


@given(SIZES, st.integers(1, 400))
def test_files_share_a_folder_evenly_and_folders_are_near_their_shares(
    sizes: list[int], n: int
) -> None:
    wanted = plan(*sizes, files=3)
    made = first(wanted, n)
    assert len(made) == min(n, wanted.total)
    for name in wanted.folders:
        files = Counter(row.file for row in made if row.folder == name)
        counts = [files[f"file{at}"] for at in range(3)]
        assert max(counts) - min(counts) <= 1
    ideal = apportioned(sizes, len(made))
    assert max(abs(a - b) for a, b in zip(of_folders(made, wanted), ideal, strict=True)) <= 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_the_whole_plan_is_exactly_what_it_says(sizes: list[int]) -> None:
    wanted = plan(*sizes)
    assert of_folders(first(wanted, 10_000), wanted) == sizes


@given(st.integers(0, 2**20), st.integers(1, 150), st.integers(0, 150))
def test_growing_a_run_changes_no_earlier_row(seed: int, n: int, more: int) -> None:
    wanted = plan(6, 10, 4, 300)
    assert first(wanted, n + more, seed)[:n] == first(wanted, n, seed)


def test_another_seed_draws_otherwise_for_the_same_slots() -> None:
    one, other = first(builtin_plan(), 50), first(builtin_plan(), 50, seed=1)
    assert [(r.folder, r.file, r.number) for r in one] == [
        (r.folder, r.file, r.number) for r in other
    ]
    assert [r.draw for r in one] != [r.draw for r in other]


@given(st.integers(0, 2**20))
def test_a_file_fills_every_cell_of_a_group_before_one_comes_again(seed: int) -> None:
    made = [row.draw for row in first(plan(48, files=1), 48, seed)]
    for start in range(0, 48, 6):
        assert len({(d["a"], d["b"]) for d in made[start : start + 6]}) == 6
    for start in range(0, 48, 4):
        assert len({d["c"] for d in made[start : start + 4]}) == 4


def test_groups_whose_sizes_share_a_factor_do_not_run_in_step() -> None:
    values = {"a": list("123456"), "c": list("pqrstu")}
    made = [row.draw for row in first(plan(2_000, files=1, draw=values), 2_000)]
    assert len({(d["a"], d["c"]) for d in made}) == 36


def test_a_file_narrows_what_is_drawn_and_adds_to_it() -> None:
    data = plan(20, files=1).model_dump()
    data["folders"]["folder0"]["files"]["file0"]["draw"] = {"a": ["3"], "extra": ["m", "n"]}
    made = [row.draw for row in first(DataPlan.model_validate(data), 20)]
    assert {d["a"] for d in made} == {"3"}
    assert {d["extra"] for d in made} == {"m", "n"}


def test_a_product_that_no_file_could_fill_is_refused() -> None:
    values = {name: [str(n) for n in range(101)] for name in "abc"}
    with pytest.raises(ConfigError, match="1,030,301 combinations of a, b, c"):
        list(rows(plan(1, draw=values), [("a", "b", "c")]))


# ── a plan of one's own ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"folders": {}}, "folders"),
        ({"folders": {"../up": {"samples": 1, "files": {"f": {"about": "x"}}}}}, "folders"),
        ({"folders": {"a": {"samples": 0, "files": {"f": {"about": "x"}}}}}, "samples"),
        ({"folders": {"a": {"samples": 1, "files": {}}}}, "files"),
        ({"drw": {}}, "drw"),
        ({"topics": {"m": {"elementary": ["a"], "graduate": ["a", "b"]}}}, "same number"),
    ],
)
def test_what_is_no_plan_is_refused_by_file_and_field(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**plan(1).model_dump(mode="json"), **change}))
    with pytest.raises(ConfigError, match=rf"plan {path}: .*{fault}"):
        load_plan(path)


@pytest.mark.parametrize("text", ["a: [", "- a", "", "\udcff"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="plan"):
        load_plan(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_plan(tmp_path / "none.yaml")
