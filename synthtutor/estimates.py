"""From counted calls to a bill with its uncertainty: pure arithmetic, nothing is asked or read here.

Where samples of the same kind have been billed, the rest is expected to be like them, corrected by
what the rehearsal knows of each row: a regression estimator (Cochran, *Sampling Techniques*, ch. 7)
whose slopes are the billed share of each counted prompt token, and what else follows the length of
the prompt. What is left unexplained gives the interval. Where nothing has been billed yet, lengths
are declared beforehand, and the interval is as wide as such a guess deserves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from synthtutor.forecasts import Forecast, Tariff, control, declared, measured, shares
from synthtutor.intervals import needed
from synthtutor.limits import Limits
from synthtutor.prices import BATCH_SHARE, Price
from synthtutor.samplings import Evidence, Figures, PerSample, Site

__all__ = ["NEAR", "Estimate", "Evidence", "Range", "Stage", "estimated"]

_FEWEST = 3  # billed samples that are worth more than a guess
NEAR = 0.05  # how near an estimate should be before nobody asks for a larger pilot
_FIRST_TOKEN_S, _TOKENS_PER_S = 0.8, 60.0


@dataclass(frozen=True, slots=True)
class Range:
    """What is expected, between what it will rarely be less and rarely be more than (19 of 20)."""

    low: float
    expected: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.expected * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one prompt in one role will take. ``cost_usd`` is None where the price is unknown."""

    kind: str
    role: str
    stage: str
    model: str
    figures: Figures
    cost_usd: Range | None
    tokens: Range
    basis: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be done and paid, and what already was.

    ``rows`` are to be made, of ``all_rows``. ``cost_usd`` covers the stages with a price, at live
    prices; ``batch_usd`` the same through the batch APIs; ``unpriced_calls`` counts the others.
    ``seconds`` is how long it takes live, ``binding`` what it waits for. ``enough`` is how many
    of the rows must have been made for the dollars to be within ``near`` (a share), None where none
    are to go by. ``unrehearsed`` is the standard error, as a share of the dollars, that comes of
    rehearsing only some of the rows where billed ones are gone by.
    """

    rows: int
    all_rows: int
    paid_usd: float
    stages: Sequence[Stage]
    cost_usd: Range
    batch_usd: Range
    tokens: Range
    unpriced_calls: float
    seconds: float
    binding: str
    enough: int | None = None
    near: float = NEAR
    unrehearsed: float = 0.0
    savings: Sequence[tuple[str, float]] = ()
    counting: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> float:
        """All stages' calls."""
        return sum(stage.figures.calls for stage in self.stages)

    def total(self) -> Figures:
        """All stages' calls and tokens."""
        return sum((stage.figures for stage in self.stages), Figures())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "calls": self.calls, "total": asdict(self.total())}


def estimated(
    *,
    rows: int,
    all_rows: int,
    rehearsed: PerSample,
    also_rehearsed: PerSample,
    controls: PerSample,
    evidence: Evidence | None,
    prices: Mapping[str, Price],
    spread: Mapping[str, float],
    limits: Limits,
    paid_usd: float = 0.0,
    batched: Iterable[str] = (),
    unusable: Mapping[tuple[str, str], float] = MappingProxyType({}),
    near: float = NEAR,
) -> Estimate:
    """Forecast ``rows`` samples and all controls.

    ``rehearsed`` stands for the samples to be made; ``also_rehearsed`` are the billed ones of the
    evidence, where they are this run's own. ``spread`` is how far off, by model, counted prompts
    may be (a share); ``batched`` names the models that have a batch API.
    """
    tariff = Tariff(prices, spread)
    billed = evidence is not None and evidence.samples.count >= _FEWEST
    known = evidence if billed else None
    parts: list[_Part] = []
    for site in _sites(rehearsed, known, prices):
        if known is not None and site in known.samples.sites():
            part = measured(site, rows, rehearsed, also_rehearsed, known, tariff)
        else:
            share = unusable.get((site.role, site.stage), 0.0)
            part = declared(site, rehearsed.mean(site) * rows, rehearsed, tariff, share)
        parts.append(("sample", site, part))
    parts += _of_controls(controls, parts, tariff)
    stages = [_stage(kind, site, part, tariff) for kind, site, part in parts]
    priced = [stage for stage in stages if stage.cost_usd is not None]
    cost, enough, unrehearsed = _bill(
        stages, [part for _, _, part in parts], rows, all_rows, known, near
    )
    in_batches = set(batched)
    batch = _sum(
        stage.cost_usd * (BATCH_SHARE if stage.model in in_batches else 1.0)
        for stage in priced
        if stage.cost_usd
    )
    seconds, binding = _duration(stages, limits)
    return Estimate(
        rows=rows,
        all_rows=all_rows,
        paid_usd=paid_usd,
        stages=stages,
        cost_usd=cost,
        batch_usd=_like(batch, cost),
        tokens=_sum(stage.tokens for stage in stages),
        unpriced_calls=sum(s.figures.calls for s in stages if s.cost_usd is None),
        seconds=seconds,
        binding=binding,
        enough=enough,
        near=near,
        unrehearsed=unrehearsed,
    )


