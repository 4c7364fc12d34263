"""What a run shows while it goes: a live table, plain lines when piped, or JSON lines.

Everything is read from the run's own counters a few times a second; nothing is drawn per row.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from synthtutor.cli.summary import money, print_summary

if TYPE_CHECKING:
    from synthtutor.errors import SynthtutorError
    from synthtutor.estimates import Estimate
    from synthtutor.runs import Live, Outcome, Preview

__all__ = ["Display", "display_for"]


def display_for(*, as_json: bool) -> Display:
    """The display that fits where the output goes."""
    if as_json:
        return JsonDisplay()
    console = Console(stderr=False)
    return TerminalDisplay(console) if console.is_terminal else Display(console)


def snapshot(live: Live) -> dict[str, Any]:
    """The run's counters now."""
    progress, meter = live.progress, live.meter
    done = progress.done
    eta = None
    if progress.total and done:
        eta = round(live.seconds / done * (progress.total - done))
    return {
        "rows": done,
        "total": progress.total,
        "kept": progress.kept,
        "rejected": progress.rejected,
        "undetermined": progress.undetermined,
        "failed": progress.failed,
        "in_flight": meter.in_flight,
        "calls": meter.calls,
        "replayed": live.context.replayed_calls,
        "input_tokens": meter.usage.input_tokens,
        "output_tokens": meter.usage.output_tokens,
        "cost_usd": round(meter.spent_usd, 6),
        "unpriced_calls": meter.unpriced_calls,
        "retries": live.incidents.retries,
        "rate_limited": live.incidents.rate_limited,
        "seconds": round(live.seconds, 1),
        "eta_s": eta,
        "batches": len(live.batches),
        "in_batches": sum(len(batch.items) for batch in live.batches),
    }


class Display:
    """Plain lines, every few seconds and only when something has changed."""

    every_s = 5.0

    def __init__(self, console: Console) -> None:
        self.console = console
        self._shown: object = None

    @contextmanager
    def showing(self, live: Live) -> Iterator[None]:
        """Show the run for as long as it goes."""
        ended = threading.Event()
        started = time.monotonic()

        def tell() -> None:
            while not ended.wait(self.every_s if time.monotonic() - started > 2 else 1.0):
                self.tick(live)

        teller = threading.Thread(target=tell, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()
            self.tick(live)

    def tick(self, live: Live) -> None:
        """Show what has changed since the last time."""
        now = snapshot(live)
        changed = (now["rows"], now["calls"], now["in_flight"])
        if changed != self._shown:
            self._shown = changed
            self.show(now)

    def show(self, now: dict[str, Any]) -> None:
        """One state of the run."""
        of = f" of {now['total']:,}" if now["total"] else ""
        eta = f" · about {_duration(now['eta_s'])} left" if now["eta_s"] else ""
        failed = f" · {now['failed']} failed" if now["failed"] else ""
        self.console.print(
            f"{_duration(now['seconds'])} · {now['rows']:,}{of} rows · {now['kept']:,} kept{failed}"
            f" · {now['in_flight']:,} calls in flight{_in_batches(now)} · {now['calls']:,} calls · "
            f"{now['input_tokens'] + now['output_tokens']:,} tokens · "
            f"{money(now['cost_usd'], now['unpriced_calls'])}{eta}",
            highlight=False,
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        """A line for people."""
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

    def summary(self, outcome: Outcome, folder: Path) -> None:
        """How it ended."""
        print_summary(self.console, outcome.summary, folder, outcome.validation)

    def stopped(self, reason: str, command: str) -> None:
        """Why there is work left, and how to go on."""
        self.note(f"stopped: {reason}\nto go on where it stopped:\n  {command}")

    def failed(self, error: SynthtutorError) -> None:
        """Say what stopped the run; here the caller prints it, as for every command."""


class TerminalDisplay(Display):
    """A table that redraws itself four times a second."""

    @contextmanager
    def showing(self, live: Live) -> Iterator[None]:
        """Show the run for as long as it goes."""
        with RichLive(
            get_renderable=lambda: self._table(live),
            console=self.console,
            refresh_per_second=4,
            transient=True,
        ):
            yield

    def _table(self, live: Live) -> RenderableType:
        now = snapshot(live)
        total = now["total"]
        table = Table.grid(padding=(0, 2))
        rows = f"{now['rows']:,}" + (f" / {total:,}" if total else "")
        kept = f"{now['kept']:,} kept"
        if now["rows"]:
            kept += f" ({now['kept'] / now['rows']:.0%})"
        tokens = now["input_tokens"] + now["output_tokens"]
        left = f"about {_duration(now['eta_s'])} left" if now["eta_s"] else ""
        table.add_row("rows", rows, kept, _counted(now, "rejected", "undetermined", "failed"))
        flying = f"{now['in_flight']:,} in flight{_in_batches(now)}"
        table.add_row("calls", f"{now['calls']:,}", flying, _counted(now, "replayed"))
        table.add_row("spent", money(now["cost_usd"], now["unpriced_calls"]), f"{tokens:,} tokens")
        table.add_row("time", _duration(now["seconds"]), left, _counted(now, "rate_limited"))
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=total, completed=now["rows"], width=60, pulse=not total))
        lines: list[RenderableType] = [bar, table]
        if live.progress.latest:
            lines.append(_one_line(f"latest kept: {live.progress.latest}", "dim"))
        if live.incidents.warnings:
            lines.append(_one_line(f"warning: {live.incidents.warnings[-1]}", "yellow"))
        return Group(*lines)


def _in_batches(now: dict[str, Any]) -> str:
    count = now["batches"]
    return f", {now['in_batches']:,} in {count} batch{'es' * (count > 1)}" if count else ""


def _counted(now: dict[str, Any], *names: str) -> str:
    return ", ".join(f"{now[name]:,} {name.replace('_', ' ')}" for name in names if now[name])


def _one_line(text: str, style: str) -> Text:
    return Text(" ".join(text.split()), style=style, no_wrap=True, overflow="ellipsis")


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

    def summary(self, outcome: Outcome, folder: Path) -> None:
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
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def _duration(seconds: float | None) -> str:
    whole = int(seconds or 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"
