"""The pace that is found out, against a server that really counts, on a clock that costs nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import ProviderError, RateLimited
from synthtutor.limits import Limited, Limits
from synthtutor.messages import RateLimitStatus, Request, Response, Usage, user
from synthtutor.pacing import Cost, Learned, Pacing, Ticket
from synthtutor.provider import error_for_status, rate_limits
from synthtutor.retries import Retrying
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.replies import Reply
from synthtutor.testing.throttle import FORMS, Throttle
from tests.doubles import loop_time, reply, virtually

DECLARED = ("openai", "anthropic")
SILENT = tuple(form for form in FORMS if form not in DECLARED)
ASKED = Request("s/m", [user("hi")])


def wall() -> datetime:
    """A wall clock that goes with the loop's, between two whole seconds."""
    return datetime.now(UTC) + timedelta(seconds=loop_time())


@dataclass
class Seen:
    """What came of a run: how long it took, and when the server said what."""

    seconds: float = 0.0
    refused: list[float] = field(default_factory=list)
    admitted: list[float] = field(default_factory=list)
    first_reply: float = 0.0

    @property
    def refused_after_headers(self) -> int:
        return sum(at > self.first_reply for at in self.refused)


class Throttled(ScriptedProvider):
    """A throttle behind a network that is a little uneven."""

    def __init__(self, latency_s: float, seen: Seen, **throttle: Any) -> None:
        super().__init__()
        self._throttle: Throttle | None = None
        self._made = throttle
        self._latency_s = latency_s
        self._seen = seen
        self._random = random.Random(7)

    async def complete(self, request: Request) -> Response:
        if self._throttle is None:
            self._throttle = Throttle(
                lambda _: Reply("ok"), clock=loop_time, now=wall, **self._made
            )
        await asyncio.sleep(self._random.uniform(0.001, 0.005))
        answer = self._throttle({})
        if answer.status == 429:
            self._seen.refused.append(loop_time())
            await asyncio.sleep(0.003)
            raise failed(answer.headers)
        self._seen.admitted.append(loop_time())
        await asyncio.sleep(self._latency_s * self._random.uniform(0.9, 1.1))
        self._seen.first_reply = self._seen.first_reply or loop_time()
        return reply("ok", rate_limits=rate_limits(answer.headers, now=wall()))


def failed(headers: Mapping[str, str]) -> ProviderError:
    """The error as a provider makes it of these headers."""
    shift = datetime.now(UTC) - wall()  # error_for_status reads the real clock
    dated = dict(headers)
    for name, value in headers.items():
        if value.endswith("Z") and "T" in value:
            dated[name] = (datetime.fromisoformat(value) + shift).isoformat()
    if "GMT" in dated.get("retry-after", ""):
        dated["retry-after"] = "1"
    return error_for_status(429, "slow down", dated)


def run(rows: int = 300, in_flight: int = 50, latency_s: float = 0.5, **throttle: Any) -> Seen:
    """So many rows through the limits and retries of a run."""
    seen = Seen()

    async def work() -> None:
        provider = Throttled(latency_s, seen, **throttle)
        limits = Limits(concurrency=in_flight)
        asked = Retrying(Limited(provider, limits, careful=True, clock=loop_time))
        async with asyncio.TaskGroup() as group:
            for _ in range(rows):
                group.create_task(asked.complete(ASKED))
        seen.seconds = loop_time()

    virtually(work())
    assert len(seen.admitted) == rows, "no row is lost, and none is asked twice"
    return seen


# ── a server that says what is left ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("limit", [600, 10])
@pytest.mark.parametrize("form", DECLARED)
def test_headers_are_kept_to_without_a_single_429(form: str, limit: int, rounded: bool) -> None:
    seen = run(form=form, limit=limit, rounded=rounded)
    assert seen.refused == []
    assert seen.seconds <= 31


