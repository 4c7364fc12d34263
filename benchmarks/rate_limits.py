"""300 rows past a server that admits 600 requests a minute and 10 at once, in each dialect.

The server is a process of its own with a token bucket; replies take half a second, 50 calls may be
in flight. What is measured is ours as in a run: the limits and the retries around the ``compatible``
provider. *429s after headers* came in after the first reply had. The ideal is the bucket's: what it
holds at first, then its rate, then the last reply.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from measuring import fresh, heading, options, table, verdict

from synthtutor.errors import Retryable, SynthtutorError
from synthtutor.limits import Limited, Limits
from synthtutor.messages import Request, user
from synthtutor.provider import Endpoint
from synthtutor.retries import Retrying
from synthtutor.testing.throttle import FORMS

_IN_FLIGHT = 50
_DECLARED = ("openai", "anthropic")
_MOST_429S = 10
_MOST_S = 31.0


@dataclass
class Found:
    """What one run came to."""

    seconds: float = 0.0
    refused: int = 0
    refused_later: int = 0
    answered: int = 0


@contextmanager
def _server(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "synthtutor.testing.throttle", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


async def _run(url: str, rows: int) -> Found:
    from synthtutor_compatible import Compatible

    found = Found()

    def refused(_error: Retryable) -> None:
        found.refused += 1
        found.refused_later += found.answered > 0

    provider = Compatible(Endpoint(base_url=url, max_in_flight=_IN_FLIGHT))
    limited = Limited(provider, Limits(concurrency=_IN_FLIGHT), careful=True)
    asked = Retrying(limited, on_retry=refused)

    async def ask(row: int) -> None:
        try:
            await asked.complete(Request("compatible/m", [user(f"Row {row}")]))
        except SynthtutorError as error:
            print(error, file=sys.stderr)
        else:
            found.answered += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for row in range(rows):
            group.create_task(ask(row))
    found.seconds = time.perf_counter() - began
    await limited.aclose()
    await asyncio.sleep(0.1)  # an interpreter that ends under its threads' last reply aborts
    return found


def _line(form: str, rounded: bool, quick: bool) -> list[object]:
    rows, per_minute, delay_s = (60, 1200, 0.1) if quick else (300, 600, 0.5)
    asked = ["--form", form, "--per-minute", str(per_minute), "--delay-s", str(delay_s)]
    ideal_s = (rows - 10) / per_minute * 60 + delay_s
    with _server(*asked, *["--rounded"] * rounded) as url:
        found = Found(**fresh(__file__, "--measure", url, rows))
    few = found.refused_later == 0 if form in _DECLARED else found.refused <= _MOST_429S
    reached = few and found.answered == rows and found.seconds <= _MOST_S
    name = f"{form}, whole seconds" if rounded else form
    return [
        name, found.seconds, ideal_s, found.refused, found.refused_later, rows - found.answered,
        "–" if quick else verdict(reached),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    asked = options(__doc__)
    if asked.measure:
        url, rows = asked.measure
        print(json.dumps(asdict(asyncio.run(_run(url, int(rows))))))
        return
    heading("Rate limits: 600 requests a minute, 10 at once")
    kinds = [(form, False) for form in FORMS] + [(form, True) for form in _DECLARED]
    lines = [_line(form, rounded, asked.quick) for form, rounded in kinds]
    table(
        ("the server tells", "s", "ideal s", "429s", "429s after headers", "rows lost", "goal"),
        lines,
    )


if __name__ == "__main__":
    main()
