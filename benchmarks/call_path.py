"""CPU time of one call's whole path, with a provider that costs next to nothing.

The path is all that is ours: the recipe's ``session.generate``, digests, the wrappers (Metered,
Retrying, Limited, Gate), parsing, the journal's commit, and the sample's record. ``--profile``
lists what the first two rows are spent on.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from measuring import Spent, heading, middle_of, options, spending, table, verdict
from workload import Lesson, asking, engine, live, rows, scripted

from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.recipe import Recipe, RowOptions
from synthtutor.sources import limited
from synthtutor.testing import ScriptedProvider

_GOAL_MS = 0.15


def _seeds(count: int) -> Any:
    return limited(MISCONCEPTION.rows(RowOptions()).rows, count)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of row. ``goal_ms`` is per call; None where the provider's own work is in the figure."""

    name: str
    recipe: Recipe[Any]
    calls: int
    rows: Callable[[int], Any] = rows
    provider: Callable[[], ScriptedProvider] = scripted
    goal_ms: float | None = _GOAL_MS


_CASES = (
    Case("1 call, text", asking(1, str), 1),
    Case("1 call, structured", asking(1, Lesson), 1),
    Case("3 calls, text", asking(3, str), 3),
    Case("3 calls, structured", asking(3, Lesson), 3),
    # Templates, a rubric of some twenty criteria, and replies made to fit their schemas.
    Case(
        "misconception recipe",
        MISCONCEPTION,
        3,
        _seeds,
        partial(ScriptedProvider, keep=False),
        goal_ms=None,
    ),
)


async def _spent(case: Case, calls: int) -> Spent:
    async with live(case.recipe, case.provider()) as run:
        await run.journal.begin("{}")
        await engine(run).run(case.rows(20))  # schemas and statements are made once
        before = run.meter.calls
        with spending() as spent:
            await engine(run).run(case.rows(calls // case.calls))
        spent.calls = run.meter.calls - before
    return spent


def _run(case: Case, calls: int) -> Spent:
    return asyncio.run(_spent(case, calls))


def main() -> None:
    """Print the table, and the profile where it is asked for."""
    asked = options(__doc__, "--profile")
    heading("The path of a call")
    calls, times = (1500, 3) if asked.quick else (9000, 5)
    lines = []
    for case in _CASES:
        spent = middle_of(times, partial(_run, case, calls))
        each = spent.cpu_s / spent.calls * 1e3
        loop = spent.thread_s / spent.calls * 1e3
        goal = ("–", "") if case.goal_ms is None else (case.goal_ms, verdict(each <= case.goal_ms))
        lines.append((case.name, each, loop, spent.calls / spent.seconds, *goal))
    table(("row", "CPU ms/call", "of it the event loop", "calls/s", "goal", ""), lines)
    for case in _CASES[:2] if asked.profile else ():
        profile = cProfile.Profile()
        profile.runcall(asyncio.run, _spent(case, calls))
        print(f"{case.name}: where the event loop's time goes (the profiler doubles it)")
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
