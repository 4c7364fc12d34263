from __future__ import annotations

import json
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.export.faults import Report
from synthtutor.export.validate import validate
from tests.export.broken import BROKEN, GOOD, conversation, lines
from tests.export.mutations import changed


def _report(folder: Path, content: bytes, **options: Any) -> Report:
    path = folder / "train.jsonl"
    path.write_bytes(content)
    return validate(path, **options)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_has_no_fault(tmp_path: Path, name: str) -> None:
    report = _report(tmp_path, GOOD[name])
    assert report.faults == ()
    assert report.ok
    assert report.lines >= 10


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_by_the_rule_for_it(tmp_path: Path, name: str) -> None:
    content, rule = BROKEN[name]
    report = _report(tmp_path, content)
    assert not report.ok
    assert rule in report.rules
    assert report.errors + report.warnings == sum(report.rules.values())


@pytest.mark.parametrize(
    ("last", "line", "field"),
    [
        ({"messages": [*conversation(1)["messages"][:2], {"role": "assistant", "content": ""}]}, 13, "messages[2].content"),
        ({**conversation(0), "id": 1}, 13, "id"),
        (b"{", 13, ""),
    ],
)  # fmt: skip
def test_a_fault_names_line_and_field(tmp_path: Path, last: object, line: int, field: str) -> None:
    errors = [fault for fault in _report(tmp_path, lines(last)).faults if fault.severity == "error"]
    assert [(fault.line, fault.field) for fault in errors] == [(line, field)]


def test_every_message_says_what_to_do(tmp_path: Path) -> None:
    for content, _ in BROKEN.values():
        for fault in _report(tmp_path, content).faults:
            assert 10 < len(fault.message) < 200
            assert fault.message.isprintable()


def test_lines_that_say_the_same_are_a_warning(tmp_path: Path) -> None:
    report = _report(tmp_path, lines(conversation(3), conversation(3, weight=1)))
    assert report.ok
    assert [(f.line, f.rule, f.severity) for f in report.faults] == [
        (13, "duplicate", "warning"),
        (14, "duplicate", "warning"),
    ]
    assert "line 4" in report.faults[0].message


def test_strict_roles_ask_for_exactly_these_messages(tmp_path: Path) -> None:
    roles = ("system", "user", "assistant")
    assert _report(tmp_path, lines(), strict_roles=roles).ok
    said = conversation(30)["messages"]
    for messages in (said[1:], said + said[1:]):
        report = _report(tmp_path, lines({"messages": messages}), strict_roles=roles)
        assert [(fault.line, fault.rule) for fault in report.faults] == [(13, "strict-roles")]


def test_all_faults_are_counted_and_some_are_kept(tmp_path: Path) -> None:
    report = _report(tmp_path, b"{}\n" * 500, keep=7)
    assert report.errors == 500
    assert len(report.faults) == 7
    assert report.faulty_lines == 500


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(lines())
    assert validate(tmp_path / "train.json").rules == {"file-name": 1}


def test_what_is_no_regular_file_is_a_fault_and_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path, tmp_path / "pipe.jsonl"):
        report = validate(path)
        assert not report.ok
        assert report.rules == {"not-a-file": 1}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read {tmp_path}/no.jsonl: No such file"):
        validate(tmp_path / "no.jsonl")


def test_an_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'sharegpt': choose one of openai-chat, preference"):
        validate(tmp_path, format="sharegpt")  # type: ignore[arg-type]  # what a command line may pass


@pytest.mark.slow
def test_a_file_over_512_mib_is_refused_without_reading_it_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with path.open("wb") as file:  # sparse: it takes no room on the disk
        file.write(lines())
        file.truncate(512 * 1024 * 1024 + 1)
    tracemalloc.start()
    report = validate(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.rules == {"file-size": 1, "line-length": 1}
    assert report.lines == 13
    assert peak < 40 * 1024 * 1024


def test_the_line_after_an_enormous_one_is_read(tmp_path: Path) -> None:
    content = lines(b"x" * 50_000, conversation(3))
    report = _report(tmp_path, content, max_line_bytes=10_000)
    assert [(fault.line, fault.rule) for fault in report.faults] == [
        (13, "line-length"),
        (14, "duplicate"),
    ]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("size", [9_999, 10_000, 10_001])
def test_the_longest_line_allowed_is_allowed(tmp_path: Path, size: int, end: bytes) -> None:
    line = json.dumps(conversation(40)).encode()
    padded = line.replace(b"Cut", b"Cut" + b"t" * (size - len(line)))
    assert len(padded) == size
    report = _report(tmp_path, lines() + padded + end, max_line_bytes=10_000)
    assert report.ok == (size <= 10_000)


@pytest.mark.parametrize(
    "line",
    [
        b'{"messages": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"messages": [], "tools": ' + b"9" * 5000 + b"}",
        b'{"messages": 1e999}',
        b'{"\\ud800": 1}',
        b'{"a\\u0000\\u001b[2J": 1}',
    ],
)
def test_odd_lines_are_faults_and_never_crashes(tmp_path: Path, line: bytes) -> None:
    report = _report(tmp_path, lines(line))
    assert not report.ok
    assert {fault.line for fault in report.faults} == {13}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(changed() | st.binary(max_size=20), max_size=4), form=st.booleans())
def test_no_content_crashes_it(tmp_path: Path, rows: list[bytes], form: bool) -> None:
    content = b"\n".join(rows)
    if form:
        pair = b'{"chosen":[{"role":"assistant","content":"a"}],"rejected":"b","prompt":'
        content = content.replace(b'{"messages":', pair)
    report = _report(tmp_path, content, format="preference" if form else "openai-chat")
    assert report.ok == (report.errors == 0)
    assert len(report.faults) == report.errors + report.warnings


@pytest.mark.slow
def test_memory_is_flat_over_100_mb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "A fraction is a part of a whole. " * 60
    path = tmp_path / "train.jsonl"
    with path.open("wb") as file:
        for index in range(48_000):
            row = conversation(index)
            row["messages"][2]["content"] += text
            file.write(json.dumps(row).encode() + b"\n")
    process = psutil.Process()
    validate(path, keep=1)  # warm: allocator pools count neither way
    before, started = process.memory_info().rss, time.perf_counter()
    report = validate(path)
    seconds, grown = time.perf_counter() - started, process.memory_info().rss - before
    assert report.ok
    assert report.size_bytes > 100_000_000
    with capsys.disabled():
        print(f"\n{report.size_bytes / 1e6 / seconds:.0f} MB/s, {grown / 1e6:+.1f} MB")
    assert grown < 30_000_000
