"""A fake server that limits rates: `Throttle` wraps a behaviour in a token bucket.

It says what vendors say, in whichever of their dialects: what is left on every reply, how long to
wait on a 429, or nothing. As a process (``python -m synthtutor.testing.throttle --form openai``) it
prints its port as the first line, for the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from synthtutor.testing.replies import Behaviour, Reply, fixed
from synthtutor.testing.server import OpenAIServer

__all__ = ["FORMS", "Throttle"]

FORMS = ("openai", "anthropic", "retry-after", "retry-after-ms", "retry-after-date", "none")


class Throttle:
    """Admits ``per_minute`` requests, ``burst`` of them at once, and answers 429 to the others.

    ``form`` is how it tells: ``openai`` and ``anthropic`` declare what is left on every answer,
    ``retry-after…`` only on a 429 how long to wait, ``none`` never. ``limit`` is what the header of
    that name says, ``per_minute`` unless given. ``rounded`` times are told in whole seconds.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        form: str = "openai",
        per_minute: float = 600,
        burst: int = 10,
        delay_s: float = 0.0,
        limit: int | None = None,
        rounded: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if form not in FORMS:
            raise ValueError(f"no form {form!r}, only {', '.join(FORMS)}")
        self.admitted = self.refused = 0
        self._behaviour = behaviour
        self._form = form
        self._rate = per_minute / 60
        self._burst = burst
        self._delay_s = delay_s
        self._limit = int(per_minute) if limit is None else limit
        self._rounded = rounded
        self._clock = clock
        self._now = now
        self._level = float(burst)
        self._at = clock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        """The behaviour's reply after the delay, or a 429 at once."""
        if not self.admit():
            return Reply.failure(429, "slow down", headers=self.headers(refusing=True))
        reply = self._behaviour(body)
        headers = {**reply.headers, **self.headers()}
        return replace(reply, headers=headers, delay_s=reply.delay_s or self._delay_s)

    def admit(self) -> bool:
        """Take one request out of the bucket, if it holds one."""
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            self.refused += 1
            return False
        self._level -= 1
        self.admitted += 1
        return True

    def headers(self, *, refusing: bool = False) -> dict[str, str]:
        """What the server says of its limits now."""
        full_s = (self._burst - self._level) / self._rate
        next_s = max(0.0, 1 - self._level) / self._rate
        left = {"limit": str(self._limit), "remaining": str(int(self._level))}
        if self._form == "openai":
            left["reset"] = f"{math.ceil(full_s)}s" if self._rounded else _go_duration(full_s)
            return {f"x-ratelimit-{what}-requests": value for what, value in left.items()}
        if self._form == "anthropic":
            left["reset"] = _rfc3339(self._now() + timedelta(seconds=full_s), self._rounded)
            return {f"anthropic-ratelimit-requests-{what}": value for what, value in left.items()}
        if not refusing or self._form == "none":
            return {}
        if self._form == "retry-after-ms":
            return {"retry-after-ms": str(math.ceil(next_s * 1000))}
        if self._form == "retry-after":
            return {"retry-after": str(math.ceil(next_s))}
        date = self._now() + timedelta(seconds=next_s + 1)  # a date has no fractions: round it up
        return {"retry-after": format_datetime(date.replace(microsecond=0), usegmt=True)}


def _go_duration(seconds: float) -> str:
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.3f}s" if minutes else f"{rest:.3f}s"


def _rfc3339(when: datetime, rounded: bool) -> str:
    text = when.isoformat(timespec="seconds" if rounded else "milliseconds")
    return text.replace("+00:00", "Z")


async def _serve(options: argparse.Namespace) -> None:
    throttle = Throttle(
        fixed("Which part would you compare first?"),
        form=options.form,
        per_minute=options.per_minute,
        burst=options.burst,
        delay_s=options.delay_s,
        limit=options.limit,
        rounded=options.rounded,
    )
    async with OpenAIServer(throttle, keep=False) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m synthtutor.testing.throttle", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--form", choices=FORMS, default="openai")
    parser.add_argument("--per-minute", type=float, default=600)
    parser.add_argument("--burst", type=int, default=10)
    parser.add_argument("--delay-s", type=float, default=0.5, help="before each reply")
    parser.add_argument("--limit", type=int, help="what the limit header says")
    parser.add_argument("--rounded", action="store_true", help="times in whole seconds")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(_serve(_options()))
