from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.config import RunConfig
from synthtutor.errors import (
    BudgetExceeded,
    ConfigError,
    RateLimited,
    Unavailable,
)
from synthtutor.messages import Message, Request, Response
from synthtutor.provider import Capabilities
from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.recipe import Recipe, recipe
from synthtutor.runs import Live, Outcome, find_recipe, models_of, opened
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.scripted import plausible
from synthtutor.tutoring import Sample
from tests.doubles import echo

FILES = ("samples.jsonl", "rejected.jsonl", "finetune.jsonl", "statistics.json")
PRICES = {"scripted/m": [0.1, 0.3]}


@recipe(name="twice", roles=("writer", "judge"))
async def twice(session: Session, row: dict[str, Any]) -> Sample:
    """Two calls, one after the other."""
    first = await session.generate(str, f"first {row['n']}")
    second = await session.generate(str, f"second {row['n']}", role="judge")
    return Sample([Message("user", first), Message("assistant", second)], {"n": row["n"]})


@recipe(name="beside")
async def beside(session: Session, row: dict[str, Any]) -> Sample:
    """Two calls beside each other."""
    said: list[str] = []

    async def child(name: str) -> None:
        said.append(await session.branch(name).generate(str, f"{name} {row['n']}"))

    async with asyncio.TaskGroup() as group:
        group.create_task(child("a"))
        group.create_task(child("b"))
    return Sample([Message("user", "q"), Message("assistant", " ".join(sorted(said)))])


class Uneven(ScriptedProvider):
    """Answers in an order of its own, so that concurrent runs differ in everything but the result."""

    running = most = 0

    async def complete(self, request: Request) -> Response:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(request.digest()[self.calls % 16] % 7):
            await asyncio.sleep(0)
        self.running -= 1
        return await super().complete(request)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"n": number} for number in range(count)]


def configuration(**fields: Any) -> RunConfig:
    return RunConfig.checked({"models": {"default": "scripted/m"}, **fields})


@asynccontextmanager
async def live(
    folder: Path,
    provider: ScriptedProvider,
    recipe: Recipe[Any] = twice,
    rows: Any = None,
    **more: Any,
) -> AsyncIterator[Live]:
    retry_failed = more.pop("retry_failed", False)
    rows = numbered(10) if rows is None and recipe is not MISCONCEPTION else rows
    async with opened(
        configuration(recipe=recipe.name, **more),
        folder,
        recipe=recipe,
        rows=rows,
        providers={"scripted": provider},
        retry_failed=retry_failed,
    ) as run:
        yield run


async def done(folder: Path, provider: ScriptedProvider, *args: Any, **more: Any) -> Outcome:
    async with live(folder, provider, *args, **more) as run:
        return await run.go()


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def samples(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "samples.jsonl").read_bytes().splitlines()]


# ── a run's folder ───────────────────────────────────────────────────────────────────────────


async def test_a_run_leaves_its_files_and_a_summary(tmp_path: Path) -> None:
    outcome = await done(tmp_path, ScriptedProvider(echo), prices=PRICES)
    assert (outcome.complete, outcome.reason, outcome.error) == (True, None, None)
    assert names(tmp_path) == {
        *FILES, "journal.sqlite", "journal.lock"
    }  # fmt: skip
    assert [sample["metadata"]["n"] for sample in samples(tmp_path)] == list(range(10))
    summary = outcome.summary
    assert (summary.made, summary.kept, summary.calls) == (10, 10, 20)
    assert summary.cost_usd > 0
    assert summary.unpriced_calls == 0
    assert [entry["role"] for entry in summary.account] == ["judge", "writer"]
    assert sum(entry["cost_usd"] for entry in summary.account) == pytest.approx(summary.cost_usd)


async def test_the_same_run_again_pays_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)
    await done(tmp_path, provider, prices=PRICES)
    before = contents(tmp_path)
    outcome = await done(tmp_path, provider, prices=PRICES)
    assert outcome.complete
    assert provider.calls == 20
    assert contents(tmp_path) == before


