"""How long the first answer takes: ``--help``, importing the package, importing each command."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from measuring import heading, median_of, options, table, verdict

_GOAL_S = 0.3


def _seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    times = 3 if asked.quick else 10
    heading(f"Start-up, medians of {times}")
    python = sys.executable
    bare = median_of(times, lambda: _seconds(python, "-c", "pass"))
    help_s = median_of(times, lambda: _seconds(python, "-m", "synthtutor", "--help"))
    command = str(Path(python).with_name("synthtutor"))
    installed_s = median_of(times, lambda: _seconds(command, "--help"))
    lines: list[tuple[object, ...]] = [("python -c pass", bare * 1e3, 1.0, "–", "")]
    for name, found in (("synthtutor --help", installed_s), ("python -m synthtutor --help", help_s)):
        lines.append((name, found * 1e3, found / bare, _GOAL_S * 1e3, verdict(found < _GOAL_S)))
    spec = find_spec("synthtutor.cli")
    assert spec is not None
    commands = sorted(m.name for m in iter_modules(spec.submodule_search_locations))
    for module in ("synthtutor", *(f"synthtutor.cli.{name}" for name in commands)):
        found = median_of(times, lambda m=module: _seconds(python, "-c", f"import {m}"))
        lines.append((f"import {module}", found * 1e3, found / bare, "–", ""))
    table(("", "ms", "× python", "goal", ""), lines)


if __name__ == "__main__":
    main()
