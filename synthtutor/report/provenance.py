"""What a dataset card tells of a run, gathered from its journal and from calibrations beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from synthtutor.accounts import folded
from synthtutor.errors import ConfigError, RubricError
from synthtutor.export.card import Agreed, Card, Source
from synthtutor.outputs import summarise
from synthtutor.reading import Reading
from synthtutor.report.facts import configuration_of, models_of, prices_of, recipe_of
from synthtutor.rubric import load_rubric

__all__ = ["Export", "Trail", "card_of"]

_MOST = 1_000
# As the data's own pages say (github.com/eth-nlped/mathdial, github.com/openai/grade-school-math).
_SEEDS = "seeds that come with synthtutor"
_LICENSES = {
    "mathdial": "CC BY-SA 4.0",
    "gsm8k": "MIT",
    **dict.fromkeys((_SEEDS, "bank", "malrule"), "MIT"),
}


@dataclass(slots=True)
class Trail:
    """What the samples of an export say of how they were made; bounded counts of each."""

    prompts: Counter[tuple[str, str]] = field(default_factory=Counter)
    rubrics: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    demonstration: set[str] = field(default_factory=set)
    unjudged: int = 0

    def through(self, samples: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The samples as they come, each counted."""
        for sample in samples:
            self._add(sample.get("metadata") or {})
            yield sample

    def _add(self, metadata: Mapping[str, Any]) -> None:
        lineage = metadata.get("lineage") or {}
        calls = lineage.get("calls") or []
        for call in calls:
            _count(self.prompts, (str(call["prompt"]), str(call.get("prompt_digest") or "")))
        if lineage.get("demonstration_only"):
            self.demonstration.update(str(call["model"]) for call in calls)
        self.unjudged += not metadata.get("verdicts")
        if isinstance(rubric := metadata.get("rubric"), str):
            _count(self.rubrics, rubric)
        source = metadata.get("source")
        _count(self.sources, source if isinstance(source, str) else "")


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it was written: where, in which format, how many rows, and what people changed."""

    path: Path
    format: str
    rows: int
    people: str = ""


def card_of(reading: Reading, folder: Path, export: Export, trail: Trail) -> Card:
    """The card of an export of the run in ``folder``, whose samples went through the trail."""
    config = configuration_of(reading)
    recipe = recipe_of(config.recipe)
    asked = models_of(config, recipe, reading)
    shipped = recipe.function.__module__.startswith("synthtutor.recipes.")
    own = shipped and config.rows is None and (folder / "run.yaml").is_file()
    rest = _SEEDS if own else "rows of the run"
    last = reading.last_pass()
    summary = summarise(
        reading,
        recipe=recipe,
        complete=bool(last and last["complete"]),
        judge_is_writer="judge" in asked and asked["judge"] == asked.get("writer"),
        demonstration_models=sorted(trail.demonstration),
        prices=prices_of(config, asked.values()),
    )
    entries = folded(summary.account, "role", "model")
    models: dict[str, list[str]] = {}
    for entry in entries:
        models.setdefault(entry["role"], []).append(entry["model"])
    return Card(
        name=f"{folder.resolve().name} ({export.path.name})",
        format=export.format,
        rows=export.rows,
        people=export.people,
        recipe=recipe.name,
        version=version("synthtutor"),
        about=recipe.summary,
        mode=config.mode or "",
        seed=config.seed,
        complete=summary.complete,
        outcomes=dict(sorted(summary.outcomes.items())),
        models=models,
        prompts=sorted((*place, count) for place, count in trail.prompts.items()),
        rubrics={
            name: _rubric_license(name, config.rubric, recipe.rubric)
            for name in sorted(trail.rubrics)
        },
        calls=summary.calls,
        input_tokens=summary.input_tokens,
        output_tokens=summary.output_tokens,
        cost_usd=summary.cost_usd,
        unpriced_calls=summary.unpriced_calls,
        costs=[(e["role"], e["model"], e["calls"], e["cost_usd"]) for e in entries],
        planted=summary.controls.planted,
        caught=summary.controls.caught,
        sound_kept=summary.controls.sound_kept,
        unjudged=trail.unjudged,
        judge_is_writer=summary.judge_is_writer,
        demonstration_models=summary.demonstration_models,
        agreement=list(_agreement(folder, models.get("judge", []))),
        sources=[
            Source(name or rest, n, _license(name or rest))
            for name, n in sorted(trail.sources.items())
        ],
    )


def _count(counts: Counter[Any], name: Any) -> None:
    counts[name] += name in counts or len(counts) < _MOST


def _license(source: str) -> str:
    return _LICENSES.get(source, "")


def _rubric_license(name: str, *given: str | None) -> str:
    """The licence that the pack states: the run's, the recipe's, or an installed one of that name."""
    wanted, _, number = name.partition("@")
    for place in (*given, wanted):
        if not place:
            continue
        try:
            rubric = load_rubric(place)
        except (ConfigError, RubricError):
            continue
        if (rubric.id, str(rubric.version)) == (wanted, number):
            return rubric.license
    return ""


def _agreement(folder: Path, judges: Sequence[str]) -> Iterator[Agreed]:
    """Of calibrations in this folder and in the folders beside it, those of a judge of this run."""
    beside = [folder, *sorted(folder.resolve().parent.iterdir())]
    for place in dict.fromkeys(path.resolve() for path in beside if path.is_dir()):
        try:
            found = orjson.loads((place / "calibration.json").read_bytes())
            if found["judge"] in judges:
                yield from _dimensions(found)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _dimensions(found: Mapping[str, Any]) -> Iterator[Agreed]:
    for entry in found["dimensions"]:
        figure = entry["figures"].get("kappa") or {}
        yield Agreed(
            judge=str(found["judge"]),
            rubric=str(found["rubric"]),
            dimension=str(entry["name"]),
            items=int(entry["items"]),
            kappa=figure.get("value"),
            low=figure.get("low"),
            high=figure.get("high"),
        )