@settings(max_examples=15, deadline=None)
@given(
    form=st.sampled_from(DECLARED),
    per_minute=st.sampled_from([60, 240, 600, 3000]),
    burst=st.integers(5, 200),
    latency_s=st.sampled_from([0.05, 0.5, 3.0]),
    in_flight=st.integers(1, 100),
)
def test_whatever_the_limit_is_it_is_used_and_hardly_ever_met(
    form: str, per_minute: int, burst: int, latency_s: float, in_flight: int
) -> None:
    rate = min(per_minute / 60, in_flight / latency_s)
    seen = run(100, in_flight, latency_s, form=form, per_minute=per_minute, burst=burst)
    assert len(seen.refused) <= 5
    assert seen.seconds <= 1.5 * 100 / rate + 5 * latency_s + 5


def test_a_window_that_opens_again_is_waited_for() -> None:
    pacing = Pacing(clock := Clock())
    ticket = take(pacing)
    clock.now = 0.5
    pacing.answered(ticket, RateLimitStatus(60, 5, 40.0))
    ticket = take(pacing)
    clock.now = 3.0
    pacing.answered(ticket, RateLimitStatus(60, 0, 37.5))
    clock.now = 20.0
    ticket = take(pacing)
    clock.now = 20.5
    pacing.answered(ticket, RateLimitStatus(60, 0, 20.0))
    assert pacing.wait_s(Cost()) > 3, "nothing came in: this is no bucket that fills all the time"
    clock.now = 42
    assert pacing.wait_s(Cost()) <= 0


def test_tokens_that_are_declared_are_kept_to_as_well() -> None:
    pacing = Pacing(clock := Clock())
    ticket = take(pacing)
    clock.now = 0.5
    pacing.answered(ticket, RateLimitStatus(output_tokens_limit=6000, output_tokens_remaining=250))
    assert pacing.counts_tokens
    assert pacing.wait_s(Cost(9999, 100)) <= 0
    for _ in range(2):
        pacing.take(Cost(9999, 100))
    assert pacing.wait_s(Cost(9999, 100)) == pytest.approx(1.1, abs=0.1), "and a margin"


def test_what_others_use_of_the_limit_is_seen() -> None:
    pacing = Pacing(Clock())
    tickets = [take(pacing) for _ in range(2)]
    pacing.answered(tickets[0], RateLimitStatus(600, 50, 1.0))
    assert pacing.wait_s(Cost()) <= 0
    ticket = take(pacing)
    pacing.answered(ticket, RateLimitStatus(600, 0, 5.0))
    assert pacing.wait_s(Cost()) > 0


def test_a_reply_to_an_older_call_does_not_count_again() -> None:
    pacing = Pacing(clock := Clock())
    older, newer = take(pacing), take(pacing)
    pacing.answered(newer, RateLimitStatus(60, 0, 9.0))
    wait = pacing.wait_s(Cost())
    pacing.answered(older, RateLimitStatus(60, 55, 1.0))
    assert pacing.wait_s(Cost()) == wait > 0
    assert clock.now == 0


# ── a server that says little ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", SILENT)
def test_a_rate_that_nobody_declares_is_learned_from_a_few_refusals(form: str) -> None:
    seen = run(form=form)
    assert len(seen.refused) <= 10
    assert seen.seconds <= 31


@settings(max_examples=20, deadline=None)
@given(
    form=st.sampled_from(SILENT),
    per_minute=st.sampled_from([120, 600, 1200]),
    burst=st.integers(2, 60),
    latency_s=st.sampled_from([0.05, 0.5, 2.0]),
)
def test_no_row_is_lost_and_no_storm_breaks_out_at_any_silent_limit(
    form: str, per_minute: int, burst: int, latency_s: float
) -> None:
    seen = run(150, 50, latency_s, form=form, per_minute=per_minute, burst=burst)
    assert len(seen.refused) <= 40
    assert seen.seconds <= 5 * 150 / (per_minute / 60) + 10 * latency_s + 10


def test_two_refusals_tell_the_rate() -> None:
    learned = Learned()
    for _ in range(10):
        learned.take(0.0)
    assert learned.refused(Ticket(11, 0.0, {}), 0.01, 11) is True, "nothing is known yet"
    now, number = 1.0, 11
    for _ in range(20):
        number, now = number + 1, now + 0.05
        learned.take(now)
    assert learned.refused(Ticket(number + 1, now, {}), now, number + 1) is False
    assert learned.rate == pytest.approx(20 / 2 * 0.98)


