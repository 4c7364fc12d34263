"""``synthtutor export``: write a run's kept samples in a format that another tool loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    format: Annotated[  # noqa: A002  # the word users say
        str,
        typer.Option(
            "--format",
            "-f",
            help="finetune, samples, rejected, parquet, hf-dataset, sharegpt, instruction, "
            "preference or tutor-turns.",
        ),
    ] = "finetune",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File or folder to write.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Export a run's samples; nothing is asked or paid."""
    from synthtutor.cli.folder import journal_of
    from synthtutor.errors import ConfigError
    from synthtutor.export import FORMATS
    from synthtutor.export import export as write
    from synthtutor.outputs import finished

    if format not in FORMATS:
        raise ConfigError(f"no export format {format!r}: choose one of {', '.join(FORMATS)}")
    path = out or folder / FORMATS[format].name
    outcomes = ("rejected", "undetermined", "failed") if format == "rejected" else ("kept",)
    with journal_of(folder) as reading:
        rows = write(finished(reading, outcomes), path, format=format)
    if json:
        import orjson

        typer.echo(orjson.dumps({"path": str(path), "format": format, "rows": rows}).decode())
    else:
        typer.echo(f"{path}: {rows:,} rows")
    return 0