async def test_the_concurrency_of_a_run_does_not_show_in_its_files(tmp_path: Path) -> None:
    made = {}
    for concurrency in (1, 3, 40):
        folder = tmp_path / str(concurrency)
        provider = Uneven()
        await done(
            folder,
            provider,
            MISCONCEPTION,
            n=40,
            seed=5,  # one by which the scripted judge's dice keep something
            concurrency=concurrency,
            prices=PRICES,
            controls=8,
        )
        made[concurrency] = contents(folder)
        assert provider.most <= concurrency
    assert provider.most > 5
    assert made[1] == made[3] == made[40]
    assert len(made[1]["finetune.jsonl"].splitlines()) > 0


async def test_children_beside_each_other_do_not_show_either(tmp_path: Path) -> None:
    made = []
    for concurrency in (1, 30):
        folder = tmp_path / str(concurrency)
        await done(folder, Uneven(), beside, concurrency=concurrency, prices=PRICES)
        made.append(contents(folder))
    assert made[0] == made[1]


async def test_a_smaller_rerun_gives_its_own_rows_only(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)
    await done(tmp_path, provider)
    outcome = await done(tmp_path, provider, n=4)
    assert outcome.summary.made == len(samples(tmp_path)) == 4
    outcome = await done(tmp_path, provider, n=7)
    assert outcome.summary.made == len(samples(tmp_path)) == 7
    assert provider.calls == 20, "what was paid stays paid"


async def test_rejected_samples_are_listed_with_their_reasons(tmp_path: Path) -> None:
    outcome = await done(tmp_path, ScriptedProvider(), MISCONCEPTION, n=20, controls=0)
    rejected = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert len(rejected) == outcome.summary.made - outcome.summary.kept
    for line in rejected:
        assert orjson.loads(line)["metadata"]["reasons"]
    assert outcome.summary.reasons


# ── the stack around a provider ──────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_faults_are_retried_and_counted(tmp_path: Path) -> None:
    def script(request: Request) -> str | Exception:
        if provider.calls == 3:
            return RateLimited("slow", retry_after_s=0.001)
        return Unavailable("down", retry_after_s=0.001) if provider.calls == 5 else echo(request)

    provider = ScriptedProvider(script)
    async with live(tmp_path, provider) as run:
        outcome = await run.go()
    assert outcome.complete
    assert (run.incidents.retries, run.incidents.rate_limited) == (2, 1)
    assert run.incidents.warnings == ["slow", "down"]
    assert outcome.summary.calls == 20


async def test_a_provider_that_takes_few_calls_at_once_gets_no_more(tmp_path: Path) -> None:
    provider = Uneven(echo, capabilities=Capabilities(max_in_flight=2))
    await done(tmp_path, provider, concurrency=50)
    assert provider.most <= 2


async def test_roles_with_one_model_share_its_limits(tmp_path: Path) -> None:
    async with live(tmp_path, ScriptedProvider(echo)) as run:
        assert list(run.stack.limited) == ["scripted/m"]
        assert run.roles["writer"].provider is run.roles["judge"].provider
    models = {"writer": "scripted/a", "judge": "scripted/b"}
    async with live(tmp_path, ScriptedProvider(echo), models=models) as run:
        assert list(run.stack.limited) == ["scripted/a", "scripted/b"]


async def test_a_budget_without_a_price_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo, capabilities=Capabilities())
    with pytest.raises(ConfigError, match=r"--price scripted/m=IN/OUT"):
        await done(tmp_path / "run", provider, budget_usd=1)
    assert not (tmp_path / "run").exists()


async def test_a_given_provider_is_not_closed_by_the_run(tmp_path: Path) -> None:
    class Closing(ScriptedProvider):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    provider = Closing(echo)
    await done(tmp_path, provider)
    assert not provider.closed


async def test_an_installed_provider_is_opened_by_its_name(tmp_path: Path) -> None:
    async with opened(
        configuration(recipe="twice"), tmp_path, recipe=twice, rows=numbered(2)
    ) as run:
        assert (await run.go()).summary.kept == 2


# ── what the run says about itself ───────────────────────────────────────────────────────────


async def test_a_judge_that_is_the_writer_is_said(tmp_path: Path) -> None:
    outcome = await done(tmp_path / "a", ScriptedProvider(echo))
    assert outcome.summary.judge_is_writer
    models = {"writer": "scripted/a", "judge": "scripted/b"}
    outcome = await done(tmp_path / "b", ScriptedProvider(echo), models=models)
    assert not outcome.summary.judge_is_writer


