"""``synthtutor report``: a run as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synthtutor.runs import Outcome

__all__ = ["report", "reported"]

_MOST_SAMPLES = 20_000  # beyond, it takes more than a few seconds: then on demand only


def report(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write [FOLDER/report.html].")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Write a run's report.html, which opens from disk; nothing is asked or paid."""
    from synthtutor.cli.folder import legible
    from synthtutor.export.destination import refuse_own
    from synthtutor.report import write_report

    if out is not None:
        refuse_own(out)
    with legible(folder):
        path = write_report(folder, out)
    size = path.stat().st_size
    if json:
        import orjson

        typer.echo(orjson.dumps({"path": str(path), "bytes": size}).decode())
    else:
        typer.echo(f"{path}: {size / 1000:,.0f} kB")
    if open_it:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())
    return 0


def reported(outcome: Outcome, folder: Path) -> str | None:
    """Write the report of a run that has just ended; what to tell its user where it was not written.

    Whatever goes wrong here is told in a line: a run never fails for its report.
    """
    from importlib.util import find_spec

    if outcome.reason == "interrupted":
        return None
    if find_spec("vl_convert") is None:
        return (
            f'for a page to look at: pip install "synthtutor[report]"; synthtutor report {folder}'
        )
    if outcome.summary.made > _MOST_SAMPLES:
        return f"for a page to look at: synthtutor report {folder}"
    try:
        from synthtutor.report import write_report

        write_report(folder)
    except Exception as error:  # the run is whole without its page
        return (
            f"report.html was not written: {' '.join(str(error).split()) or type(error).__name__}"
        )
    return None
