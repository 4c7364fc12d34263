from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from synthtutor.cli.summary import print_summary
from synthtutor.quality.quoting import Quoting, quoted
from synthtutor.report.facts import gather
from synthtutor.report.sections import sections
from tests.report.made import made, script

TEXT = "Good start! You **added** the tops, but what’s the size of each piece?\nDraw 1/2 first."


@pytest.mark.parametrize(
    "evidence",
    [
        "what's the size of each piece?",
        "“You added the tops”",
        "GOOD   START",
        '"Draw 1/2 first."',
        "each piece? Draw",
        "You added ... size of each piece",
        "Good start! […] Draw 1/2",
    ],
)
def test_what_stands_in_the_text_is_quoted_truly(evidence: str) -> None:
    assert quoted(evidence, TEXT) is True


@pytest.mark.parametrize(
    "evidence",
    [
        "You multiplied the tops",
        "Draw 1/3 first",
        "size of each piece ... You added the tops",
        "The tutor asks a question.",
    ],
)
def test_what_does_not_stand_there_in_that_order_is_not(evidence: str) -> None:
    assert quoted(evidence, TEXT) is False


@pytest.mark.parametrize("evidence", ["", "  ", "none", '"None."', "N/A", "...", "“”"])
def test_evidence_that_quotes_nothing_is_not_counted(evidence: str) -> None:
    assert quoted(evidence, TEXT) is None


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_a_piece_of_any_text_is_in_it(before: str, piece: str, after: str) -> None:
    plain = "".join(c for c in piece if c.isalnum() and c.isascii())
    assert quoted(plain, f"{before} {plain} {after}") is not False
    assert quoted(piece, after) in (True, False, None)


def _sample(*said: bool | None, judge: str = "p/judge") -> dict[str, Any]:
    calls = [{"role": "writer", "model": "p/writer"}, {"role": "judge", "model": judge}]
    return {"verdicts": [{"quoted": each} for each in said], "lineage": {"calls": calls}}


def test_true_quotations_are_counted_by_judge() -> None:
    counts = Quoting()
    for metadata in (
        _sample(True, False, None),
        _sample(True, judge="p/other"),
        _sample(None),
        {"verdicts": [{"evidence": "of an earlier version"}]},
        {},
    ):
        counts.add(metadata)
    assert counts.summary() == {
        "p/judge": {"quoting": 2, "found": 1, "share": 0.5},
        "p/other": {"quoting": 1, "found": 1, "share": 1.0},
    }


def _told(folder: Path, evidence: str) -> tuple[dict[str, Any], str, str]:
    """What statistics.json, the report's judge section and the summary say of such a judge."""
    result = made(folder, 4, script(evidence=evidence))
    found = orjson.loads((folder / "statistics.json").read_bytes())["verdicts"]["evidence"]
    judged = next(each for each in sections(gather(folder)) if each.id == "judged")
    console = Console(record=True, width=200)
    print_summary(console, result.summary, folder)
    return found, str(judged.figures), console.export_text()


def test_a_judge_that_quotes_truly_is_said_to_and_not_warned_of(tmp_path: Path) -> None:
    found, shown, summary = _told(tmp_path / "run", "“WELL,   word … Reply”")
    assert found == {"scripted/m": {"quoting": 16, "found": 16, "share": 1.0}}
    assert "Quoted evidence" in shown
    assert "100" in shown
    assert "before you trust them" not in shown
    assert "quotations" not in summary


def test_a_judge_that_invents_its_evidence_is_shown_and_warned_of(tmp_path: Path) -> None:
    found, shown, summary = _told(tmp_path / "run", "seen here")
    assert found == {"scripted/m": {"quoting": 16, "found": 0, "share": 0.0}}
    assert "read some verdicts of scripted/m before you trust them" in shown
    assert "only 0 of 16 quotations of scripted/m stand in the text" in summary


def test_a_judge_that_quotes_nothing_has_no_share(tmp_path: Path) -> None:
    found, shown, summary = _told(tmp_path / "run", "none")
    assert found == {}
    assert "Quoted evidence" not in shown
    assert "quotations" not in summary
