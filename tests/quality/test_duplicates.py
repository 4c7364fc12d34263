from __future__ import annotations

import random

from synthtutor.quality.duplicates import Duplicates

_WORDS = [f"{start}{end}" for start in "bdfglmnprst" for end in ("a", "el", "im", "on", "urt")]


def _text(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(_WORDS, k=words))


def _edited(text: str, edits: int, seed: int) -> str:
    chooser, words = random.Random(seed), text.split()
    for at in chooser.sample(range(len(words)), edits):
        words[at] = "changed"
    return " ".join(words)


def test_a_lightly_edited_copy_is_found() -> None:
    found = 0
    for seed in range(100):
        duplicates = Duplicates()
        assert duplicates.add(_text(200, seed), "original") is None
        found += duplicates.add(_edited(_text(200, seed), 4, seed), "copy") == "original"
    assert found >= 97  # they share 0.89 of their runs


def test_texts_that_share_half_or_less_are_apart() -> None:
    mistaken = 0
    for seed in range(100):
        duplicates = Duplicates()
        duplicates.add(_text(200, seed), "a")
        mistaken += duplicates.add(_edited(_text(200, seed), 28, seed), "b") is not None
    assert mistaken <= 3


def test_a_different_text_is_no_copy() -> None:
    duplicates = Duplicates()
    assert [duplicates.add(_text(60, seed), str(seed)) for seed in range(300)] == [None] * 300


def test_case_spacing_and_punctuation_do_not_hide_a_copy() -> None:
    duplicates = Duplicates()
    duplicates.add("Think of a pizza, cut in four.", "a")
    assert duplicates.add("think of a  PIZZA cut in four!", "b") == "a"


def test_short_texts_are_copies_only_when_equal() -> None:
    duplicates = Duplicates()
    answers = [
        duplicates.add(text, text) for text in ("Yes", "No", "Yes!", "Yes it is", "yes it is")
    ]
    assert answers == [None, None, "Yes", None, "Yes it is"]


def test_originals_are_listed_with_their_copies() -> None:
    duplicates = Duplicates()
    for n in range(6):
        duplicates.add("The same pipe fills the same tank in four hours", f"pipe-{n}")
        duplicates.add(_text(30, n), f"other-{n}")
    duplicates.add("", "empty")
    assert duplicates.summary() == {
        "texts": 12,
        "copies": 5,
        "share": 0.4167,
        "most_copied": [{"id": "pipe-0", "copies": 5}],
    }


def test_what_is_remembered_is_bounded() -> None:
    duplicates = Duplicates(capacity=10)
    for seed in range(20):
        duplicates.add(_text(30, seed), str(seed))
    assert duplicates.add(_text(30, 3), "early") == "3"
    assert duplicates.add(_text(30, 15), "late") is None
