from __future__ import annotations

import pytest

from synthtutor.export.faults import Fault, Ledger, shown


def test_a_fault_reads_as_a_line() -> None:
    fault = Fault(3, "messages[2].content", "blank", "is empty: drop the line")
    assert str(fault) == "line 3, messages[2].content: error: is empty: drop the line [blank]"
    assert str(Fault(None, "", "too-few", "add some")) == "file: error: add some [too-few]"


def test_warnings_do_not_crowd_out_errors() -> None:
    ledger = Ledger(keep=2)
    for ledger.line in range(1, 11):
        ledger.warning("duplicate", "", "again")
    ledger.error("json", "", "broken")
    report = ledger.report("a.jsonl", "openai-chat", 1, 10)
    assert (report.errors, report.warnings, report.ok) == (1, 10, False)
    assert [(fault.line, fault.rule) for fault in report.faults] == [
        (1, "duplicate"),
        (2, "duplicate"),
        (10, "json"),
    ]
    assert report.rules == {"duplicate": 10, "json": 1}


def test_a_line_with_two_errors_is_one_faulty_line() -> None:
    ledger = Ledger(keep=10)
    ledger.line = 4
    ledger.error("role", "a", "b")
    ledger.error("blank", "a", "b")
    ledger.line = 5
    ledger.warning("duplicate", "", "again")
    assert ledger.report("a", "b", 1, 5).faulty_lines == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("tutor", "'tutor'"),
        ("\x1b[31m\n", r"'\x1b[31m\n'"),
        ("é", r"'\xe9'"),
        (None, "null"),
        ({}, "an object"),
        ([1], "a list"),
        (0.5, "0.5"),
    ],
)
def test_values_are_shown_without_control_characters(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 10_000)) <= 70
    assert len(shown("é" * 10_000)) <= 70
