"""When the next call may be sent, from what the server says and from what it refuses. No I/O here.

Servers count in token buckets or in fixed windows, declare them in several dialects, round them to
whole seconds, or say nothing at all. So little is believed: what *remains* is exact when the server
writes it, and how fast it refills shows in how it changes between two calls, whatever the limit is
called (`Allowance`). Where nothing is declared, two refusals tell the rate: the bucket was empty at
both, so what was admitted between them is what came in (`Learned`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from operator import attrgetter

from synthtutor.messages import RateLimitStatus

__all__ = ["Allowance", "Cost", "Learned", "Pacing", "Ticket"]

_JITTER_S = 0.03  # calls arrive by so much earlier or later than one another
_ROUNDED_S = 1.0  # by so much a reset that is told in whole seconds may be too early
_LONGEST_S = 60.0
_KINDS = {
    kind: attrgetter(f"{kind}_remaining", f"{kind}_limit", f"{kind}_reset_s")
    for kind in ("requests", "tokens", "input_tokens", "output_tokens")
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call is expected to take: itself, and tokens in and out."""

    into: float = 0.0
    out: float = 0.0

    def of(self, kind: str) -> float:
        """How much of that kind of limit."""
        match kind:
            case "requests":
                return 1.0
            case "tokens":
                return self.into + self.out
            case "input_tokens":
                return self.into
            case _:
                return self.out


@dataclass(slots=True)
class Ticket:
    """One call as it was sent: its number, when, and what each limit was thought to hold then."""

    number: int
    at: float
    marks: dict[str, tuple[float, float]]


class Allowance:
    """One declared limit: a model of the server's bucket, set right by every reply.

    ``level`` is what the server is thought to hold now, ``rate`` what comes in per second,
    ``most`` the largest level that was ever seen.
    """

    def __init__(self, now: float, number: int) -> None:
        self.level = 0.0
        self.rate: float | None = None
        self.most = 0.0
        self._first_number = number
        self._least_rate = 0.0
        self._at = now
        self._spent = 0.0
        self._corrected = 0.0
        self._newest, self._newest_at = 0, now
        self._anchor: tuple[float, float, float] | None = None  # sent at, spent, remaining
        self._full: tuple[float, float] | None = None  # at, spent when that was told

    def wait_s(self, now: float, cost: float) -> float:
        """Seconds until the server can take such a call."""
        self._refill(now)
        missing = self._needed(cost) - self.level
        if missing <= 0:
            return 0.0
        wait = missing / self.rate if self.rate else inf
        if self._full is not None:
            return min(wait, self._full[0] - now)
        if self._least_rate:
            return min(wait, missing / self._least_rate)
        return wait if wait < inf else 0.0  # no rate and no reset: nothing to go by

    def near_empty(self) -> bool:
        """Whether a refusal is no surprise."""
        return self.level < 2 * self._needed(1.0)

    def empty(self) -> None:
        """A call was refused: nothing is left."""
        self.level = min(self.level, 0.0)

    def take(self, now: float, cost: float) -> None:
        """A call goes."""
        self._refill(now)
        self.level -= cost
        self._spent += cost

    def mark(self, now: float) -> tuple[float, float]:
        """For the ticket of the call that goes now: (what should remain after it, spent so far)."""
        self._refill(now)
        return self.level - self._corrected, self._spent

    def saw(
        self,
        now: float,
        ticket: Ticket,
        kind: str,
        remaining: float,
        limit: float | None,
        reset_s: float | None,
    ) -> None:
        """A reply's headers. Replies come in any order: the latest call sent tells the most."""
        predicted, spent = ticket.marks.get(kind) or self._before(ticket, kind)
        error = remaining - predicted - self._corrected
        if ticket.number <= self._newest:
            if error < 0 and ticket.at > self._newest_at - _JITTER_S:
                self._corrected += error  # it was overtaken on its way there
                self.level += error
            return
        self._newest, self._newest_at = ticket.number, ticket.at
        self._refill(now)
        self.most = max(self.most, remaining + 1)
        self._measure(now, ticket.at, spent, remaining)
        if self.rate is None and limit:
            self.rate, self._least_rate = limit / 60, limit / 600
        self._corrected += error
        self.level = min(self.level + error, self.most)
        if reset_s is not None:
            self._full = (now + reset_s + _ROUNDED_S, spent)

    def _needed(self, cost: float) -> float:
        margin = min(cost + self.rate * _JITTER_S, self.most / 4) if self.rate else 0.0
        return min(cost + margin, self.most)

    def _before(self, ticket: Ticket, kind: str) -> tuple[float, float]:
        """The mark of a call that was sent before this limit was known."""
        later = float(self._first_number - ticket.number) if kind == "requests" else 0.0
        return later, -later

    def _measure(self, now: float, at: float, spent: float, remaining: float) -> None:
        """The rate is what remains more than it should, between two calls and per second."""
        if self._anchor is None:
            self._anchor = (at, spent, remaining)
            return
        began, spent_then, remained = self._anchor
        span = at - began
        if span < max(1.0, 2 * (now - at)):
            return
        self._anchor = (at, spent, remaining)
        refilled = max(0.0, remaining - remained + spent - spent_then)
        known = self.rate or 0.0
        if remaining + 1 >= self.most and refilled / span < known:
            return  # full: what came in besides is not seen
        weight = min(1.0, max(refilled, known * span) / 10)
        self.rate = known + weight * (refilled / span - known)

    def _refill(self, now: float) -> None:
        if self.rate:
            self.level = min(max(self.most, self.level), self.level + self.rate * (now - self._at))
        self._at = now
        if self._full is not None and now >= self._full[0]:
            self.level = max(self.level, self.most - (self._spent - self._full[1]))
            self._full = None


