from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import (
    BudgetExceeded,
    JournalError,
    Unauthorized,
)
from synthtutor.messages import Request
from synthtutor.recipes.recipe import Recipe
from synthtutor.runs import Preview
from synthtutor.testing import ScriptedProvider
from tests.doubles import echo, reply
from tests.test_runs import PRICES, beside, contents, done, live, numbered, samples, twice

# ── resuming ─────────────────────────────────────────────────────────────────────────────────


async def test_a_bad_key_stops_the_run_and_what_landed_is_not_paid_again(tmp_path: Path) -> None:
    good = ScriptedProvider(echo)

    def script(request: Request) -> str | Exception:
        return Unauthorized("bad key") if provider.calls > 9 else echo(request)

    provider = ScriptedProvider(script)
    with pytest.raises(Unauthorized, match="bad key"):
        await done(tmp_path, provider, concurrency=1)
    assert not (tmp_path / "samples.jsonl").exists(), "nothing is exported of a broken run"
    outcome = await done(tmp_path, good)
    assert outcome.complete
    assert good.calls == 20 - 9


async def test_the_budget_holds_and_is_counted_over_sessions(tmp_path: Path) -> None:
    # Each call costs 100 x 0.1 + 10 x 0.3 = 13 millionths, and could cost ~600.
    provider = ScriptedProvider(lambda _: reply("ok"))
    common: dict[str, Any] = {"prices": PRICES, "settings": {"writer": {"max_tokens": 100}}}
    common["settings"]["judge"] = {"max_tokens": 100}
    outcome = await done(tmp_path, provider, budget_usd=100e-6, **common)
    assert not outcome.complete
    assert outcome.reason == "budget"
    assert isinstance(outcome.error, BudgetExceeded)
    assert 0 < outcome.summary.cost_usd <= 100e-6
    paid = provider.calls
    assert 3 <= paid <= 7

    outcome = await done(tmp_path, provider, budget_usd=100e-6, **common)
    assert (outcome.reason, provider.calls) == ("budget", paid)
    outcome = await done(tmp_path, provider, budget_usd=1, **common)
    assert outcome.complete
    assert provider.calls == 20


async def test_an_incomplete_run_is_exported_as_far_as_it_came(tmp_path: Path) -> None:
    outcome = await done(
        tmp_path, ScriptedProvider(lambda _: reply("ok")), prices=PRICES, max_tokens_total=2700
    )
    assert outcome.reason == "budget"
    assert orjson.loads((tmp_path / "statistics.json").read_bytes())["complete"] is False
    assert len(samples(tmp_path)) == outcome.summary.kept < 10


async def test_retrying_the_failed_asks_the_refused_again(tmp_path: Path) -> None:
    refusing = ScriptedProvider(
        lambda r: reply("No.", finish="refusal") if "3" in r.messages[0].content else echo(r)
    )
    outcome = await done(tmp_path, refusing)
    assert outcome.summary.outcomes == {"failed": 1, "kept": 9}
    willing = ScriptedProvider(echo)
    await done(tmp_path, willing)
    assert willing.calls == 0
    outcome = await done(tmp_path, willing, retry_failed=True)
    assert outcome.summary.outcomes == {"kept": 10}
    assert willing.calls == 2, "the refused call, and the one that never came"


async def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with live(tmp_path, ScriptedProvider(echo)) as first:
        with pytest.raises(JournalError, match="another run owns this folder"):
            await done(tmp_path, ScriptedProvider(echo))
        assert (await first.go()).complete


# ── the preview ──────────────────────────────────────────────────────────────────────────────


async def preview(folder: Path, *args: Any, **more: Any) -> Preview:
    provider = ScriptedProvider(echo)
    async with live(folder, provider, *args, **more) as run:
        seen = await run.preview()
    assert provider.calls == 0
    return seen


async def test_a_preview_of_the_same_run_finds_nothing_to_pay(tmp_path: Path) -> None:
    assert (await preview(tmp_path)).paying_again == 0, "a fresh run"
    await done(tmp_path, ScriptedProvider(echo))
    assert (await preview(tmp_path)).paying_again == 0
    assert (await preview(tmp_path, rows=numbered(20))).paying_again == 0, "new rows are no rerun"


@pytest.mark.parametrize("which", [twice, beside])
async def test_a_preview_counts_the_finished_samples_that_would_pay_again(
    tmp_path: Path, which: Recipe[Any]
) -> None:
    await done(tmp_path, ScriptedProvider(echo), which)
    changed = await preview(tmp_path, which, settings={"writer": {"temperature": 0.1}})
    assert changed.paying_again == 10, "samples, not calls"


async def test_a_preview_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)
    await done(tmp_path, provider)
    before = contents(tmp_path)
    async with live(tmp_path, provider, settings={"judge": {"temperature": 0.1}}) as run:
        assert (await run.preview()).paying_again == 10
    async with live(tmp_path, provider) as run:
        await run.preview()
        await run.go()
    assert contents(tmp_path) == before
    assert provider.calls == 20
