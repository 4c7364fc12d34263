"""The benchmark of estimates runs, and its figures agree with each other; their values decide nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "estimates.py"


@pytest.mark.slow
def test_each_combination_has_a_line_whose_figures_agree() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [re.split(r" *\| *", line)[1:-1] for line in done.stdout.splitlines() if "|" in line]
    columns, _, *found = lines
    assert len(found) >= 17
    assert len({line[0] for line in found}) == len(found)
    goals = [n for n, name in enumerate(columns) if "within" in name or "holds" in name]
    assert len(goals) == 6
    for line in found:
        assert 0 < float(line[1]) < 3
        for n in goals:
            share, word = line[n].split()
            assert 0 <= int(share.rstrip("%")) <= 100
            assert word == ("reached" if int(share.rstrip("%")) >= 90 else "MISSED")
        assert 20 <= int(line[columns.index("its rows")]) <= 60
    assert "seconds" in done.stdout.splitlines()[-1]
