"""The library's front door: the same run that the command line makes, from Python."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from synthtutor.config import RunConfig
from synthtutor.engine import Finished
from synthtutor.errors import BudgetExceeded
from synthtutor.loops import run as run_on_a_loop
from synthtutor.outputs import Summary, finished
from synthtutor.provider import Provider
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe
from synthtutor.runs import find_recipe, opened

__all__ = ["Result", "arun", "run", "running"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run. ``complete`` is False where the budget ended it; running again resumes."""

    folder: Path
    complete: bool
    summary: Summary

    def samples(self) -> list[dict[str, Any]]:
        """The kept samples: ``{"id", "messages", "metadata"}``, in the order of their rows."""
        reading = Reading.open(self.folder / "journal.sqlite")
        try:
            return list(finished(reading, ("kept",)))
        finally:
            reading.close()


def _configuration(
    recipe: str | Recipe[Any], models: str | Mapping[str, str], options: dict[str, Any]
) -> tuple[RunConfig, Recipe[Any]]:
    found = find_recipe(recipe) if isinstance(recipe, str) else recipe
    named = {"default": models} if isinstance(models, str) else dict(models)
    name = recipe if isinstance(recipe, str) else found.name
    return RunConfig.checked({"recipe": name, "models": named, **options}), found


async def arun(
    recipe: str | Recipe[Any],
    *,
    models: str | Mapping[str, str],
    out: str | Path,
    rows: str | Path | Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    on_finished: Callable[[Finished], None] | None = None,
    **options: Any,
) -> Result:
    """Run a recipe into the folder ``out``; the same call again resumes and pays nothing twice.

    ``models`` maps roles to ``provider/model`` (one string: all roles); ``rows`` is a file or an
    iterable; ``options`` are the fields of `synthtutor.config.RunConfig` (``n``, ``seed``,
    ``budget_usd``, ``rubric``, ``concurrency``, …). Raises a `SynthtutorError` for what would
    fail every row; a row that fails alone is in ``rejected.jsonl`` with its reason.
    """
    own_rows: Iterable[Any] | None = None
    if isinstance(rows, str | Path):
        options["rows"] = str(rows)
    else:
        own_rows = rows
    config, found = _configuration(recipe, models, options)
    folder = Path(out)
    async with opened(config, folder, recipe=found, rows=own_rows, providers=providers) as live:
        if own_rows is None:  # rows from Python cannot be named in a file
            config.save(folder / "run.yaml")
        outcome = await live.go(on_finished)
    if outcome.error is not None and not isinstance(outcome.error, BudgetExceeded):
        raise outcome.error
    return Result(folder, outcome.complete, outcome.summary)


def run(
    recipe: str | Recipe[Any],
    *,
    models: str | Mapping[str, str],
    out: str | Path,
    rows: str | Path | Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    on_finished: Callable[[Finished], None] | None = None,
    **options: Any,
) -> Result:
    """Do what `arun` does, without async, in a script or in a notebook whose event loop is already running."""
    return _finished(
        arun(
            recipe,
            models=models,
            out=out,
            rows=rows,
            providers=providers,
            on_finished=on_finished,
            **options,
        )
    )


@asynccontextmanager
async def running(
    recipe: str | Recipe[Any],
    *,
    models: str | Mapping[str, str],
    out: str | Path,
    **options: Any,
) -> AsyncIterator[AsyncIterator[Finished]]:
    """Give samples as they finish, to iterate over inside an ``async with``.

    Leaving the block early stops the run; what was paid is in the journal.
    """
    done: asyncio.Queue[Finished | None] = asyncio.Queue()

    async def make() -> None:
        try:
            await arun(recipe, models=models, out=out, on_finished=done.put_nowait, **options)
        finally:
            done.put_nowait(None)

    async def samples() -> AsyncIterator[Finished]:
        while (sample := await done.get()) is not None:
            yield sample

    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(make())
            try:
                yield samples()
            finally:
                if not task.done():
                    task.cancel()
    except BaseExceptionGroup as errors:  # the group is ours; the caller knows of one error
        if len(errors.exceptions) > 1:
            raise
        raise errors.exceptions[0] from None


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, on a thread of its own where this one's loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_on_a_loop(work)
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(run_on_a_loop(work))
        except BaseException as error:  # raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body, name="synthtutor.run")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
