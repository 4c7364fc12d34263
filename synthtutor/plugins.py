"""Providers, recipes and rubric packs that installed distributions declare by entry point.

Only the one that is named is ever loaded: an SDK that is not used is not imported.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from synthtutor.errors import ConfigError
from synthtutor.provider import Endpoint, Provider

__all__ = ["installed", "load", "open_provider", "split_model"]


def installed(kind: str) -> dict[str, EntryPoint]:
    """What is declared under ``synthtutor.<kind>`` (providers, recipes, rubrics), by name."""
    return {point.name: point for point in entry_points(group=f"synthtutor.{kind}")}


def load(kind: str, name: str) -> Any:
    """The object behind a name. Raises ConfigError naming what there is, and what is alike."""
    points = installed(kind)
    if name not in points:
        singular = kind.removesuffix("s")
        alike = difflib.get_close_matches(name, points, n=1)
        hint = f"; did you mean {alike[0]!r}?" if alike else "."
        known = ", ".join(sorted(points)) or "none"
        install = f' (pip install "synthtutor[{name}]"?)' if kind == "providers" else ""
        raise ConfigError(f"no {singular} {name!r}{hint} Installed: {known}{install}")
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{kind.removesuffix('s')} {name!r} cannot be imported: {error}"
        ) from error


def split_model(model: str) -> tuple[str, str]:
    """``provider/model`` in its two parts. Raises ConfigError where there are not two."""
    provider, slash, name = model.partition("/")
    if not (provider and slash and name):
        raise ConfigError(f"model {model!r}: write provider/model, for example openai/gpt-5-mini")
    return provider, name


def open_provider(name: str, endpoint: Endpoint) -> Provider:
    """A new provider of that name. Close it with ``aclose``."""
    make = cast(Callable[[Endpoint], Provider], load("providers", name))
    provider = make(endpoint)
    if not isinstance(provider, Provider):
        raise ConfigError(f"provider {name!r} lacks complete, capabilities or aclose")
    return provider