class Learned:
    """The rate that refusals tell, where the server declares none.

    At the first refusal the bucket is empty, however it was filled; at the next it is empty again,
    and what was admitted between the two is the rate. From then on calls are sent a little slower,
    and faster the longer no refusal comes. Where slower does not help, three times in a row, the
    refusals are not about the rate at all (some endpoints refuse one call in fifty, whatever the
    load): the rate is forgotten, and the next refusals teach nothing.
    """

    def __init__(self) -> None:
        self.rate = inf
        self._base = inf
        self._searching = True
        self._paced = 0
        self._boldness = 1.0
        self._idle = 0.0
        self._doubted = False
        self._level = self._most = 1.0
        self._at = self._next_at = 0.0
        self._since: tuple[int, float] | None = None  # the call that met an empty bucket, and when
        self._refused = 0
        self._burst = 0
        self._measured = 0.0
        self._fell = 0
        self._forgiven = 0
        self._credit = 8

    def begin(self, rate: float) -> None:
        """Speed up from ``rate``, call by call, until the first refusal."""
        self.rate = min(self.rate, rate)

    def wait_s(self, now: float) -> float:
        """Seconds until the next call keeps to the rate."""
        if self.rate == inf:
            return 0.0
        return max((1 - self._held(now)) / self.rate, self._next_at - now)

    def take(self, now: float) -> None:
        """A call goes."""
        if self.rate == inf:
            return
        held = self._held(now)
        self._idle += max(0.0, now - max(self._next_at, self._at + (1 - self._level) / self.rate))
        self._level, self._at = held - 1, now
        self._next_at = now + 0.5 / self.rate  # what was saved up goes at twice the rate
        if self._searching:
            self.rate *= 1.02
        elif held < 2:
            self._paced += 1
            self.rate = self._base * (1 + 4e-6 * (self._boldness * self._paced) ** 2)
        if self.rate > max(1e4, 10 * min(self._base, 1e4)):
            self.rate = self._base = inf
            self._since, self._searching, self._idle = None, True, 0.0

    def refused(self, ticket: Ticket, now: float, latest: int) -> bool | None:
        """A call was refused: None where its burst is known, False where the rate explains it."""
        if self._forgiven:
            if ticket.number <= self._burst:
                return None
            self._burst, self._forgiven = latest, self._forgiven - 1
            return True
        since, began = self._since or (0, now)
        fresh = ticket.number > self._burst
        if ticket.number > since:
            self._refused += 1
        if not fresh:
            self._level += 1  # it was counted as admitted
            return None
        self._burst = latest
        admitted = ticket.number - since - self._refused
        explained = False
        if self._since is None:
            self._first(ticket, now, admitted)
        elif admitted >= 3:  # fewer tell nothing: a closed window, which pauses wait out
            explained = self._again(ticket, admitted, max(ticket.at - began, 1e-3))
        self._level, self._at, self._paced = float(ticket.number - latest), ticket.at, 0
        return not explained

    def _first(self, ticket: Ticket, now: float, admitted: int) -> None:
        answer_s = max(now - ticket.at, 1e-3)  # so long we would not hear of the next refusal
        self.rate = min(self.rate, max(2 / answer_s, 10.0), max(admitted, 1) * 4.0)
        self._base, self._since, self._refused = self.rate, (ticket.number, ticket.at), 0
        self._searching, self._most = True, 1.0

    def _again(self, ticket: Ticket, admitted: int, span: float) -> bool:
        rate = admitted / span
        falls = not self._searching and rate < 0.97 * self._measured
        self._fell, self._measured = self._fell + 1 if falls else 0, rate
        if self._fell == 3:
            self._forget()
            return False
        explained = self._searching or rate > 0.7 * self.rate
        if explained:
            self.rate = min(self.rate, rate * 0.98)
            self._most = max(1.0, self.rate)
        else:  # a smaller bucket than was thought, or a limit to calls in flight, or a new rate
            self.rate *= 0.5 if self._doubted else 0.85
            self._most = max(1.0, self._most / 2)
        # A bucket may have run over while nothing was sent: then more came in than was admitted.
        self._boldness = min(8.0, admitted / max(span - self._idle, span / 8) / self.rate)
        self._base, self._since, self._refused = self.rate, (ticket.number, ticket.at), 0
        self._searching, self._idle, self._doubted = False, 0.0, not explained
        return explained

    def _forget(self) -> None:
        self.rate = self._base = inf
        self._since, self._searching, self._idle = None, True, 0.0
        self._fell, self._measured = 0, 0.0
        self._forgiven, self._credit = self._credit, min(1000, 2 * self._credit)

    def _held(self, now: float) -> float:
        return min(self._most, self._level + self.rate * (now - self._at))


