"""What a plan comes to: its tokens to the digit, and its dollars with each cast, live and in batches.

A margin is applied once, to a step's sum. What has no model or no known price is counted apart,
and is never $0. Half price in batches is what vendors with a batch API ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import fsum

from synthtutor.errors import ConfigError
from synthtutor.plans import Growth, Plan, Step
from synthtutor.prices import Price, price_of

__all__ = [
    "Bill",
    "CastComparison",
    "Comparison",
    "Dollars",
    "PricedCast",
    "PricedPlan",
    "PricedStep",
    "Tokens",
    "compare",
    "price_plan",
]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a step or of several; ``unsplit`` ones were only measured as input and output together."""

    input: int = 0
    output: int = 0
    unsplit: int = 0
    cached: int = 0
    reasoning: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.unsplit + other.unsplit,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
        )

    @property
    def total(self) -> int:
        """All of them."""
        return self.input + self.output + self.unsplit


@dataclass(frozen=True, slots=True)
class Dollars:
    """US dollars; ``low`` and ``high`` differ where a split into input and output is not known."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Dollars) -> Dollars:
        return Dollars(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Dollars:
        return Dollars(self.low * factor, self.high * factor)

    def over(self, other: Dollars) -> Dollars | None:
        """How many times the other; None where the other is nothing."""
        if not (other.low and other.high):
            return None
        return Dollars(*sorted((self.low / other.low, self.high / other.high)))


@dataclass(frozen=True, slots=True)
class Bill:
    """The same work asked live, and in batches."""

    live: Dollars = Dollars()
    batch: Dollars = Dollars()

    def __add__(self, other: Bill) -> Bill:
        return Bill(self.live + other.live, self.batch + other.batch)

    def __mul__(self, factor: float) -> Bill:
        return Bill(self.live * factor, self.batch * factor)


@dataclass(frozen=True, slots=True)
class PricedStep:
    """A step's calls and tokens, ``times`` included; only ``with_margin`` has the margin in it."""

    step: Step
    calls: int
    tokens: Tokens
    margin: Decimal
    with_margin: int


@dataclass(frozen=True, slots=True)
class PricedCast:
    """What the plan costs with one cast.

    ``bills`` has one entry a step, without margins: None where it has no model or its price is
    unknown. ``subtotal`` and ``total`` (with margins) are of the others.
    """

    name: str
    models: tuple[str | None, ...]
    prices: Mapping[str, Price]
    bills: tuple[Bill | None, ...]
    subtotal: Bill
    total: Bill
    unknown_calls: int
    unknown_tokens: int

    @property
    def unknown(self) -> list[str]:
        """The models whose price is not known."""
        return [model for model, price in self.prices.items() if not price.known]

    @property
    def known(self) -> bool:
        """Whether anything could be priced: otherwise the total is no figure."""
        return any(bill is not None for bill in self.bills)


@dataclass(frozen=True, slots=True)
class PricedPlan:
    """A plan with its sums: ``subtotal`` without margins, ``total`` tokens with them."""

    plan: Plan
    steps: tuple[PricedStep, ...]
    casts: tuple[PricedCast, ...]
    subtotal: Tokens
    total: int

    @property
    def calls(self) -> int:
        """All calls."""
        return sum(step.calls for step in self.steps)

    @property
    def without_model(self) -> int:
        """Tokens, margins excluded, of the steps that have no model and so no price."""
        return sum(step.tokens.total for step in self.steps if step.step.model is None)


def price_plan(plan: Plan, *, given: Mapping[str, Price] | None = None) -> PricedPlan:
    """The plan's tokens and dollars. Prices: ``given``, then the plan's own, then the table."""
    own = {
        model: Price("given in the plan", match=model, per_million=figures)
        for model, figures in plan.prices.items()
    }
    steps = tuple(_priced_step(step, plan.margin) for step in plan.steps)
    casts = plan.casts
    if not casts and any(step.model is not None for step in plan.steps):
        casts = {"as planned": {}}
    return PricedPlan(
        plan=plan,
        steps=steps,
        casts=tuple(
            _priced_cast(name, players, steps, {**own, **(given or {})})
            for name, players in casts.items()
        ),
        subtotal=sum((step.tokens for step in steps), Tokens()),
        total=sum(step.with_margin for step in steps),
    )


def _priced_step(step: Step, margin: Decimal) -> PricedStep:
    margin = margin if step.margin is None else step.margin
    tokens = _tokens(step)
    return PricedStep(
        step=step,
        calls=step.calls * step.factor,
        tokens=tokens,
        margin=margin,
        with_margin=round(tokens.total * _share(margin)),
    )


