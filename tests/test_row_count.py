"""How many rows a run's file has is known while it runs, although the rows are read as they are needed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from synthtutor.cli import board
from synthtutor.cli.board import counting, snapshot
from synthtutor.config import RunConfig
from synthtutor.runs import opened


def config(tmp_path: Path, rows: int, **more: object) -> RunConfig:
    path = tmp_path / "rows.jsonl"
    problems = [{"question": f"What is {n}/2?", "subject": "fractions"} for n in range(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in problems))
    fields = {"recipe": "misconception", "models": {"default": "scripted/any"}, "rows": str(path)}
    return RunConfig.checked({**fields, **more}, "test")


def waited_for(counted: Callable[[], int | None]) -> int | None:
    until = time.monotonic() + 60
    while counted() is None and time.monotonic() < until:
        time.sleep(0.01)
    return counted()


@pytest.mark.parametrize(("n", "total"), [(None, 30), (10, 10), (100, 30)])
async def test_the_rows_of_a_file_are_counted_beside_the_run(
    tmp_path: Path, n: int | None, total: int
) -> None:
    async with opened(config(tmp_path, 30, n=n), tmp_path / "run") as live:
        with counting(live) as counted:
            assert waited_for(counted) == total
            live.progress.kept = 6
            now = snapshot(live, None, counted)
    assert (now["total"], now["rows"]) == (total, 6)
    assert now["eta_s"] is not None


async def test_what_is_not_counted_stays_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "_LONGEST_COUNTED", 10)
    async with opened(config(tmp_path, 30), tmp_path / "run") as live:
        with counting(live) as counted:
            live.progress.kept = 6
            assert snapshot(live, None, counted)["total"] is None
    assert counted() is None


async def test_a_file_that_grew_since_gives_no_share_above_all(tmp_path: Path) -> None:
    async with opened(config(tmp_path, 5), tmp_path / "run") as live:
        with counting(live) as counted:
            waited_for(counted)
            live.progress.kept = 7
            assert snapshot(live, None, counted)["total"] == 7


async def test_a_file_that_is_gone_is_the_runs_to_tell(tmp_path: Path) -> None:
    async with opened(config(tmp_path, 5), tmp_path / "run") as live:
        (tmp_path / "rows.jsonl").rename(tmp_path / "elsewhere.jsonl")
        with counting(live) as counted:
            assert counted() is None


async def test_a_long_count_ends_with_the_run(tmp_path: Path) -> None:
    async with opened(config(tmp_path, 100_000), tmp_path / "run") as live:
        with counting(live) as counted:
            pass
    assert counted() in (None, 100_000)  # nothing is left behind that still reads
