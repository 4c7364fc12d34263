"""Everything a report tells, read from a run's folder at one moment of its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, RecipeError
from synthtutor.outputs import Summary, finished, summarise
from synthtutor.prices import Price, price_of
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe, Rows
from synthtutor.report.excerpts import Pair, pairs
from synthtutor.report.tally import Tally
from synthtutor.report.timeline import Timeline, timeline
from synthtutor.runs import find_recipe
from synthtutor.statistics import statistics

__all__ = ["Facts", "configuration_of", "gather", "models_of", "prices_of", "recipe_of"]

_ALL = ("kept", "rejected", "undetermined", "failed")
_MEASURED_TEXTS = 1_000  # each takes about a millisecond
_MEASURED_GROUPS = 2_000


@dataclass(frozen=True, slots=True)
class Facts:
    """``statistics`` is the content of statistics.json; ``name`` the folder's."""

    name: str
    config: RunConfig
    summary: Summary
    statistics: Mapping[str, Any]
    tally: Tally
    timeline: Timeline
    pairs: list[Pair]


def gather(folder: Path) -> Facts:
    """Read the run, also while it goes. Raises JournalError where there is none."""
    reading = Reading.open(folder / "journal.sqlite")
    try:
        reading.connection.execute("BEGIN")  # one moment for all that is read
        return _gathered(reading, folder)
    finally:
        reading.close()


def _gathered(reading: Reading, folder: Path) -> Facts:
    config = configuration_of(reading)
    recipe = recipe_of(config.recipe)
    outcomes = reading.outcomes()
    kept = outcomes.get("kept", 0)
    tally = Tally(every=max(1, kept // _MEASURED_GROUPS))
    passing = tally.through(finished(reading, _ALL))
    figures = _written_statistics(reading, folder, outcomes)
    if figures is None:
        figures = statistics(passing, cells=recipe.cells, every=max(1, kept // _MEASURED_TEXTS))
    else:
        _run_out(passing)
    last = reading.last_pass()
    models = models_of(config, recipe, reading)
    summary = summarise(
        reading,
        recipe=recipe,
        complete=bool(last and last["complete"]),
        judge_is_writer="judge" in models and models["judge"] == models.get("writer"),
        demonstration_models=sorted(tally.demonstration),
        prices=prices_of(config, models.values()),
    )
    return Facts(
        name=folder.resolve().name,
        config=config,
        summary=summary,
        statistics=figures,
        tally=tally,
        timeline=timeline(reading.connection),
        pairs=pairs(reading.connection, _floor(reading), outcomes),
    )


def configuration_of(reading: Reading) -> RunConfig:
    """The configuration of the newest session, which a run from Python has in no other place."""
    last = reading.last_pass()
    return RunConfig.checked(orjson.loads(last["configuration"]) if last else {}, "journal")


def recipe_of(name: str) -> Recipe[Any]:
    """The recipe; for one that cannot be found from here, what its name alone tells."""
    try:
        return find_recipe(name)
    except (ConfigError, RecipeError):
        return Recipe(name, _not_here, lambda _: Rows(()))


async def _not_here(*_: object) -> Any:
    raise RecipeError("this recipe is known by name only")


def models_of(config: RunConfig, recipe: Recipe[Any], reading: Reading) -> dict[str, str]:
    """Roles with their models; a recipe known by name only shows its roles in the calls."""
    roles = {*recipe.roles, *(str(entry["role"]) for entry in reading.account())}
    named = {role: config.models.get(role) or config.models.get("default") for role in roles}
    return {role: model for role, model in named.items() if model}


def prices_of(config: RunConfig, models: Iterable[str]) -> dict[str, Price]:
    """Each model's price, those that the run's user gave first."""
    given = {model: Price("given", model, pair) for model, pair in config.prices.items()}
    return {model: price_of(model, given=given) for model in models}


def _written_statistics(
    reading: Reading, folder: Path, outcomes: Mapping[str, int]
) -> Mapping[str, Any] | None:
    """What statistics.json holds, if it was written of just these samples and calls."""
    try:
        written = orjson.loads((folder / "statistics.json").read_bytes())
        of = {name: written["outcomes"].get(name, 0) for name in _ALL}
        calls = sum(entry["calls"] for entry in written["account"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    same = of == {name: outcomes.get(name, 0) for name in _ALL} and calls == reading.totals()[0]
    return written if same else None


def _run_out(samples: Iterable[Any]) -> None:
    for _ in samples:
        pass


def _floor(reading: Reading) -> int:
    """The newest complete pass: samples of earlier ones are in no file any more."""
    row = reading.connection.execute("SELECT max(pass) FROM passes WHERE complete").fetchone()
    return int(row[0] or 0)
