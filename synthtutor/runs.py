"""A run: a configuration in, a folder out. This is where the parts are put together.

Running the same configuration in the same folder resumes; every file but the journal is derived
from it and can be made again for nothing. What happens on the way is logged under ``synthtutor``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Sized
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from synthtutor.accounts import carry_over
from synthtutor.batches import Batch
from synthtutor.config import RunConfig
from synthtutor.engine import Engine, Finished, Progress
from synthtutor.errors import (
    BudgetExceeded,
    JournalError,
    RateLimited,
    Retryable,
    SynthtutorError,
)
from synthtutor.export.faults import Report
from synthtutor.journal import Journal
from synthtutor.loops import aside
from synthtutor.meter import Meter
from synthtutor.outputs import Summary, look_across, summarise, write_outputs
from synthtutor.preflight import (
    check,
    find_recipe,
    make_folder,
    recipe_rows,
    refuse_endless,
    refuse_unpriced_budget,
    rubric_of,
)
from synthtutor.prompts import Prompts
from synthtutor.provider import Provider
from synthtutor.reading import Reading
from synthtutor.recipes.controls import control, control_rows
from synthtutor.recipes.recipe import Recipe
from synthtutor.session import Role, RunContext
from synthtutor.sources import limited
from synthtutor.stack import Stack, models_of, stacked
from synthtutor.stopping import Stop

__all__ = ["Live", "Outcome", "Preview", "find_recipe", "models_of", "opened"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Incidents:
    """What went wrong on the way and was mended: counts, and the latest in words."""

    retries: int = 0
    rate_limited: int = 0
    warnings: list[str] = field(default_factory=list)

    def retried(self, error: Retryable) -> None:
        """A call failed and will be made again."""
        self.retries += 1
        self.rate_limited += isinstance(error, RateLimited)
        self.warn(str(error), logging.INFO)

    def warn(self, text: str, level: int = logging.WARNING) -> None:
        """Something that a person may want to know."""
        _log.log(level, "%s", text)
        self.warnings.append(text[:200])
        del self.warnings[:-20]


@dataclass(slots=True)
class Live:
    """A run as it goes: everything that a display needs, readable at any time."""

    config: RunConfig
    recipe: Recipe[Any]
    folder: Path
    stack: Stack
    meter: Meter
    stop: Stop
    context: RunContext
    progress: Progress
    journal: Journal
    incidents: Incidents
    started: float = field(default_factory=time.monotonic)
    _rows: Iterable[Any] | None = None

    @property
    def roles(self) -> Mapping[str, Role]:
        """Each of the recipe's roles with its model."""
        return self.stack.roles

    @property
    def batches(self) -> list[Batch]:
        """The batches that are at a vendor now."""
        return [batch for batched in self.stack.batched.values() for batch in batched.under_way]

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
            if self.stop.error is None or isinstance(self.stop.error, BudgetExceeded):
                await self.journal.note("rows", orjson.dumps(self._count()).decode())
        finally:
            if self.journal.broken is None:
                await self._end(complete=complete)
        await look_across(self.journal, self.recipe)
        return await self._outcome(complete)

    async def make_some(self, chosen: Callable[[Iterable[Any]], Sequence[Any]]) -> None:
        """Make those rows that ``chosen`` takes out of all. Raises as `go` does; writes no files."""
        await self.journal.begin(orjson.dumps(self.config.model_dump(mode="json")).decode())
        rows = chosen(self._take_rows()[0])
        self.progress.total = len(rows)
        await self._engine("sample", self.recipe.function).run(rows)
        await self._end(complete=False)
        if self.stop.error is not None:
            raise self.stop.error

    async def _end(self, *, complete: bool) -> None:
        await self.journal.end(
            complete=complete,
            retries=self.incidents.retries,
            rate_limited=self.incidents.rate_limited,
            seconds=self.seconds,
            replayed=(self.context.replayed_calls, self.context.replayed_usd),
        )

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

    def _count(self) -> int | None:
        """How many rows there are: those made, or else those of the file; None without end."""
        if self.stop.reason is None:
            return self.progress.done
        if self.progress.total is None and self.config.rows is not None and self._rows is None:
            self.progress.total = sum(1 for _ in self._take_rows()[0])
        return self.progress.total

    def _take_rows(self) -> tuple[Iterable[Any], int | None]:
        config = self.config
        if self._rows is not None:
            rows, total = self._rows, _length(self._rows)
        else:
            made = recipe_rows(config, self.recipe)
            rows, total = made.rows, made.total
        if config.n is not None:
            total = config.n if total is None else min(total, config.n)
        return limited(rows, config.n), total

    @property
    def _samples_in_flight(self) -> int:
        """Twice the calls: a sample that waits for its judge must not keep the writer idle.

        A batch is as large as the number of samples that can wait for it.
        """
        batches = [batched.plan.size for batched in self.stack.batched.values()]
        return max(2 * self.config.concurrency, *batches, 0)

    def _engine(
        self, kind: str, function: Any, on_finished: Callable[[Finished], None] | None = None
    ) -> Engine[Any]:
        return Engine(
            self.recipe.name,
            function,
            self.context,
            self.stop,
            kind=kind,
            samples_in_flight=self._samples_in_flight,
            max_failed=self.config.max_failed if kind == "sample" else 1.0,
            progress=self.progress if kind == "sample" else Progress(),
            on_finished=on_finished,
        )

    async def _run_controls(self) -> None:
        rubric = self.context.rubric
        if rubric is not None and "judge" in self.roles and self.config.controls:
            rows = control_rows(rubric, self.config.controls, self.config.seed)
            await self._engine("control", control).run(rows)

    async def _outcome(self, complete: bool) -> Outcome:
        error, reason = self.stop.error, self.stop.reason
        if reason is not None:
            _log.warning("%s: stopped: %s", self.folder, error or reason)
        if error is not None and not isinstance(error, BudgetExceeded):
            raise error
        # Seconds for thousands of samples, in which a service's other tasks go on.
        summary, validation = await aside(partial(self._written, complete))
        return Outcome(complete, reason, error, summary, validation)

    def _written(self, complete: bool) -> tuple[Summary, Report]:
        reading = Reading.open(self.journal.path)
        try:
            summary = summarise(
                reading,
                recipe=self.recipe,
                complete=complete,
                judge_is_writer=self.judge_is_writer,
                demonstration_models=self.demonstration_models,
                prices={role.model: role.price for role in self.roles.values()},
                left_out=self.context.left_out,
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
    check(config, recipe)
    stop, meter = Stop(), Meter(config.budget_usd, config.max_tokens_total)
    rubric = rubric_of(config, recipe)
    folders = [Path(config.prompts)] if config.prompts else []
    prompts = Prompts(*folders, recipe=recipe.prompts)
    async with AsyncExitStack() as exits:
        incidents = Incidents()
        stack = await stacked(
            config,
            recipe,
            exits,
            meter,
            stop,
            given=providers or {},
            left_in_batches=_left_in_batches(folder),
            on_retry=incidents.retried,
            warn=incidents.warn,
        )
        refuse_unpriced_budget(config, stack.roles)
        if rows is None:
            refuse_endless(config, recipe, stack.roles)
        make_folder(folder)
        journal = await exits.enter_async_context(
            Journal(folder / "journal.sqlite", ballast_bytes=_ballast_bytes(config))
        )
        for batched in stack.batched.values():
            await exits.enter_async_context(batched.working(journal))
        _restore(meter, journal, config, stack.roles)
        context = RunContext(
            journal,
            stack.roles,
            prompts,
            config.seed,
            retry=_failed(journal) if retry_failed else frozenset(),
            rubric=rubric,
            options=config.options,
            admit=stop.admit,
        )
        live = Live(
            config, recipe, folder, stack, meter, stop, context, Progress(), journal, incidents
        )
        live._rows = rows
        yield live


def _ballast_bytes(config: RunConfig) -> int:
    """Room for one reply of 64 kB with its request for each call in flight, at most 64 MB."""
    return min(64 << 20, max(1 << 20, config.concurrency * (64 << 10)))


def _restore(meter: Meter, journal: Journal, config: RunConfig, roles: Mapping[str, Role]) -> None:
    """A budget counts what earlier sessions of the run have spent, and what they left in batches."""
    reading = Reading.open(journal.path)
    prices = {role.model: role.price for role in roles.values()}
    try:
        meter.calls, meter.usage, meter.spent_usd, meter.unpriced_calls = reading.totals()
        carry_over(meter, journal.batches(), reading.bills(), prices, batch=config.batch)
    finally:
        reading.close()


def _left_in_batches(folder: Path) -> frozenset[str]:
    """The models that earlier sessions have left batches at."""
    if not (folder / "journal.sqlite").is_file():
        return frozenset()
    try:
        reading = Reading.open(folder / "journal.sqlite")
    except JournalError:  # of an earlier version, which knew no batches
        return frozenset()
    try:
        return frozenset(batch["model"] for batch in reading.batches())
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
