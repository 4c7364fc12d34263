"""From counted calls to a bill with its uncertainty: pure arithmetic, nothing is asked or read here.

Where samples of the same kind have been billed, the rest is expected to be like them: a ratio
estimator corrects the rehearsal of all rows by what rehearsed rows were really billed
(Cochran, *Sampling Techniques*, ch. 6), and the spread of the billed ones around it gives the
interval. Where nothing has been billed yet, lengths are declared beforehand, and the interval is as
wide as such a guess deserves.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from synthtutor.limits import Limits
from synthtutor.prices import BATCH_SHARE, Price
from synthtutor.samplings import Figures, PerSample, Site

__all__ = ["Estimate", "Evidence", "Range", "Stage", "estimated"]

# Without any billed sample, a reply may well be this much shorter or longer than declared.
_GUESS = (0.6, 1.6)
_FEWEST = 3  # billed samples that are worth more than a guess
_RESAMPLINGS = 400
# Student's t, 97.5 %, by degrees of freedom; 1.96 beyond.
_T = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 7: 2.36, 10: 2.23, 15: 2.13, 20: 2.09, 30: 2.04, 60: 2.0}
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
class Evidence:
    """Billed samples: of this very run (``own``), where they can be compared row by row, or of another."""

    samples: PerSample
    source: str
    own: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """What one prompt in one role will take. ``cost_usd`` is None where the price is unknown."""

    kind: str
    role: str
    stage: str
    model: str
    figures: Figures
    cost_usd: Range | None
    basis: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be done and paid, and what already was.

    ``rows`` are to be made, of ``all_rows``. ``cost_usd`` covers the stages with a price, at live
    prices; ``batch_usd`` the same through the batch APIs; ``unpriced_calls`` counts the others.
    ``seconds`` is how long it takes live, ``binding`` what it waits for.
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


@dataclass(frozen=True, slots=True)
class _Part:
    """One site's forecast: its figures, and how far each kind of token may be off."""

    figures: Figures
    low: float
    high: float
    basis: str


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
) -> Estimate:
    """Forecast ``rows`` samples and all controls.

    ``spread`` is how far off, by model, counted prompts may be (a share); ``batched`` names the
    models that have a batch API.
    """
    stages: list[Stage] = []
    for site in _sites(rehearsed, evidence):
        part = _part(site, rows, rehearsed, also_rehearsed, evidence, prices, spread)
        stages.append(_stage("sample", site, part, prices))
    for site in controls.sites():
        like = next((s for s in stages if (s.role, s.stage) == (site.role, site.stage)), None)
        part = _control(site, controls, like, prices, spread)
        stages.append(_stage("control", site, part, prices))
    priced = [stage for stage in stages if stage.cost_usd is not None]
    cost = _sum(stage.cost_usd for stage in priced if stage.cost_usd)
    if evidence is not None and evidence.samples.count >= _FEWEST:
        cost = _tightened(cost, rows, also_rehearsed, evidence, prices)
    in_batches = set(batched)
    batch = _sum(
        stage.cost_usd * (BATCH_SHARE if stage.model in in_batches else 1.0)
        for stage in priced
        if stage.cost_usd
    )
    wide = _sum(_tokens(stage) for stage in stages)
    seconds, binding = _duration(stages, limits)
    return Estimate(
        rows=rows,
        all_rows=all_rows,
        paid_usd=paid_usd,
        stages=stages,
        cost_usd=cost,
        batch_usd=_like(batch, cost),
        tokens=wide,
        unpriced_calls=sum(s.figures.calls for s in stages if s.cost_usd is None),
        seconds=seconds,
        binding=binding,
    )


def _sites(rehearsed: PerSample, evidence: Evidence | None) -> list[Site]:
    """Those rehearsed, and those that only real replies led to."""
    sites = rehearsed.sites()
    if evidence is not None and evidence.samples.count >= _FEWEST:
        models = {(site.role, site.model) for site in sites}
        more = [s for s in evidence.samples.sites() if s not in sites]
        sites += [s for s in more if (s.role, s.model) in models]
    return sites


def _part(
    site: Site,
    rows: int,
    rehearsed: PerSample,
    also: PerSample,
    evidence: Evidence | None,
    prices: Mapping[str, Price],
    spread: Mapping[str, float],
) -> _Part:
    mean = rehearsed.mean(site)
    billed = evidence.samples if evidence is not None else PerSample()
    if evidence is None or billed.count < _FEWEST or site not in billed.sites():
        figures = replace(mean, seconds=0.0) * rows  # a rehearsal's seconds are nobody's
        share = _output_share(site, figures, prices)
        off = spread.get(site.model, 0.0)
        low = 1 - share * (1 - _GUESS[0]) - (1 - share) * off
        high = 1 + share * (_GUESS[1] - 1) + (1 - share) * off
        return _Part(figures, low, high, "declared lengths")
    real = billed.mean(site)
    into = real.input_tokens
    if evidence.own:
        same = also.only(billed.by_sample)
        counted, paid = same.total(site).input_tokens, billed.only(same.by_sample).total(site)
        if counted:
            into = mean.input_tokens * paid.input_tokens / counted
    scale = into / real.input_tokens if real.input_tokens else 1.0
    figures = Figures(
        real.calls,
        into,
        real.output_tokens,
        real.cache_read_tokens * scale,
        real.cache_write_tokens * scale,
        real.reasoning_tokens,
        real.seconds,
    )
    spent = [_cost(figure, site, prices) or figure.output_tokens for figure in billed.at(site)]
    error = _relative_error(spent, rows)
    return _Part(figures * rows, max(0.0, 1 - error), 1 + error, evidence.source)


