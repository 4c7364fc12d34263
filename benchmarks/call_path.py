"""CPU time of one call's whole path, with a provider that costs nothing.

The path is all that is ours: the recipe's ``session.generate``, digests, the wrappers (Metered,
Retrying, Limited, Gate), parsing, the journal's commit, and the sample's record. ``--profile``
lists what it is spent on.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from measuring import Spent, best_of, heading, options, spending, table, verdict
from workload import Lesson, asking, engine, live, rows, scripted

from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.recipe import Recipe, RowOptions
from synthtutor.sources import limited
from synthtutor.testing import ScriptedProvider

GOAL_MS = 0.15


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of row to measure. ``price`` is dollars per million tokens in and out."""

    name: str
    recipe: Recipe[Any]
    calls: int
    rows: Callable[[int], Any] = rows
    judged: bool = True


CASES = (
    Case("1 call, text", asking(1, str), 1),
    Case("1 call, structured", asking(1, Lesson), 1),
    Case("3 calls, text", asking(3, str), 3),
    Case("3 calls, structured", asking(3, Lesson), 3),
)


async def _engine_only(case: Case, calls: int) -> Spent:
    source = list(case.rows(calls // case.calls))
    async with live(case.recipe, None, scripted()) as run:
        await run.journal.begin("{}")
        await engine(run).run(case.rows(20))  # schemas and statements are made once
        with spending() as spent:
            await engine(run).run(source)
    return spent


async def _misconception(calls: int) -> Spent:
    provider = ScriptedProvider(keep=False)
    count = calls // 3

    def source(count: int) -> Any:
        return limited(MISCONCEPTION.rows(RowOptions()).rows, count)

    async with live(MISCONCEPTION, None, provider) as run:
        await run.journal.begin("{}")
        await engine(run).run(source(20))
        with spending() as spent:
            await engine(run).run(source(count))
    return spent


def main() -> None:
    """Print the table, and the profile where it is asked for."""
    asked = options(__doc__, "--profile")
    heading("The path of a call")
    calls, times = (1500, 3) if asked.quick else (9000, 5)
    lines = []
    for case in CASES:
        spent = best_of(
            times, lambda c=case: asyncio.run(_engine_only(c, calls)), lambda s: s.cpu_s
        )
        each = spent.cpu_s / calls * 1e3
        lines.append(
            (
                case.name,
                each,
                spent.thread_s / calls * 1e3,
                calls / spent.seconds,
                GOAL_MS,
                verdict(each <= GOAL_MS),
            )
        )
    table(("row", "CPU ms/call", "of it the loop's thread", "calls/s", "goal", ""), lines)
    if asked.profile:
        for case in CASES[:2]:
            profile = cProfile.Profile()
            profile.runcall(asyncio.run, _engine_only(case, calls))
            print(case.name)
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
