"""What was billed before: the samples that an estimate goes by, of this run or of one like it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, JournalError
from synthtutor.messages import Request
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe
from synthtutor.samplings import Evidence, PerSample
from synthtutor.stack import models_of

__all__ = ["Done", "billed_prompts", "done_in", "evidence_for"]


def evidence_for(
    config: RunConfig, recipe: Recipe[Any], folder: Path
) -> tuple[Evidence | None, Path | None]:
    """The billed samples to go by, and the journal they are in."""
    wanted = set(models_of(config, recipe).items())
    own = folder / "journal.sqlite"
    candidates = [own, *sorted(folder.parent.glob("*/journal.sqlite"))]
    best: tuple[Evidence, Path] | None = None
    for path in candidates:
        if not path.is_file() or (path != own and path.parent == folder):
            continue
        try:
            samples = _samples(path, config, recipe, None if path == own else wanted)
        except (JournalError, sqlite3.Error):  # a neighbour may be half made, or damaged
            continue
        if samples is None:
            continue
        if path == own and samples.count >= 3:
            return Evidence(samples, f"{samples.count} samples of this run", own=True), path
        if samples.count >= 3 and (best is None or samples.count > best[0].samples.count):
            source = f"{samples.count} samples of {path.parent}"
            best = Evidence(samples, source, own=False), path
    return best or (None, None)


def _samples(
    path: Path, config: RunConfig, recipe: Recipe[Any], wanted: set[tuple[str, str]] | None
) -> PerSample | None:
    """What a journal's samples took; None where it is a run of something else than ``wanted``."""
    reading = Reading.open(path)
    try:
        if wanted is not None and not _alike(reading, config, recipe, wanted):
            return None
        return reading.likely_samples()
    finally:
        reading.close()


def _alike(
    reading: Reading, config: RunConfig, recipe: Recipe[Any], wanted: set[tuple[str, str]]
) -> bool:
    """Whether another run is of the same recipe, mode and models."""
    last = reading.last_pass()
    try:
        other = RunConfig.checked(orjson.loads(last["configuration"])) if last else None
        return (
            other is not None
            and (other.recipe, other.mode) == (config.recipe, config.mode)
            and set(models_of(other, recipe).items()) == wanted
        )
    except (ConfigError, ValueError):
        return False


def billed_prompts(path: Path) -> Iterator[tuple[str, Request, int]]:
    """The latest calls of a journal: model, request, and the prompt tokens billed for it."""
    reading = Reading.open(path)
    try:
        for model, request, tokens in reading.billed_prompts():
            yield model, Request.from_json(request), tokens
    finally:
        reading.close()


@dataclass(frozen=True, slots=True)
class Done:
    """Of this folder's run: samples that have an outcome, whether its controls do, dollars paid."""

    samples: frozenset[bytes] = frozenset()
    controls: bool = False
    paid_usd: float = 0.0


def done_in(folder: Path) -> Done:
    """Nothing where there is no run yet."""
    try:
        reading = Reading.open(folder / "journal.sqlite")
    except JournalError:
        return Done()
    try:
        finished = frozenset(reading.finished_samples() | reading.failed_samples())
        return Done(finished, bool(reading.outcomes("control")), reading.totals()[2])
    finally:
        reading.close()
