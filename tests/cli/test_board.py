"""What a run shows on a terminal while it goes: nothing wraps, nothing important is missing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from synthtutor.cli.board import board, recent
from synthtutor.cli.display import Display
from synthtutor.cli.summary import print_summary
from synthtutor.counts import money
from tests.report.made import made

NOW: dict[str, Any] = {
    "rows": 5_771, "total": 10_000, "kept": 5_117, "rejected": 1_504, "undetermined": 142,
    "failed": 108, "in_flight": 400, "calls": 17_222, "replayed": 1_200, "input_tokens": 12_065_607,
    "output_tokens": 3_292_066, "cost_usd": 26.69, "expected_usd": 49.04, "unpriced_calls": 0,
    "retries": 214, "rate_limited": 178, "seconds": 1_380.0, "eta_s": 1_012, "batches": 0,
    "in_batches": 0, "latest": "You are right about one part. " * 9,
    "warning": "HTTP 429: slow down", "warnings": ["HTTP 503: overloaded", "HTTP 429: slow down (9 times)"],
}  # fmt: skip


def lines(width: int, **changes: Any) -> list[str]:
    console = Console(width=width)
    with console.capture() as shown:
        console.print(board({**NOW, **changes}))
    return shown.get().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_stands_on_a_line_of_its_own(width: int) -> None:
    shown = lines(width)
    assert [line.split()[0] for line in shown[1:6]] == ["rows", "kept", "calls", "spent", "time"]
    assert len(shown) == 9, "a bar, the table, the latest, two warnings"
    assert "1,504 rejected, 142 undetermined, 108 failed" in shown[2]
    assert max(map(len, shown)) <= width


def test_what_people_ask_of_a_run_is_there() -> None:
    shown = "\n".join(lines(120))
    for said in ("5,771 / 10,000 (58%)", "5,117 (89%)", "400 in flight", "15,357,673 tokens",
                 "$26.69 of about $49.04", "about 16 min 52 s left", "latest kept: You are right",
                 "178 rate limited (429)", "warning: HTTP 503: overloaded"):  # fmt: skip
        assert said in shown


def test_a_run_of_unknown_length_says_what_it_knows() -> None:
    shown = "\n".join(lines(80, total=None, eta_s=None, in_flight=None, expected_usd=None))
    assert "rows5,771\n" in shown.replace(" ", "")
    assert "None" not in shown


def test_recent_warnings_are_told_once_each() -> None:
    assert recent([]) == []
    assert recent(["a", "b", "a", "a"]) == ["b", "a (3 times)"]
    assert recent(["1", "2", "3", "4"]) == ["2", "3", "4"], "the last three"


def test_calls_of_unknown_price_are_no_nothing() -> None:
    assert money(0, 1) == "1 call of unknown price"
    assert money(1.5, 2) == "$1.50 + 2 calls of unknown price"
    assert money(0) == "$0.00"


def test_one_retry_is_not_many() -> None:
    assert "1 retry, 1 rate limited (429)" in "\n".join(lines(80, retries=1, rate_limited=1))


@pytest.mark.slow
def test_a_summary_is_broken_between_words_on_a_terminal_and_not_at_all_in_a_file(
    tmp_path: Path,
) -> None:
    summary = made(tmp_path / "run", 4).summary
    told = {}
    for terminal in (True, False):
        told[terminal] = io.StringIO()
        console = Console(file=told[terminal], width=60, force_terminal=terminal, color_system=None)
        print_summary(console, summary, Path("run"))
    narrow, whole = (told[terminal].getvalue() for terminal in (True, False))
    assert max(map(len, narrow.splitlines())) <= 60
    assert max(map(len, whole.splitlines())) > 60
    assert narrow.split() == whole.split(), "no word is broken and none is lost"


def test_where_output_is_piped_each_new_warning_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Display(Console(file=io.StringIO()))
    for warning in ("", "HTTP 429: slow down", "HTTP 429: slow down", "HTTP 503: overloaded"):
        display.tick({**NOW, "warning": warning})
    assert capsys.readouterr().err.splitlines() == [
        "  warning: HTTP 429: slow down",
        "  warning: HTTP 503: overloaded",
    ]
