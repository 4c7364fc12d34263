"""What one prompt in one role will take: by billed samples, or by declared lengths.

Billed samples are corrected by what the rehearsal knows of each row: how many calls it makes, how
long its prompts are, and how large the forms that it asks to be filled in. That is the ratio
estimator of W. G. Cochran, *Sampling Techniques*, ch. 6, for each kind of figure, and on what it
leaves a regression on the length of the prompt (ch. 7).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from synthtutor.intervals import interval, slope_of
from synthtutor.messages import Usage
from synthtutor.prices import Price
from synthtutor.samplings import Evidence, Figures, PerSample, Site

__all__ = ["Forecast", "Tariff", "control", "declared", "measured", "shares"]

# Without any billed sample, a reply may well be this much shorter or longer than declared.
_GUESS = (0.6, 1.6)
_COMPLAINT = 60.0  # tokens that say what was wrong with a reply, and the roles around them
_PAIRS = 3  # samples both rehearsed and billed that are worth comparing
_ANOTHER_RUN = 0.05  # assumed: a standard error, for rows and prompts that are not quite the same
_KINDS = tuple(each.name for each in fields(Usage))
_PROMPT = ("input_tokens", "cache_read_tokens", "cache_write_tokens")
# Which figure of the rehearsal each billed one goes with.
_FOLLOWS = {
    "calls": "calls",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_tokens",
    "seconds": "output_tokens",
    **dict.fromkeys(_PROMPT, "input_tokens"),
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """One site's forecast: its figures, and the share of them that it may be less and more.

    ``worth`` has, where billed samples are gone by, what each of them cost there (in tokens where
    there is no price), less what the rehearsal explains; ``unsure`` is the standard error of a
    sample's cost that comes with going by the rehearsal of some rows only.
    """

    figures: Figures
    low: float
    high: float
    basis: str
    worth: Mapping[bytes, float] | None = None
    unsure: float = 0.0


@dataclass(frozen=True, slots=True)
class Tariff:
    """What prices and counters say about a model."""

    prices: Mapping[str, Price]
    spread: Mapping[str, float]

    def cost(self, figures: Figures, site: Site) -> float | None:
        """US dollars, None where the price is unknown. A tier goes by the size of the average call."""
        price = self.prices.get(site.model)
        whole = figures.usage_of_one()
        one = None if price is None else price.cost(whole)
        if not one:
            return one
        weights = self.weights(figures, site)
        for name in _KINDS:  # a call's average is no whole number of tokens
            part = getattr(figures, name) / (figures.calls or 1.0) - getattr(whole, name)
            one += part * getattr(weights, name)
        return one * figures.calls

    def weights(self, figures: Figures, site: Site) -> Figures:
        """What a token more of each kind adds to a call: dollars, or 1 where it has no price."""
        price = self.prices.get(site.model)
        usage = figures.usage_of_one()
        if price is None or not price.cost(Usage(1000, 1000)):
            return Figures(input_tokens=1.0, output_tokens=1.0)
        found = {}
        for name in _KINDS:
            amount = getattr(usage, name)
            part = name not in ("input_tokens", "output_tokens")
            if part and not amount:
                continue
            # More cached tokens than there are tokens would have no price.
            before = price.cost(replace(usage, **{name: amount - part}))
            after = price.cost(replace(usage, **{name: amount + 1 - part}))
            found[name] = (after or 0.0) - (before or 0.0)
        return Figures(**found)

    def output_share(self, figures: Figures, site: Site) -> float:
        """The part of the cost, or of the tokens, that replies make."""
        weights = self.weights(figures, site)
        out = figures.output_tokens * weights.output_tokens
        into = figures.input_tokens * weights.input_tokens
        return out / (out + into) if out + into else 1.0


def declared(
    site: Site,
    figures: Figures,
    rehearsed: PerSample,
    tariff: Tariff,
    unusable: float = 0.0,
) -> Forecast:
    """By lengths that somebody has declared. Where replies decide how many calls there are, nobody has.

    ``unusable`` is the share of replies that are assumed to be asked for again; none to twice as
    many are within the range.
    """
    again = unusable + unusable**2  # a session asks twice more at most
    figures = replace(_with_reasks(figures, again), seconds=0.0)  # a rehearsal's are nobody's
    share = tariff.output_share(figures, site)
    off = tariff.spread.get(site.model, 0.0)
    low = 1 - share * (1 - _GUESS[0]) - (1 - share) * off
    high = 1 + share * (_GUESS[1] - 1) + (1 - share) * off
    few, many = _range_of_calls(site, rehearsed)
    few, many = few / (1 + again), many * (1 + 2 * again) / (1 + again)
    return Forecast(figures, max(0.0, low) * few, high * many, "declared lengths")


def _with_reasks(figures: Figures, again: float) -> Figures:
    """A share of the calls made again: the prompt is then longer by the reply and a complaint."""
    longer = figures.output_tokens + _COMPLAINT * figures.calls
    more = figures * (1 + again)
    return replace(more, input_tokens=more.input_tokens + again * longer)


def _range_of_calls(site: Site, rehearsed: PerSample) -> tuple[float, float]:
    """What one sample in twenty has less of than the mean, and more: (1, 1) where all are alike."""
    made = list(rehearsed.at(site))
    made += [Figures()] * (rehearsed.count - len(made))
    if len({figures.calls for figures in made}) < 2:
        return 1.0, 1.0
    tokens = sorted(figures.input_tokens + figures.output_tokens for figures in made)
    mean = math.fsum(tokens) / len(tokens) or 1.0
    place = len(tokens) // 20
    return min(1.0, tokens[place] / mean), max(1.0, tokens[-1 - place] / mean)


def measured(
    site: Site,
    rows: int,
    rehearsed: PerSample,
    also: PerSample,
    evidence: Evidence,
    tariff: Tariff,
) -> Forecast:
    """By billed samples."""
    billed = evidence.samples
    mean, real = rehearsed.mean(site), billed.mean(site)
    weights = tariff.weights(real, site)
    pairs = {
        name: (made.get(site, Figures()), billed.by_sample[name].get(site, Figures()))
        for name, made in also.by_sample.items()
        if name in billed.by_sample
    }
    known, middle = _Known(), Figures()
    if evidence.own and len(pairs) >= _PAIRS:
        known = _Known.of(list(pairs.values()))
        middle = sum((known.of_one(x) for x, _ in pairs.values()), Figures()) * (1 / len(pairs))
        made = middle * (len(billed.by_sample) / billed.count)
        real = _positive(real + known.of_one(mean) + made * -1.0)
    elif mean.calls and abs(real.calls / mean.calls - 1) < 0.15:
        # Of other rows: how long these rows' prompts are is known better from the rehearsal.
        real = _positive(_longer(real, mean.input_tokens * real.calls / mean.calls))
    worth = {
        name: _dot(weights, made.get(site, Figures()))
        - (_dot(weights, known.of_one(pairs[name][0]) + middle * -1.0) if name in pairs else 0.0)
        for name, made in billed.by_sample.items()
    }
    foreseen = [_dot(weights, known.of_one(figures)) for figures in rehearsed.at(site)]
    unsure = _standard_error(foreseen, min(1.0, rehearsed.count / max(1, rows)))
    part = Forecast(real * rows, 0.0, 0.0, evidence.source, worth, unsure)
    low, high = shares(list(worth.values()), rows, part.unsure, evidence)
    return replace(part, low=max(0.0, 1 - low), high=1 + high)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the rehearsal of a row says of its bill.

    Each kind of figure follows the rehearsed one of its kind (``ratios``: a ratio estimator,
    Cochran ch. 6) where that leaves less unexplained than nothing would: replies the size of the
    form that is asked for, and all of them the number of calls. What is left may follow the length
    of the prompt (``slopes``).
    """

    ratios: Figures = field(default_factory=Figures)
    slopes: Figures = field(default_factory=Figures)

    @classmethod
    def of(cls, pairs: Sequence[tuple[Figures, Figures]]) -> _Known:
        """From samples both rehearsed and billed."""
        counted = [made.input_tokens for made, _ in pairs]
        ratios, slopes = {}, {}
        for name, own in _FOLLOWS.items():
            amounts = [getattr(billed, name) for _, billed in pairs]
            like = [getattr(made, own) for made, _ in pairs]
            ratios[name] = ratio = _ratio(like, amounts)
            rest = [y - ratio * x for x, y in zip(like, amounts, strict=True)]
            slopes[name] = slope_of(counted, rest)
        return cls(Figures(**ratios), Figures(**slopes))

    def of_one(self, made: Figures) -> Figures:
        """What rehearsed figures explain of the billed ones, up to a constant."""
        into = made.input_tokens
        return Figures(
            **{
                name: getattr(self.ratios, name) * getattr(made, own)
                + getattr(self.slopes, name) * into
                for name, own in _FOLLOWS.items()
            }
        )


