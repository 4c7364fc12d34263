"""When a run's calls were made, and how many at once: from the time and the length of each reply.

Time is that of work: the hours between two sessions of a run are left out. Batched calls wait at a
vendor for hours and are left out too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

__all__ = ["BINS", "Session", "Timeline", "timeline"]

BINS = 48


@dataclass(frozen=True, slots=True)
class Session:
    """One execution of the run's command: ``begun`` in seconds since 1970, its length in seconds.

    ``rate_limited`` of the ``retries`` were answers that said "too many requests" (HTTP 429).
    """

    number: int
    begun: float
    seconds: float
    calls: int
    batched: int
    retries: int
    rate_limited: int
    complete: bool


@dataclass(slots=True)
class Timeline:
    """``calls`` and ``tokens`` that landed, and the mean number in flight, in equal parts of time.

    ``width_s`` is the length of a part in seconds; ``in_flight`` covers the calls that landed.
    """

    sessions: list[Session]
    width_s: float = 0.0
    calls: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    in_flight: list[float] = field(default_factory=list)

    @property
    def busiest(self) -> float:
        """The highest mean number of calls in flight."""
        return max(self.in_flight, default=0.0)

    @property
    def last(self) -> float | None:
        """When the last session that made calls was over, in seconds since 1970."""
        return max((s.begun + s.seconds for s in self.sessions if s.calls), default=None)


def timeline(connection: sqlite3.Connection, bins: int = BINS) -> Timeline:
    """Fold the calls of a journal, in memory that does not grow with their number."""
    sessions = list(_sessions(connection))
    found = Timeline(sessions)
    offsets: dict[int, float] = {}
    length = 0.0
    for session in sessions:
        if session.calls > session.batched:
            offsets[session.number] = length - session.begun
            length += session.seconds
    if length <= 0:
        return found
    found.width_s = length / bins
    found.calls, found.tokens = [0] * bins, [0] * bins
    flight = _Flight(bins, found.width_s)
    rows = connection.execute(
        "SELECT pass, at, seconds, input_tokens + output_tokens FROM calls WHERE NOT batched"
    )
    for number, at, seconds, tokens in rows:
        end = at + offsets[number]
        place = min(bins - 1, max(0, int(end / found.width_s)))
        found.calls[place] += 1
        found.tokens[place] += tokens
        flight.add(end - seconds, end)
    found.in_flight = flight.means()
    return found


class _Flight:
    """How much of each part of time was spent in calls, at a fixed cost for each call."""

    def __init__(self, bins: int, width: float) -> None:
        self._bins, self._width = bins, width
        self._whole = [0] * (bins + 1)  # +1 where whole parts begin, -1 where they end
        self._partly = [0.0] * bins

    def add(self, begin: float, end: float) -> None:
        first, last = (min(self._bins, max(0.0, t / self._width)) for t in (begin, end))
        low, high = min(self._bins - 1, int(first)), min(self._bins - 1, int(last))
        if low == high:
            self._partly[low] += last - first
            return
        self._partly[low] += low + 1 - first
        self._partly[high] += last - high
        self._whole[low + 1] += 1
        self._whole[high] -= 1

    def means(self) -> list[float]:
        whole = accumulate(self._whole)
        return [round(full + part, 2) for full, part in zip(whole, self._partly, strict=False)]


def _sessions(connection: sqlite3.Connection) -> Iterator[Session]:
    """A session that was killed has no length of its own: it lasted until its last reply at least."""
    rows = connection.execute(
        "SELECT pass, passes.at, passes.seconds, retries, rate_limited, complete, "
        "coalesce(count(calls.id), 0), total(batched), min(calls.at - calls.seconds), max(calls.at) "
        "FROM passes LEFT JOIN calls USING (pass) GROUP BY pass ORDER BY pass"
    )
    for number, at, seconds, retries, limited, complete, calls, batched, first, last in rows:
        begun = at if first is None else min(at, first)
        ended = at if last is None else last
        length = max(seconds, ended - begun)
        yield Session(number, begun, length, calls, int(batched), retries, limited, bool(complete))
