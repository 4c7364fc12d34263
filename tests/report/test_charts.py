"""Charts are read at once: nothing is cut that fits, nothing is written over, units are named."""

from __future__ import annotations

import re

import pytest

from synthtutor.counts import counted, money
from synthtutor.report import charts
from synthtutor.report.figures import percent

STAGE = "judge (control): judge · openai/gpt-4.1"


def words(svg: str | None) -> list[str]:
    assert svg is not None
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.slow
def test_a_long_label_is_whole_and_stands_above_its_bar() -> None:
    rows = [(STAGE, 0.06, "$0.06"), ("writer: reply", 0.02, "$0.02")]
    short = [("tone", 0.9, "90%"), ("level", 0.8, "80%")]
    long, beside = charts.drawn([charts.bars(rows, "US dollars"), charts.bars(short, "share")])
    assert {STAGE, "$0.06", "US dollars"} <= set(words(long))
    assert {"tone", "90%"} <= set(words(beside))


@pytest.mark.slow
def test_samples_are_counted_in_whole_numbers() -> None:
    counts = {"kept": [0] * 9 + [1], "rejected": [1] * 10}
    labels = [f"{nth / 10:.1f}" for nth in range(10)]
    (svg,) = charts.drawn([charts.steps(counts, labels, "weighted score")])
    shown = words(svg)
    assert {"kept: samples", "rejected: samples", "weighted score"} <= set(shown)
    assert shown.count("0.5") == 1, "as a score, and not as half a sample"
    assert shown.count("1") == 2, "the end of each axis"


@pytest.mark.slow
def test_a_unit_is_level_and_above_its_axis() -> None:
    (svg,) = charts.drawn([charts.line([0, 12_000, 400], 1.0, "calls per minute", "seconds")])
    assert svg is not None
    title = re.search(r'<text[^>]*transform="([^"]*)"[^>]*>calls per minute<', svg)
    assert title is not None
    assert "rotate" not in title[1]


def test_a_little_is_not_nothing_and_nearly_all_is_not_all() -> None:
    assert [percent(share) for share in (0.0, 0.0004, 0.004, 0.827, 0.996, 0.9999, 1.0)] == [
        "0%", "<0.1%", "0.4%", "83%", "99.6%", ">99.9%", "100%",
    ]  # fmt: skip


def test_one_is_not_many() -> None:
    assert (counted(1, "call"), counted(2_000, "call")) == ("1 call", "2,000 calls")
    assert money(0.5, 1) == "$0.5000 + 1 call of unknown price"
    assert money(0.0, 3) == "3 calls of unknown price", "which is not the same as nothing"
