from __future__ import annotations

from typing import Any

import pytest

from synthtutor.quality.openers import Openers


def _summary(*texts: str, **options: int) -> dict[str, Any]:
    openers = Openers(**options)
    for text in texts:
        openers.add(text)
    return openers.summary()


def test_a_formula_at_the_beginning_is_seen() -> None:
    summary = _summary(
        "You've hit on a good point. Go on!",
        "**You've hit on** something. Why?",
        "Let us draw it. What do you see?",
        "Half of it. What do you think?",
    )
    assert summary["openers"]["top"][0] == {"phrase": "you've hit on", "count": 2, "share": 0.5}
    assert summary["closers"]["top"][0] == {"phrase": "what do you", "count": 2, "share": 0.5}
    assert summary["endings"] == {"question": 0.75, "exclamation": 0.25, "statement": 0.0}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Is it?", "question"),
        ('She asks "is it?"', "question"),
        ("**Is it?**\n", "question"),
        ("Is it? Try.", "statement"),
        ("Try", "statement"),
        ("Try!)", "exclamation"),
        ("So what is $x$?", "question"),
    ],
)
def test_the_final_mark_decides_the_form(text: str, form: str) -> None:
    assert _summary(text)["endings"][form] == 1.0


def test_a_text_without_words_is_not_counted() -> None:
    summary = _summary("", "42", "$x$?")
    assert summary["texts"] == 0
    assert summary["openers"] == {"top_share": None, "top_10_share": None, "top": []}
    assert summary["endings"]["question"] is None


def test_memory_is_bounded_and_the_frequent_stay() -> None:
    rare = [f"{a}{b}x rare beginning" for a in "abcdefghij" for b in "abcdefghij"]
    texts = ["You've hit on it."] * 30 + rare + ["You've hit on it."] * 30
    top = _summary(*texts, capacity=20)["openers"]["top"]
    assert top[0] == {"phrase": "you've hit on", "count": 60, "share": 0.375}
    assert len(top) <= 21
