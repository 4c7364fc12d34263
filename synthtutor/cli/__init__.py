"""The command line: one file per command, each of which parses, calls and prints."""

from __future__ import annotations

import atexit
import codecs
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

__all__ = ["main"]


def main() -> None:
    """Run the command named on the command line and exit with its code."""
    _make_streams_safe()
    try:
        from synthtutor.cli.app import run

        sys.path.append(str(Path.cwd()))  # a recipe of one's own is given as module:object
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were still being loaded
        code = 3
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: another Ctrl-C ends nothing sooner
    _leave(code)


def _make_streams_safe() -> None:
    """Let every character out, and give the process the three streams that it expects to have.

    A character that the terminal's encoding lacks is written as JSON would write it. A service or
    a cron job may start without streams: the first files that are opened would take their places.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    codecs.register_error("json-escape", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="json-escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  # it is registered for writing
    text = error.object[error.start : error.end]
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[n : n + 4]}" for n in range(0, len(units), 4)), error.end


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
