"""The simulated vendor of the shipped recipes gives what their prompts ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_SCRIPT = """
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from recipe_cases import RECIPES
from synthtutor.reading import Reading
from synthtutor.runs import opened

async def failed(case):
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = case.configured(folder)
        rows = case.rows(12, "a")
        async with case.asking("a") as providers:
            given = {"recipe": case.recipe, "rows": rows, "providers": providers}
            async with opened(config, folder / "run", **given) as live:
                await live.go()
        reading = Reading.open(folder / "run" / "journal.sqlite")
        calls = reading.totals()[0]
        made, failed = reading.outcomes(), reading.failed_samples()
        reading.close()
        return calls, sum(made.values()), len(failed)

for case in RECIPES:
    print(case.name, *asyncio.run(failed(case)), sep="|")
"""


@pytest.mark.slow
def test_replies_are_in_the_form_that_each_recipe_asks_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=_BENCHMARKS,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert len(lines) >= 10
    for name, calls, made, failed in lines:
        assert int(calls) >= int(made) > 0, name
        if "refusing" not in name and "re-asking" not in name:
            assert (int(made), int(failed)) == (12, 0), name
