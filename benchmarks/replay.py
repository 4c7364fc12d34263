"""How fast a finished run is run again: every reply from the journal, parsed anew, nothing asked.

``replay`` is what a preview does (read, digest, parse, run the recipe); ``resume`` also records
each sample again, as a rerun with a new rubric must. The work is one process's, so the goal is held
against CPU time; ``calls/s`` is the same where nothing else runs.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import heading, options, spending, table, verdict
from workload import Lesson, asking, engine, live, never, rows, scripted

from synthtutor.recipes.recipe import Recipe

_GOAL = 15_000


async def _fill(recipe: Recipe[Any], count: int, folder: Path) -> None:
    async with live(recipe, scripted(), folder=folder) as run:
        await run.journal.begin("{}")
        await engine(run).run(rows(count))


async def _again(recipe: Recipe[Any], count: int, folder: Path, dry: bool) -> tuple[float, float]:
    """Replayed calls per second, of wall-clock time and of CPU time."""
    async with live(recipe, scripted(never), folder=folder) as run:
        await run.journal.begin("{}")
        replaying = engine(run)
        replaying.dry = dry
        with spending() as spent:
            await replaying.run(rows(count))
        calls = run.context.replayed_calls
        assert run.stop.error is None
        assert run.progress.failed == 0
    return calls / spent.seconds, calls / spent.cpu_s


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    heading("Replayed calls per second")
    samples, times = (1_500, 3) if asked.quick else (10_000, 5)
    lines = []
    for calls, type_ in ((1, str), (1, Lesson), (3, str), (3, Lesson)):
        recipe = asking(calls, type_)
        with TemporaryDirectory(prefix="synthtutor-benchmark-") as temporary:
            folder = Path(temporary)
            asyncio.run(_fill(recipe, samples, folder))
            for name, dry in (("replay", True), ("resume", False)):
                found = [asyncio.run(_again(recipe, samples, folder, dry)) for _ in range(times)]
                wall, cpu = (median(column) for column in zip(*found, strict=True))
                kind = "text" if type_ is str else "structured"
                goal = (f"{_GOAL:,}", verdict(cpu >= _GOAL)) if dry else ("–", "")
                lines.append((f"{calls} × {kind}", name, wall, cpu, *goal))
    table(("calls of a sample", "", "calls/s", "calls/CPU s", "goal", ""), lines)


if __name__ == "__main__":
    main()
