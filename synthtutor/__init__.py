"""Training data for AI tutors. A recipe is an async function; every model call it makes is journaled.

What a recipe's author needs is here; everything else is addressed by its module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthtutor.api import Result, arun, run, running
    from synthtutor.errors import SynthtutorError
    from synthtutor.messages import Message, Settings
    from synthtutor.recipes.recipe import Recipe, recipe
    from synthtutor.rubric import load_rubric
    from synthtutor.session import Session
    from synthtutor.tutoring import Sample

__all__ = [
    "Message",
    "Recipe",
    "Result",
    "Sample",
    "Session",
    "Settings",
    "SynthtutorError",
    "arun",
    "load_rubric",
    "recipe",
    "run",
    "running",
]

_HOMES = {
    "Message": "messages",
    "Recipe": "recipes.recipe",
    "Result": "api",
    "Sample": "tutoring",
    "Session": "session",
    "Settings": "messages",
    "SynthtutorError": "errors",
    "arun": "api",
    "load_rubric": "rubric",
    "recipe": "recipes.recipe",
    "run": "api",
    "running": "api",
}


if not TYPE_CHECKING:  # or a type checker would believe in every name

    def __getattr__(name: str) -> Any:
        # Loaded when first used, so that importing the package costs milliseconds.
        if name not in _HOMES:
            raise AttributeError(f"module 'synthtutor' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"synthtutor.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
