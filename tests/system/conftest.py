from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.runs import MODEL, Process, write_rows, write_rubric


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    """Sixty rows in mode ``answer`` (two calls each) and eight controls (one call each)."""
    rows = write_rows(tmp_path / "rows.jsonl", 60)
    rubric = write_rubric(tmp_path / "rubric.yaml")
    return (
        *("--rows", str(rows), "--rubric", str(rubric)),
        *("--mode", "answer", "--concurrency", "8", "--price", f"{MODEL}=1/2"),
    )


@pytest.fixture(autouse=True)
def _nothing_runs_on() -> Iterator[None]:
    """A failed test leaves no process behind."""
    yield
    for process in list(Process.unended):
        process.close()