def _ratio(counted: Sequence[float], billed: Sequence[float]) -> float:
    """What is billed for each one counted, unless real samples go their own ways.

    As in a dialogue, whose prompts hold replies that no rehearsal knows: there the ratio would
    multiply what is chance in the rehearsal. So it must explain as much as a slope that is twice
    its standard error.
    """
    whole = math.fsum(counted)
    ratio = math.fsum(billed) / whole if whole else 0.0
    rest = [y - ratio * x for x, y in zip(counted, billed, strict=True)]
    unexplained, all_of_it = _variance(rest), _variance(billed)
    worth_it = (all_of_it - unexplained) * (len(billed) - 2) >= 4 * unexplained
    return ratio if worth_it else 0.0


def _variance(figures: Sequence[float]) -> float:
    mean = math.fsum(figures) / len(figures)
    return math.fsum((each - mean) ** 2 for each in figures) / max(1, len(figures) - 1)


def _longer(figures: Figures, into: float) -> Figures:
    scale = into / figures.input_tokens if figures.input_tokens else 1.0
    return replace(figures, **{name: getattr(figures, name) * scale for name in _PROMPT})


def _positive(figures: Figures) -> Figures:
    """Without what a straight line makes of short prompts: less than nothing."""
    return Figures(**{name: max(0.0, getattr(figures, name)) for name in Figures.names()})


