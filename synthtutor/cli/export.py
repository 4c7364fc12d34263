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
            "preference, tutor-turns, grading, k12, tagged or labels.",
        ),
    ] = "finetune",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File or folder to write.")
    ] = None,
    no_ratings: Annotated[
        bool, typer.Option("--no-ratings", help="Leave out what people said in ratings.jsonl.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Export a run's samples; nothing is asked or paid."""
    from synthtutor.cli.folder import journal_of
    from synthtutor.errors import ConfigError
    from synthtutor.export import FORMATS
    from synthtutor.export import export as write
    from synthtutor.export.card import write_card
    from synthtutor.export.destination import refuse_own
    from synthtutor.outputs import exported
    from synthtutor.ratings import FILE, Ratings, Tally
    from synthtutor.report.provenance import Export, Trail, card_of

    if format not in FORMATS:
        raise ConfigError(f"no export format {format!r}: choose one of {', '.join(FORMATS)}")
    path = out or folder / FORMATS[format].name
    trail = Trail()
    ratings, tally = None if no_ratings else Ratings(folder / FILE), Tally()
    refuse_own(path)
    kept = {"rejected": False, "labels": None}.get(format, True)
    with journal_of(folder) as reading:
        if format == "labels" and not ratings:
            raise ConfigError(f"{folder}: labels are what people said; nobody has rated a sample")
        samples = trail.through(exported(reading, ratings, kept=kept, tally=tally))
        rows = write(samples, path, format=format)
        written = Export(path, format, rows, str(tally))
        card = write_card(card_of(reading, folder, written, trail), path)
    if json:
        from dataclasses import asdict

        import orjson

        found = {"path": str(path), "format": format, "rows": rows, "people": asdict(tally)}
        typer.echo(orjson.dumps({**found, "card": str(card)}).decode())
        return 0
    typer.echo(f"{path}: {rows:,} rows, described in {card}")
    if ratings and kept is not None:
        typer.echo(f"  people: {tally or 'nothing against the judge'} ({FILE})")
    if ratings and ratings.skipped:
        typer.echo(f"  {FILE}: {ratings.skipped:,} lines cannot be read and do not count")
    return 0
