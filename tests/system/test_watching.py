"""A run followed from another terminal: ``status --watch``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthtutor.cli.board import FILE, published
from synthtutor.testing.server import server_process
from tests.system.runs import POSIX, Process, Run, wait_until, write_rows, write_rubric

pytestmark = [pytest.mark.slow, POSIX]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    with server_process("--delay-s", "0.5") as url:
        rows = write_rows(tmp_path / "rows.jsonl", 24)
        rubric = write_rubric(tmp_path / "rubric.yaml")
        more = (
            "--rows",
            str(rows),
            "--rubric",
            str(rubric),
            "--concurrency",
            "6",
            *getattr(request, "param", ("-n", "24")),
        )
        priced = ("--price", "compatible/test-model=1/2", "--yes", "--controls", "0")
        yield Run(url, tmp_path / "run", (*more, *priced))


def watching(run: Run, going: Process, *more: str) -> Process:
    """Started as soon as there is something to watch."""
    assert wait_until(lambda: published(run.folder) is not None, going), going.told()
    return Process(["status", str(run.folder), "--watch", *more], {})


@pytest.mark.parametrize("run", [("-n", "24"), ()], indirect=True, ids=["-n", "no -n"])
def test_a_run_is_followed_to_its_end_from_another_terminal(run: Run) -> None:
    going = run.start()
    watcher = watching(run, going, "--json")
    seen = watcher.ended()
    assert going.ended().code == 0
    assert seen.code == 0, seen.told
    *progress, last = [json.loads(line) for line in seen.out.splitlines()]
    assert any(one["in_flight"] > 0 for one in progress), "what only the running process knows"
    assert [one["rows"] for one in progress] == sorted(one["rows"] for one in progress)
    assert all(one["expected_usd"] > 0 for one in progress[:-1])
    assert {one["total"] for one in progress[:-1]} - {None} == {24}
    assert any(one["eta_s"] for one in progress), "and so how long it takes"
    assert last["event"] == "status"
    assert last["complete"]
    assert not (run.folder / FILE).exists()


def test_people_read_lines_with_the_money_against_the_estimate(run: Run) -> None:
    going = run.start()
    seen = watching(run, going).ended()
    going.ended()
    assert " of 24 rows" in seen.out
    assert "calls in flight" in seen.out
    assert " of about $" in seen.out
    assert "misconception: 24 samples made" in seen.out


def test_what_a_killed_run_left_is_not_taken_for_a_run_that_goes_on(run: Run) -> None:
    going = run.start()
    watcher = watching(run, going)
    going.kill()
    seen = watcher.ended()
    assert seen.code == 3
    assert "not complete" in seen.out
