"""What a run shows while it goes: a live table, plain lines when piped, or JSON lines.

Everything is read from the run's own counters a few times a second; nothing is drawn per row.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from rich.console import Console
from rich.live import Live as RichLive

from synthtutor.cli.board import board, duration, in_batches, spent
from synthtutor.cli.summary import print_account, print_summary
from synthtutor.counts import counted

if TYPE_CHECKING:
    from synthtutor.errors import SynthtutorError
    from synthtutor.estimates import Estimate
    from synthtutor.runs import Live, Outcome, Preview

__all__ = ["Display", "display_for"]

Now = Callable[[], "dict[str, Any]"]


def display_for(*, as_json: bool, stderr: bool = False) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonDisplay()
    console = _Console(stderr=stderr)
    return TerminalDisplay(console) if console.is_terminal else Display(console)


class Display:
    """Plain lines, every few seconds and only when something has changed."""

    every_s = 5.0

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown: object = None
        self._warned = ""

    @contextmanager
    def showing(self, now: Now) -> Iterator[None]:
        """Show the run's counters for as long as it goes."""
        ended = threading.Event()
        started = time.monotonic()

        def tell() -> None:
            while not ended.wait(self.every_s if time.monotonic() - started > 2 else 1.0):
                self.tick(now())

        teller = threading.Thread(target=tell, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()
            self.tick(now())

    def tick(self, now: dict[str, Any]) -> None:
        """Show what has changed since the last time."""
        changed = (now["rows"], now["calls"], now["in_flight"], now["warning"])
        if changed != self._shown:
            self._shown = changed
            self.show(now)

    def show(self, now: dict[str, Any]) -> None:
        """One state of the run."""
        of = f" of {now['total']:,}" if now["total"] else ""
        eta = f" · about {duration(now['eta_s'])} left" if now["eta_s"] else ""
        failed = f" · {now['failed']} failed" if now["failed"] else ""
        flying = ""
        if now["in_flight"] is not None:
            flying = f" · {counted(now['in_flight'], 'call')} in flight{in_batches(now)}"
        self.console.print(
            f"{duration(now['seconds'])} · {now['rows']:,}{of} rows · {now['kept']:,} kept{failed}"
            f"{flying} · {counted(now['calls'], 'call')} answered · "
            f"{now['input_tokens'] + now['output_tokens']:,} tokens · {spent(now)}{eta}",
            highlight=False,
            soft_wrap=True,
        )
        if now["warning"] not in ("", self._warned):
            self._warned = now["warning"]
            self.note(f"  warning: {self._warned}")

    def note(self, text: str) -> None:
        """A line for people."""
        with _though_unread(sys.stderr):
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def expecting(self, expected: Estimate) -> None:
        """What the run will take, before it starts."""
        from synthtutor.cli.bill import headline

        self.console.print(f"estimate: {headline(expected)}", highlight=False, soft_wrap=True)

    def resuming(self, live: Live, changes: list[str], preview: Preview) -> None:
        """What an existing run's folder holds, and what a change would cost."""
        self.note(f"{live.folder}: resuming; {live.meter.calls:,} calls are journaled")
        for change in changes:
            self.note(f"  changed: {change}")
        if preview.paying_again:
            self.note(
                f"  {preview.paying_again:,} finished samples (of the first {preview.most:,} rows) "
                "would ask at least one call again"
            )

    def ask(self, question: str) -> bool:
        """Ask a person."""
        return self.console.input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def summary(self, outcome: Outcome, folder: Path, *, samples: bool = True) -> None:
        """How it ended; without ``samples`` the run was not made for them."""
        if samples:
            print_summary(self.console, outcome.summary, folder, outcome.validation)
        else:
            print_account(self.console, outcome.summary, folder)

    def stopped(self, reason: str, command: str) -> None:
        """Why there is work left, and how to go on."""
        self.note(f"stopped: {reason}\nto go on where it stopped:\n  {command}")

    def failed(self, error: SynthtutorError) -> None:
        """Say what stopped the run; here the caller prints it, as for every command."""


class TerminalDisplay(Display):
    """A table that redraws itself four times a second."""

    @contextmanager
    def showing(self, now: Now) -> Iterator[None]:
        """Show the run's counters for as long as it goes."""
        with RichLive(
            get_renderable=lambda: board(now()),
            console=self.console,
            refresh_per_second=4,
            transient=True,
        ):
            yield


class JsonDisplay(Display):
    """One JSON object a line, for scripts: ``{"event": "progress" | "summary" | …}``."""

    def __init__(self) -> None:
        super().__init__(Console())

    def expecting(self, expected: Estimate) -> None:
        """What the run will take, before it starts."""
        _line({"event": "estimate", **expected.to_dict()})

    def show(self, now: dict[str, Any]) -> None:
        """One state of the run."""
        _line({"event": "progress", **now})

    def resuming(self, live: Live, changes: list[str], preview: Preview) -> None:
        """What an existing run's folder holds."""
        _line(
            {
                "event": "resuming",
                "calls": live.meter.calls,
                "changes": changes,
                "paying_again": preview.paying_again,
            }
        )

    def summary(self, outcome: Outcome, folder: Path, *, samples: bool = True) -> None:  # noqa: ARG002  # a script takes what it wants
        """How it ended."""
        valid = {"ok": outcome.validation.ok, "faults": list(map(str, outcome.validation.faults))}
        summary = outcome.summary.to_dict()
        _line({"event": "summary", "folder": str(folder), **summary, "finetune_valid": valid})

    def stopped(self, reason: str, command: str) -> None:
        """Why there is work left."""
        _line({"event": "stopped", "reason": reason, "resume": command})

    def failed(self, error: SynthtutorError) -> None:
        """What stopped the run."""
        _line({"event": "error", "error": str(error), "kind": type(error).__name__})


def _line(value: dict[str, Any]) -> None:
    with _though_unread(sys.stdout):
        sys.stdout.write(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
        sys.stdout.flush()


@contextmanager
def _though_unread(stream: TextIO) -> Iterator[None]:
    """A run goes on when whoever read what it says has had enough, as `head` has."""
    try:
        yield
    except BrokenPipeError:
        _to_nobody(stream)


def _to_nobody(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on; Rich itself would end the process."""
        self.quiet = True
        _to_nobody(sys.stdout)
