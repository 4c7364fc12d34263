"""A run: a configuration in, a folder out. This is where the parts are put together.

The stack around a provider is written once, in `_roles`: what is metered, retried, limited and
gated is visible there, and nowhere else. Running the same configuration in the same folder
resumes; every file but the journal is derived from it and can be made again for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sized
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from synthtutor.config import RunConfig
from synthtutor.engine import Engine, Finished, Gate, Progress, Stop, calls_landed
from synthtutor.errors import (
    BudgetExceeded,
    ConfigError,
    RateLimited,
    Retryable,
    SynthtutorError,
)
from synthtutor.export.faults import Report
from synthtutor.journal import Journal
from synthtutor.limits import Limited, Limits
from synthtutor.meter import Meter, Metered
from synthtutor.outputs import Summary, summarise, write_outputs
from synthtutor.plugins import load, open_provider
from synthtutor.prices import Price, price_of
from synthtutor.prompts import Prompts
from synthtutor.provider import Endpoint, Provider
from synthtutor.quality.checks import CHECKS
from synthtutor.reading import Reading
from synthtutor.recipes.controls import control, control_rows
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.retries import Retrying
from synthtutor.rubric import Rubric, load_rubric
from synthtutor.session import Role, RunContext
from synthtutor.sources import limited

__all__ = ["Live", "Outcome", "Preview", "find_recipe", "models_of", "opened"]

_ALSO_ASKED_AS = {"judge": "writer"}


@dataclass(slots=True)
class Live:
    """A run as it goes: everything that a display needs, readable at any time."""

    config: RunConfig
    recipe: Recipe[Any]
    folder: Path
    roles: Mapping[str, Role]
    limited: Mapping[str, Limited]
    meter: Meter
    stop: Stop
    context: RunContext
    progress: Progress
    journal: Journal
    started: float = field(default_factory=time.monotonic)
    retries: int = 0
    rate_limited: int = 0
    warnings: list[str] = field(default_factory=list)
    _rows: Iterable[Any] | None = None

    @property
    def seconds(self) -> float:
        """Since the run was opened."""
        return time.monotonic() - self.started

    @property
    def judge_is_writer(self) -> bool:
        """Whether one model judges its own texts."""
        models = {name: role.model for name, role in self.roles.items()}
        return "judge" in models and models["judge"] == models.get("writer")

    @property
    def demonstration_models(self) -> list[str]:
        """The models whose text nobody should train on."""
        roles = self.roles.values()
        return sorted({role.model for role in roles if role.capabilities.demonstration_only})

    async def go(self, on_finished: Callable[[Finished], None] | None = None) -> Outcome:
        """Run until the rows, the budget or the user's patience end, and write the files.

        Raises what would fail every row (Unauthorized, ConfigError, …), after paid calls landed.
        """
        await self.journal.begin(orjson.dumps(self.config.model_dump(mode="json")).decode())
        complete = False
        try:
            rows, self.progress.total = self._take_rows()
            await self._engine("sample", self.recipe.function, on_finished).run(rows)
            if self.stop.reason is None:
                await self._run_controls()
            complete = self.stop.reason is None
        finally:
            if self.journal.broken is None:
                await self.journal.end(
                    complete=complete,
                    retries=self.retries,
                    rate_limited=self.rate_limited,
                    seconds=self.seconds,
                )
        return self._outcome(complete)

    async def preview(self) -> Preview:
        """Replay without asking: how many finished samples would ask again, and thus pay again."""
        seen = Preview()
        if self.journal.empty:
            return seen
        reading = Reading.open(self.journal.path)
        try:
            finished = reading.finished_samples()

            def admit(sample: bytes) -> None:
                if sample in finished:
                    finished.remove(sample)  # however many calls it would make
                    seen.paying_again += 1
                raise asyncio.CancelledError("a preview asks nothing")

            context = RunContext(
                self.journal,
                self.roles,
                self.context.prompts,
                self.config.seed,
                rubric=self.context.rubric,
                options=self.config.options,
                admit=admit,
            )
            engine: Engine[Any] = Engine(
                self.recipe.name, self.recipe.function, context, Stop(), dry=True, max_failed=1.0
            )
            rows, _ = self._take_rows()
            await engine.run(limited(rows, Preview.most))
        finally:
            reading.close()
        return seen

    def _take_rows(self) -> tuple[Iterable[Any], int | None]:
        config = self.config
        if self._rows is not None:
            rows, total = self._rows, _length(self._rows)
        else:
            made = _recipe_rows(config, self.recipe)
            rows, total = made.rows, made.total
        if config.n is not None:
            total = config.n if total is None else min(total, config.n)
        return limited(rows, config.n), total

    def _engine(
        self, kind: str, function: Any, on_finished: Callable[[Finished], None] | None = None
    ) -> Engine[Any]:
        # Twice the calls: a sample waiting for its judge must not keep the writer idle.
        return Engine(
            self.recipe.name,
            function,
            self.context,
            self.stop,
            kind=kind,
            samples_in_flight=2 * self.config.concurrency,
            max_failed=self.config.max_failed if kind == "sample" else 1.0,
            progress=self.progress if kind == "sample" else Progress(),
            on_finished=on_finished,
        )

    async def _run_controls(self) -> None:
        rubric = self.context.rubric
        if rubric is not None and "judge" in self.roles and self.config.controls:
            rows = control_rows(rubric, self.config.controls, self.config.seed)
            await self._engine("control", control).run(rows)

    def _outcome(self, complete: bool) -> Outcome:
        error = self.stop.error
        if error is not None and not isinstance(error, BudgetExceeded):
            raise error
        summary, validation = self._written(complete)
        return Outcome(complete, self.stop.reason, error, summary, validation)

    def _written(self, complete: bool) -> tuple[Summary, Report]:
        reading = Reading.open(self.journal.path)
        try:
            summary = summarise(
                reading,
                recipe=self.recipe,
                complete=complete,
                judge_is_writer=self.judge_is_writer,
                demonstration_models=self.demonstration_models,
                prices={role.model: role.price.source for role in self.roles.values()},
            )
            validation = write_outputs(reading, self.folder, summary, self.recipe)
        finally:
            reading.close()
        return summary, validation


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``reason`` is None when it is complete; ``error`` what made it stop.

    ``validation`` is what the validator says of the fine-tuning file.
    """

    complete: bool
    reason: str | None
    error: SynthtutorError | None
    summary: Summary
    validation: Report


