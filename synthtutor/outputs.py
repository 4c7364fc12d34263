"""From a journal to a run's files and its summary. All of it is derived and can be made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import tee
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from synthtutor.accounts import (
    Expectation,
    Left,
    Resumes,
    cost_per_kept,
    expectation,
    folded,
    left,
)
from synthtutor.errors import JournalError
from synthtutor.export import FORMATS, export
from synthtutor.export.destination import replacing, sweep
from synthtutor.export.faults import Report
from synthtutor.export.validate import validate
from synthtutor.journal import Journal, SampleRecord
from synthtutor.messages import Usage
from synthtutor.prices import BATCH_SHARE, Price
from synthtutor.ratings import FILE as RATINGS
from synthtutor.ratings import Ratings, Tally, reviewed
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe
from synthtutor.statistics import statistics

__all__ = [
    "Controls",
    "Saved",
    "Summary",
    "exported",
    "finished",
    "look_across",
    "summarise",
    "write_outputs",
]

_MEASURED_TEXTS = 5_000  # enough for two digits; more would only delay the end of a large run
_KEPT = ("kept",)
_DROPPED = ("rejected", "undetermined", "failed")
_WRITTEN = ("run.yaml", "samples.jsonl", "rejected.jsonl", "finetune.jsonl", "statistics.json")


@dataclass(frozen=True, slots=True)
class Controls:
    """What the judge did with planted defects, and with the same texts when they were sound.

    ``caught`` of ``planted`` defects were found in the corrupted text and not in the sound one;
    ``unanswered`` ones got no verdict; ``failed`` controls could not be judged at all.
    ``sound_kept`` sound texts were kept. ``by_defect`` maps each defect to (caught, planted).
    """

    planted: int = 0
    caught: int = 0
    unanswered: int = 0
    failed: int = 0
    sound_kept: int = 0
    by_defect: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What batches and cached prompts took off the bill, in US dollars of priced calls.

    ``caching_usd`` is less than nothing where writing the cache cost more than reading it saved.
    """

    batches_usd: float = 0.0
    caching_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run made and what it took, earlier sessions included.

    ``cost_usd`` covers priced calls only; ``unpriced_calls`` counts the rest. ``account`` has one
    entry per kind, role, model, prompt and outcome of the sample. ``cost_per_kept_usd`` is
    everything paid, divided by the samples kept; None where prices are unknown. ``expected`` is the
    estimate shown before the run, ``left`` what has no sample yet; None where there is none.
    ``left_out`` names (model, setting, calls) for what a recipe asked for and the model does not
    take.
    """

    recipe: str
    complete: bool
    outcomes: Mapping[str, int]
    reasons: Sequence[tuple[str, int]]
    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: float
    unpriced_calls: int
    account: Sequence[Mapping[str, Any]]
    controls: Controls
    cells_filled: int | None
    cells: int | None
    judge_is_writer: bool
    demonstration_models: Sequence[str]
    prices: Mapping[str, str]
    saved: Saved
    left_out: Sequence[tuple[str, str, int]]
    cost_per_kept_usd: float | None
    resumes: Resumes
    expected: Expectation | None
    left: Left | None

    @property
    def made(self) -> int:
        """Samples with any outcome."""
        return sum(self.outcomes.values())

    @property
    def kept(self) -> int:
        """Samples that are in the fine-tuning file."""
        return self.outcomes.get("kept", 0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "made": self.made, "kept": self.kept}


def finished(
    reading: Reading, outcomes: Sequence[str], kind: str = "sample"
) -> Iterator[dict[str, Any]]:
    """The samples with one of the outcomes, in the order of their rows."""
    try:
        for body in reading.samples(kind, *outcomes):
            yield orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise JournalError(f"the journal is damaged: a {kind} in it is not JSON: {error}") from None


def exported(
    reading: Reading, ratings: Ratings | None, *, kept: bool | None, tally: Tally | None = None
) -> Iterator[dict[str, Any]]:
    """The samples for a file, in the order of their rows, as the judge and then people decided.

    ``kept`` says whether those that are kept are wanted, or the others; None wants all that people
    rated. Without ``ratings``, or where nobody rated, the judge alone decides.
    """
    if not ratings:
        return iter(()) if kept is None else finished(reading, _KEPT if kept else _DROPPED)
    each = (
        (sample.hex(), outcome, partial(orjson.loads, body))
        for sample, outcome, body in reading.outcome_of_each()
    )
    return reviewed(each, ratings, kept=kept, tally=Tally() if tally is None else tally)


async def look_across(journal: Journal, recipe: Recipe[Any]) -> None:
    """Record what the recipe's ``across`` makes of the finished samples, in the order of their rows.

    The journal's samples decide it alone, so the same journal gives the same files. Raises
    JournalError where the journal cannot be written.
    """
    if recipe.across is None:
        return
    reading = Reading.open(journal.path)
    try:
        before, given = tee(reading.records("kept", "rejected"))
        looked = recipe.across(orjson.loads(body) for _, _, body in given)
        for (sample, position, body), new in zip(before, looked, strict=True):
            if new != orjson.loads(body):
                found = new["metadata"]["outcome"], "; ".join(new["metadata"]["reasons"])
                record = SampleRecord(sample, "sample", position, *found, orjson.dumps(new))
                await journal.finish(record)
    finally:
        reading.close()


def summarise(
    reading: Reading,
    *,
    recipe: Recipe[Any],
    complete: bool,
    judge_is_writer: bool,
    demonstration_models: Sequence[str],
    prices: Mapping[str, Price],
    left_out: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> Summary:
    """Fold the journal. ``prices`` are those of the models."""
    calls, usage, cost, unpriced = reading.totals()
    account, outcomes = reading.entries(), reading.outcomes()
    rows, made = reading.noted("rows"), sum(outcomes.values())
    return Summary(
        recipe=recipe.name,
        complete=complete,
        outcomes=outcomes,
        reasons=reading.reasons(*_DROPPED),
        calls=calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cache_read_tokens,
        cost_usd=cost,
        unpriced_calls=unpriced,
        account=account,
        controls=_controls(reading),
        cells_filled=reading.cells() if recipe.cells else None,
        cells=recipe.cells,
        judge_is_writer=judge_is_writer,
        demonstration_models=demonstration_models,
        prices={model: price.source for model, price in prices.items()},
        saved=_saved(account, prices),
        left_out=[(*where, count) for where, count in sorted(left_out.items())],
        cost_per_kept_usd=cost_per_kept(cost, unpriced, outcomes.get("kept", 0)),
        resumes=reading.resumes(),
        expected=expectation(reading.noted("estimate"), cost, unpriced, complete=complete),
        left=left(account, rows, made, _longer(reading) if rows and rows > made else 1.0),
    )


def _longer(reading: Reading) -> float:
    """How much longer than the finished samples those are that were begun."""
    mean = reading.per_sample(finished=True).tokens()
    return reading.likely_samples().tokens() / mean if mean else 1.0


def write_outputs(reading: Reading, folder: Path, summary: Summary, recipe: Recipe[Any]) -> Report:
    """Write samples.jsonl, rejected.jsonl, finetune.jsonl and statistics.json into the folder.

    The first three go by what people said in the folder's ratings.jsonl too, where there is one.
    Returns what `validate` says of finetune.jsonl.
    """
    for name in _WRITTEN:
        sweep(folder / name)
    ratings = Ratings(folder / RATINGS)
    for name, kept in (("samples", True), ("rejected", False), ("finetune", True)):
        export(exported(reading, ratings, kept=kept), folder / FORMATS[name].name, format=name)
    report = validate(folder / FORMATS["finetune"].name, strict_roles=recipe.chat_roles)
    per_kept = summary.cost_per_kept_usd
    figures = {
        **statistics(
            finished(reading, (*_KEPT, *_DROPPED)),
            cells=recipe.cells,
            every=max(1, summary.kept // _MEASURED_TEXTS),
        ),
        "complete": summary.complete,
        "controls": asdict(summary.controls),
        "judge_is_writer": summary.judge_is_writer,
        "demonstration_models": list(summary.demonstration_models),
        "account": [_reproducible(entry) for entry in summary.account],
        "cost_usd": round(summary.cost_usd, 6),
        "unpriced_calls": summary.unpriced_calls,
        "cost_per_kept_usd": per_kept if per_kept is None else round(per_kept, 6),
        "prices": dict(summary.prices),
        "saved": asdict(summary.saved),
        "settings_left_out": [list(entry) for entry in summary.left_out],
        "finetune_validation": {
            "ok": report.ok,
            "errors": report.errors,
            "warnings": report.warnings,
        },
    }
    with replacing(folder / "statistics.json") as path:
        path.write_bytes(
            orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        )
    return report


def _reproducible(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run: times, and the last digits of sums of dollars."""
    figures = {key: value for key, value in entry.items() if key != "seconds"}
    return {**figures, "cost_usd": round(entry["cost_usd"], 6)}


