from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.shingles import shingles, tokens


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_runs_are_equal_when_their_words_are(words: list[int], size: int) -> None:
    runs = shingles(tokens(" ".join(map(str, words))), size)
    expected = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    assert len(runs) == len(expected)
    assert len(set(runs)) == len(set(expected))


def test_case_and_punctuation_make_no_difference() -> None:
    assert tokens("What's HALF of 12?") == tokens("what's half, of (12)")


def test_what_is_written_without_spaces_is_compared_by_its_characters() -> None:
    assert len(tokens("每盘24个松饼 trays")) == 7
    assert set(shingles(tokens("你知道每盘有几个吗"), 4)) & set(
        shingles(tokens("那么每盘有几个呢"), 4)
    )


def test_numbers_are_the_same_in_every_process() -> None:
    code = "from synthtutor.quality.shingles import tokens; print(tokens('half of 12'))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{tokens('half of 12')}\n"}
