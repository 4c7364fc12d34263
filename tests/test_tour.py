"""The notebook runs from its first cell to its last, beside a running event loop as in Jupyter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "tour.ipynb"

# What Jupyter does with a cell: compiled with top-level await, and run while a loop is running.
_KERNEL = """
import ast, asyncio, inspect, json, sys

async def main():
    space = {"__name__": "__main__"}
    for number, cell in enumerate(json.load(sys.stdin)):
        code = compile(cell, f"cell {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        ended = eval(code, space)
        if inspect.isawaitable(ended):
            await ended

asyncio.run(main())
"""


def cells(kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def ran(sources: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _KERNEL],
        input=json.dumps(sources),
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_tour_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    sources = ["".join(cell["source"]) for cell in cells("code")]
    expected = [
        "assert result.summary.made == 12 and result.summary.calls >= 36",
        "assert rejected[0]['metadata']['reasons']",
        "assert talks.summary.kept == 12 and talks.summary.calls == 84",
        "assert told.found and case.right.said != case.wrong.said",
        "assert checked.ok and checked.lines == 12",
    ]
    done = ran([*sources, *expected], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "tour" / "talks" / "finetune.jsonl").is_file()


@pytest.mark.slow
def test_a_cell_that_fails_is_seen(tmp_path: Path) -> None:
    done = ran(["x = 1", "import asyncio\nawait asyncio.sleep(0)", "assert x == 2"], tmp_path)
    assert done.returncode != 0
    assert "cell 2" in done.stderr


def test_the_tour_is_stored_without_outputs() -> None:
    assert cells("markdown")
    for cell in cells("code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
