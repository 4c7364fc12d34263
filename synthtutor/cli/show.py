"""``synthtutor recipes|rubrics``: what is installed, and one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Json", "Name", "recipes", "rubrics", "say", "table"]

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Name = Annotated[str, typer.Argument(help="Its name.")]

recipes = typer.Typer(help="List the recipes, or show one.", invoke_without_command=True)
rubrics = typer.Typer(
    help="List, show, check and convert rubric packs.", invoke_without_command=True
)


def say(value: object, as_json: bool, lines: Sequence[str]) -> None:
    """Print the value as JSON, or the lines."""
    if as_json:
        import orjson

        typer.echo(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode())
    else:
        typer.echo("\n".join(lines))


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A line for each row, its columns below one another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


@recipes.callback()
def _recipes(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_recipes(False)


@recipes.command("list")
def list_recipes(json: Json = False) -> int:
    """List the installed recipes."""
    from synthtutor.plugins import installed
    from synthtutor.runs import find_recipe

    pairs = [(name, find_recipe(name).summary) for name in sorted(installed("recipes"))]
    say(dict(pairs), json, table(pairs))
    return 0


@recipes.command("show")
def show_recipe(name: Name, json: Json = False) -> int:
    """Show a recipe: its roles, rubric, modes, options and prompts."""
    from synthtutor.prompts import BUILTIN
    from synthtutor.runs import find_recipe

    found = find_recipe(name)
    root = BUILTIN if found.prompts is None else found.prompts
    own = root / found.name
    own = own if own.is_dir() else root / found.name.replace("-", "_")
    names = [path.name for path in own.iterdir()] if own.is_dir() else []
    value: dict[str, Any] = {
        "name": found.name,
        "summary": found.summary,
        "roles": list(found.roles),
        "rubric": found.rubric,
        "modes": list(found.modes),
        "options": dict(found.options),
        "prompts": sorted(f"{own.name}/{name}" for name in names if name.endswith(".j2")),
    }
    lines = table([(key, _joined(entry)) for key, entry in value.items() if entry])
    if value["prompts"]:
        lines.append(
            f"\nprompts are in {own}; copy one into a folder of yours and give --prompts FOLDER"
        )
    say(value, json, lines)
    return 0


def _joined(entry: object) -> str:
    if isinstance(entry, dict):
        return "; ".join(f"{name}: {what}" for name, what in entry.items())
    return ", ".join(map(str, entry)) if isinstance(entry, list) else str(entry)


@rubrics.callback()
def _rubrics(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_rubrics(False)


@rubrics.command("list")
def list_rubrics(json: Json = False) -> int:
    """List the rubric packs."""
    from synthtutor.rubric import builtin_packs, load_rubric

    pairs = [(name, load_rubric(name).about or "") for name in builtin_packs()]
    say(dict(pairs), json, table(pairs))
    return 0


@rubrics.command("show")
def show_rubric(name: Name, json: Json = False) -> int:
    """Show a pack: its rule and each criterion with its weight."""
    from synthtutor.rubric import load_rubric

    rubric = load_rubric(name)
    lines = [
        f"{rubric.id} version {rubric.version}: {rubric.about}",
        f"keep if {rubric.scoring.keep_if}",
        "",
    ]
    lines += [f"{c.weight:+d}  {c.id}: {c.text}" for c in rubric.criteria]
    say(rubric.model_dump(mode="json"), json, lines)
    return 0


@rubrics.command("lint")
def lint_rubric(name: Name, json: Json = False) -> int:
    """Check a pack's wording and balance. Exit 1 where something is found."""
    from synthtutor.lint import lint
    from synthtutor.rubric import load_rubric

    faults = [str(fault) for fault in lint(load_rubric(name))]
    say(faults, json, faults or [f"{name}: nothing found"])
    return 1 if faults else 0


@rubrics.command("import")
def import_rubric(
    file: Annotated[Path, typer.Argument(help="A TutorBench-style RUBRICS JSON file.")],
) -> int:
    """Print the criteria of a RUBRICS JSON file as the criteria of a pack, in YAML."""
    import yaml

    from synthtutor.errors import ConfigError, RubricError
    from synthtutor.tutorbench import from_tutorbench

    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    try:
        found = from_tutorbench(text)
    except RubricError as error:
        raise ConfigError(f"{file}: {str(error).removeprefix('tutorbench: ')}") from None
    criteria = [c.model_dump(mode="json", exclude_defaults=True) for c in found]
    typer.echo(yaml.safe_dump({"criteria": criteria}, sort_keys=False, allow_unicode=True))
    return 0


@rubrics.command("export")
def export_rubric(name: Name) -> int:
    """Print a pack as TutorBench-style RUBRICS JSON."""
    import orjson

    from synthtutor.rubric import load_rubric
    from synthtutor.tutorbench import to_tutorbench

    value = to_tutorbench(load_rubric(name).criteria)
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    return 0
