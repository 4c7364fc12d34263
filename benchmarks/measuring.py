"""What the benchmarks share: CPU time, memory, fresh processes, and tables of figures.

Figures are CPU time of the measured process wherever that makes sense: on a machine that does
other things too, seconds say as much about those as about us.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

__all__ = [
    "Spent",
    "fresh",
    "heading",
    "middle_of",
    "of_command",
    "options",
    "peak_mb",
    "spending",
    "table",
    "verdict",
]


@dataclass(slots=True)
class Spent:
    """What a block took: wall-clock seconds, CPU seconds of the process, and of the calling thread.

    ``calls`` is how many it made, where whoever measures says so.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    thread_s: float = 0.0
    calls: int = 0


@contextmanager
def spending() -> Iterator[Spent]:
    """Measure a block; the figures are there when it has ended."""
    spent = Spent()
    wall, cpu, thread = time.perf_counter(), time.process_time(), time.thread_time()
    try:
        yield spent
    finally:
        spent.seconds = time.perf_counter() - wall
        spent.cpu_s = time.process_time() - cpu
        spent.thread_s = time.thread_time() - thread


def peak_mb() -> float:
    """The largest resident size that this process ever had, in MB (the present one off Linux)."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would include the parent's size before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return float(psutil.Process().memory_info().rss) / 2**20


def of_command(*command: str) -> Spent:
    """What a command took that must succeed; ``cpu_s`` is that of its process."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - started, os.times()
    user = after.children_user - before.children_user
    return Spent(seconds, user + after.children_system - before.children_system)


def middle_of(times: int, measure: Callable[[], Spent]) -> Spent:
    """The medians of several measurements, of each figure on its own."""
    found = [measure() for _ in range(times)]
    middle = Spent(calls=found[0].calls)
    for name in ("seconds", "cpu_s", "thread_s"):
        setattr(middle, name, median(getattr(spent, name) for spent in found))
    return middle


def fresh(script: str, *arguments: object) -> Any:
    """Run a benchmark's own script for one measurement in a new process; the JSON it prints."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def options(description: str | None, *more: str) -> argparse.Namespace:
    """``--quick``, and the flags named in ``more``; ``--measure`` is how a script calls itself."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller sizes")
    parser.add_argument("--measure", nargs="*", help=argparse.SUPPRESS)
    for flag in more:
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def heading(title: str) -> None:
    """The title, and the machine that the figures belong to."""
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {platform.system()}"
    print(f"{title} ({machine}, load {os.getloadavg()[0]:.1f})\n", flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table with its columns aligned."""
    texts = [list(columns), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
    texts.insert(1, ["-" * width for width in widths])
    for row in texts:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |")
    print(flush=True)


def verdict(reached: bool) -> str:
    """In a word, for a column of its own."""
    return "reached" if reached else "MISSED"


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
