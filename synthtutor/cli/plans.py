"""What `synthtutor estimate --plan FILE` shows: the plan's arithmetic, then its dollars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from synthtutor.bills import Bill, Comparison, Dollars, PricedCast, PricedPlan, PricedStep
    from synthtutor.plans import Step
    from synthtutor.prices import Price

__all__ = ["comparison_json", "plan_json", "print_comparison", "print_plan"]


def print_plan(console: Console, priced: PricedPlan) -> None:
    """Print how each step's tokens come about, and what each cast costs live and in batches."""
    plan = priced.plan
    _say(console, f"\n{plan.title}", style="bold")
    if plan.about:
        _say(console, f"  {plan.about}")
    rows = [
        (each.step.name, _formula(each.step), _count(each.tokens.total)) for each in priced.steps
    ]
    rows.append(("subtotal", f"{priced.calls:,} calls", _count(priced.subtotal.total)))
    if priced.total != priced.subtotal.total:
        rows.append((_with_margin(priced), "", _count(priced.total)))
    _table(console, [("tokens", "", ""), *rows], left=2)
    for cast in priced.casts:
        _print_cast(console, priced, cast)
    _print_notes(console, priced)


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the plans' totals side by side, as parts of the first one's."""
    plans = comparison.plans
    head = ("side by side", "tokens", "of the first")
    rows = [
        (plan.plan.title, _count(plan.total), "–" if ratio is None else f"{ratio:.1%}")
        for plan, ratio in zip(plans, comparison.ratios, strict=True)
    ]
    _table(console, [head, *rows], left=1)
    for cast in comparison.casts:
        lines = []
        for plan, bill, live, batch in zip(plans, cast.bills, cast.live, cast.batch, strict=True):
            own = next(each for each in plan.casts if each.name == cast.name)
            row = (_total(own, bill.live), _of(live), _total(own, bill.batch), _of(batch))
            lines.append((plan.plan.title, *row))
        head_of_cast = (cast.name, "live", "of the first", "in batches", "of the first")
        _table(console, [head_of_cast, *lines], left=1)


def plan_json(priced: PricedPlan) -> dict[str, Any]:
    """The plan as JSON values: tokens are exact, dollars a low and a high, unknown ones null."""
    plan = priced.plan
    return {
        "title": plan.title,
        "sources": plan.sources,
        "calls": priced.calls,
        "tokens": priced.subtotal.total,
        "tokens_with_margin": priced.total,
        "tokens_without_model": priced.without_model,
        "steps": [_step_json(step) for step in priced.steps],
        "casts": [_cast_json(priced, cast) for cast in priced.casts],
    }


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "plans": [plan_json(plan) for plan in comparison.plans],
        "tokens_ratios": list(comparison.ratios),
        "casts": [
            {
                "name": cast.name,
                "live_ratios": [_range_json(ratio) for ratio in cast.live],
                "batch_ratios": [_range_json(ratio) for ratio in cast.batch],
            }
            for cast in comparison.casts
        ],
    }


# ── lines ────────────────────────────────────────────────────────────────────────────────────


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def _table(console: Console, rows: Sequence[tuple[str, ...]], *, left: int) -> None:
    """Rows below a heading; the first ``left`` columns begin together, the others end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    _say(console, "")
    for row in rows:
        cells = [
            f"{cell:<{width}}" if number < left else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        _say(console, f"  {'  '.join(cells)}".rstrip())


def _print_cast(console: Console, priced: PricedPlan, cast: PricedCast) -> None:
    rows = [(cast.name, "", "live", "in batches")]
    for each, model, bill in zip(priced.steps, cast.models, cast.bills, strict=True):
        if model is not None:
            shown = ("unknown",) * 2 if bill is None else (_money(bill.live), _money(bill.batch))
            rows.append((each.step.name, model, *shown))
    if priced.total != priced.subtotal.total and cast.known:
        rows.append(
            ("subtotal", "", _total(cast, cast.subtotal.live), _total(cast, cast.subtotal.batch))
        )
    label = _with_margin(priced) if priced.total != priced.subtotal.total else "in all"
    rows.append((label, "", _total(cast, cast.total.live), _total(cast, cast.total.batch)))
    _table(console, rows, left=2)
    if cast.unknown:
        _say(
            console,
            f"  not in it: {_count(cast.unknown_tokens)} tokens in {cast.unknown_calls:,} calls of "
            f"unknown price ({', '.join(cast.unknown)}); give prices: {{MODEL: [IN, OUT]}}",
        )


def _print_notes(console: Console, priced: PricedPlan) -> None:
    _say(console, "")
    if priced.without_model and priced.casts:
        _say(
            console,
            f"  without a model, and so without a price: {_count(priced.without_model)} tokens",
        )
    if priced.subtotal.unsplit and priced.casts:
        _say(
            console,
            f"  a range: {_count(priced.subtotal.unsplit)} tokens were only measured as input and "
            "output together; low is all input, high all output",
        )
    prices = {model: price for cast in priced.casts for model, price in cast.prices.items()}
    for source in dict.fromkeys(price.source for price in prices.values() if price.known):
        models = [_match(model, price) for model, price in prices.items() if price.source == source]
        _say(console, f"  prices: {source} for {', '.join(models)}")
    if any(step.step.batch for step in priced.steps) and prices:
        _say(
            console,
            "  in batches: half price, where the vendor has a batch API; within a day, not at once",
        )
    live = [each.step.name for each in priced.steps if each.step.model and not each.step.batch]
    if live:
        _say(console, f"  not in batches, so at the live price in both: {', '.join(live)}")
    for source in priced.plan.sources:
        _say(console, f"  source: {source}")


def _formula(step: Step) -> str:
    """The step's arithmetic as one would write it down."""
    calls = f"{step.calls:,} × " if step.calls > 1 or not step.times else ""
    if step.total is not None:
        each = f"{step.total:,}"
    else:
        grown = f" + {step.growth.input:,}·i" if step.growth else ""
        each = f"({step.input:,}{grown} input + {step.output:,} output)"
    times = "".join(f" × {count:,} {name}" for name, count in step.times.items())
    last = step.first + step.calls - 1
    span = f", i = {step.first} … {last:,}" if step.growth else ""
    cached = f", {step.cached:,} of the input cached" if step.cached else ""
    return f"{calls}{each}{times}{span}{cached}"


def _with_margin(priced: PricedPlan) -> str:
    margins = {step.margin for step in priced.steps}
    return f"with {margins.pop():f} % more" if len(margins) == 1 else "with margins"


def _count(tokens: int) -> str:
    return f"{tokens / 1e6:,.2f} M" if tokens >= 1_000_000 else f"{tokens:,}"


def _money(dollars: Dollars) -> str:
    low, high = _amount(dollars.low), _amount(dollars.high)
    return low if low == high else f"{low} – {high}"


def _amount(dollars: float) -> str:
    if dollars >= 1 or dollars == 0:
        return f"${dollars:,.2f}"
    return f"${dollars:.4f}" if dollars >= 0.0001 else "under $0.0001"


def _total(cast: PricedCast, dollars: Dollars) -> str:
    if not cast.known:
        return "unknown"
    return f"{_money(dollars)}{' + unknown' if cast.unknown else ''}"


def _of(ratio: Dollars | None) -> str:
    if ratio is None:
        return "–"
    low, high = f"{ratio.low:.1%}", f"{ratio.high:.1%}"
    return low if low == high else f"{low} – {high}"


def _match(model: str, price: Price) -> str:
    return model if price.match in ("", model) else f"{model} (as {price.match})"


# ── values ───────────────────────────────────────────────────────────────────────────────────


def _step_json(priced: PricedStep) -> dict[str, Any]:
    tokens = priced.tokens
    split = priced.step.total is None
    return {
        "name": priced.step.name,
        "calls": priced.calls,
        "input_tokens": tokens.input if split else None,
        "cached_tokens": tokens.cached,
        "output_tokens": tokens.output if split else None,
        "reasoning_tokens": tokens.reasoning,
        "tokens": tokens.total,
        "tokens_with_margin": priced.with_margin,
        "margin_percent": float(priced.margin),
    }


def _cast_json(priced: PricedPlan, cast: PricedCast) -> dict[str, Any]:
    return {
        "name": cast.name,
        "steps": [
            {"name": each.step.name, "model": model, "cost_usd": _bill_json(bill)}
            for each, model, bill in zip(priced.steps, cast.models, cast.bills, strict=True)
        ],
        "subtotal_usd": _bill_json(cast.subtotal if cast.known else None),
        "cost_usd": _bill_json(cast.total if cast.known else None),
        "unknown_prices": cast.unknown,
        "unknown_calls": cast.unknown_calls,
        "unknown_tokens": cast.unknown_tokens,
        "prices": {
            model: {"source": price.source, "match": price.match}
            for model, price in cast.prices.items()
        },
    }


def _bill_json(bill: Bill | None) -> dict[str, Any] | None:
    if bill is None:
        return None
    return {"live": _range_json(bill.live), "batch": _range_json(bill.batch)}


def _range_json(dollars: Dollars | None) -> dict[str, float] | None:
    if dollars is None:
        return None
    return {"low": round(dollars.low, 6), "high": round(dollars.high, 6)}
