"""Whole runs recorded once, from which pilots are then drawn as often as one likes.

A run of 1,000 rows with a real pilot of 20 is made for each of a few vendors, and rehearsed once.
Of which rows the pilot consists is then drawn again and again, as the run itself draws them, and the
estimate is made anew by the product's own arithmetic from what those rows were billed in that run.
What is not done anew is the rehearsal: it goes by the lengths of the real pilot's replies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from synthtutor.billed import Done
from synthtutor.config import RunConfig
from synthtutor.engine import sample_id
from synthtutor.estimates import Estimate
from synthtutor.estimating import Basis, basis_of, estimate
from synthtutor.pilots import make_pilot, more_rows
from synthtutor.provider import Provider
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe
from synthtutor.rehearsal import Rehearsal
from synthtutor.runs import opened
from synthtutor.samplings import Evidence, Figures, PerSample, Site
from synthtutor.sources import Occurrences
from synthtutor.spreading import spread

__all__ = ["Combination", "Figure", "Recording", "bill", "record", "whole"]

PILOT, NEAR = 20, 0.05
_REHEARSED = 200

Figure = tuple[float, float, float]  # low, expected, high


@dataclass(frozen=True)
class Combination:
    """A recipe, its rows (how many, for which vendor), and how a vendor of that name is asked."""

    name: str
    recipe: Recipe[Any]
    rows: Callable[[int, str], Sequence[Any]]
    asking: Callable[[str], AbstractAsyncContextManager[Mapping[str, Provider]]]
    config: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    def configured(self, folder: Path) -> RunConfig:
        """The run's configuration, with the combination's own prompts in the folder."""
        prompts = folder / "prompts"
        prompts.mkdir()
        for name, text in self.prompts.items():
            (prompts / f"{name}.j2").write_text(f"{{% block user %}}{text}{{% endblock %}}")
        own = {"prompts": str(prompts)} if self.prompts else {}
        common = {"concurrency": 100, "max_failed": 1.0, "seed": 7}
        return RunConfig.checked({"recipe": self.recipe.name, **common, **own, **self.config})


@dataclass(frozen=True)
class Recording:
    """One vendor's run of all rows: what each row was billed, and what is known without asking.

    ``samples`` are the rows' ids in their order; ``without`` is expected without a pilot.
    """

    samples: Sequence[bytes]
    made: Mapping[bytes, Mapping[Site, Figures]]
    spent: Mapping[bytes, float]
    billed: float
    without: Figure
    basis: Basis

    def drawn(self, number: int) -> tuple[Figure, Figure, int]:
        """The estimate from the pilot of that number, that of `--within 5`, and the rows it made."""
        made = frozenset(spread(self.samples, PILOT, f"pilot {number}"))
        first = found = self.estimated(made, number)
        while more := more_rows(found, NEAR, batch=self.basis.config.batch):
            left = [sample for sample in self.samples if sample not in made]
            made |= frozenset(spread(left, more, f"more {number} {len(made)}"))
            found = self.estimated(made, number)
        batch = self.basis.config.batch
        return whole(first, batch=batch), whole(found, batch=batch), len(made)

    def estimated(self, made: frozenset[bytes], number: int) -> Estimate:
        """What is expected when just these rows have been made; more are rehearsed as `estimate` does."""
        found = self._with(made, number, _REHEARSED)
        if found.unrehearsed > NEAR / 5 and found.rows > _REHEARSED:
            found = self._with(made, number, len(self.samples))
        return found

    def _with(self, made: frozenset[bytes], number: int, most: int) -> Estimate:
        found = self.basis.found
        width = len(self.samples[0])  # a rehearsal adds which time it was
        rehearsed = {name[:width]: each for name, each in found.samples.by_sample.items()}
        known = {**rehearsed, **found.also.by_sample}
        left = [sample for sample in self.samples if sample not in made]
        some = spread(left, most, f"rehearsed {number} {len(made)}")
        shown = PerSample({s: known[s] for s in some if s in known}, len(some))
        also = PerSample({s: known[s] for s in made if s in known}, len(made))
        billed = PerSample({s: self.made[s] for s in made if s in self.made}, len(made))
        return replace(
            self.basis,
            found=Rehearsal(len(self.samples), len(left), shown, also, found.controls),
            evidence=Evidence(billed, "the rows made", own=True),
            done=Done(made, False, sum(self.spent.get(sample, 0.0) for sample in made)),
        ).estimate(near=NEAR)


async def record(case: Combination, vendor: str, count: int) -> Recording:
    """Estimate without a pilot, make one, rehearse all rows, make the other rows and the controls."""
    rows = case.rows(count, vendor)
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="synthtutor-benchmark-")))
        config, run = case.configured(folder), folder / "run"
        providers = await exits.enter_async_context(case.asking(vendor))
        given: dict[str, Any] = {"recipe": case.recipe, "rows": rows, "providers": providers}
        without = await estimate(config, run, **given)
        await make_pilot(config, run, PILOT, **given)
        basis = await basis_of(config, run, most=count, **given)
        billed, spent, made = await _run(config, run, given)
        with Occurrences() as occurrences:
            samples = [sample_id(case.recipe.name, "sample", row, occurrences) for row in rows]
        first = whole(without, batch=config.batch)
        return Recording(samples, made.by_sample, spent, billed, first, basis)


async def bill(case: Combination, vendor: str, count: int) -> tuple[Figure, float]:
    """What a run is estimated at without a pilot, and what it is billed."""
    rows = case.rows(count, vendor)
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="synthtutor-benchmark-")))
        config, run = case.configured(folder), folder / "run"
        providers = await exits.enter_async_context(case.asking(vendor))
        given: dict[str, Any] = {"recipe": case.recipe, "rows": rows, "providers": providers}
        without = whole(await estimate(config, run, most=100, **given), batch=config.batch)
        return without, (await _run(config, run, given))[0]


async def _run(
    config: RunConfig, run: Path, given: Mapping[str, Any]
) -> tuple[float, dict[bytes, float], PerSample]:
    """Make what is left: dollars in all, by sample, and what each sample took."""
    async with opened(config, run, **given) as live:
        await live.go()
        assert live.stop.reason is None
    reading = Reading.open(run / "journal.sqlite")
    try:
        _, _, billed, unpriced = reading.totals()
        assert not unpriced
        spent = reading.connection.execute(
            "SELECT sample, total(cost_usd) FROM calls WHERE kind = 'sample' GROUP BY sample"
        )
        return billed, dict(spent), reading.per_sample(most=1_000_000)
    finally:
        reading.close()


def whole(found: Estimate, *, batch: bool) -> Figure:
    """What was paid and what is expected besides."""
    left = found.batch_usd if batch else found.cost_usd
    paid = found.paid_usd
    return paid + left.low, paid + left.expected, paid + left.high
