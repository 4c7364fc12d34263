"""How fast ``synthtutor validate`` reads a training file, beside a pass that only parses it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from measuring import heading, middle_of, of_command, options, table
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


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    megabytes, times = (10, 3) if asked.quick else (100, 5)
    heading(f"Validating {megabytes} MB")
    with TemporaryDirectory(prefix="synthtutor-benchmark-") as temporary:
        path = Path(temporary) / "finetune.jsonl"
        count = _written(path, megabytes)
        commands = {
            "orjson.loads of each line": ("-c", _PARSE, str(path)),
            "synthtutor validate": ("-m", "synthtutor", "validate", str(path)),
        }
        lines, least = [], 0.0
        for name, arguments in commands.items():
            spent = middle_of(times, partial(of_command, sys.executable, *arguments))
            least = least or spent.cpu_s
            rates = (megabytes / spent.seconds, megabytes / spent.cpu_s, count / spent.cpu_s)
            lines.append((name, *rates, spent.cpu_s / least))
    table(("", "MB/s", "MB/CPU s", "lines/CPU s", "× parsing alone"), lines)


if __name__ == "__main__":
    main()