def _control(
    site: Site,
    controls: PerSample,
    like: Stage | None,
    prices: Mapping[str, Price],
    spread: Mapping[str, float],
) -> _Part:
    """A control is judged as a sample is: its replies are as long as those."""
    figures = controls.total(site)
    if like is not None and like.basis != "declared lengths" and like.figures.calls:
        each = like.figures * (1 / like.figures.calls)
        out, thought = each.output_tokens * figures.calls, each.reasoning_tokens * figures.calls
        seconds = each.seconds * figures.calls
        figures = Figures(figures.calls, figures.input_tokens, out, 0, 0, thought, seconds)
        return _Part(figures, 0.8, 1.2, like.basis)
    figures = replace(figures, seconds=0.0)
    share = _output_share(site, figures, prices)
    off = spread.get(site.model, 0.0)
    low = 1 - share * (1 - _GUESS[0]) - (1 - share) * off
    return _Part(figures, low, 1 + share * (_GUESS[1] - 1) + (1 - share) * off, "declared lengths")


def _stage(kind: str, site: Site, part: _Part, prices: Mapping[str, Price]) -> Stage:
    dollars = _cost(part.figures, site, prices)
    cost = None if dollars is None else Range(dollars * part.low, dollars, dollars * part.high)
    return Stage(kind, *site, part.figures, cost, part.basis)


def _cost(figures: Figures, site: Site, prices: Mapping[str, Price]) -> float | None:
    price = prices.get(site.model)
    if price is None or not price.known:
        return None
    one = price.cost(figures.usage_of_one())
    return None if one is None else one * figures.calls


def _output_share(site: Site, figures: Figures, prices: Mapping[str, Price]) -> float:
    whole = _cost(figures, site, prices)
    if not whole:
        return figures.output_tokens / max(1.0, figures.output_tokens + figures.input_tokens)
    silent = Figures(figures.calls, figures.input_tokens)
    return 1 - (_cost(silent, site, prices) or 0.0) / whole


def _tokens(stage: Stage) -> Range:
    total = stage.figures.input_tokens + stage.figures.output_tokens
    if stage.cost_usd is None or not stage.cost_usd.expected:
        return Range(total * _GUESS[0], total, total * _GUESS[1])
    cost = stage.cost_usd
    return Range(total * cost.low / cost.expected, total, total * cost.high / cost.expected)


def _sum(ranges: Iterable[Range]) -> Range:
    return sum(ranges, Range(0.0, 0.0, 0.0))


def _like(found: Range, pattern: Range) -> Range:
    """``found``'s expectation with the relative width of ``pattern``."""
    if not pattern.expected:
        return found
    factor = found.expected / pattern.expected
    return Range(pattern.low * factor, found.expected, pattern.high * factor)


# ── how far billed samples let us be off ─────────────────────────────────────────────────────


def _tightened(
    cost: Range,
    rows: int,
    also: PerSample,
    evidence: Evidence,
    prices: Mapping[str, Price],
) -> Range:
    """The sum's own interval: stages of one sample vary together, or even each other out."""
    billed = evidence.samples
    spent = {name: _sample_cost(made, prices) for name, made in billed.by_sample.items()}
    expected_of = {name: _sample_cost(made, prices) for name, made in also.by_sample.items()}
    paired = [(spent[n], expected_of[n]) for n in spent if expected_of.get(n)]
    if evidence.own and len(paired) >= _FEWEST:
        ratio = sum(b for b, _ in paired) / sum(s for _, s in paired)
        around = [b - ratio * s for b, s in paired]
        level = sum(b for b, _ in paired) / len(paired)
        error = _relative_error([level + r for r in around], rows)
    else:
        error = _relative_error(list(spent.values()), rows) * (1.0 if evidence.own else 1.5)
    return Range(max(0.0, cost.expected * (1 - error)), cost.expected, cost.expected * (1 + error))


def _sample_cost(made: Mapping[Site, Figures], prices: Mapping[str, Price]) -> float:
    return sum(_cost(figures, site, prices) or 0.0 for site, figures in made.items())


def _relative_error(spent: Sequence[float], rows: int) -> float:
    """How far the sum of ``rows`` further samples may be from what these let expect (a share).

    Both are uncertain: the mean of few, and the sum to come. The larger of Student's interval and
    of the bootstrap's is taken; for few long-tailed samples the first alone is too narrow.
    """
    n = len(spent)
    mean = sum(spent) / n if n else 0.0
    if n < _FEWEST or mean <= 0:
        return _GUESS[1] - 1
    sd = math.sqrt(sum((value - mean) ** 2 for value in spent) / (n - 1))
    t = next((t for freedom, t in _T.items() if n - 1 <= freedom), 1.96)
    student = t * sd * math.sqrt(1 / n + 1 / max(1, rows)) / mean
    chance = random.Random(n)
    means = sorted(sum(chance.choices(spent, k=n)) / n for _ in range(_RESAMPLINGS))
    bootstrap = max(means[-_RESAMPLINGS // 40] - mean, mean - means[_RESAMPLINGS // 40]) / mean
    return max(student, bootstrap)


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
