"""The benchmarks run, and two things that they measure are promises: no timing decides a test here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_SCRIPTS = {
    "call_path": "CPU ms/call",
    "http_rows": "CPU ms/row",
    "leaks": "F1",
    "personas": "near-duplicates",
    "memory": "peak RSS MB",
    "replay": "calls/CPU s",
    "startup": "synthtutor --help",
    "validate_file": "MB/CPU s",
}


def _printed(script: str, *arguments: str) -> str:
    command = [sys.executable, str(_BENCHMARKS / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("script", "column"), _SCRIPTS.items())
def test_each_benchmark_prints_its_table(script: str, column: str) -> None:
    printed = _printed(script, "--quick")
    assert column in printed
    assert printed.count("\n| ") >= 3, "a heading, a rule and at least one line"


def test_every_benchmark_is_run_here() -> None:
    shared = {
        "behaviours",
        "measuring",
        "prose",
        "recipe_cases",
        "recipe_vendor",
        "recording",
        "workload",
    }
    # Tests of their own, beside this one and, where torch is, among those of training.
    elsewhere = {"rate_limits", "calibrate_tokens", "estimates", "train_speed"}
    assert {path.stem for path in _BENCHMARKS.glob("*.py")} - shared - elsewhere == set(_SCRIPTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_rows() -> None:
    few, many = (
        json.loads(_printed("memory", "--measure", str(rows)))["mb"] for rows in (1_000, 100_000)
    )
    assert many - few < 50


def test_help_loads_nothing_that_only_a_run_needs() -> None:
    heavy = ("asyncio", "pydantic", "jinja2", "orjson", "rich", "sqlite3", "yaml")
    code = (
        f"import sys, synthtutor.cli.app;print([name for name in {heavy!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
