"""The command line: one file per command, each of which parses, calls and prints."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["main"]


def main() -> None:
    """Run the command named on the command line and exit with its code."""
    from synthtutor.cli.app import run

    sys.path.append(str(Path.cwd()))  # a recipe of one's own is given as module:object
    sys.exit(run(sys.argv[1:]))
