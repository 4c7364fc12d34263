"""How fast ``synthtutor validate`` reads a training file, beside a pass that only parses it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import psutil
from measuring import heading, median_of, options, table
from workload import PROMPT, REPLY

_PARSE = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"


def _written(path: Path, megabytes: int) -> int:
    """A file of that size, of lines that all differ; returns the number of lines."""
    number = 0
    with path.open("wb") as file:
        while file.tell() < megabytes << 20:
            messages = [
                {"role": "system", "content": "You are a patient tutor."},
                {"role": "user", "content": f"{PROMPT[:600]} ({number})"},
                {"role": "assistant", "content": REPLY},
            ]
            file.write(orjson.dumps({"messages": messages}) + b"\n")
            number += 1
    return number


def _took(*command: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a command, which must succeed."""
    started = time.perf_counter()
    before = psutil.Process().cpu_times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = psutil.Process().cpu_times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return time.perf_counter() - started, cpu


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    megabytes, times = (10, 3) if asked.quick else (100, 5)
    heading(f"Validating {megabytes} MB")
    with TemporaryDirectory(prefix="synthtutor-benchmark-") as temporary:
        path = Path(temporary) / "finetune.jsonl"
        count = _written(path, megabytes)
        lines = []
        commands: dict[str, Callable[[], tuple[float, float]]] = {
            "orjson.loads of each line": lambda: _took(sys.executable, "-c", _PARSE, str(path)),
            "synthtutor validate": lambda: _took(
                sys.executable, "-m", "synthtutor", "validate", str(path)
            ),
        }
        for name, command in commands.items():
            found = [command() for _ in range(times)]
            seconds = median_of(1, lambda f=found: sorted(f)[len(f) // 2][0])
            cpu = sorted(found, key=lambda pair: pair[1])[len(found) // 2][1]
            lines.append((name, megabytes / seconds, megabytes / cpu, count / cpu))
    table(("", "MB/s", "MB/CPU s", "lines/CPU s"), lines)


if __name__ == "__main__":
    main()
