"""How near an estimate is to the bill: 1,000-row runs of recipe × behaviour combinations.

Eleven are shipped recipes on their own rows (`recipe_cases.py`), seven are made up to show one
behaviour each (`behaviours.py`). The vendors are simulated: another tokenizer than the
estimator's, mean lengths drawn anew for each. For each combination two vendors' whole runs are
recorded with a pilot of 20 rows, and 75 pilots are drawn out of each (`recording.py`): estimated is
after these 20 rows, and after as many as it takes to expect the bill within 5 % (`--within 5`).
What is estimated without a pilot is compared with these two bills and those of six more vendors'
runs of 100 rows. Some go over HTTP to a server on the loopback interface, two of them
through the batch API; the others get such replies from the scripted provider, as a server would
add nothing but time.

*Allowed* is what sampling theory grants: the share of pilots within 5 % for the plain mean of 20
rows out of 1,000, by the variation (cv) of what rows cost in these very runs.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import NormalDist, fmean, pstdev

from behaviours import CASES
from measuring import heading, options, spending, table, verdict
from recipe_cases import RECIPES
from recording import NEAR, PILOT, Figure, Recording, bill, record

_ROWS, _VENDORS, _PILOTS = 1_000, 2, 75
_SHORT_ROWS, _SHORT_RUNS = 100, 6
_GOAL, _WITHOUT = 0.9, 0.25
_COMBINATIONS = (*RECIPES, *CASES)

# ── one combination ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Compared:
    """What was expected, and what was billed."""

    expected: Figure
    billed: float

    @property
    def off(self) -> float:
        """By how much, as a share of the bill."""
        return abs(self.expected[1] / self.billed - 1)

    @property
    def holds(self) -> bool:
        """Whether the bill is between low and high."""
        rounding = 1e-9 * self.billed
        return self.expected[0] - rounding <= self.billed <= self.expected[2] + rounding


def _near(compared: Sequence[_Compared], within: float) -> str:
    return _goal(fmean(each.off <= within for each in compared))


def _held(compared: Sequence[_Compared]) -> str:
    return _goal(fmean(each.holds for each in compared))


def _goal(share: float) -> str:
    return f"{share:.0%} {verdict(share >= _GOAL)}"


def _line(number: int, quick: bool) -> list[object]:
    """The combination's line of the table."""
    case = _COMBINATIONS[number]
    rows, vendors, pilots = (60, 1, 4) if quick else (_ROWS, _VENDORS, _PILOTS)
    recorded = [
        asyncio.run(record(case, f"{case.name} {vendor}", rows)) for vendor in range(vendors)
    ]
    without = [_Compared(made.without, made.billed) for made in recorded]
    for short in range(1 if quick else _SHORT_RUNS):
        made_short = asyncio.run(bill(case, f"{case.name} short {short}", min(rows, _SHORT_ROWS)))
        without.append(_Compared(*made_short))
    drawn = [(made, made.drawn(pilot)) for made in recorded for pilot in range(pilots)]
    pilot = [_Compared(first, made.billed) for made, (first, _, _) in drawn]
    until = [_Compared(last, made.billed) for made, (_, last, _) in drawn]
    cv = fmean(_variation(made) for made in recorded)
    error = cv * math.sqrt(1 / PILOT - 1 / rows)
    allowed = 2 * NormalDist().cdf(NEAR / error) - 1
    wide = fmean((each.expected[2] - each.expected[0]) / 2 / each.billed for each in pilot)
    return [
        case.name, f"{cv:.2f}", _near(without, _WITHOUT), _held(without),
        _near(pilot, NEAR), f"{allowed:.0%}", f"{fmean(each.off for each in pilot):.1%}",
        _held(pilot), f"±{wide:.0%}", _near(until, NEAR), _held(until),
        round(fmean(rows_made for _, (_, _, rows_made) in drawn)),
    ]  # fmt: skip


def _variation(made: Recording) -> float:
    spent = [made.spent.get(sample, 0.0) for sample in made.samples]
    return pstdev(spent) / fmean(spent)


# ── all of them ──────────────────────────────────────────────────────────────────────────────


_COLUMNS = (
    "recipe × behaviour",
    "cv of a row",
    "no pilot: within 25 %",
    "low–high holds",
    "pilot of 20: within 5 %",
    "allowed",
    "mean error",
    "low–high holds",
    "low–high",
    "--within 5: within 5 %",
    "low–high holds",
    "its rows",
)


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    count = "60 rows, 1 vendor" if asked.quick else f"{_ROWS:,} rows, {_VENDORS} vendors"
    heading(f"Estimates against bills: {count}; goal {_GOAL:.0%} each")
    numbers = range(len(_COMBINATIONS))
    fresh = get_context("spawn")
    with spending() as spent, ProcessPoolExecutor(os.cpu_count(), mp_context=fresh) as workers:
        lines = []
        for line in workers.map(_line, numbers, [asked.quick] * len(numbers)):
            print(*line, sep=" | ", file=sys.stderr, flush=True)
            lines.append(line)
    table(_COLUMNS, lines)
    print(f"{spent.seconds:.0f} seconds")


if __name__ == "__main__":
    main()
