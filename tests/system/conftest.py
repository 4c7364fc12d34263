from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.runs import write_rows, write_rubric


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    """Sixty rows in mode ``answer`` (two calls each) and eight controls (one call each)."""
    rows = write_rows(tmp_path / "rows.jsonl", 60)
    rubric = write_rubric(tmp_path / "rubric.yaml")
    return (
        *("--rows", str(rows), "--rubric", str(rubric)),
        *("--mode", "answer", "--concurrency", "8"),
    )
