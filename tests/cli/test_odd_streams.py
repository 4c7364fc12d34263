"""The command line without a terminal: closed streams, odd encodings, readers that leave."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RUN = "generate misconception -m scripted/any -n 3 --controls 0 --no-report --out run"


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The line in bash, with SYNTHTUTOR standing for the program."""
    program = f"{shlex.quote(sys.executable)} -m synthtutor"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("SYNTHTUTOR", program)],
        cwd=folder,
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_needs_no_streams(closed: str, tmp_path: Path) -> None:
    assert shell(f"SYNTHTUTOR {RUN} {closed}", tmp_path).returncode == 0
    assert (tmp_path / "run" / "samples.jsonl").is_file()


@pytest.mark.parametrize("form", ["", "--json"])
def test_a_run_goes_on_when_its_reader_has_had_enough(form: str, tmp_path: Path) -> None:
    slow = "--provider-option scripted.delay_s=0.3 --concurrency 2"
    ended = shell(f"SYNTHTUTOR {RUN} {slow} {form} | true", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert shell("SYNTHTUTOR status run", tmp_path).returncode == 0


def test_what_an_encoding_lacks_is_written_as_json_writes_it(tmp_path: Path) -> None:
    ended = shell(f"SYNTHTUTOR {RUN}", tmp_path, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\u00b7" in ended.stdout
