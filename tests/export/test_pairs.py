from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.pairs import Pairs, pairs
from synthtutor.export.validate import validate


def pair(chosen: int, rejected: int, outcome: str = "kept", **more: Any) -> dict[str, Any]:
    about = {"rejected": "x", "chosen_words": chosen, "rejected_words": rejected, "margin": 0.25}
    return {"id": "a", "metadata": {"outcome": outcome, "pair": {**about, **more}}}


def test_a_line_is_a_conversation_with_two_ends(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    samples[0]["metadata"]["pair"] = {"rejected": "Because."}
    path = tmp_path / "preference.jsonl"
    assert pairs(samples[:1], path) == 1
    assert json.loads(path.read_bytes()) == {
        "prompt": [
            {"role": "system", "content": "You are a tutor."},
            {"role": "user", "content": "Why is 0 even? Ça?"},
        ],
        "chosen": [{"role": "assistant", "content": "Divide it by 2.\nWhat is left? 🙂"}],
        "rejected": [{"role": "assistant", "content": "Because."}],
    }
    assert validate(path, "preference").ok


def test_a_sample_that_is_no_pair_is_named(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"row-1.* is not a pair"):
        pairs(samples[1:2], tmp_path / "preference.jsonl")
    assert not (tmp_path / "preference.jsonl").exists()


def test_the_balance_is_that_of_the_kept_pairs() -> None:
    found = Pairs()
    for each in (pair(20, 10), pair(10, 20), pair(5, 5), pair(90, 10, "rejected")):
        found.add(each)
    summary = found.summary()
    assert (summary["made"], summary["kept"]) == (4, 3)
    assert [summary[n] for n in ("chosen_longer", "chosen_shorter", "equally_long")] == [1, 1, 1]
    assert summary["longer_share"] == 0.5
    assert summary["words_ratio"] == 1.0
    assert summary["mean_margin"] == 0.25


def test_a_bias_for_length_shows() -> None:
    found = Pairs()
    for _ in range(20):
        found.add(pair(12, 10))
    summary = found.summary()
    assert summary["longer_share"] == 1.0
    assert summary["longer_share_95"][0] > 0.8
    assert summary["words_ratio"] == 1.2


def test_a_judges_habits_are_counted_over_all_pairs() -> None:
    found = Pairs()
    for first, second, bias in (
        ("chosen", "chosen", None),
        ("rejected", "rejected", None),
        ("chosen", "rejected", "first"),
        ("rejected", "chosen", "second"),
        ("tie", "tie", None),
        ("chosen", "tie", None),
    ):
        votes = {"chosen_first": first, "chosen_second": second, "order_bias": bias}
        found.add(pair(1, 1, "rejected", comparison=votes))
    assert found.summary()["comparisons"] == {
        "asked": 6,
        "agreed": 2,
        "always_first": 1,
        "always_second": 1,
        "tied": 2,
    }
    assert found.summary()["longer_share"] is None


def test_samples_that_are_no_pairs_have_no_balance(samples: list[dict[str, Any]]) -> None:
    found = Pairs()
    for sample in samples:
        found.add(sample)
    assert found.summary() == {}
