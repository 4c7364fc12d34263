from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.quality.contamination import Contamination
from synthtutor.quality.duplicates import Duplicates

_WORDS = [f"{start}{end}" for start in "bdfglmnprst" for end in ("a", "el", "im", "on", "urt")]


def _text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(_WORDS, k=words))


def test_a_repeated_stretch_is_quoted_with_its_place() -> None:
    item = _text(40, 1)
    stretch = " ".join(item.split()[10:30])
    text = f"Here it begins: {stretch.upper()}! And ends."
    (overlap,) = Contamination({"test": [item]}).overlaps(text)
    assert (overlap.benchmark, overlap.words) == ("test", 20)
    assert text[overlap.start : overlap.end] == overlap.quote == stretch.upper()


@pytest.mark.parametrize(("shared", "found"), [(12, 0), (13, 1)])
def test_thirteen_words_are_an_overlap_and_twelve_are_none(shared: int, found: int) -> None:
    item = _text(40, 2)
    text = f"before {' '.join(item.split()[:shared])} after"
    assert len(Contamination({"test": [item]}).overlaps(text)) == found


def test_a_short_item_counts_as_a_whole_and_a_very_short_one_not() -> None:
    short, shorter = _text(9, 3), _text(7, 4)
    contamination = Contamination({"test": [short, shorter]})
    assert [each.words for each in contamination.overlaps(f"x {short} x")] == [9]
    assert contamination.overlaps(f"x {shorter} x") == []
    assert contamination.overlaps(" ".join(short.split()[:8])) == []


def test_each_benchmark_is_named() -> None:
    one, other = _text(30, 5), _text(30, 6)
    found = Contamination({"a": [one], "b": [other, one]}).overlaps(f"{other} and {one}")
    assert [each.benchmark for each in found] == ["b", "a", "b"]


def test_unrelated_texts_share_nothing() -> None:
    contamination = Contamination({"test": [_text(60, seed) for seed in range(100)]})
    assert contamination.overlaps(_text(5000, 1000)) == []
    assert contamination.kept_share == 1


def test_what_is_held_is_bounded_and_whole_items_are_still_found() -> None:
    items = [_text(200, seed) for seed in range(60)]
    contamination = Contamination({"test": items}, capacity=2000)
    assert contamination.kept_share < 1
    held = sum(len(runs) for sizes in contamination._runs.values() for runs in sizes.values())
    assert held <= 2000 * 1.125
    assert all(contamination.overlaps(item) for item in items)


def test_short_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="7 words"):
        Contamination({}, words=7)


@given(st.lists(st.text(max_size=120), max_size=4), st.text(max_size=300))
def test_quotes_are_parts_of_any_text(items: list[str], text: str) -> None:
    for overlap in Contamination({"test": items}, words=8).overlaps(text):
        assert text[overlap.start : overlap.end] == overlap.quote


def test_an_item_is_found_in_itself_and_so_is_a_near_duplicate() -> None:
    item = _text(50, 7)
    assert Contamination({"test": [item]}).overlaps(item)[0].quote == item
    duplicates = Duplicates()
    duplicates.add(item, "item")
    assert duplicates.add(item, "text") == "item"
