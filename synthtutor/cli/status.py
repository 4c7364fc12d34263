"""``synthtutor status``: what a run has made and what it has cost, also while it goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from synthtutor.reading import Reading

__all__ = ["status"]

_EVERY_S = 0.5
_QUIET_S = 60.0  # a run that leaves no counters (made in Python) and so long no reply is over


def status(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the run until it ends, then show it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Show a run: samples, reasons, tokens and money. Exit 3 where work is left."""
    from synthtutor.cli.folder import journal_of, saved_config, summary_of

    if watch:
        _watched(folder, as_json=json)
    with journal_of(folder) as reading:
        summary = summary_of(reading, saved_config(folder))
        batches = [batch for batch in reading.batches() if batch["state"] != "ended"]
    if json:
        import orjson

        event = {"event": "status"} if watch else {}
        found = {**event, **summary.to_dict(), "batches": batches}
        typer.echo(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        from rich.console import Console

        from synthtutor.cli.summary import print_summary

        print_summary(Console(), summary, folder)
        for batch in batches:
            where = batch["vendor_id"] or "being submitted"
            typer.echo(f"batch at {batch['model']}: {batch['calls']:,} calls, {where}")
        if not summary.complete:
            typer.echo(
                f"not complete; to go on: synthtutor generate {folder / 'run.yaml'} --out {folder}"
            )
    return 0 if summary.complete else 3


def _watched(folder: Path, *, as_json: bool) -> None:
    """Show the run for as long as it goes."""
    from synthtutor.cli.board import FILE, published
    from synthtutor.cli.display import display_for
    from synthtutor.cli.folder import journal_of

    with (
        journal_of(folder) as reading,
        display_for(as_json=as_json).showing(lambda: published(folder) or _journaled(reading)),
    ):
        while published(folder) is not None or _goes_on(reading, folder / FILE):
            time.sleep(_EVERY_S)


def _goes_on(reading: Reading, left: Path) -> bool:
    """Whether a run that leaves no counters looks as if it went on; old ones are a killed run's."""
    last = reading.last_pass()
    if left.exists() or last is None or last["complete"] or last["seconds"]:
        return False
    return time.time() - (reading.latest_at() or last["at"]) < _QUIET_S


def _journaled(reading: Reading) -> dict[str, Any]:
    """The counters as far as the journal knows them."""
    outcomes, last = reading.outcomes(), reading.last_pass()
    calls, usage, dollars, unpriced = reading.totals()
    noted, rows = reading.noted("estimate"), reading.noted("rows")
    known = {name: outcomes.get(name, 0) for name in ("kept", "rejected", "undetermined", "failed")}
    began = last["at"] if last else time.time()
    made = sum(known.values())
    unknown = dict.fromkeys(("in_flight", "eta_s"))
    nothing = dict.fromkeys(("replayed", "retries", "rate_limited", "batches", "in_batches"), 0)
    return {
        "rows": made,
        "total": rows if rows and rows >= made else None,  # as an earlier session found them
        **known,
        "calls": calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": round(dollars, 6),
        "expected_usd": noted["expected_usd"] if noted else None,
        "unpriced_calls": unpriced,
        "seconds": round((reading.latest_at() or began) - began, 1),
        **unknown,
        **nothing,
        "latest": "",
        "warning": "",
        "warnings": [],
    }
