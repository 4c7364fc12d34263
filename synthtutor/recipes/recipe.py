"""What the library knows of a recipe besides its function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from synthtutor.session import Session
from synthtutor.sources import BadRow, read_rows
from synthtutor.tutoring import Sample

__all__ = ["Recipe", "RowOptions", "Rows", "recipe"]

Row = TypeVar("Row")
RecipeFunction = Callable[[Session, Row], Awaitable[Sample]]


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What the run's user said about rows; each recipe decides what it means.

    ``path`` is the file they come from (None: the recipe's own), ``per_seed`` how many variations
    of each, ``mode`` and ``options`` are the recipe's, ``seed`` is the run's.
    """

    path: Path | None = None
    per_seed: int | None = None
    mode: str | None = None
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """Rows to run, read when they are needed; ``total`` is their number where it is known."""

    rows: Iterable[Row | BadRow]
    total: int | None = None


def rows_of_file(options: RowOptions) -> Rows[dict[str, Any]]:
    """The default: each record of the file is a row."""
    if options.path is None:
        from synthtutor.errors import ConfigError

        raise ConfigError("this recipe has no rows of its own: give --rows FILE")
    return Rows(read_rows(options.path))


@dataclass(frozen=True, slots=True)
class Recipe(Generic[Row]):
    """An async function from a session and a row to a sample, with what it needs.

    ``roles`` are the roles it asks; ``rubric`` the pack it judges by; ``chat_roles`` the exact
    roles of its fine-tuning rows where they are fixed; ``cells`` how many attribute cells its
    rows can fill; ``modes`` the values of ``--mode``, the first being the default.
    ``output_tokens`` declares how long a reply to each prompt usually is, and ``odds`` how often
    (0 to 1) one says yes in the field of that name, or gives a field one value
    (``"idea=dropped"``), where that decides what is asked next: for estimates made before there
    are any replies. ``across`` looks at all finished samples when a run ends, in the order of
    their rows, and gives each back, with another outcome and reasons where it looks wrong beside
    the others. ``prompts`` is the folder of the recipe's own templates, named by their paths in it.
    """

    name: str
    function: RecipeFunction[Row]
    rows: Callable[[RowOptions], Rows[Row]]
    summary: str = ""
    roles: tuple[str, ...] = ("writer",)
    rubric: str | None = None
    chat_roles: tuple[str, ...] | None = None
    cells: int | None = None
    modes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    output_tokens: Mapping[str, float] = field(default_factory=dict)
    odds: Mapping[str, float] = field(default_factory=dict)
    across: Callable[[Iterable[dict[str, Any]]], Iterable[dict[str, Any]]] | None = None
    prompts: Traversable | None = None


@overload
def recipe(function: RecipeFunction[Row], /) -> Recipe[Row]: ...
@overload
def recipe(
    *,
    name: str | None = None,
    roles: tuple[str, ...] = ("writer",),
    rubric: str | None = None,
    chat_roles: tuple[str, ...] | None = None,
    output_tokens: Mapping[str, float] | None = None,
    odds: Mapping[str, float] | None = None,
    prompts: Traversable | None = None,
) -> Callable[[RecipeFunction[Row]], Recipe[Row]]: ...
def recipe(
    function: RecipeFunction[Any] | None = None,
    /,
    *,
    name: str | None = None,
    roles: tuple[str, ...] = ("writer",),
    rubric: str | None = None,
    chat_roles: tuple[str, ...] | None = None,
    output_tokens: Mapping[str, float] | None = None,
    odds: Mapping[str, float] | None = None,
    prompts: Traversable | None = None,
) -> Any:
    """Turn an async function ``(session, row) -> Sample`` into a recipe, bare or with arguments.

    Its rows are the records of a file, or whatever is passed to ``run(rows=…)``.
    """

    def make(function: RecipeFunction[Any]) -> Recipe[Any]:
        return Recipe(
            name=name or function.__name__,
            function=function,
            rows=rows_of_file,
            summary=(function.__doc__ or "").strip().partition("\n")[0],
            roles=roles,
            rubric=rubric,
            chat_roles=chat_roles,
            output_tokens=output_tokens or {},
            odds=odds or {},
            prompts=prompts,
        )

    return make if function is None else make(function)