async def test_models_that_nobody_should_train_on_are_said(tmp_path: Path) -> None:
    outcome = await done(tmp_path / "a", ScriptedProvider(echo))
    assert outcome.summary.demonstration_models == ["scripted/m"]
    real = ScriptedProvider(echo, capabilities=Capabilities())
    assert (await done(tmp_path / "b", real)).summary.demonstration_models == []


async def test_controls_are_run_and_counted_beside_the_samples(tmp_path: Path) -> None:
    outcome = await done(tmp_path, ScriptedProvider(), MISCONCEPTION, n=3, controls=8)
    controls = outcome.summary.controls
    assert controls.planted == 8
    assert controls.by_defect is not None
    assert sum(planted for _, planted in controls.by_defect.values()) == controls.planted
    assert outcome.summary.made == 3, "controls are no samples"
    without = await done(tmp_path / "none", ScriptedProvider(), MISCONCEPTION, n=3, controls=0)
    assert without.summary.controls.planted == 0


async def test_filled_cells_are_counted(tmp_path: Path) -> None:
    outcome = await done(tmp_path, ScriptedProvider(), MISCONCEPTION, n=30, controls=0)
    assert (outcome.summary.cells_filled, outcome.summary.cells) == (30, 224)


# ── names ────────────────────────────────────────────────────────────────────────────────────


def models(**named: str) -> dict[str, str]:
    return models_of(RunConfig(models=named), twice)


def test_a_role_has_its_own_model_else_the_default_else_the_writers() -> None:
    assert models(default="a/b") == {"writer": "a/b", "judge": "a/b"}
    assert models(default="a/b", judge="c/d") == {"writer": "a/b", "judge": "c/d"}
    assert models(writer="a/b") == {"writer": "a/b", "judge": "a/b"}


def test_a_role_without_a_model_and_a_model_without_a_role_are_refused() -> None:
    with pytest.raises(ConfigError, match="--model writer=provider/model"):
        models(judge="a/b")
    with pytest.raises(ConfigError, match="no role wirter; its roles: writer, judge"):
        models(default="a/b", wirter="c/d")


def test_a_recipe_is_found_by_name_or_by_module() -> None:
    assert find_recipe("misconception") is MISCONCEPTION
    assert find_recipe("synthtutor.recipes.misconception:MISCONCEPTION") is MISCONCEPTION


@pytest.mark.parametrize(
    "name",
    [
        "misconceptoin",
        "no.such.module:X",
        "synthtutor.recipes.misconception:NO",
        "synthtutor.recipes.misconception:misconception",
    ],
)
def test_a_recipe_that_is_none_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"recipe '{name}'"):
        find_recipe(name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "fast"}, "no mode 'fast'; its modes: scenario, answer"),
        ({"options": {"colour": "red"}}, "no option 'colour'; known: rubric_in_prompt"),
        ({"settings": {"student": {}}}, "no setting for role 'student'; known: writer, judge"),
        ({"prompts": "no/such/folder"}, "not a folder"),
    ],
)
async def test_what_the_recipe_does_not_know_is_refused_before_anything_is_made(
    tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await done(tmp_path / "run", ScriptedProvider(), MISCONCEPTION, n=1, **wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("own", "bound", "message"),
    [
        (twice, {}, "--rows FILE"),
        (MISCONCEPTION, {}, "without end: say how many with -n COUNT"),
        (MISCONCEPTION, {"budget_usd": 1}, "without end"),  # the scripted provider costs nothing
    ],
)
async def test_a_run_without_rows_or_without_an_end_is_refused_before_anything_is_made(
    tmp_path: Path, own: Recipe[Any], bound: dict[str, Any], message: str
) -> None:
    config = configuration(recipe=own.name, **bound)
    providers = {"scripted": ScriptedProvider(plausible)}
    with pytest.raises(ConfigError, match=message):
        async with opened(config, tmp_path / "run", recipe=own, providers=providers):
            pass
    assert not (tmp_path / "run").exists()


async def test_a_run_without_an_end_may_go_until_its_tokens_are_used(tmp_path: Path) -> None:
    provider = ScriptedProvider(plausible)
    outcome = await done(tmp_path, provider, MISCONCEPTION, max_tokens_total=9000, controls=0)
    assert isinstance(outcome.error, BudgetExceeded)
