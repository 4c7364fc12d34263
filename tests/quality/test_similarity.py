from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.similarity import Similarity


def _summary(texts: list[str], *, capacity: int = 200) -> dict[str, float | int | None]:
    similarity = Similarity(capacity=capacity)
    for at, text in enumerate(texts):
        similarity.add(text, str(at))
    return similarity.summary()


def test_texts_without_a_run_in_common_count_each() -> None:
    found = _summary(["one two three", "four five six", "seven eight nine"])
    assert (found["self_similarity"], found["effective_texts"]) == (0, 3)


def test_equal_texts_are_one_in_effect() -> None:
    found = _summary(["the same pipe fills the same tank"] * 20)
    assert (found["compared"], found["self_similarity"], found["effective_texts"]) == (20, 1, 1)


def test_two_forms_in_equal_numbers_are_two_in_effect() -> None:
    found = _summary(["a pipe fills a tank"] * 10 + ["dice are thrown twice"] * 10)
    assert found["effective_texts"] == 2


def test_an_empty_text_is_none_and_one_text_has_no_pair() -> None:
    found = _summary(["", "only this"])
    assert (found["texts"], found["self_similarity"], found["effective_texts"]) == (1, None, None)


@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=12), st.randoms())
def test_bounds_hold_and_order_does_not_matter(texts: list[str], chance: random.Random) -> None:
    named = list(enumerate(texts))
    chance.shuffle(named)
    shuffled = Similarity(capacity=5)
    for at, text in named:
        shuffled.add(text, str(at))
    found = _summary(texts, capacity=5)
    assert shuffled.summary() == found
    if found["effective_texts"] is not None:
        assert 1 <= found["effective_texts"] <= (found["compared"] or 0) + 0.01
