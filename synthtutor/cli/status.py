"""``synthtutor status``: what a run has made and what it has cost, also while it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["status"]


def status(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Show a run: samples, reasons, tokens and money. Exit 3 where work is left."""
    from synthtutor.cli.folder import journal_of, saved_config, summary_of

    with journal_of(folder) as reading:
        summary = summary_of(reading, saved_config(folder))
        batches = [batch for batch in reading.batches() if batch["state"] != "ended"]
    if json:
        import orjson

        found = {**summary.to_dict(), "batches": batches}
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
