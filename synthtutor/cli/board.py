"""A run's counters at one moment, the table they are shown in, and the file that others read them from.

Whoever runs in a terminal leaves them in the run's folder each second, for ``status --watch`` in
another one. The file is gone when the run is over; an old one belongs to a run that was killed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from synthtutor.counts import money
from synthtutor.errors import SynthtutorError

if TYPE_CHECKING:
    from synthtutor.runs import Live

__all__ = [
    "FILE",
    "board",
    "counting",
    "duration",
    "in_batches",
    "published",
    "publishing",
    "recent",
    "snapshot",
    "spent",
]

FILE = "progress.json"
_EVERY_S = 1.0
_LONGEST_COUNTED = 128 << 20  # bytes; a file of that size is read through in seconds
_WARNINGS = 3
_STALE_S = 15.0  # a machine may be so busy that a run says nothing for a while


def _unknown() -> int | None:
    return None


def snapshot(
    live: Live,
    expected_usd: float | None = None,
    counted: Callable[[], int | None] = _unknown,
) -> dict[str, Any]:
    """The run's counters now.

    ``expected_usd`` is what the whole run was estimated to cost; ``counted`` says how many rows its
    file holds, None where that is not known (yet).
    """
    progress, meter = live.progress, live.meter
    done = progress.done
    known = counted()
    total = progress.total if known is None else max(known, done)
    eta = None
    if total and done:
        eta = round(live.seconds / done * (total - done))
    return {
        "rows": done,
        "total": total,
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
        "expected_usd": expected_usd,
        "unpriced_calls": meter.unpriced_calls,
        "retries": live.incidents.retries,
        "rate_limited": live.incidents.rate_limited,
        "seconds": round(live.seconds, 1),
        "eta_s": eta,
        "batches": len(live.batches),
        "in_batches": sum(len(batch.items) for batch in live.batches),
        "latest": progress.latest,
        "warning": live.incidents.warnings[-1] if live.incidents.warnings else "",
        "warnings": recent(live.incidents.warnings),
    }


@contextmanager
def counting(live: Live) -> Iterator[Callable[[], int | None]]:
    """How many rows the run's file has, as far as its ``-n`` goes: known once it was read through.

    That happens in a thread beside the run, and only where it is a matter of seconds: rows are
    read as they are needed, so nobody else knows how many there will be. What is wrong with the
    file is told by the run.
    """
    from synthtutor.preflight import recipe_rows

    found: list[int] = []
    ended = threading.Event()
    config = live.config

    def count() -> None:
        with suppress(SynthtutorError, OSError, ValueError, LookupError, TypeError):
            rows = 0
            for _ in islice(recipe_rows(config, live.recipe).rows, config.n):
                rows += 1
                if ended.is_set():
                    return
            found.append(rows)

    counter = threading.Thread(target=count, name="counting", daemon=True)
    if config.rows is not None and _is_short(Path(config.rows)):
        counter.start()
    try:
        yield lambda: found[0] if found else None
    finally:
        ended.set()
        if counter.ident is not None:
            counter.join()


def _is_short(path: Path) -> bool:
    try:
        return path.stat().st_size <= _LONGEST_COUNTED
    except OSError:
        return False


def board(now: dict[str, Any]) -> RenderableType:
    """The table of one moment. What is None is not known, and left out."""
    total = now["total"]
    table = Table.grid(padding=(0, 2))
    rows = f"{now['rows']:,}" + (f" / {total:,} ({now['rows'] / total:.0%})" if total else "")
    kept = f"{now['kept']:,}"
    if now["rows"]:
        kept += f" ({now['kept'] / now['rows']:.0%})"
    tokens = now["input_tokens"] + now["output_tokens"]
    left = f"about {duration(now['eta_s'])} left" if now["eta_s"] else ""
    flying = (
        [] if now["in_flight"] is None else [f"{now['in_flight']:,} in flight{in_batches(now)}"]
    )
    table.add_row("rows", rows, left)
    table.add_row("kept", kept, _told(now, "rejected", "undetermined", "failed"))
    table.add_row("calls", f"{now['calls']:,}", ", ".join([*flying, *_named(now, "replayed")]))
    table.add_row("spent", spent(now), f"{tokens:,} tokens")
    table.add_row("time", duration(now["seconds"]), _told(now, "retries", "rate_limited"))
    bar = Table.grid()  # a bar alone does not end its line
    bar.add_row(ProgressBar(total=total, completed=now["rows"], width=60, pulse=not total))
    lines: list[RenderableType] = [bar, table]
    if now["latest"]:
        lines.append(_one_line(f"latest kept: {now['latest']}", "dim"))
    lines += [_one_line(f"warning: {each}", "yellow") for each in now.get("warnings", ())]
    return Group(*lines)


def recent(warnings: Sequence[str]) -> list[str]:
    """The last three that differ, the newest last, each with how often it was among the last twenty."""
    times = Counter(warnings)
    newest = [*dict.fromkeys(reversed(warnings))][:_WARNINGS]
    return [each if times[each] == 1 else f"{each} ({times[each]} times)" for each in newest[::-1]]


def spent(now: dict[str, Any]) -> str:
    """The money, against the estimate where there is one."""
    paid = money(now["cost_usd"], now["unpriced_calls"])
    expected = now["expected_usd"]
    return paid if expected is None else f"{paid} of about {money(expected)}"


def in_batches(now: dict[str, Any]) -> str:
    """What waits in batches at a vendor."""
    count = now["batches"]
    return f", {now['in_batches']:,} in {count} batch{'es' * (count > 1)}" if count else ""


def duration(seconds: float | None) -> str:
    """As people say it."""
    whole = int(seconds or 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def publishing(now: Callable[[], dict[str, Any]], folder: Path) -> Iterator[None]:
    """Leave the counters in the folder each second. What cannot be written harms no run."""
    path, ended = folder / FILE, threading.Event()

    def publish() -> None:
        while True:
            with suppress(OSError):
                new = path.with_suffix(".new")
                new.write_bytes(orjson.dumps({**now(), "at": time.time()}))
                new.replace(path)
            if ended.wait(_EVERY_S):
                return

    publisher = threading.Thread(target=publish, name="publishing", daemon=True)
    publisher.start()
    try:
        yield
    finally:
        ended.set()
        publisher.join()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def published(folder: Path) -> dict[str, Any] | None:
    """What the folder's run last left; None where none is going that leaves anything."""
    path = folder / FILE
    try:
        if time.time() - path.stat().st_mtime > _STALE_S:
            return None
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _told(now: dict[str, Any], *names: str) -> str:
    return ", ".join(_named(now, *names))


def _named(now: dict[str, Any], *names: str) -> list[str]:
    words = {"replayed": "from the journal", "rate_limited": "rate limited (429)"}
    if now["retries"] == 1:
        words["retries"] = "retry"
    return [f"{now[name]:,} {words.get(name, name)}" for name in names if now[name]]


def _one_line(text: str, style: str) -> Text:
    return Text(" ".join(text.split()), style=style, no_wrap=True, overflow="ellipsis")