def _dot(weights: Figures, figures: Figures) -> float:
    return math.fsum(getattr(weights, name) * getattr(figures, name) for name in _KINDS)


def _standard_error(figures: Sequence[float], known: float) -> float:
    """Of a mean, where the share ``known`` of all was looked at."""
    n = len(figures)
    if n < 2 or known >= 1:
        return 0.0
    return math.sqrt(_variance(figures) / n * (1 - known))


def shares(
    worth: Sequence[float], rows: int, unsure: float, evidence: Evidence
) -> tuple[float, float]:
    """How far below and above its expectation a sum may be, as shares of it."""
    figures = [*worth, *[0.0] * (evidence.samples.count - len(worth))]
    mean = math.fsum(figures) / len(figures)
    if mean <= 0:
        return 0.0, 0.0
    also = unsure if evidence.own else math.hypot(unsure, _ANOTHER_RUN * mean)
    low, high = interval(figures, rows, also=also)
    return low / mean, high / mean


def control(site: Site, controls: PerSample, like: Forecast | None, tariff: Tariff) -> Forecast:
    """A control is judged as a sample is: its replies are as long as those."""
    figures = controls.total(site)
    if like is None or not like.figures.calls:
        return declared(site, figures, PerSample(), tariff)
    each = like.figures * (figures.calls / like.figures.calls)
    figures = replace(
        each,
        calls=figures.calls,
        input_tokens=figures.input_tokens,
        cache_read_tokens=0.0,
        cache_write_tokens=0.0,
    )
    return Forecast(figures, 0.8, 1.2, like.basis)
