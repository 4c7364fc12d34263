"""One run in a terminal: open it, show it, stop it on Ctrl-C, and say how it ended."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthtutor.cli.display import Display, display_for
from synthtutor.errors import BudgetExceeded, ConfigError, SynthtutorError
from synthtutor.loops import run
from synthtutor.runs import Outcome, opened

if TYPE_CHECKING:
    from synthtutor.config import RunConfig
    from synthtutor.runs import Live

__all__ = ["execute"]


def execute(
    config: RunConfig,
    folder: Path,
    *,
    retry_failed: bool = False,
    yes: bool = False,
    as_json: bool = False,
    argv: Sequence[str] = (),
) -> int:
    """Run the configuration in the folder; the process's exit code."""
    display = display_for(as_json=as_json)
    command = shlex.join(["synthtutor", *argv[1:]])
    return run(_execute(config, folder, retry_failed, yes, display, command))


async def _execute(
    config: RunConfig, folder: Path, retry_failed: bool, yes: bool, display: Display, command: str
) -> int:
    changes = _changes(config, folder)
    async with opened(config, folder, retry_failed=retry_failed) as live:
        if not await _agreed(live, changes, yes, display):
            return 2
        config.save(folder / "run.yaml")
        for note in live.stack.notes:
            display.note(f"note: {note}")
        _mind_signals(live, display)
        try:
            with display.showing(live):
                outcome = await live.go()
        except SynthtutorError as error:
            display.failed(error)
            raise
        batches = len(live.batches)
    display.summary(outcome, folder)
    if batches:
        display.note(
            f"{batches} batch{'es are' if batches > 1 else ' is'} still at the vendor: "
            "the command below collects what comes back"
        )
    return _code(outcome, live, display, command)


def _changes(config: RunConfig, folder: Path) -> list[str]:
    from synthtutor.config import RunConfig

    saved = folder / "run.yaml"
    if not saved.is_file():
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "journal.sqlite").exists():
            raise ConfigError(f"{folder}: holds files but no run; choose another folder with --out")
        return []
    return config.differences(RunConfig.load(saved))


async def _agreed(live: Live, changes: list[str], yes: bool, display: Display) -> bool:
    """Say what a changed run would pay for again, and ask where that is something."""
    if live.journal.empty:
        return True
    preview = await live.preview()
    display.resuming(live, changes, preview)
    if preview.paying_again == 0 or yes or all(r.capabilities.free for r in live.roles.values()):
        return True
    if not sys.stdin.isatty():
        display.note("add --yes to go on, or --out for a new folder")
        return False
    return display.ask("Go on?")


def _mind_signals(live: Live, display: Display) -> None:
    """Ctrl-C once: admit nothing more and let paid calls land. Twice: stop now."""

    def stop() -> None:
        if live.stop.reason is None:
            live.stop.request("interrupted")
            display.note("stopping: letting paid calls land (Ctrl-C again to stop now)")
        else:
            live.stop.now()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows has no handlers on its loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _code(outcome: Outcome, live: Live, display: Display, command: str) -> int:
    failed = outcome.summary.outcomes.get("failed", 0)
    if not outcome.complete:
        reason = str(outcome.error or outcome.reason)
        if isinstance(outcome.error, BudgetExceeded):
            reason += "; give a higher limit"
        display.stopped(reason, command)
        return 4 if reason.startswith("too many failures") else 3
    if failed > live.config.max_failed * outcome.summary.made:
        display.note(f"{failed} of {outcome.summary.made} rows failed: more than allowed")
        return 4
    return 0
