"""An estimate as people read it: the bill first, then what it is made of and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from synthtutor.counts import money

if TYPE_CHECKING:
    from synthtutor.estimates import Estimate, Range, Stage

__all__ = ["headline", "print_estimate"]


def headline(found: Estimate) -> str:
    """One line: rows, calls, tokens, dollars."""
    rows = f"{found.rows:,} rows" + (
        f" of {found.all_rows:,}" if found.rows < found.all_rows else ""
    )
    return (
        f"{rows} · {_count(found.calls)} calls · {_count(found.tokens.expected)} tokens · "
        f"{_dollars(found)}"
    )


def print_estimate(console: Console, found: Estimate) -> None:
    """Print it."""

    def say(text: str = "", style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    say(f"estimate: {headline(found)}", "bold")
    if found.paid_usd:
        say(f"  paid already: {money(found.paid_usd)}")
    if found.batch_usd.expected < found.cost_usd.expected:
        say(f"  in batches: {_range(found.batch_usd)}")
    if found.seconds:
        say(f"  time: about {_time(found.seconds)}, bound by {found.binding}")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("", "calls", "input", "cached", "output", "thought", "dollars"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for stage in found.stages:
        table.add_row(*_row(stage))
    total = found.total()
    table.add_row(
        "total",
        *map(
            _count,
            (total.calls, total.input_tokens, total.cache_read_tokens, total.output_tokens),
        ),
        _count(total.reasoning_tokens),
        _known(found),
        style="bold",
    )
    console.print(table)
    bases = sorted({stage.basis for stage in found.stages})
    say(f"  lengths of replies: {', '.join(bases)}")
    if found.enough and found.enough > found.all_rows - found.rows:
        say(
            f"  {found.enough:,} rows made would bring that within {100 * found.near:g} %: --within {100 * found.near:g}"
        )
    for model, how in found.counting.items():
        costs = [stage.cost_usd for stage in found.stages if stage.model == model]
        cost = "unknown" if None in costs else money(sum(c.expected for c in costs if c))
        price = found.prices.get(model, "unknown")
        say(f"  {model}: {cost}; prompts by {how}; price: {price}")
    for what, dollars in found.savings[:5]:
        verb = "would save" if dollars >= 0 else "would cost"
        say(f"  {what} {verb} {money(abs(dollars))}{'' if dollars >= 0 else ' more'}")


def _row(stage: Stage) -> tuple[str, ...]:
    kind = "" if stage.kind == "sample" else f" ({stage.kind}s)"
    figures = stage.figures
    return (
        f"{stage.role}{kind}, {stage.stage.rpartition('/')[2].partition('.')[0]}",
        _count(figures.calls),
        _count(figures.input_tokens),
        _count(figures.cache_read_tokens),
        _count(figures.output_tokens),
        _count(figures.reasoning_tokens),
        "unknown" if stage.cost_usd is None else money(stage.cost_usd.expected),
    )


def _known(found: Estimate) -> str:
    if not found.unpriced_calls:
        return money(found.cost_usd.expected)
    known = f"{money(found.cost_usd.expected)} + " if found.cost_usd.expected else ""
    return f"{known}unknown"


def _dollars(found: Estimate) -> str:
    if found.unpriced_calls and not found.cost_usd.expected:
        return "price unknown"
    more = f" + {found.unpriced_calls:,.0f} calls of unknown price" if found.unpriced_calls else ""
    return f"{_range(found.cost_usd)}{more}"


def _range(dollars: Range) -> str:
    if not dollars.expected:
        return "$0.00"
    return f"{money(dollars.expected)} ({money(dollars.low)} to {money(dollars.high)})"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _time(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