class Pacing:
    """When the next call to one model may go: its pause, what its headers declare, what it refuses.

    ``careful`` starts slowly even before anything is known: a burst of unknown size is met by a
    few refusals then, not by as many as there are places.
    """

    def __init__(self, clock: Callable[[], float], *, careful: bool = False) -> None:
        self.counts_tokens = False
        self._clock = clock
        self._careful = careful
        self._bound = False
        self._number = 0
        self._resume_at = -inf
        self._declared: dict[str, Allowance] = {}
        self._learned = Learned()
        self._burst = 0
        self._setbacks = 0

    def wait_s(self, cost: Cost) -> float:
        """Seconds until such a call may go; not more than 0 when it may go now."""
        if not self._bound:
            return 0.0
        now = self._clock()
        wait = max(self._resume_at - now, self._learned.wait_s(now))
        for kind, allowance in self._declared.items():
            wait = max(wait, allowance.wait_s(now, cost.of(kind)))
        return wait

    def take(self, cost: Cost) -> None:
        """Such a call goes."""
        if self._bound:
            now = self._clock()
            self._learned.take(now)
            for kind, allowance in self._declared.items():
                allowance.take(now, cost.of(kind))

    def ticket(self) -> Ticket:
        """Of the call that is sent now."""
        self._number += 1
        now = self._clock()
        marks = {kind: allowance.mark(now) for kind, allowance in self._declared.items()}
        return Ticket(self._number, now, marks)

    def answered(self, ticket: Ticket, status: RateLimitStatus | None) -> None:
        """The call has its reply."""
        if self._setbacks and ticket.number > self._burst:
            self._setbacks = 0
        if self._careful:
            self._careful = False
            self._speed_up(ticket, status)
        if status is None:
            return
        for kind, told in _KINDS.items():
            remaining, limit, reset_s = told(status)
            if remaining is not None:
                self._saw(kind, ticket, remaining, limit, reset_s)

    def refused(self, ticket: Ticket, retry_after_s: float | None) -> bool:
        """The call met a 429: pause all. True where the rate does not explain it."""
        now = self._clock()
        self._bound = True
        fresh = ticket.number > self._burst
        if fresh:
            self._burst = self._number
            self._setbacks += 1
        backoff = min(_LONGEST_S, 0.25 * 2**self._setbacks)
        if retry_after_s is None:
            rest = backoff
        else:
            # A server that refuses again when its own time is over is believed less, but not long.
            rest = max(retry_after_s, min(5.0, backoff / 2) if self._setbacks > 1 else 0.0)
        unexplained = self._learn(ticket, now)
        self.pause(rest)
        return unexplained

    def _learn(self, ticket: Ticket, now: float) -> bool:
        requests = self._declared.get("requests")
        if requests is not None and requests.near_empty():
            requests.empty()
            return False
        return bool(self._learned.refused(ticket, now, self._number))

    def pause(self, seconds: float) -> None:
        """Nothing goes for so long."""
        self._bound = True
        self._resume_at = max(self._resume_at, self._clock() + seconds)

    @property
    def paused_s(self) -> float:
        """Seconds until the pause is over."""
        return max(0.0, self._resume_at - self._clock())

    def _speed_up(self, ticket: Ticket, status: RateLimitStatus | None) -> None:
        took = max(self._clock() - ticket.at, 1e-3)
        declared = (status.requests_limit or 0) / 60 if status else 0.0
        self._learned.begin(max(10.0, 16 / took, declared))
        self._bound = True

    def _saw(
        self, kind: str, ticket: Ticket, remaining: int, limit: int | None, reset_s: float | None
    ) -> None:
        now = self._clock()
        allowance = self._declared.get(kind)
        if allowance is None:
            allowance = self._declared[kind] = Allowance(now, self._number)
            self._bound = True
            self.counts_tokens = self.counts_tokens or kind != "requests"
        allowance.saw(now, ticket, kind, remaining, limit, reset_s)