_Part = tuple[str, Site, Forecast]


def _of_controls(controls: PerSample, samples: Sequence[_Part], tariff: Tariff) -> Iterator[_Part]:
    """The forecasts of the controls: as their prompt does with samples, where that was billed."""
    for site in controls.sites():
        like = next((p for _, s, p in samples if s[:2] == site[:2] and p.worth is not None), None)
        yield "control", site, control(site, controls, like, tariff)


def _sites(
    rehearsed: PerSample, evidence: Evidence | None, models: Mapping[str, object]
) -> list[Site]:
    """Those rehearsed, and those of the run's models that only real replies led to."""
    sites = rehearsed.sites()
    if evidence is not None:
        known = {(site.role, site.stage) for site in sites}
        sites += [
            site
            for site in evidence.samples.sites()
            if site.model in models and (site.role, site.stage) not in known
        ]
    return sites


# ── all together ─────────────────────────────────────────────────────────────────────────────


def _stage(kind: str, site: Site, part: Forecast, tariff: Tariff) -> Stage:
    dollars = tariff.cost(part.figures, site)
    around = Range(part.low, 1.0, part.high)
    tokens = part.figures.input_tokens + part.figures.output_tokens
    cost = None if dollars is None else around * dollars
    return Stage(kind, *site, part.figures, cost, around * tokens, part.basis)


def _bill(
    stages: Sequence[Stage],
    parts: Sequence[Forecast],
    rows: int,
    all_rows: int,
    evidence: Evidence | None,
    near: float,
) -> tuple[Range, int | None, float]:
    """The dollars of all stages, how many rows it takes to have them within ``near``, ``unrehearsed``.

    Of what was billed the sums of whole samples count: stages of one sample vary together, or even
    each other out.
    """
    both = [(s.cost_usd, p) for s, p in zip(stages, parts, strict=True) if s.cost_usd is not None]
    rest = _sum(cost for cost, part in both if part.worth is None)
    measured = [(cost, part) for cost, part in both if part.worth is not None and cost.expected]
    expected = math.fsum(cost.expected for cost, _ in measured)
    if evidence is None or not expected:
        return _sum(cost for cost, _ in both), None, 0.0
    samples: dict[bytes, float] = {}
    for _, part in measured:
        for name, worth in (part.worth or {}).items():
            samples[name] = samples.get(name, 0.0) + worth
    spent = list(samples.values())
    unsure = math.fsum(abs(part.unsure) for _, part in measured)
    low, high = shares(spent, rows, unsure, evidence)
    whole = Range(expected * max(0.0, 1 - low), expected, expected * (1 + high))
    return whole + rest, needed(spent, near, all_rows), unsure * rows / expected


def _sum(ranges: Iterable[Range]) -> Range:
    return sum(ranges, Range(0.0, 0.0, 0.0))


def _like(found: Range, pattern: Range) -> Range:
    """``found``'s expectation with the relative width of ``pattern``."""
    if not pattern.expected:
        return found
    factor = found.expected / pattern.expected
    return Range(pattern.low * factor, found.expected, pattern.high * factor)


# ── time ─────────────────────────────────────────────────────────────────────────────────────


def _duration(stages: Sequence[Stage], limits: Limits) -> tuple[float, str]:
    """Seconds of a live run, and what it waits for: the slowest model's tightest limit."""
    slowest, why = 0.0, "nothing"
    for model in {stage.model for stage in stages}:
        figures = sum((s.figures for s in stages if s.model == model), Figures())
        waits = {
            f"{limits.concurrency} calls in flight": _latency(figures) / limits.concurrency,
            "requests per minute": _minutes(figures.calls, limits.requests_per_minute),
            "tokens per minute": _minutes(
                figures.input_tokens + figures.output_tokens, limits.tokens_per_minute
            ),
        }
        name = max(waits, key=lambda each: waits[each])
        if waits[name] > slowest:
            slowest, why = waits[name], f"{name} ({model})"
    return slowest, why


def _latency(figures: Figures) -> float:
    """Seconds that all its calls take, one after the other: measured, or assumed."""
    if figures.seconds:
        return figures.seconds
    return figures.calls * _FIRST_TOKEN_S + figures.output_tokens / _TOKENS_PER_S


def _minutes(amount: float, per_minute: float | None) -> float:
    return amount / per_minute * 60 if per_minute else 0.0
