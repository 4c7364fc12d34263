"""Resident memory of a whole run (rows, journal, files written) by its number of rows.

Each size runs in a process of its own; the figure is the largest size the process ever had. All
texts differ, so that whatever remembers texts has something to remember.
"""

from __future__ import annotations

import asyncio
import json

from measuring import fresh, heading, options, peak_mb, spending, table, verdict
from workload import asking, live, scripted, varied, varied_rows

_GOAL_MB = 50


async def _measure(count: int) -> None:
    with spending() as spent:
        async with live(asking(1, str), scripted(varied), source=varied_rows(count)) as run:
            outcome = await run.go()
    assert outcome.summary.kept == count
    print(json.dumps({"mb": peak_mb(), "seconds": spent.seconds, "cpu_s": spent.cpu_s}))


def main() -> None:
    """Print the table; exit 1 where memory grows with the rows."""
    asked = options(__doc__)
    if asked.measure:
        return asyncio.run(_measure(int(asked.measure[0])))
    heading("Memory by rows")
    sizes = (1_000, 5_000) if asked.quick else (1_000, 10_000, 100_000)
    lines, least = [], 0.0
    for size in sizes:
        found = fresh(__file__, "--measure", size)
        least = least or found["mb"]
        lines.append(
            (
                f"{size:,}",
                found["mb"],
                found["mb"] - least,
                found["seconds"],
                found["cpu_s"] / size * 1e3,
            )
        )
    table(("rows", "peak RSS MB", "more than the first", "s", "CPU ms/row, all in all"), lines)
    growth = lines[-1][2]
    print(f"growth {growth:.1f} MB, goal < {_GOAL_MB} MB: {verdict(growth < _GOAL_MB)}")
    raise SystemExit(growth >= _GOAL_MB)


if __name__ == "__main__":
    main()
