"""The pages of an evaluation, as a browser lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.evaluation.classifiers import classification
from synthtutor.evaluation.conversations import Conversation, Said
from synthtutor.evaluation.evaluate import Evaluation, Judged, evaluate
from synthtutor.evaluation.goals import load_goals
from synthtutor.evaluation.judging import chosen_packs
from synthtutor.evaluation.report import evaluation_page
from tests.browser import browser_page

SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"


def made(number: int) -> Conversation:
    """A reply to one student, of one of four subjects and grades."""
    at = number % 4
    return Conversation(
        id=f"c{number}",
        student=f"s{number}",
        said=(Said("user", "I get 312."),),
        reply="What does the 1 in 12 stand for?",
        grade=(1, 4, 7, 10)[at],
        subject=("mathematics", "reading", "science", "history")[at],
        feeling=("frustrated", "proud")[number % 2],
    )


def judged() -> Evaluation:
    rows = [made(n) for n in range(12)]
    packs = chosen_packs(None)
    scales = [scale.id for pack in packs for scale in pack.scales]
    levels = {row.id: dict.fromkeys(scales, 3) for row in rows}
    given = Judged("judge/one", packs, levels)
    found = evaluate("made", rows, judged=given, goals=load_goals(), text=False, resamples=20)
    values = {name: getattr(found, name) for name in Evaluation.__dataclass_fields__}
    text: dict[str, Any] = {"references": 12, "chrf": 1.0, "bleu": 1.0, "rouge_l": 1.0}
    text |= {"signatures": {"chrf": SIGNATURE, "bleu": SIGNATURE}}
    return Evaluation(**{**values, "text": text, "models": {"tutor/one": 12}})


def test_a_sentence_is_apart_from_the_next() -> None:
    assert "Made by tutor/one (12). Judged by judge/one" in evaluation_page(judged())


def test_of_a_classifier_no_replies_are_told() -> None:
    rows = [("a", "a", "1"), ("b", "a", "2")]
    page = evaluation_page(evaluate("c", [], classifier=classification(rows, resamples=5)))
    assert "2 predictions, 2 labels" in page
    assert "0 replies" not in page
    assert "Response time" not in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(width: int, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(evaluation_page(judged()), encoding="utf-8")
    with browser_page(width=width) as visit:
        visit.page.goto(file.as_uri())
        assert visit.overflow_px <= 0
        if width == 1280:  # and no table has to be pushed aside to be read
            hidden = "t => [...t].filter(e => e.scrollWidth > e.clientWidth).length"
            assert visit.page.eval_on_selector_all("table", hidden) == 0
