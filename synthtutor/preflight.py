"""What can be said about a run before anything is spent: its recipe, its rows, its rubric, its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.plugins import load
from synthtutor.prompts import Prompts
from synthtutor.quality.checks import CHECKS
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.rubric import Rubric, load_rubric
from synthtutor.session import Role

__all__ = [
    "check",
    "find_recipe",
    "make_folder",
    "recipe_rows",
    "refuse_endless",
    "refuse_unpriced_budget",
    "rubric_of",
]


def find_recipe(name: str) -> Recipe[Any]:
    """The recipe of that name: an installed one, or ``module:object`` importable from here."""
    if ":" in name:
        from importlib import import_module

        module, _, attribute = name.partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"recipe {name!r}: {error}") from None
    else:
        found = load("recipes", name)
    if not isinstance(found, Recipe):
        raise ConfigError(f"recipe {name!r} is not made by @recipe")
    return found


def check(config: RunConfig, recipe: Recipe[Any]) -> None:
    """Raise ConfigError for a mode, option or role that the recipe lacks, and for an unusable file."""
    if config.mode is not None and config.mode not in recipe.modes:
        known = ", ".join(recipe.modes) or "none"
        raise ConfigError(f"recipe {recipe.name} has no mode {config.mode!r}; its modes: {known}")
    for kind, names in (("option", config.options), ("setting for role", config.settings)):
        allowed = recipe.options if kind == "option" else recipe.roles
        for name in names:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise ConfigError(f"recipe {recipe.name} has no {kind} {name!r}; known: {known}")
    if config.prompts and recipe.function.__module__.startswith("synthtutor."):
        if not Path(config.prompts).is_dir():
            raise ConfigError(f"prompts: {config.prompts} is not a folder")
        Prompts.refuse_idle(Path(config.prompts))
    if config.rows is not None:
        next(iter(recipe_rows(config, recipe).rows), None)  # a file that cannot be read says so now


def recipe_rows(config: RunConfig, recipe: Recipe[Any]) -> Rows[Any]:
    """The recipe's rows: of the user's file, or its own."""
    return recipe.rows(
        RowOptions(
            path=Path(config.rows) if config.rows else None,
            per_seed=config.per_seed,
            mode=config.mode,
            seed=config.seed,
            options=config.options,
        )
    )


def make_folder(folder: Path) -> None:
    """The folder, with those above it. Raises ConfigError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder}: is a file; give another folder with --out") from None
    except OSError as error:
        raise ConfigError(f"{folder}: no folder can be made: {error.strerror}") from None


def refuse_endless(config: RunConfig, recipe: Recipe[Any], roles: Mapping[str, Role]) -> None:
    """Raise ConfigError where nothing would ever end the run."""
    costs = not all(role.capabilities.free for role in roles.values())
    bounds = (config.rows, config.n, config.max_tokens_total, config.budget_usd if costs else None)
    if all(bound is None for bound in bounds) and recipe_rows(config, recipe).total is None:
        raise ConfigError(
            f"recipe {recipe.name} makes rows without end: say how many with -n COUNT, "
            "or how much they may cost with --budget or --max-tokens-total"
        )


def rubric_of(config: RunConfig, recipe: Recipe[Any]) -> Rubric | None:
    """The rubric that the run judges by. Raises ConfigError for a check that does not exist."""
    name = config.rubric or recipe.rubric
    if name is None:
        return None
    rubric = load_rubric(name)
    for criterion in rubric.criteria:
        if criterion.check and criterion.check.partition(":")[0] not in CHECKS:
            known = ", ".join(CHECKS)
            raise ConfigError(
                f"{name}: {criterion.id}: no check {criterion.check!r}; known: {known}"
            )
    return rubric


def refuse_unpriced_budget(config: RunConfig, roles: Mapping[str, Role]) -> None:
    """Raise ConfigError where a budget is given and a price is not known."""
    unknown = sorted({role.model for role in roles.values() if not role.price.known})
    if config.budget_usd is not None and unknown:
        raise ConfigError(
            f"--budget cannot hold: the price of {', '.join(unknown)} is unknown; "
            f"give it with --price {unknown[0]}=IN/OUT (dollars per million tokens)"
        )
