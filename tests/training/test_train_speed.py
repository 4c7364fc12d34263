"""The benchmark beside a bare TRL script runs; its figures decide nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs torch: make test-training")

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_speed.py"
SMALL = ("--layers", "2", "--hidden", "128", "--vocabulary", "512", "--rows", "16", "--steps", "6")


def test_both_ways_are_measured_in_one_run() -> None:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *SMALL, "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert set(found["median"]) == {"ours", "bare"}
    for which in ("ours", "bare"):
        assert found["median"][which]["tokens_per_second"] > 0
    assert set(found["ours_by_bare"]) == {
        *("tokens_per_second", "cpu_seconds_per_step", "memory_gib")
    }
    assert (found["layers"], found["hidden"], found["rounds"]) == (2, 128, 1)