@dataclass(slots=True)
class Preview:
    """What a rerun would pay for again, over the first ``most`` rows."""

    most = 5000
    paying_again: int = 0


def find_recipe(name: str) -> Recipe[Any]:
    """The recipe of that name: an installed one, or ``module:object`` importable from here."""
    if ":" in name:
        from importlib import import_module

        module, _, attribute = name.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"recipe {name!r}: {error}") from None
    else:
        found = load("recipes", name)
    if not isinstance(found, Recipe):
        raise ConfigError(f"recipe {name!r} is not made by @recipe")
    return found


@asynccontextmanager
async def opened(
    config: RunConfig,
    folder: Path,
    *,
    recipe: Recipe[Any] | None = None,
    rows: Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    retry_failed: bool = False,
) -> AsyncIterator[Live]:
    """A run, ready to go: providers made, journal owned, nothing asked yet.

    ``providers`` (by name) are used as they are instead of the installed ones. Raises ConfigError
    and JournalError before anything is spent.
    """
    recipe = recipe or find_recipe(config.recipe)
    _check(config, recipe)
    stop, meter = Stop(), Meter(config.budget_usd, config.max_tokens_total)
    rubric = _rubric(config, recipe)
    prompts = Prompts(*[Path(config.prompts)] if config.prompts else [])
    async with AsyncExitStack() as stack:
        live: Live | None = None

        def count_retry(error: Retryable) -> None:
            if live is not None:
                live.retries += 1
                live.rate_limited += isinstance(error, RateLimited)
                live.warnings.append(str(error)[:200])
                del live.warnings[:-20]

        roles, windows = await _roles(
            config, recipe, stack, meter, stop, count_retry, providers or {}
        )
        _refuse_unpriced_budget(config, roles)
        if rows is None:
            _refuse_endless(config, recipe, roles)
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # once, before anything runs
        journal = await stack.enter_async_context(
            Journal(folder / "journal.sqlite", ballast_bytes=_ballast_bytes(config))
        )
        _restore(meter, journal)
        context = RunContext(
            journal,
            roles,
            prompts,
            config.seed,
            retry=_failed(journal) if retry_failed else frozenset(),
            rubric=rubric,
            options=config.options,
            admit=stop.admit,
        )
        live = Live(
            config, recipe, folder, roles, windows, meter, stop, context, Progress(), journal
        )
        live._rows = rows
        yield live


async def _roles(
    config: RunConfig,
    recipe: Recipe[Any],
    stack: AsyncExitStack,
    meter: Meter,
    stop: Stop,
    on_retry: Callable[[Retryable], None],
    given: Mapping[str, Provider],
) -> tuple[dict[str, Role], dict[str, Limited]]:
    """The roles with their models; one stack of wrappers per model, whoever asks it."""
    models = models_of(config, recipe)
    bases: dict[str, Provider] = {}
    limiteds: dict[str, Limited] = {}
    asked: dict[str, Provider] = {}
    roles: dict[str, Role] = {}
    prices = {
        model: Price("given", model, (into, out)) for model, (into, out) in config.prices.items()
    }
    for role, model in models.items():
        name, _, own_name = model.partition("/")
        if name not in bases:
            bases[name] = given.get(name) or open_provider(name, _endpoint(config, name))
            if name not in given:
                stack.push_async_callback(bases[name].aclose)
        base = bases[name]
        capabilities = base.capabilities(own_name)
        price = price_of(model, free=capabilities.free, given=prices)
        if model not in asked:
            limits = _capped(config.limits(), capabilities.max_in_flight)
            limiteds[model] = Limited(Gate(base, stop), limits, priority=calls_landed)
            asked[model] = Metered(Retrying(limiteds[model], on_retry=on_retry), meter, price)
        overrides = config.settings[role].given() if role in config.settings else {}
        roles[role] = Role(model, asked[model], capabilities, price, overrides)
    return roles, limiteds


