"""How near an estimate is to the bill: 1,000-row runs of seven recipe × behaviour combinations.

Each draw estimates without a pilot, makes a pilot of 20 rows, estimates again, adds rows until the
estimate expects to be within 5 % (`--within 5`), runs the rest, and compares the three estimates with
what the journal says was billed. The vendor is simulated
(`behaviours.py`): another tokenizer than the estimator's, mean lengths drawn within ±30 % of what
the recipe declares, lognormal lengths around them. Two combinations go over HTTP to a server on
the loopback interface, one of them through the batch API; the others get such replies from the
scripted provider, as a server would add nothing but time.

*Allowed* is what sampling theory grants: the share of draws within 5 % for the plain mean of 20
rows out of 1,000, by the variation (cv) of what rows cost in these very runs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, pstdev
from tempfile import TemporaryDirectory
from typing import Any

from behaviours import CASES, PROMPTS, Case, Vendor, asking, rows_of
from measuring import heading, options, spending, table, verdict

from synthtutor.config import RunConfig
from synthtutor.engine import Engine
from synthtutor.estimates import Estimate
from synthtutor.estimating import estimate
from synthtutor.pilots import make_pilot, pilot_until
from synthtutor.reading import Reading
from synthtutor.runs import opened

_ROWS, _DRAWS, _PILOT = 1_000, 40, 20
_GOAL, _WITH_PILOT, _WITHOUT = 0.9, 0.05, 0.25

# ── one draw ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Drawn:
    """What one draw found: three estimates of the whole run, what was billed, and what rows cost.

    ``made`` rows were the pilot of the third.
    """

    without: tuple[float, float, float]
    pilot: tuple[float, float, float]
    until: tuple[float, float, float]
    made: int
    billed: float
    spent: Sequence[float]


async def _drawn(case: Case, number: int, count: int) -> _Drawn:
    draw = f"{case.name} {number}"
    rows = rows_of(count, draw)
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="synthtutor-benchmark-")))
        prompts = folder / "prompts"
        prompts.mkdir()
        for name, text in PROMPTS.items():
            (prompts / f"{name}.j2").write_text(f"{{% block user %}}{text}{{% endblock %}}")
        config = RunConfig.checked(
            {
                "recipe": case.recipe.name,
                "models": {"default": case.model},
                "prices": {} if case.batch else {case.model: [1.0, 4.0]},
                "prompts": str(prompts),
                "concurrency": 100,
                "max_failed": 1.0,
                "batch": case.batch,
                "batch_wait_s": 0.1,
                "batch_poll_s": 0.1,
            }
        )
        provider = await exits.enter_async_context(asking(case, Vendor(case.habits, draw)))
        given: dict[str, Any] = {
            "recipe": case.recipe,
            "rows": rows,
            "providers": {case.model.partition("/")[0]: provider},
        }
        run = folder / "run"
        before = await estimate(config, run, most=100, **given)
        await make_pilot(config, run, _PILOT, **given)
        after = await estimate(config, run, most=100, **given)
        until = await pilot_until(config, run, _WITH_PILOT, first=_PILOT, most=100, **given)
        async with opened(config, run, **given) as live:
            await live.journal.begin("{}")
            # A run that stops early for its failures has no bill to compare with.
            whole: Engine[Any] = Engine(
                case.recipe.name,
                case.recipe.function,
                live.context,
                live.stop,
                samples_in_flight=200,
                max_failed=1.0,
            )
            await whole.run(rows)
            assert live.stop.reason is None
        return _found(case, before, after, until, run)


def _found(case: Case, before: Estimate, after: Estimate, until: Estimate, run: Path) -> _Drawn:
    reading = Reading.open(run / "journal.sqlite")
    try:
        _, _, billed, unpriced = reading.totals()
        spent = reading.connection.execute("SELECT total(cost_usd) FROM calls GROUP BY sample")
        each = [dollars for (dollars,) in spent]
    finally:
        reading.close()
    assert not unpriced
    assert each

    def whole(found: Estimate) -> tuple[float, float, float]:
        left = found.batch_usd if case.batch else found.cost_usd
        paid = found.paid_usd
        return paid + left.low, paid + left.expected, paid + left.high

    made = until.all_rows - until.rows
    return _Drawn(whole(before), whole(after), whole(until), made, billed, each)


# ── all draws ────────────────────────────────────────────────────────────────────────────────


def _line(case: Case, draws: Sequence[_Drawn], count: int) -> list[object]:
    def share(holds: Callable[[_Drawn], bool]) -> float:
        return fmean(holds(drawn) for drawn in draws)

    def near(of: Callable[[_Drawn], tuple[float, float, float]], within: float) -> float:
        return share(lambda drawn: abs(of(drawn)[1] / drawn.billed - 1) <= within)

    def held(of: Callable[[_Drawn], tuple[float, float, float]]) -> float:
        return share(lambda drawn: of(drawn)[0] <= drawn.billed <= of(drawn)[2])

    def without(drawn: _Drawn) -> tuple[float, float, float]:
        return drawn.without

    def pilot(drawn: _Drawn) -> tuple[float, float, float]:
        return drawn.pilot

    def until(drawn: _Drawn) -> tuple[float, float, float]:
        return drawn.until

    cv = fmean(pstdev(drawn.spent) / fmean(drawn.spent) for drawn in draws)
    error = cv * math.sqrt(1 / _PILOT - 1 / count)
    allowed = 2 * NormalDist().cdf(_WITH_PILOT / error) - 1
    off = fmean(abs(drawn.pilot[1] / drawn.billed - 1) for drawn in draws)
    wide = fmean((drawn.pilot[2] - drawn.pilot[0]) / 2 / drawn.billed for drawn in draws)
    return [
        case.name, f"{cv:.2f}", _goal(near(without, _WITHOUT)), _goal(held(without)),
        _goal(near(pilot, _WITH_PILOT)), f"{allowed:.0%}", f"{off:.1%}", _goal(held(pilot)),
        f"±{wide:.0%}", _goal(near(until, _WITH_PILOT)), _goal(held(until)),
        round(fmean(drawn.made for drawn in draws)),
    ]  # fmt: skip


def _goal(share: float) -> str:
    return f"{share:.0%} {verdict(share >= _GOAL)}"


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
    count, draws = (120, 2) if asked.quick else (_ROWS, _DRAWS)
    heading(f"Estimates against bills: {draws} draws of {count:,} rows; goal {_GOAL:.0%} each")
    lines = []
    with spending() as spent:
        for case in CASES:
            found = [asyncio.run(_drawn(case, number, count)) for number in range(draws)]
            lines.append(_line(case, found, count))
    table(_COLUMNS, lines)
    print(f"{spent.cpu_s:.0f} CPU seconds, {spent.seconds:.0f} seconds")


if __name__ == "__main__":
    main()
