from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.alike import Alike
from synthtutor.quality.shingles import shingles, tokens


def share(one: str, other: str) -> float:
    first, second = (set(shingles(tokens(text), 3)) for text in (one, other))
    return len(first & second) / len(first | second)


def expected(texts: list[str], threshold: float) -> list[int | None]:
    """By comparing everything with every original."""
    originals: list[int] = []
    found: list[int | None] = []
    for place, text in enumerate(texts):
        best = max(((share(text, texts[at]), -at) for at in originals), default=(0.0, 0))
        copy = best[0] >= threshold
        found.append(-best[1] if copy else None)
        originals += [] if copy else [place]
    return found


@given(st.integers(0, 2**30), st.sampled_from([0.3, 0.5, 0.6, 0.75, 1.0]))
def test_it_finds_what_comparing_all_pairs_finds(seed: int, threshold: float) -> None:
    chance = random.Random(seed)
    texts = [" ".join(chance.choices("abcd", k=chance.randint(5, 12))) for _ in range(30)]
    alike = Alike(threshold=threshold)
    found = [alike.add(text, str(place)) for place, text in enumerate(texts)]
    assert [None if name is None else int(name) for name in found] == expected(texts, threshold)


@pytest.mark.parametrize("text", ["", "...", "one", "one two"])
def test_a_text_of_few_words_is_like_itself_only(text: str) -> None:
    alike = Alike()
    assert alike.add(text, "a") is None
    assert alike.add("something quite different", "b") is None
    assert alike.add(text, "c") == ("a" if text.strip(".") else None)


def test_a_text_at_the_very_threshold_is_a_near_duplicate() -> None:
    alike = Alike(threshold=0.6)
    assert alike.add("a b c d e f", "first") is None  # four runs, of which three are shared
    assert share("a b c d e f", "a b c d e g") == 0.6
    assert alike.add("a b c d e g", "second") == "first"
