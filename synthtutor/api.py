"""The library's front door: the same run that the command line makes, from Python."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from synthtutor.config import RoleSettings, RunConfig
from synthtutor.engine import Finished
from synthtutor.errors import BudgetExceeded, ConfigError
from synthtutor.loops import run as run_on_a_loop
from synthtutor.outputs import Summary, finished
from synthtutor.provider import Provider
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe
from synthtutor.runs import find_recipe, opened

__all__ = ["Result", "RunOptions", "arun", "run", "running"]

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


class RunOptions(TypedDict, total=False):
    """The fields of `synthtutor.config.RunConfig` that a call may give by name, all optional.

    ``n`` rows, or ``per_seed`` samples of each; ``budget_usd`` in US dollars and
    ``max_tokens_total`` bound everything that the run ever spends; ``prices`` are dollars per
    million input and output tokens; ``options`` are the recipe's own.
    """

    n: int | None
    per_seed: int | None
    mode: str | None
    rubric: str | Path | None
    controls: int
    seed: int
    prompts: str | Path | None
    options: Mapping[str, object]
    settings: Mapping[str, RoleSettings | Mapping[str, Any]]
    base_urls: Mapping[str, str]
    provider_options: Mapping[str, Mapping[str, str]]
    prices: Mapping[str, tuple[float, float]]
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    timeout_s: float | None
    budget_usd: float | None
    max_tokens_total: int | None
    max_failed: float
    batch: bool
    batch_size: int
    batch_wait_s: float
    batch_poll_s: float


def _configuration(
    recipe: str | Recipe[Any], models: str | Mapping[str, str], options: dict[str, Any]
) -> tuple[RunConfig, Recipe[Any]]:
    found = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if not isinstance(found, Recipe):
        raise ConfigError(f"{found!r} is not a recipe: decorate the function with @recipe")
    named = {"default": models} if isinstance(models, str) else dict(models)
    name = recipe if isinstance(recipe, str) else found.name
    given = {field: _plain(value) for field, value in options.items()}
    if "options" in given:
        given["options"] = {field: _text(value) for field, value in given["options"].items()}
    return RunConfig.checked({"recipe": name, "models": named, **given}), found


def _rows(rows: Iterable[Any]) -> Iterable[Any]:
    """The rows. Raises ConfigError for what is iterated by something else than rows."""
    if isinstance(rows, Mapping):
        raise ConfigError(
            "rows: this is one mapping; give a list of rows, [row], or one part of a data set, "
            "rows['train']"
        )
    if hasattr(rows, "columns"):  # of polars, of pyarrow, of pandas
        for into in ("to_dicts()", "to_pylist()", "to_dict('records')"):
            if hasattr(rows, into.partition("(")[0]):
                raise ConfigError(
                    f"rows: a {type(rows).__name__} gives its columns; give rows.{into}"
                )
    if isinstance(rows, bytes) or not isinstance(rows, Iterable):
        raise ConfigError(f"rows: {rows!r:.80} is no file and no iterable of rows")
    return rows


def _plain(value: Any) -> Any:
    """A value as ``run.yaml`` could hold it: paths as text, mappings as dicts."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> Any:
    """A recipe's option as the command line would give it."""
    return str(value) if isinstance(value, int | float) else value


async def arun(
    recipe: str | Recipe[Any],
    *,
    models: str | Mapping[str, str],
    out: str | Path,
    rows: str | Path | Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    on_finished: Callable[[Finished], None] | None = None,
    **options: Unpack[RunOptions],
) -> Result:
    """Run a recipe into the folder ``out``; the same call again resumes and pays nothing twice.

    ``models`` maps roles to ``provider/model`` (one string: all roles); ``rows`` is a file or an
    iterable of rows; ``providers`` are providers of your own by name; ``on_finished`` is called
    with each sample; ``options`` are `RunOptions` (``n``, ``seed``, ``budget_usd``, ``rubric``,
    ``concurrency``, …). Raises a `SynthtutorError` for what would fail every row; a row that
    fails alone is in ``rejected.jsonl`` with its reason. To cancel it lets the calls under way land
    first; to cancel it again drops them.
    """
    given: dict[str, Any] = {**options}
    own_rows: Iterable[Any] | None = None
    if isinstance(rows, str | Path):
        given["rows"] = str(rows)
    elif rows is not None:
        own_rows = _rows(rows)
    config, found = _configuration(recipe, models, given)
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
    **options: Unpack[RunOptions],
) -> Result:
    """Run a recipe into the folder ``out``; the same call again resumes and pays nothing twice.

    ``models`` maps roles to ``provider/model`` (one string: all roles); ``rows`` is a file or an
    iterable of rows; ``options`` are `RunOptions` (``n``, ``budget_usd``, ``rubric``, …). Raises
    a `SynthtutorError` for what would fail every row. For scripts, and for notebooks, whose event
    loop is already running; async code calls `arun`.
    """
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
    rows: str | Path | Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    **options: Unpack[RunOptions],
) -> AsyncIterator[AsyncIterator[Finished]]:
    """Give samples as they finish, to iterate over inside an ``async with``; arguments as for `arun`.

    Leaving the block early stops the run; what was paid is in the journal. Samples wait in memory
    until they are taken: the run does not wait for whoever takes them.
    """
    done: asyncio.Queue[Finished | None] = asyncio.Queue()

    async def make() -> None:
        try:
            await arun(
                recipe,
                models=models,
                out=out,
                rows=rows,
                providers=providers,
                on_finished=done.put_nowait,
                **options,
            )
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
    cancel: list[Callable[[], object]] = []
    over = threading.Event()  # an interrupted join takes its thread for ended, in Python 3.11

    async def noted() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101  # a coroutine runs in a task
        cancel.append(partial(loop.call_soon_threadsafe, task.cancel))
        return await work

    def body() -> None:
        try:
            results.append(run_on_a_loop(noted()))
        except BaseException as error:  # raised again in the caller's thread
            errors.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=body, name="synthtutor.run")
    thread.start()
    _wait(over, cancel)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _wait(over: threading.Event, cancel: Sequence[Callable[[], object]]) -> None:
    """Wait for the run's end. To be interrupted ends the run too: it must not go on unseen.

    Once, and what is paid for lands; twice, and it ends at once.
    """
    try:
        over.wait()
    except KeyboardInterrupt:
        for stop in cancel:
            with suppress(RuntimeError):  # its loop has ended meanwhile
                stop()
        _wait(over, cancel)
        raise
