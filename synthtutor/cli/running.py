"""One run in a terminal: open it, show it, stop it on Ctrl-C, and say how it ended."""

from __future__ import annotations

import asyncio
import math
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from synthtutor.cli.board import counting, publishing, snapshot
from synthtutor.cli.display import Display, display_for
from synthtutor.cli.folder import legible
from synthtutor.cli.report import reported
from synthtutor.errors import BudgetExceeded, ConfigError, SynthtutorError
from synthtutor.loops import run
from synthtutor.preflight import check, find_recipe, recipe_rows
from synthtutor.reading import Reading
from synthtutor.runs import Outcome, opened

if TYPE_CHECKING:
    from synthtutor.config import RunConfig
    from synthtutor.estimates import Estimate
    from synthtutor.runs import Live

__all__ = ["execute", "watching"]

_ASK_ABOVE_USD = 5.0


def execute(
    config: RunConfig,
    folder: Path,
    *,
    retry_failed: bool = False,
    yes: bool = False,
    report: bool = False,
    samples: bool = True,
    as_json: bool = False,
    argv: Sequence[str] = (),
) -> int:
    """Run the configuration in the folder; the process's exit code.

    ``report`` writes report.html at the end. ``samples`` says whether the run is made for its
    samples; the summary is about them then.
    """
    display = display_for(as_json=as_json)
    command = shlex.join(["synthtutor", *argv[1:]])
    work = _execute(
        config,
        folder,
        display,
        command,
        retry_failed=retry_failed,
        yes=yes,
        report=report,
        samples=samples,
    )
    with legible(folder):
        return run(work)


async def _execute(
    config: RunConfig,
    folder: Path,
    display: Display,
    command: str,
    *,
    retry_failed: bool,
    yes: bool,
    report: bool,
    samples: bool,
) -> int:
    recipe = find_recipe(config.recipe)
    check(config, recipe)
    recipe_rows(config, recipe)  # a wrong option says so before there is a folder
    changes = _changes(config, folder)
    async with opened(config, folder, retry_failed=retry_failed) as live:
        expected = await _expected(config, folder)
        if expected is not None and not _afforded(expected, config, yes, display):
            return 2
        if not await _agreed(live, changes, yes, display):
            return 2
        config.save(folder / "run.yaml")
        if expected is not None and _expected_usd(live) is None:
            await live.journal.note("estimate", orjson.dumps(_noted(expected, config)).decode())
        for note in live.stack.notes:
            display.note(f"note: {note}")
        _mind_signals(live, display)
        try:
            with counting(live) as counted:
                now = partial(snapshot, live, _expected_usd(live), counted)
                with display.showing(now), publishing(now, folder):
                    outcome = await live.go()
        except SynthtutorError as error:
            display.failed(error)
            raise
        batches = len(live.batches)
    told = reported(outcome, folder) if report else None
    display.summary(outcome, folder, samples=samples)
    if told is not None:
        display.note(told)
    if batches:
        display.note(
            f"{batches} batch{'es are' if batches > 1 else ' is'} still at the vendor: "
            "the command below collects what comes back"
        )
    return _code(outcome, live, display, command)


@contextmanager
def watching(live: Live) -> Iterator[None]:
    """Show a pilot as a run is shown, on standard error, and let Ctrl-C end it as it ends one."""
    display = display_for(as_json=False, stderr=True)
    _mind_signals(live, display)
    now = partial(snapshot, live)
    with display.showing(now), publishing(now, live.folder):
        yield
    if live.stop.reason is not None:
        display.note(f"the pilot was stopped: {live.stop.error or live.stop.reason}")


def _changes(config: RunConfig, folder: Path) -> list[str]:
    from synthtutor.config import RunConfig

    saved = folder / "run.yaml"
    if not saved.is_file():
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder}: is a file; give the run a folder with --out")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "journal.sqlite").exists():
            raise ConfigError(f"{folder}: holds files but no run; choose another folder with --out")
        return []
    return config.differences(RunConfig.load(saved))


async def _expected(config: RunConfig, folder: Path) -> Estimate | None:
    """What is still to be paid; None where nothing costs money, or nothing has a price."""
    from synthtutor.estimating import costs_nothing, estimate

    if costs_nothing(config):
        return None
    found = await estimate(config, folder, most=60)
    return found if found.cost_usd.expected > 0 else None


def _afforded(expected: Estimate, config: RunConfig, yes: bool, display: Display) -> bool:
    """Show the estimate, and ask where it is more than people spend without a thought."""
    display.expecting(expected)
    cost = expected.batch_usd if config.batch else expected.cost_usd
    if cost.expected <= _ASK_ABOVE_USD or yes or config.budget_usd is not None:
        return True
    if not sys.stdin.isatty():
        display.note(
            f"that is more than ${_ASK_ABOVE_USD:g}: add --yes to spend it, or --budget to bound it; "
            "`synthtutor estimate` tells more"
        )
        return False
    return display.ask("Go on?")


def _expected_usd(live: Live) -> float | None:
    """What the whole run was expected to cost before it began."""
    reading = Reading.open(live.journal.path)
    try:
        noted = reading.noted("estimate")
    finally:
        reading.close()
    return noted["expected_usd"] if noted else None


def _noted(expected: Estimate, config: RunConfig) -> dict[str, float]:
    """What `status` compares with the bill: the whole run, what was paid before included."""
    cost, paid = expected.batch_usd if config.batch else expected.cost_usd, expected.paid_usd
    names = ("low", "expected", "high")
    return {f"{name}_usd": paid + getattr(cost, name) for name in names}


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
            display.note(
                "stopping: waiting for the calls already sent (Ctrl-C again stops at once)"
            )
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
            command = _with_more(command, outcome, live.config)
        display.stopped(reason, command)
        return 4 if reason.startswith("too many failures") else 3
    if failed > live.config.max_failed * outcome.summary.made:
        display.note(
            f"{failed} of {outcome.summary.made} rows failed, more than "
            f"--max-failed {live.config.max_failed:g} allows: rejected.jsonl says why"
        )
        return 4
    return 0


def _with_more(command: str, outcome: Outcome, config: RunConfig) -> str:
    """The command with limits that should do for what is left, a fifth more than is expected."""
    words, summary = shlex.split(command), outcome.summary
    left = summary.left
    made = summary.made
    whole = 1 + (left.rows if left else made) / made if made else 2.0  # nothing says how much
    tokens = whole * (summary.input_tokens + summary.output_tokens)
    dollars = whole * summary.cost_usd
    if left is not None and left.usd is not None:
        dollars = summary.cost_usd + left.usd
    if summary.expected is not None:  # which counts the controls, too
        dollars = max(dollars, summary.expected.expected_usd)
    for option, given, wanted in (
        ("--budget", config.budget_usd, dollars),
        ("--max-tokens-total", config.max_tokens_total, tokens),
    ):
        if given is not None and given < 1.2 * wanted:
            words = _replaced(words, option, _rounded_up(1.2 * wanted))
    return shlex.join(words)


def _replaced(words: list[str], option: str, value: str) -> list[str]:
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == option:
            kept.pop()
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return [*kept, option, value]


def _rounded_up(number: float) -> str:
    """To two digits, as people would type it."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    digits = max(0, -round(math.log10(step)))
    return f"{math.ceil(round(number / step, 6)) * step:.{digits}f}"
