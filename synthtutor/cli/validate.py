"""``synthtutor validate``: say every fault of a training file, with its line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthtutor.counts import counted

__all__ = ["validate"]


def validate(
    file: Annotated[Path, typer.Argument(help="A .jsonl file.")],
    format: Annotated[  # noqa: A002  # the word users say
        str, typer.Option("--format", "-f", help="openai-chat or preference.")
    ] = "openai-chat",
    most: Annotated[int, typer.Option(min=0, help="How many faults to show [50].")] = 50,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Check a training file. Exit 1 where there are faults."""
    from synthtutor.export.validate import validate as check

    report = check(file, format)  # type: ignore[arg-type]  # an unknown format is a ConfigError
    if json:
        import orjson

        typer.echo(orjson.dumps(report, option=orjson.OPT_NON_STR_KEYS).decode())
        return 0 if report.ok else 1
    for fault in report.faults[:most]:
        typer.echo(str(fault))
    hidden = report.errors + report.warnings - min(most, len(report.faults))
    if hidden > 0:
        typer.echo(f"… and {hidden:,} more")
    verdict = "no faults" if report.ok else counted(report.errors, "fault")
    warnings = f", {counted(report.warnings, 'warning')}" if report.warnings else ""
    typer.echo(f"{file}: {counted(report.lines, 'line')}, {verdict}{warnings}")
    return 0 if report.ok else 1