def test_the_rest_of_a_burst_is_not_counted_again() -> None:
    pacing = Pacing(clock := Clock())
    tickets = [take(pacing) for _ in range(50)]
    clock.now = 0.01
    assert [pacing.refused(ticket, None) for ticket in tickets[10:]].count(True) == 1
    assert pacing.paused_s == pytest.approx(0.5)


def test_refusals_without_an_end_are_asked_less_and_less() -> None:
    pacing = Pacing(clock := Clock())
    pauses = []
    for _ in range(12):
        pacing.refused(take(pacing), None)
        pauses.append(pacing.paused_s)
        clock.now += pacing.paused_s
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


def test_a_server_that_says_wait_nothing_is_not_asked_without_end() -> None:
    pacing = Pacing(clock := Clock())
    for _ in range(8):
        pacing.refused(take(pacing), 0.0)
        clock.now += pacing.paused_s
    assert clock.now > 20


def test_after_an_answer_the_pauses_are_short_again() -> None:
    pacing = Pacing(clock := Clock())
    for _ in range(5):
        pacing.refused(take(pacing), None)
        clock.now += pacing.paused_s
    pacing.answered(take(pacing), None)
    pacing.refused(take(pacing), None)
    assert pacing.paused_s == pytest.approx(0.5)


# ── declared by the user, and the line ───────────────────────────────────────────────────────


@settings(max_examples=15, deadline=None)
@given(per_minute=st.integers(30, 3000), in_flight=st.integers(1, 60), rows=st.integers(1, 150))
def test_no_minute_holds_more_than_the_user_declared(
    per_minute: int, in_flight: int, rows: int
) -> None:
    started: list[float] = []

    class Quick(ScriptedProvider):
        async def complete(self, request: Request) -> Response:
            started.append(loop_time())
            await asyncio.sleep(0.2)
            return Response("ok", usage=Usage(1, 1))

    async def work() -> None:
        limits = Limits(concurrency=in_flight, requests_per_minute=per_minute)
        limited = Limited(Quick(), limits, clock=loop_time)
        async with asyncio.TaskGroup() as group:
            for _ in range(rows):
                group.create_task(limited.complete(ASKED))

    virtually(work())
    assert len(started) == rows
    burst = max(1, per_minute / 60)
    for first in started:
        assert sum(first <= at < first + 60 for at in started) <= per_minute + burst + 1


def test_a_pause_holds_every_call_and_the_highest_priority_goes_first_after_it() -> None:
    async def work() -> tuple[list[int], float]:
        order: list[int] = []
        priorities = iter([0, 1, 3, 2])

        class Noting(ScriptedProvider):
            async def complete(self, request: Request) -> Response:
                order.append(int(request.messages[0].content))
                return reply("ok")

        limited = Limited(Noting(), Limits(), priority=lambda: next(priorities), clock=loop_time)
        limited.pacing.pause(30)
        async with asyncio.TaskGroup() as group:
            for priority in (0, 1, 3, 2):
                asked = Request("s/m", [user(str(priority))])
                group.create_task(limited.complete(asked))
            await asyncio.sleep(29)
            assert order == []
        return order, loop_time()

    order, ended = virtually(work())
    assert order == [3, 2, 1, 0]
    assert ended >= 30


def test_a_call_that_is_cancelled_while_it_waits_leaves_the_line() -> None:
    async def work() -> None:
        limited = Limited(ScriptedProvider(), Limits(concurrency=1), clock=loop_time)
        limited.pacing.pause(30)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(limited.complete(ASKED))
            second = group.create_task(limited.complete(ASKED))
            await asyncio.sleep(1)
            first.cancel()
        assert second.result().text
        assert limited.window.in_flight == 0

    virtually(work())


async def test_a_429_is_still_an_error_for_whoever_retries() -> None:
    limited = Limited(ScriptedProvider(lambda _: RateLimited("slow")), Limits())
    with pytest.raises(RateLimited):
        await limited.complete(ASKED)


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(pacing: Pacing) -> Ticket:
    """A call that goes now."""
    pacing.take(Cost())
    return pacing.ticket()
