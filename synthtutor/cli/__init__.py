"""The command line: one file per command, each of which parses, calls and prints."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command named on the command line and exit with its code."""
    from synthtutor.cli.app import run

    sys.exit(run(sys.argv[1:]))
