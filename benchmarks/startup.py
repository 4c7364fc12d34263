"""How long the first answer takes: ``--help``, importing the package, importing each command."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from measuring import heading, middle_of, of_command, options, table, verdict

_GOAL_S = 0.3


def _commands() -> dict[str, tuple[str, ...]]:
    """What is started, by the name it has in the table."""
    python = sys.executable
    found: dict[str, tuple[str, ...]] = {
        "python -c pass": (python, "-c", "pass"),
        "synthtutor --help": (str(Path(python).with_name("synthtutor")), "--help"),
        "python -m synthtutor --help": (python, "-m", "synthtutor", "--help"),
    }
    spec = find_spec("synthtutor.cli")
    assert spec is not None
    names = sorted(module.name for module in iter_modules(spec.submodule_search_locations))
    for module in ("synthtutor", *(f"synthtutor.cli.{name}" for name in names)):
        found[f"import {module}"] = (python, "-c", f"import {module}")
    return found


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    times = 1 if asked.quick else 10
    heading(f"Start-up, medians of {times}")
    lines: list[tuple[object, ...]] = []
    bare = 0.0
    for name, command in _commands().items():
        spent = middle_of(times, partial(of_command, *command))
        bare = bare or spent.seconds
        goal = (_GOAL_S * 1e3, verdict(spent.seconds < _GOAL_S)) if "--help" in name else ("–", "")
        lines.append((name, spent.seconds * 1e3, spent.cpu_s * 1e3, spent.seconds / bare, *goal))
    table(("", "ms", "CPU ms", "× bare python", "goal", ""), lines)


if __name__ == "__main__":
    main()