def _tokens(step: Step) -> Tokens:
    calls, factor = step.calls, step.factor
    if step.total is not None:
        return Tokens(unsplit=factor * calls * step.total, cached=factor * calls * step.cached)
    numbers = calls * step.first + calls * (calls - 1) // 2  # the sum of i over all calls
    growth = step.growth or Growth(input=0, first=0)
    return Tokens(
        input=factor * (calls * (step.input or 0) + growth.input * numbers),
        output=factor * calls * (step.output or 0),
        cached=factor * (calls * step.cached + growth.cached * numbers),
        reasoning=factor * calls * step.reasoning,
    )


def _share(margin: Decimal) -> Fraction:
    return 1 + Fraction(margin) / 100


def _priced_cast(
    name: str, players: Mapping[str, str], steps: Sequence[PricedStep], given: Mapping[str, Price]
) -> PricedCast:
    models = tuple(players.get(step.step.model or "", step.step.model) for step in steps)
    asked = dict.fromkeys(model for model in models if model is not None)
    prices = {model: price_of(model, given=given) for model in asked}
    bills = tuple(
        None if model is None else _bill(step.step, prices[model])
        for step, model in zip(steps, models, strict=True)
    )
    billed = [(step, bill) for step, bill in zip(steps, bills, strict=True) if bill is not None]
    unknown = [
        step
        for step, model, bill in zip(steps, models, bills, strict=True)
        if bill is None and model is not None
    ]
    return PricedCast(
        name=name,
        models=models,
        prices=prices,
        bills=bills,
        subtotal=sum((bill for _, bill in billed), Bill()),
        total=sum((bill * float(_share(step.margin)) for step, bill in billed), Bill()),
        unknown_calls=sum(step.calls for step in unknown),
        unknown_tokens=sum(step.tokens.total for step in unknown),
    )


def _bill(step: Step, price: Price) -> Bill | None:
    if not price.known:
        return None
    live = _dollars(step, price, batched=False)
    return Bill(live, _dollars(step, price, batched=True) if step.batch else live)


def _dollars(step: Step, price: Price, *, batched: bool) -> Dollars:
    def cost(i: int, *, as_output: bool = False) -> float:
        return price.cost(step.usage(i, as_output=as_output), batched=batched) or 0.0

    if step.total is not None:
        ends = sorted((cost(0), cost(0, as_output=True)))
        return Dollars(*ends) * (step.calls * step.factor)
    if step.growth is None:
        each = cost(0) * step.calls * step.factor
    else:
        each = _summed(cost, step.first, step.first + step.calls - 1) * step.factor
    return Dollars(each, each)


def _summed(cost: Callable[[int], float], first: int, last: int) -> float:
    """Σ cost(i) over first … last, where cost is a straight line except at a model's price tiers.

    Tiers are a vendor's business and go by the length of each single prompt. So the range is
    halved until five points of it lie on one line, and what a line sums to is known: a million
    growing calls take some dozens of look-ups instead of a million.
    """
    count = last - first + 1
    if count <= 8:
        return fsum(cost(i) for i in range(first, last + 1))
    points = [first + (last - first) * quarter // 4 for quarter in range(5)]
    start, *inner, end = [cost(point) for point in points]
    slope = (end - start) / (last - first)
    line = [start + slope * (point - first) for point in points[1:4]]
    if all(abs(a - b) <= 1e-9 * max(start, end) for a, b in zip(inner, line, strict=True)):
        return count * (start + end) / 2
    return _summed(cost, first, points[2]) + _summed(cost, points[2] + 1, last)


# ── side by side ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CastComparison:
    """One cast through all plans; a ratio is None where a price is unknown or there is nothing to pay."""

    name: str
    bills: tuple[Bill, ...]
    live: tuple[Dollars | None, ...]
    batch: tuple[Dollars | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Plans side by side; ``ratios`` are of their tokens with margins, to those of the first."""

    plans: tuple[PricedPlan, ...]
    ratios: tuple[float | None, ...]
    casts: tuple[CastComparison, ...]


def compare(plans: Sequence[PricedPlan]) -> Comparison:
    """Two plans or more against the first, with the casts that all of them have."""
    if len(plans) < 2:
        raise ConfigError("a comparison needs two plans")
    first = plans[0]
    by_name = [{cast.name: cast for cast in plan.casts} for plan in plans]
    shared = [cast.name for cast in first.casts if all(cast.name in casts for casts in by_name)]
    return Comparison(
        plans=tuple(plans),
        ratios=tuple(plan.total / first.total if first.total else None for plan in plans),
        casts=tuple(_compared([casts[name] for casts in by_name]) for name in shared),
    )


def _compared(casts: Sequence[PricedCast]) -> CastComparison:
    first = casts[0]

    def ratio(cast: PricedCast, pick: Callable[[Bill], Dollars]) -> Dollars | None:
        if first.unknown or cast.unknown:
            return None
        return pick(cast.total).over(pick(first.total))

    return CastComparison(
        name=first.name,
        bills=tuple(cast.total for cast in casts),
        live=tuple(ratio(cast, lambda bill: bill.live) for cast in casts),
        batch=tuple(ratio(cast, lambda bill: bill.batch) for cast in casts),
    )
