"""``synthtutor judge``: judge a run's samples again, with another pack or another judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["judge"]


def judge(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    rubric: Annotated[str | None, typer.Option(help="Rubric pack: a name or a YAML file.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The judge: provider/model.")
    ] = None,
    controls: Annotated[int | None, typer.Option(help="Planted-defect controls.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="US dollars, the run's earlier ones included.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Progress and summary as JSON lines.")
    ] = False,
) -> int:
    """Judge a finished run again; only the judging is paid for."""
    from synthtutor.cli.folder import journal_of, saved_config
    from synthtutor.cli.running import execute
    from synthtutor.config import RunConfig
    from synthtutor.runs import find_recipe, models_of

    with journal_of(folder):  # without one, all of the run would be made and paid for
        saved = saved_config(folder)
    fields: dict[str, Any] = saved.model_dump(exclude_unset=True)
    fields["models"] = models_of(saved, find_recipe(saved.recipe))
    if model is not None:
        fields["models"]["judge"] = model.removeprefix("judge=")
    given = {"rubric": rubric, "controls": controls, "budget_usd": budget}
    fields.update({name: value for name, value in given.items() if value is not None})
    config = RunConfig.checked(fields, str(folder / "run.yaml"))
    return execute(config, folder, yes=yes, report=True, as_json=json, argv=sys.argv)
