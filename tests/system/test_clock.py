"""The machine's clock is moved while a run goes: nobody waits for it, and no file tells of it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from synthtutor.testing.server import server_process
from tests.system.runs import CALL, Run, contents, counts, started, unavailable, wait_until

pytestmark = pytest.mark.slow

HOURS = {"forward": "+2h", "back": "-2h"}
SERVER = ("--delay-s", "0.1", "--row-pattern", CALL)


@pytest.fixture
def faked() -> dict[str, str]:
    """The environment in which a file tells a process the time of day, and only that.

    A clock that is set moves the time of day; the monotonic clock goes on as before.
    """
    if shutil.which("faketime") is None:
        unavailable("faketime is not installed (Debian and Ubuntu: apt-get install faketime)")
    library = next(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        unavailable("libfaketimeMT.so.1 is not where faketime usually puts it")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }


@pytest.mark.parametrize("direction", HOURS)
def test_a_moved_clock_changes_nothing(
    direction: str, faked: dict[str, str], options: tuple[str, ...], tmp_path: Path
) -> None:
    with server_process(*SERVER) as url:
        whole = Run(url, tmp_path / "whole", options)
        assert whole.finish().code == 0
        needed = {call: count.started for call, count in counts(url).items()}

    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    with server_process(*SERVER) as url:
        environment = {**faked, "FAKETIME_TIMESTAMP_FILE": str(clock)}
        run = Run(url, tmp_path / "run", options, environment)
        process = run.start()
        assert wait_until(lambda: started(url) > 30, process)
        moved = tmp_path / "moved"
        moved.write_text(HOURS[direction] + "\n")
        moved.replace(clock)
        ended = process.ended()
        assert ended.code == 0, ended.told
        assert {call: count.started for call, count in counts(url).items()} == needed
    assert contents(run.folder) == contents(whole.folder)
    assert 6000 < _jump_s(run.folder) < 9000, "the process did not see the clock move"
    assert _longest_call_s(run.folder) < 60, "a call was timed by the clock that moved"


def _journal(folder: Path, query: str) -> float:
    with sqlite3.connect(folder / "journal.sqlite") as connection:
        (value,) = connection.execute(query).fetchone()
    connection.close()
    return float(value)


def _jump_s(folder: Path) -> float:
    """The largest step between the times that people are shown, which are the clock's."""
    step = "SELECT abs(at - lag(at) OVER (ORDER BY id)) AS step FROM calls"
    return _journal(folder, f"SELECT max(step) FROM ({step})")


def _longest_call_s(folder: Path) -> float:
    return _journal(folder, "SELECT max(abs(seconds)) FROM calls")
