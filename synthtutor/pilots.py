"""The first rows of a run, made to see what it will cost: paid for, journaled, and part of the run.

Nothing of a pilot is wasted, so it may be as large as the answer needs: `pilot_until` adds rows
until the rest is known well enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from synthtutor.billed import done_in
from synthtutor.config import RunConfig
from synthtutor.engine import sample_id
from synthtutor.errors import BudgetExceeded
from synthtutor.estimates import NEAR, Estimate
from synthtutor.estimating import estimate
from synthtutor.provider import Provider
from synthtutor.recipes.recipe import Recipe
from synthtutor.runs import Live, opened
from synthtutor.sources import Occurrences, kept
from synthtutor.spreading import spread

__all__ = ["FIRST", "Watched", "make_pilot", "more_rows", "pilot_until"]

FIRST = 20  # rows before the first look at what they cost
_FEWEST_MORE = 10  # a look after each single row would only cost time

# Shows a run for as long as it goes.
Watched = Callable[[Live], AbstractContextManager[object]]


async def make_pilot(
    config: RunConfig,
    folder: Path,
    count: int,
    *,
    recipe: Recipe[Any] | None = None,
    rows: Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    more: bool = False,
    watched: Watched = nullcontext,
) -> bool:
    """Make ``count`` of the run's rows, one by chance of each stretch; False where a person or the budget stopped it.

    The same rows each time, unless ``more`` asks for rows that have no outcome yet. Raises what
    would keep the run from going on.
    """
    done = done_in(folder).samples if more else ()
    async with opened(config, folder, recipe=recipe, rows=rows, providers=providers) as live:

        def chosen(every: Iterable[Any]) -> list[Any]:
            left = _without(every, live.recipe.name, done) if done else every
            return spread(left, count, f"pilot {config.seed} {len(done)}")

        with watched(live), suppress(BudgetExceeded):
            await live.make_some(chosen)
        return live.stop.reason is None


async def pilot_until(
    config: RunConfig,
    folder: Path,
    near: float = NEAR,
    *,
    first: int = FIRST,
    recipe: Recipe[Any] | None = None,
    rows: Iterable[Any] | None = None,
    providers: Mapping[str, Provider] | None = None,
    watched: Watched = nullcontext,
    **options: Any,
) -> Estimate:
    """Make ``first`` rows, and more until the dollars are expected to be within ``near`` (a share).

    Each time as many as the rows so far say it takes, and at most twice as many as there are: what a
    few rows say of their own variation is not sure either. It ends too where all rows are made,
    nothing has a price, or a person or the budget stops it. ``options`` are those of `estimate`.
    Raises what would keep the run from going on.
    """
    given: dict[str, Any] = {"recipe": recipe, "providers": providers}
    given["rows"] = kept(rows, config.n)
    count, before = first, -1
    while True:
        going = await make_pilot(config, folder, count, more=before >= 0, watched=watched, **given)
        found = await estimate(config, folder, near=near, **given, **options)
        made = found.all_rows - found.rows
        count = 0 if made <= before else more_rows(found, near, batch=config.batch)
        if not going or not count:
            return found
        before = made


def more_rows(found: Estimate, near: float, *, batch: bool = False) -> int:
    """How many rows more to make for the dollars to be within ``near``: 0 where they are, or cannot be."""
    if found.enough is None or _known(found, near, batch):
        return 0
    made = found.all_rows - found.rows
    return max(_FEWEST_MORE, made // 4, min(found.enough - made, made))


def _known(found: Estimate, near: float, batch: bool) -> bool:
    """Whether low and high are near enough; they allow for more than ``enough`` does."""
    left = found.batch_usd if batch else found.cost_usd
    off = max(left.high - left.expected, left.expected - left.low)
    return off <= near * (found.paid_usd + left.expected)


def _without(rows: Iterable[Any], recipe: str, done: Collection[bytes]) -> Iterator[Any]:
    with Occurrences() as occurrences:
        for row in rows:
            if sample_id(recipe, "sample", row, occurrences) not in done:
                yield row
