from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import RateLimited, Rejected, Unavailable
from synthtutor.limits import Bucket, Limited, Limits, Window
from synthtutor.messages import RateLimitStatus, Request, Response, Settings, Usage, user
from synthtutor.provider import Capabilities
from synthtutor.testing import ScriptedProvider
from tests.doubles import loop_time, reply, virtually

ASKED = Request("s/m", [user("hi")], settings=Settings(max_tokens=100))


class Slow(ScriptedProvider):
    """Takes a second of the loop's time for each call; knows the most that ran at once."""

    def __init__(self, *answers: Exception | Response, seconds: float = 1.0) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.seconds = seconds
        self.running = self.most = 0
        self.started: list[float] = []

    async def complete(self, request: Request) -> Response:
        answer = self.answers.popleft() if self.answers else reply("ok")
        self.started.append(loop_time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def ask(limited: Limited, times: int) -> None:
    """That many calls at once, each asked again until it is answered."""

    async def once() -> None:
        while True:
            try:
                await limited.complete(ASKED)
            except (RateLimited, Unavailable):
                continue
            return

    async with asyncio.TaskGroup() as group:
        for _ in range(times):
            group.create_task(once())


def asked(provider: Slow, limits: Limits, times: int) -> tuple[Limited, float]:
    """The calls made on a virtual clock: what limited them, and how long it took."""

    async def work() -> tuple[Limited, float]:
        limited = Limited(provider, limits, clock=loop_time)
        await ask(limited, times)
        return limited, loop_time()

    return virtually(work())


# ── the window ───────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40)
@given(
    limit=st.integers(1, 20),
    times=st.integers(1, 80),
    faults=st.lists(st.sampled_from(["ok", "429", "503"]), max_size=60),
)
def test_no_more_calls_run_than_the_limit_allows_and_all_are_answered(
    limit: int, times: int, faults: list[str]
) -> None:
    answers: dict[str, Exception | Response] = {
        "ok": reply("ok"),
        "429": RateLimited("slow"),
        "503": Unavailable("down"),
    }
    provider = Slow(*(answers[fault] for fault in faults))
    limited, _ = asked(provider, Limits(concurrency=limit), times)
    assert provider.most <= limit
    assert limited.window.in_flight == 0
    assert 1 <= limited.window.size <= limit


@settings(max_examples=40)
@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40))
def test_a_place_is_never_lost_whoever_is_cancelled(
    limit: int, steps: list[tuple[int, bool]]
) -> None:
    async def work() -> None:
        window = Window(limit)
        running = 0

        async def hold(seconds: int) -> None:
            nonlocal running
            await window.acquire()
            running += 1
            assert running <= limit
            try:
                await asyncio.sleep(seconds)
            finally:
                running -= 1
                window.release()

        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            for seconds, cancel in steps:
                tasks.append(group.create_task(hold(seconds)))
                await asyncio.sleep(seconds / 3)
                if cancel:
                    tasks[len(tasks) // 2].cancel()
        assert window.in_flight == 0
        await window.acquire()  # there is room again, at once

    virtually(work())


def test_a_burst_of_429s_cuts_the_window_once() -> None:
    burst = [RateLimited("slow") for _ in range(30)]
    limited, _ = asked(Slow(*burst), Limits(concurrency=30), 30)
    assert limited.window.size >= 20, "30 calls of one burst: one cut to two thirds"


def test_each_later_burst_cuts_again() -> None:
    async def work() -> list[float]:
        window = Window(90, start=64)
        sizes = []
        for _ in range(3):
            sent = [await window.acquire() for _ in range(int(window.size))]
            for number in sent:
                window.cut(number)
            for _ in sent:
                window.release()
            sizes.append(window.size)
        return sizes

    first, second, third = virtually(work())
    assert first == pytest.approx(64 * 2 / 3)
    assert second < first
    assert third < second


def test_an_endpoint_of_ones_own_is_asked_as_much_as_was_allowed_at_once() -> None:
    provider = Slow()
    limited, _ = asked(provider, Limits(concurrency=500), 600)
    assert limited.window.size == 500
    assert len([start for start in provider.started if start < 0.5]) == 500


def test_after_a_cut_growth_is_slow() -> None:
    window = Window(1000, start=10)
    window.grow()
    assert window.size == 13
    window.in_flight = 12
    window.cut(1)
    assert window.size == 8
    for _ in range(8):
        window.grow()
    assert window.size == pytest.approx(10, abs=0.5), "half of what was lost comes back"
    for _ in range(12 * 20):
        window.grow()
    assert window.size < 35, "and then one more for each round trip"


def test_a_server_error_holds_growth_for_a_few_successes() -> None:
    window = Window(1000, start=10)
    window.hold()
    for _ in range(4):
        window.grow()
    assert window.size == 10
    window.grow()
    assert window.size == 13


def test_server_errors_do_not_shrink_the_window() -> None:
    down = [Unavailable("down") for _ in range(20)]
    limited, _ = asked(Slow(*down), Limits(concurrency=20), 20)
    assert limited.window.size == 20


def test_a_window_never_closes() -> None:
    limited, _ = asked(Slow(*[RateLimited("slow") for _ in range(50)]), Limits(concurrency=2), 3)
    assert limited.window.size >= 1


def test_other_errors_pass_and_leave_no_trace() -> None:
    async def work() -> Limited:
        limited = Limited(Slow(Rejected("no")), Limits(concurrency=1), clock=loop_time)
        with pytest.raises(Rejected):
            await limited.complete(ASKED)
        await limited.complete(ASKED)
        return limited

    limited = virtually(work())
    assert (limited.window.size, limited.window.in_flight) == (1, 0)


# ── the pause ────────────────────────────────────────────────────────────────────────────────


def test_one_retry_after_pauses_every_call_to_the_model() -> None:
    provider = Slow(RateLimited("slow", retry_after_s=30), seconds=0.001)

    async def work() -> float:
        limited = Limited(provider, Limits(concurrency=4), clock=loop_time)
        with pytest.raises(RateLimited):
            await limited.complete(ASKED)
        assert limited.paused_s == pytest.approx(30)
        await ask(limited, 10)
        assert limited.paused_s == 0
        return min(provider.started[1:])

    assert virtually(work()) >= 30


def test_a_longer_pause_that_comes_meanwhile_is_waited_for_too() -> None:
    provider = Slow(
        RateLimited("slow", retry_after_s=10), RateLimited("slow", retry_after_s=60), seconds=1
    )
    _, took = asked(provider, Limits(concurrency=2), 2)
    assert took >= 60


@pytest.mark.parametrize(
    ("status", "at_least", "at_most"),
    [
        (RateLimitStatus(requests_remaining=0, requests_reset_s=20), 20, 22),
        (RateLimitStatus(tokens_remaining=0, tokens_reset_s=5), 5, 7),
        (RateLimitStatus(output_tokens_remaining=0, output_tokens_reset_s=7), 7, 9),
        (RateLimitStatus(requests_limit=30, requests_remaining=0, requests_reset_s=60), 2, 4),
        (RateLimitStatus(requests_remaining=1, requests_reset_s=20), 0, 0),
        (RateLimitStatus(requests_remaining=0), 0, 0),
    ],
)
def test_headers_that_say_nothing_is_left_hold_the_next_call(
    status: RateLimitStatus, at_least: float, at_most: float
) -> None:
    async def work() -> float:
        provider = Slow(reply("ok", rate_limits=status), seconds=0.001)
        limited = Limited(provider, Limits(), clock=loop_time)
        await limited.complete(ASKED)
        await limited.complete(ASKED)
        return provider.started[1] - provider.started[0]

    assert at_least <= virtually(work()) <= at_most + 0.01


def test_a_careful_start_asks_little_until_the_first_reply() -> None:
    async def work() -> Slow:
        provider = Slow()
        await ask(Limited(provider, Limits(concurrency=50), careful=True, clock=loop_time), 60)
        return provider

    provider = virtually(work())
    assert len([start for start in provider.started if start < 1]) == 4
    assert provider.most > 30, "and then more and more"


# ── the buckets ──────────────────────────────────────────────────────────────────────────────


def rate(started: list[float], span_s: float) -> int:
    """The most starts in any span of that length."""
    return max(sum(first <= s < first + span_s for s in started) for first in started)


@pytest.mark.parametrize("per_minute", [30, 600])
def test_requests_a_minute_are_kept(per_minute: int) -> None:
    provider = Slow()
    _, took = asked(provider, Limits(concurrency=200, requests_per_minute=per_minute), 100)
    assert rate(provider.started, 60) <= per_minute * 1.05 + 1
    assert took == pytest.approx(100 / per_minute * 60, rel=0.15), "and used"


@pytest.mark.parametrize("which", ["tokens", "input_tokens", "output_tokens"])
def test_tokens_a_minute_are_kept_by_what_was_really_used(which: str) -> None:
    used = {"tokens": 150, "input_tokens": 100, "output_tokens": 50}[which]
    answers = [Response("ok", usage=Usage(100, 50)) for _ in range(60)]
    limits = Limits(concurrency=1, **{f"{which}_per_minute": used * 10.0})
    _, took = asked(Slow(*answers, seconds=0.001), limits, 60)
    assert took == pytest.approx(6 * 60, rel=0.15), "ten calls a minute"


def test_what_was_reserved_too_much_is_given_back() -> None:
    async def work() -> float:
        bucket = Bucket(600)
        for _ in range(20):
            await bucket.reserve(100)
            bucket.settle(100, 10)
        return loop_time()

    assert virtually(work()) < 40, "20 x 10 of 600 a minute are 20 s, 20 x 100 were 200"


def test_what_was_reserved_too_little_is_paid_by_the_next() -> None:
    async def work() -> float:
        bucket = Bucket(600)
        for _ in range(10):
            await bucket.reserve(10)
            bucket.settle(10, 100)
        return loop_time()

    assert virtually(work()) > 80


def test_a_call_larger_than_a_whole_burst_passes_in_time() -> None:
    async def work() -> float:
        await Bucket(60).reserve(30)
        return loop_time()

    assert virtually(work()) == pytest.approx(29, abs=2)


@pytest.mark.parametrize(("limit", "told"), [(20.0, 1), (60_000.0, 0)])
def test_a_call_that_waits_for_minutes_is_told_of_once(limit: float, told: int) -> None:
    async def work() -> list[str]:
        warnings: list[str] = []
        limits = Limits(tokens_per_minute=limit)
        limited = Limited(Slow(), limits, clock=loop_time, warn=warnings.append)
        await ask(limited, 2)
        return warnings

    warnings = virtually(work())
    assert len(warnings) == told
    assert all("under a limit of 20 a minute" in text for text in warnings)


# ── the wrapper ──────────────────────────────────────────────────────────────────────────────


async def test_it_passes_on_what_the_provider_can_do_and_closes_it() -> None:
    closed: list[Callable[[], None]] = []

    class Closing(ScriptedProvider):
        async def aclose(self) -> None:
            closed.append(self.aclose)  # type: ignore[arg-type]

    capabilities = Capabilities(max_in_flight=3)
    limited = Limited(Closing(capabilities=capabilities), Limits())
    assert limited.capabilities("m") is capabilities
    await limited.aclose()
    assert len(closed) == 1


async def test_where_calls_queue_the_highest_priority_goes_first() -> None:
    window = Window(1)
    await window.acquire()
    order: list[int] = []

    async def call(priority: int) -> None:
        await window.acquire(priority)
        order.append(priority)
        window.release()

    async with asyncio.TaskGroup() as group:
        for priority in (0, 2, 1, 2):
            group.create_task(call(priority))
        await asyncio.sleep(0)
        window.release()
    assert order == [2, 2, 1, 0]
