"""The run that a folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthtutor.config import RunConfig
    from synthtutor.outputs import Summary
    from synthtutor.prices import Price
    from synthtutor.reading import Reading

__all__ = ["journal_of", "legible", "saved_config", "summary_of"]


@contextmanager
def journal_of(folder: Path) -> Iterator[Reading]:
    """The folder's journal, to read; also while a run writes it."""
    from synthtutor.reading import Reading

    with legible(folder):
        reading = Reading.open(folder / "journal.sqlite")
        try:
            yield reading
        finally:
            reading.close()


@contextmanager
def legible(folder: Path) -> Iterator[None]:
    """What SQLite says of a damaged journal becomes a JournalError that names the file."""
    import sqlite3

    from synthtutor.errors import JournalError

    try:
        yield
    except sqlite3.Error as error:
        damaged = getattr(error, "sqlite_errorcode", 0) in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        )
        fix = "; the file is damaged: put a copy of it back, or take another folder"
        raise JournalError(
            f"{folder / 'journal.sqlite'}: {error}{fix if damaged else ''}"
        ) from error


def saved_config(folder: Path) -> RunConfig:
    """The configuration of the folder's run."""
    from synthtutor.config import RunConfig
    from synthtutor.errors import JournalError

    if not (folder / "run.yaml").is_file():
        raise JournalError(f"{folder}: there is no run here (no run.yaml)")
    return RunConfig.load(folder / "run.yaml")


def summary_of(reading: Reading, config: RunConfig) -> Summary:
    """The summary of a run that is over, or as far as it has come."""
    from synthtutor.outputs import summarise
    from synthtutor.runs import find_recipe

    recipe = find_recipe(config.recipe)
    models = {
        role: config.models.get(role) or config.models.get("default") for role in recipe.roles
    }
    last = reading.last_pass()
    return summarise(
        reading,
        recipe=recipe,
        complete=bool(last and last["complete"]),
        judge_is_writer="judge" in models and models["judge"] == models.get("writer"),
        demonstration_models=reading.demonstration_models(),
        prices=_prices(config, models.values()),
    )


def _prices(config: RunConfig, models: Iterable[str | None]) -> dict[str, Price]:
    from synthtutor.prices import Price, price_of

    given = {model: Price("given", model, pair) for model, pair in config.prices.items()}
    return {model: price_of(model, given=given) for model in models if model}
