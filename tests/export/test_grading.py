from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.grading import SIDES, grading


def sample(group: int, label: int, number: int = 0) -> dict[str, Any]:
    """A finished sample of a grading recipe."""
    shown = f"Q: {group}? Student Answer: {label}, {number}"
    return {
        "id": f"{group}-{label}-{number}",
        "messages": [{"role": "user", "content": shown}],
        "metadata": {"label": label, "grading": {"input": shown, "group": str(group)}},
    }


def lines(*names: str | Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in Path(*names).read_bytes().splitlines()]


BOTH = [sample(group, label) for group in range(50) for label in (0, 1)]
SKEWED = [*BOTH, *(sample(group, 1, 1) for group in range(50))]


def test_rows_have_an_input_and_a_label_and_no_group_is_on_two_sides(tmp_path: Path) -> None:
    assert grading(BOTH, tmp_path / "set") == 100
    rows = {side: lines(tmp_path, "set", f"{side}.jsonl") for side in SIDES}
    assert {tuple(row) for side in rows.values() for row in side} == {("input", "label")}
    assert [len(rows[side]) for side in SIDES] == [80, 10, 10]
    groups = [{row["input"].partition("?")[0] for row in rows[side]} for side in SIDES]
    assert len(set().union(*groups)) == sum(map(len, groups)) == 50
    for side in SIDES:
        assert {row["label"] for row in rows[side]} == {0, 1}


def test_what_is_too_many_of_a_label_is_set_apart_on_its_own_side(tmp_path: Path) -> None:
    assert grading(SKEWED, tmp_path / "set") == 100
    for side in SIDES:
        kept = lines(tmp_path, "set", f"{side}.jsonl")
        surplus = lines(tmp_path, "set", "surplus", f"{side}.jsonl")
        counts = Counter(row["label"] for row in kept)
        assert counts[0] == counts[1] > 0
        assert {row["label"] for row in surplus} == {1}
        groups = {row["input"].partition("?")[0] for row in surplus}
        assert groups <= {row["input"].partition("?")[0] for row in kept}
    told = orjson.loads((tmp_path / "set" / "splits.json").read_bytes())["sides"]
    assert told["train"]["labels"] == {"0": 40, "1": 40}
    assert told["train"]["labels_before_balancing"] == {"0": 40, "1": 80}
    assert sum(side["surplus"] for side in told.values()) == 50


def test_nothing_is_set_apart_where_balance_is_not_wished(tmp_path: Path) -> None:
    assert grading(SKEWED, tmp_path / "set", balanced=False) == 150
    assert lines(tmp_path, "set", "surplus", "train.jsonl") == []


def test_the_order_of_the_samples_does_not_decide_the_sides(tmp_path: Path) -> None:
    mixed = [*SKEWED]
    random.Random(3).shuffle(mixed)
    for name, samples in (("one", SKEWED), ("other", mixed)):
        grading(samples, tmp_path / name)
    for side in SIDES:
        one, other = (
            {row["input"] for row in lines(tmp_path, name, f"{side}.jsonl")}
            for name in ("one", "other")
        )
        assert one == other


def test_the_folder_is_a_data_set_with_three_splits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    grading(SKEWED, tmp_path / "set")
    loaded = datasets.load_from_disk(str(tmp_path / "set"))
    assert list(loaded) == list(SIDES)
    for side in SIDES:
        assert list(loaded[side]) == lines(tmp_path, "set", f"{side}.jsonl")


def test_the_same_samples_make_the_same_bytes_and_replace_an_earlier_export(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        grading(iter(SKEWED), tmp_path / "set")
        files = sorted(file for file in (tmp_path / "set").rglob("*") if file.is_file())
        found.append([(file.name, file.read_bytes()) for file in files])
    assert found[0] == found[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]
    with pytest.raises(ConfigError, match="will not replace"):
        grading(BOTH, tmp_path)


def test_no_samples_make_empty_files(tmp_path: Path) -> None:
    assert grading([], tmp_path / "set") == 0
    assert [lines(tmp_path, "set", f"{side}.jsonl") for side in SIDES] == [[], [], []]


def test_other_samples_and_other_shares_are_refused(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"row-0.*has no label"):
        grading(samples, tmp_path / "set")
    with pytest.raises(ConfigError, match="add up to 1"):
        grading(BOTH, tmp_path / "set", shares=(0.5, 0.1, 0.1))
    assert list(tmp_path.iterdir()) == []


def test_a_set_of_one_label_is_refused_and_said_so(tmp_path: Path) -> None:
    only = [sample(group, 1) for group in range(10)]
    with pytest.raises(ConfigError, match="all 10 kept samples have the label 1"):
        grading(only, tmp_path / "set")
    assert grading(only, tmp_path / "other", balanced=False) == 10


def test_a_side_that_lacks_a_label_is_told(tmp_path: Path) -> None:
    few = [*(sample(group, 1) for group in range(9)), sample(9, 0)]
    grading(few, tmp_path / "set")
    told = orjson.loads((tmp_path / "set" / "splits.json").read_bytes())["sides"]
    assert sum(side["lacks"] == ["0"] for side in told.values()) == 2
