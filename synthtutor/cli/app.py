"""All commands, and what every one of them shares: exit codes, one line for each error.

Exit codes: 0 done · 1 faults found · 2 wrong use or configuration · 3 stopped with work left (run
it again) · 4 more rows failed than allowed · 5 more expected to be paid than --max-cost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from synthtutor.cli.calibrate import calibrate
from synthtutor.cli.compare import compare
from synthtutor.cli.estimate import estimate
from synthtutor.cli.evaluate import evaluate
from synthtutor.cli.export import export
from synthtutor.cli.generate import generate
from synthtutor.cli.judge import judge
from synthtutor.cli.models import models
from synthtutor.cli.predict import predict
from synthtutor.cli.providers import providers
from synthtutor.cli.report import report
from synthtutor.cli.show import recipes, rubrics
from synthtutor.cli.status import status
from synthtutor.cli.train import train
from synthtutor.cli.validate import validate
from synthtutor.cli.view import view
from synthtutor.errors import JournalError, SynthtutorError

__all__ = ["app", "run"]

_CTRL_C = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    name="synthtutor",
    help="Training data for AI tutors: generated, judged, priced and exported.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(generate)
app.command("estimate")(estimate)
app.command()(status)
app.command()(report)
app.command()(judge)
app.command()(calibrate)
app.command("predict")(predict)
app.command("evaluate")(evaluate)
app.command("compare")(compare)
app.command()(export)
app.command()(validate)
app.command()(view)
app.add_typer(recipes, name="recipes")
app.add_typer(providers, name="providers")
app.add_typer(rubrics, name="rubrics")
app.add_typer(models, name="models")
app.add_typer(train, name="train")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"synthtutor {version('synthtutor')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Training data for AI tutors: generated, judged, priced and exported."""


def run(arguments: Sequence[str]) -> int:
    """The command's exit code; errors are one line on stderr, never a traceback."""
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    try:
        code = app(list(arguments), standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 3
    except BrokenPipeError:  # the reader of a pipe has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit:  # what typer and rich make of the same
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"synthtutor: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 2
    except typer.TyperException as error:
        show = getattr(error, "show", None)  # usage errors know how to show their usage
        if show is not None:
            show()
        else:
            print(f"synthtutor: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except JournalError as error:
        print(f"synthtutor: {error}", file=sys.stderr)  # noqa: T201
        return 3 if "nothing more is asked" in str(error) else 2
    except SynthtutorError as error:
        print(f"synthtutor: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if code == _CTRL_C:
        print("synthtutor: interrupted", file=sys.stderr)  # noqa: T201
        return 3
    return code if isinstance(code, int) else 0
