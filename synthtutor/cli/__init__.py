"""The command line: one file per command, each of which parses, calls and prints."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run the command named on the command line and exit with its code."""
    from synthtutor.cli.app import run

    sys.path.append(str(Path.cwd()))  # a recipe of one's own is given as module:object
    _leave(run(sys.argv[1:]))


def _leave(code: int) -> NoReturn:
    """End the process.

    A call that was given up may still be answered, and reqwest's thread would then abort a process
    whose interpreter is being taken down. So that is left out where reqwest was at work.
    """
    if "pyreqwest" not in sys.modules:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code)
