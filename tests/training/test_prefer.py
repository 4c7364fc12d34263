from __future__ import annotations

from pathlib import Path

import pytest

from synthtutor.errors import ConfigError
from tests.training.jobs import job, train
from tests.training.rows import pair, write_rows

pytest.importorskip("torch", reason="training's own environment: make test-training")

pytestmark = pytest.mark.slow


def test_the_margin_between_chosen_and_rejected_rises(tiny: Path, tmp_path: Path) -> None:
    result = train(job("prefer", tiny, tmp_path, epochs=2))
    margin = result["held_out_margin"]
    assert margin["before"] == pytest.approx(0, abs=1e-6)  # nothing is preferred to begin with
    assert margin["best"] > 0.5
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 0.2


def test_prompts_that_leave_no_room_for_a_reply_are_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every prompt for train alone fills max_length 8"):
        train(job("prefer", tiny, tmp_path, max_length=8))
    rows = [pair(n) for n in range(30)]
    for row in rows[::2]:
        row["prompt"][0]["content"] += " Why?" * 100
    write_rows(tmp_path / "prefer.jsonl", rows)
    result = train(job("prefer", tiny, tmp_path, out="some", split=(1, 0, 0), max_steps=2))
    assert result["rows_left_out"] == {"train": 15}


def test_pairs_of_plain_texts_train_too(tiny: Path, tmp_path: Path) -> None:
    rows = [{side: said[-1]["content"] for side, said in pair(n).items()} for n in range(30)]
    write_rows(tmp_path / "prefer.jsonl", rows)
    result = train(job("prefer", tiny, tmp_path))
    assert result["held_out_margin"]["best"] > 0.1
