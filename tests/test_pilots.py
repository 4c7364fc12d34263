from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from synthtutor.config import RunConfig
from synthtutor.errors import Unauthorized
from synthtutor.estimates import Estimate
from synthtutor.messages import Message, Request, Response, Usage
from synthtutor.pilots import make_pilot, pilot_until
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import recipe
from synthtutor.runs import opened
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

ROWS = [{"question": f"why {number}?"} for number in range(300)]


@recipe(name="piloted")
async def piloted(session: Session, row: dict[str, Any]) -> Sample:
    said = await session.generate(str, row["question"])
    return Sample([Message("user", "?"), Message("assistant", said)])


def of_chance_length(request: Request) -> Response:
    chance = random.Random(request.messages[0].content)
    return Response("because", usage=Usage(10, round(chance.lognormvariate(5, 0.4))), model="m")


def config(**fields: Any) -> RunConfig:
    known = {"recipe": "piloted", "models": {"default": "scripted/m"}}
    return RunConfig.checked({**known, "prices": {"scripted/m": [1.0, 4.0]}, **fields})


def given(script: Any = of_chance_length, *, free: bool = False) -> dict[str, Any]:
    provider = ScriptedProvider(script, capabilities=Capabilities(free=free))
    return {"recipe": piloted, "rows": ROWS, "providers": {"scripted": provider}}


def made(folder: Path) -> tuple[int, int, float]:
    """Samples, calls, dollars."""
    reading = Reading.open(folder / "journal.sqlite")
    try:
        calls, _, dollars, _ = reading.totals()
        return sum(reading.outcomes().values()), calls, dollars
    finally:
        reading.close()


def whole(found: Estimate) -> float:
    return found.paid_usd + found.cost_usd.expected


async def test_rows_are_added_until_the_bill_is_known_well_enough(tmp_path: Path) -> None:
    found = await pilot_until(config(), tmp_path, 0.08, **given())
    samples, calls, _ = made(tmp_path)
    assert found.enough is not None
    assert 20 < found.enough <= samples == calls < len(ROWS), "no row twice, and not all of them"
    async with opened(config(), tmp_path, **given()) as live:
        await live.go()
    assert made(tmp_path)[:2] == (len(ROWS), len(ROWS)), "what the pilot paid is not paid again"
    assert whole(found) == pytest.approx(made(tmp_path)[2], rel=0.1)


async def test_nearer_takes_more_rows(tmp_path: Path) -> None:
    for name, near in (("far", 0.5), ("near", 0.05)):
        await pilot_until(config(), tmp_path / name, near, **given())
    assert made(tmp_path / "far")[0] == 20
    assert made(tmp_path / "near")[0] > 100


async def test_rows_that_come_once_are_kept_for_the_next_look(tmp_path: Path) -> None:
    found = await pilot_until(config(), tmp_path, 0.5, **{**given(), "rows": iter(ROWS)})
    assert (found.all_rows, made(tmp_path)[0]) == (len(ROWS), 20)


async def test_it_ends_where_all_rows_are_made(tmp_path: Path) -> None:
    found = await pilot_until(config(n=25), tmp_path, 0.01, **given())
    assert (found.rows, made(tmp_path)[0]) == (0, 25)


async def test_where_nothing_costs_money_the_first_rows_are_all(tmp_path: Path) -> None:
    found = await pilot_until(config(prices={}), tmp_path, 0.01, first=7, **given(free=True))
    assert (made(tmp_path)[0], found.enough) == (7, None)


async def test_a_budget_ends_it_and_what_was_paid_is_gone_by(tmp_path: Path) -> None:
    tight = config(budget_usd=0.03, concurrency=2, settings={"writer": {"max_tokens": 500}})
    found = await pilot_until(tight, tmp_path, 0.01, **given())
    samples, _, dollars = made(tmp_path)
    assert 3 <= samples < 100
    assert dollars == found.paid_usd <= 0.03
    assert found.stages[0].basis.endswith("samples of this run")


async def test_what_would_stop_the_run_is_raised(tmp_path: Path) -> None:
    with pytest.raises(Unauthorized):
        await pilot_until(config(), tmp_path, **given(lambda _: Unauthorized("no such key")))


async def test_more_rows_are_others_and_the_same_ones_are_not_paid_twice(tmp_path: Path) -> None:
    await make_pilot(config(), tmp_path, 10, **given())
    await make_pilot(config(), tmp_path, 10, **given())
    assert made(tmp_path)[:2] == (10, 10)
    await make_pilot(config(), tmp_path, 10, more=True, **given())
    assert made(tmp_path)[:2] == (20, 20)


async def test_equal_rows_do_not_keep_it_going(tmp_path: Path) -> None:
    alike = {**given(), "rows": [{"question": "why?"}] * 100}
    found = await pilot_until(config(), tmp_path, 0.01, **alike)
    assert found.rows < 100
