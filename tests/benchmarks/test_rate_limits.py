"""What the rate-limit benchmark promises apart from its seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from synthtutor.testing.throttle import FORMS

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rate_limits.py"


@pytest.mark.slow
def test_no_row_is_lost_to_a_rate_limit_in_any_form() -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [re.split(r" *\| *", line)[1:-1] for line in done.stdout.splitlines() if "|" in line]
    columns, found = lines[0], [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    assert "429s after headers" in columns
    assert {line["the server tells"].partition(",")[0] for line in found} == set(FORMS)
    assert {line["rows lost"] for line in found} == {"0"}
    assert all(int(line["429s"]) < 60 for line in found), "fewer than one for each row"
