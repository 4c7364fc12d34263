"""When a run asks whether it may spend so much."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from synthtutor.cli.display import Display
from synthtutor.cli.running import _afforded
from synthtutor.config import RunConfig
from synthtutor.estimates import Estimate, Range
from synthtutor.estimating import estimate

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

DEAR = RunConfig(recipe="misconception", models={"default": "openai/gpt-5"}, n=20)


@pytest.fixture(autouse=True)
def _nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


async def costing(folder: Path, live_usd: float) -> Estimate:
    found = await estimate(DEAR, folder, most=2)
    cost = Range(live_usd / 2, live_usd, live_usd * 2)
    return replace(found, cost_usd=cost, batch_usd=cost * 0.5)


@pytest.mark.parametrize(
    ("live_usd", "options", "goes_on"),
    [
        (4.0, {}, True),
        (9.0, {}, False),
        (9.0, {"budget_usd": 20.0}, True),  # who bounds it has been asked
        (9.0, {"batch": True}, True),
        (11.0, {"batch": True}, False),
    ],
)
async def test_nobody_spends_more_than_five_dollars_unasked(
    tmp_path: Path, live_usd: float, options: dict[str, float], goes_on: bool
) -> None:
    expected = await costing(tmp_path, live_usd)
    config = DEAR.model_copy(update=options)
    display = Display(Console(file=io.StringIO()))
    assert _afforded(expected, config, yes=False, display=display) is goes_on
    assert _afforded(expected, config, yes=True, display=display)