def _saved(account: Sequence[Mapping[str, Any]], prices: Mapping[str, Price]) -> Saved:
    """From each entry's average call: prices may have steps, which sums would climb."""
    batches = caching = 0.0
    for entry in folded(account, "kind", "role", "model", "stage"):
        price, calls = prices.get(entry["model"]), entry["calls"]
        if price is None or not price.known or entry["unpriced"]:
            continue
        kinds = ("input", "output", "cache_read", "cache_write")
        into, out, read, written = (entry[f"{kind}_tokens"] // calls for kind in kinds)
        plain = price.cost(Usage(into, out)) or 0.0
        full = price.cost(Usage(into, out, read, written)) or 0.0
        share = 1 - (1 - BATCH_SHARE) * entry["batched"] / calls
        batches += entry["cost_usd"] / share * (1 - share)
        caching += (plain - full) * calls * share
    return Saved(round(batches, 6), round(caching, 6))


def _controls(reading: Reading) -> Controls:
    by_defect: dict[str, tuple[int, int]] = {}
    unanswered = sound_kept = 0
    for sample in finished(reading, ("kept", "rejected", "undetermined"), kind="control"):
        data = sample["metadata"]
        caught, planted = by_defect.get(data["defect"], (0, 0))
        by_defect[data["defect"]] = (caught + (data["caught"] is True), planted + 1)
        unanswered += data["caught"] is None
        sound_kept += data["sound_outcome"] == "kept"
    return Controls(
        planted=sum(planted for _, planted in by_defect.values()),
        caught=sum(caught for caught, _ in by_defect.values()),
        unanswered=unanswered,
        failed=reading.outcomes("control").get("failed", 0),
        sound_kept=sound_kept,
        by_defect=dict(sorted(by_defect.items())),
    )
