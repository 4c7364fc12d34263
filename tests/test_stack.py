"""What stands around a model: which wrappers, by the configuration and by what the provider can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.messages import Message, Settings
from synthtutor.provider import Capabilities, Provider
from synthtutor.recipes.recipe import recipe
from synthtutor.runs import opened
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.test_batches import Desk

ROWS = [{"question": f"number {n}"} for n in range(6)]
STUBBORN = Capabilities(free=True, temperature=False, seed=False)


@recipe(roles=("writer", "second"))
async def twice(session: Session, row: dict[str, Any]) -> Sample:
    """Two calls, the second with the reply of the first."""
    settings = Settings(temperature=0.7)
    first = await session.generate(str, row["question"], settings=settings)
    second = await session.generate(str, f"again: {first}", role="second")
    return Sample(messages=[Message("user", row["question"]), Message("assistant", second)])


def config(**options: Any) -> RunConfig:
    models = {"writer": "desk/m", "second": "desk/m"}
    prices = {"desk/m": (1.0, 2.0)}
    fast = {"batch_wait_s": 0.05, "batch_poll_s": 0.05}
    return RunConfig.checked(
        {"recipe": "twice", "models": models, "prices": prices, **fast, **options}
    )


async def made(folder: Path, configuration: RunConfig, provider: Provider, **more: Any) -> Any:
    given = {"desk": provider, **more}
    async with opened(configuration, folder, recipe=twice, rows=ROWS, providers=given) as live:
        return await live.go(), live


async def test_a_run_in_batches_goes_in_waves_and_costs_half(tmp_path: Path) -> None:
    desk = Desk()
    outcome, _ = await made(tmp_path / "batch", config(batch=True), desk)
    assert outcome.complete
    assert [len(batch) for batch in desk.batches.values()] == [6, 6]
    live_outcome, _ = await made(tmp_path / "live", config(), Desk())
    full = 12 * (10 * 1.0 + 5 * 2.0) / 1e6
    assert outcome.summary.cost_usd == pytest.approx(full / 2)
    assert outcome.summary.saved.batches_usd == pytest.approx(full / 2)
    assert sum(entry["batched"] for entry in outcome.summary.account) == 12
    assert sum(entry["batched"] for entry in live_outcome.summary.account) == 0


async def test_a_budget_counts_batched_calls_at_half(tmp_path: Path) -> None:
    outcome, live = await made(tmp_path, config(batch=True, budget_usd=1.0), Desk())
    assert outcome.complete
    assert live.meter.spent_usd == pytest.approx(outcome.summary.cost_usd)
    assert live.meter.reserved_usd == pytest.approx(0)


async def test_a_model_without_a_batch_api_is_asked_live_and_the_run_says_so(
    tmp_path: Path,
) -> None:
    desk, plain = Desk(), ScriptedProvider()
    mixed = config(batch=True, models={"writer": "desk/m", "second": "plain/p"})
    outcome, live = await made(tmp_path, mixed, desk, plain=plain)
    assert outcome.complete
    assert (len(desk.asked), plain.calls) == (6, 6)
    assert live.stack.notes == ["plain/p has no batch API: it is asked call by call"]


async def test_batches_need_a_model_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--batch: no batch API at desk/m"):
        await made(tmp_path, config(batch=True), ScriptedProvider())


async def test_a_setting_that_the_user_gives_must_be_one_that_the_model_takes(
    tmp_path: Path,
) -> None:
    hot = config(settings={"writer": {"temperature": 0.9}})
    with pytest.raises(ConfigError, match="desk/m does not take temperature"):
        await made(tmp_path, hot, ScriptedProvider(capabilities=STUBBORN))
    assert (await made(tmp_path, hot, ScriptedProvider()))[0].complete


async def test_a_setting_that_the_recipe_gives_is_left_out_and_counted(tmp_path: Path) -> None:
    outcome, _ = await made(tmp_path, config(), ScriptedProvider(capabilities=STUBBORN))
    assert list(outcome.summary.left_out) == [("desk/m", "temperature", 6)]
    plain, _ = await made(tmp_path / "plain", config(), ScriptedProvider())
    assert list(plain.summary.left_out) == []


@pytest.mark.parametrize("given", [Desk, object()])
async def test_what_is_no_provider_is_told_before_anything_is_asked(
    tmp_path: Path, given: Any
) -> None:
    with pytest.raises(ConfigError, match=r"providers: 'desk' is .* give an object with"):
        await made(tmp_path / "run", config(), given)
    assert not (tmp_path / "run").exists()
