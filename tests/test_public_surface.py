from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages

import pytest

import synthtutor

SURFACE = [
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
HEAVY = ("pydantic", "jinja2", "rich", "typer", "genai_prices", "tenacity", "aiolimiter")
SDKS = ("openai", "anthropic", "google", "httpx", "torch", "transformers", "pyarrow", "datasets")
MODULES = sorted(
    module.name
    for module in walk_packages(synthtutor.__path__, "synthtutor.")
    if not module.name.endswith("__main__")
)


def imported(statement: str, *watched: str) -> set[str]:
    """Which of the watched packages a fresh interpreter has loaded after the statement."""
    script = f"{statement}; import sys; print(*(m for m in {watched!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_public_surface_is_this_list() -> None:
    assert synthtutor.__all__ == SURFACE == dir(synthtutor)
    assert len(SURFACE) <= 12


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(synthtutor, name).__name__ == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Runner'"):
        _ = synthtutor.Runner  # type: ignore[attr-defined]  # that is what is tested


def test_importing_the_package_loads_nothing_that_takes_time() -> None:
    assert imported("import synthtutor", *HEAVY, *SDKS) == set()


def test_importing_the_front_door_loads_no_sdk() -> None:
    assert imported("from synthtutor import run, recipe", *SDKS) == set()


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_is_there_and_is_in_order(name: str) -> None:
    module = import_module(name)
    offered = getattr(module, "__all__", [])
    assert offered == sorted(set(offered), key=lambda o: (not o.isupper(), not o[0].isupper(), o))
    for attribute in offered:
        assert hasattr(module, attribute)
