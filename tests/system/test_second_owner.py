"""A folder has one owner at a time, and no owner that is gone stands in the way of the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthtutor.testing.server import server_process
from tests.system.runs import CALL, POSIX, Process, Run, contents, counts, started, wait_until

pytestmark = [pytest.mark.slow, POSIX]

SERVER = ("--delay-s", "0.1", "--row-pattern", CALL)


def test_a_second_process_is_refused_and_the_first_finishes_unharmed(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    with server_process(*SERVER) as url:
        whole = Run(url, tmp_path / "whole", options)
        assert whole.finish().code == 0
        needed = {call: count.started for call, count in counts(url).items()}

    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "run", options)
        first = run.start()
        assert wait_until(lambda: started(url) > 0, first)

        second = run.finish("--seed", "7")
        assert first.alive, "the first ended too early for this to be a test"
        assert second.code == 2, second.told
        assert second.out == ""
        assert second.err.count("\n") == 1
        assert f"{run.folder}: another run owns this folder" in second.err
        assert f"process {first.popen.pid}" in second.err

        ended = first.ended()
        assert ended.code == 0, ended.told
        assert contents(run.folder) == contents(whole.folder)
        asked = {call: count.started for call, count in counts(url).items()}
        assert asked == needed, "the second asked something"
        assert "seed" not in (run.folder / "run.yaml").read_text(), "the second left its settings"


def test_a_killed_owner_does_not_keep_the_next_from_starting(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "run", options)
        for share in (0.1, 0.5):
            owner = run.start()
            before = started(url)
            assert wait_until(lambda: started(url) > before + share * 60, owner)  # noqa: B023
            owner.kill()
            assert (run.folder / "journal.lock").exists()
        ended = run.finish()
        assert ended.code == 0, ended.told


def test_a_run_can_be_read_while_it_goes(options: tuple[str, ...], tmp_path: Path) -> None:
    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "run", options)
        first = run.start()
        assert wait_until(lambda: started(url) > 20, first)
        status = Process(["status", str(run.folder)], {}).ended()
        assert first.alive, "the first ended too early for this to be a test"
        assert status.code == 3, status.told
        assert "not complete" in status.out
        assert first.ended().code == 0
        assert Process(["status", str(run.folder)], {}).ended().code == 0