def models_of(config: RunConfig, recipe: Recipe[Any]) -> dict[str, str]:
    """Each of the recipe's roles with its model: its own, else ``default``, else the writer's."""
    models: dict[str, str] = {}
    for role in recipe.roles:
        model = config.models.get(role) or config.models.get("default")
        model = model or config.models.get(_ALSO_ASKED_AS.get(role, ""))
        if model is None:
            raise ConfigError(f"no model for role {role!r}: add --model {role}=provider/model")
        models[role] = model
    unknown = set(config.models) - set(recipe.roles) - {"default"}
    if unknown:
        raise ConfigError(
            f"recipe {recipe.name} has no role {', '.join(sorted(unknown))}; "
            f"its roles: {', '.join(recipe.roles)}"
        )
    return models


def _endpoint(config: RunConfig, name: str) -> Endpoint:
    settings: dict[str, Any] = {} if config.timeout_s is None else {"timeout_s": config.timeout_s}
    return Endpoint(
        base_url=config.base_urls.get(name),
        max_in_flight=config.concurrency,
        options=config.provider_options.get(name, {}),
        **settings,
    )


def _check(config: RunConfig, recipe: Recipe[Any]) -> None:
    if config.mode is not None and config.mode not in recipe.modes:
        known = ", ".join(recipe.modes) or "none"
        raise ConfigError(f"recipe {recipe.name} has no mode {config.mode!r}; its modes: {known}")
    for kind, names in (("option", config.options), ("setting for role", config.settings)):
        allowed = recipe.options if kind == "option" else recipe.roles
        for name in names:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise ConfigError(f"recipe {recipe.name} has no {kind} {name!r}; known: {known}")


def _recipe_rows(config: RunConfig, recipe: Recipe[Any]) -> Rows[Any]:
    return recipe.rows(
        RowOptions(
            path=Path(config.rows) if config.rows else None,
            per_seed=config.per_seed,
            mode=config.mode,
            seed=config.seed,
            options=config.options,
        )
    )


def _refuse_endless(config: RunConfig, recipe: Recipe[Any], roles: Mapping[str, Role]) -> None:
    costs = not all(role.capabilities.free for role in roles.values())
    bounds = (config.rows, config.n, config.max_tokens_total, config.budget_usd if costs else None)
    if all(bound is None for bound in bounds) and _recipe_rows(config, recipe).total is None:
        raise ConfigError(
            f"recipe {recipe.name} makes rows without end: say how many with -n COUNT, "
            "or how much they may cost with --budget or --max-tokens-total"
        )


def _rubric(config: RunConfig, recipe: Recipe[Any]) -> Rubric | None:
    name = config.rubric or recipe.rubric
    if name is None:
        return None
    rubric = load_rubric(name)
    for criterion in rubric.criteria:
        if criterion.check and criterion.check.partition(":")[0] not in CHECKS:
            known = ", ".join(CHECKS)
            raise ConfigError(
                f"{name}: {criterion.id}: no check {criterion.check!r}; known: {known}"
            )
    return rubric


def _refuse_unpriced_budget(config: RunConfig, roles: Mapping[str, Role]) -> None:
    unknown = sorted({role.model for role in roles.values() if not role.price.known})
    if config.budget_usd is not None and unknown:
        raise ConfigError(
            f"--budget cannot hold: the price of {', '.join(unknown)} is unknown; "
            f"give it with --price {unknown[0]}=IN/OUT (dollars per million tokens)"
        )


def _capped(limits: Limits, most: int | None) -> Limits:
    from dataclasses import replace

    if most is None or limits.concurrency <= most:
        return limits
    return replace(limits, concurrency=most)


def _ballast_bytes(config: RunConfig) -> int:
    """Room for one reply of 64 kB with its request for each call in flight, at most 64 MB."""
    return min(64 << 20, max(1 << 20, config.concurrency * (64 << 10)))


def _restore(meter: Meter, journal: Journal) -> None:
    """A budget counts what earlier sessions of the run have spent."""
    reading = Reading.open(journal.path)
    try:
        meter.calls, meter.usage, meter.spent_usd, meter.unpriced_calls = reading.totals()
    finally:
        reading.close()


def _failed(journal: Journal) -> set[bytes]:
    reading = Reading.open(journal.path)
    try:
        return reading.failed_samples()
    finally:
        reading.close()


def _length(rows: Iterable[Any]) -> int | None:
    return len(rows) if isinstance(rows, Sized) else None
