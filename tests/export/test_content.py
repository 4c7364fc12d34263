from __future__ import annotations

from typing import Any

import pytest

from synthtutor.export.content import check_content
from synthtutor.export.faults import Ledger


def _rules(content: Any, role: str = "user") -> dict[str, int]:
    ledger = Ledger(keep=10)
    check_content(content, role, "content", ledger)
    return dict(ledger.rules)


@pytest.mark.parametrize("content", ["?", "a\nb", " a ", "🙂", "\u200bx"])
def test_texts_are_fine(content: str) -> None:
    assert _rules(content) == {}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "blank"),
        ("\u00a0\u3000", "blank"),
        ([], "blank"),
        ("a\0", "nul"),
        ("a\ufffd", "replacement-character"),
        (None, "content-type"),
        (True, "content-type"),
    ],
)
def test_other_content_breaks_one_rule(content: Any, rule: str) -> None:
    assert _rules(content) == {rule: 1}


def test_a_tool_may_answer_with_nothing() -> None:
    assert _rules("", role="tool") == {}


def test_parts_are_legal_and_a_warning() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    assert _rules([{"type": "text", "text": "Why?"}, picture]) == {"content-parts": 1}


@pytest.mark.parametrize(
    ("part", "role", "rule"),
    [
        ({"type": "text"}, "user", "part"),
        ({"type": "text", "text": 1}, "user", "part"),
        ({"type": "text", "text": " "}, "user", "blank"),
        ({"type": "video"}, "user", "part"),
        ({"type": []}, "user", "part"),
        ("Why?", "user", "part"),
        ({"type": "image_url", "image_url": {}}, "assistant", "part"),
        ({"type": "image_url", "image_url": "https://example.org"}, "user", "part"),
        ({"type": "refusal", "refusal": "No."}, "user", "part"),
    ],
)
def test_a_bad_part_is_an_error(part: Any, role: str, rule: str) -> None:
    assert _rules([part], role) == {"content-parts": 1, rule: 1}
