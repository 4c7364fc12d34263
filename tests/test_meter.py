from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import BudgetExceeded, Unavailable
from synthtutor.messages import Request, Response, Settings, Usage, user
from synthtutor.meter import Meter, Metered, Reservation
from synthtutor.prices import UNKNOWN, Price, price_of
from synthtutor.provider import Capabilities
from synthtutor.testing import ScriptedProvider
from tests.doubles import PRICED, in_turn, virtually

CENT = Price("given", per_million=(0.0, 10_000.0))  # an output token costs a cent


def asked(tokens: int) -> Request:
    return Request("s/m", (user(""),), settings=Settings(max_tokens=tokens))


def used(tokens: int) -> Response:
    return Response("ok", usage=Usage(1, tokens))


class Watching(ScriptedProvider):
    """Answers each call with so many tokens after so long, and looks at the meter meanwhile."""

    def __init__(self, meter: Meter, used: dict[Request, Any]) -> None:
        super().__init__()
        self.meter, self.plan = meter, used
        self.most_reserved = 0.0
        self.running = 0

    async def complete(self, request: Request) -> Response:
        self.running += 1
        committed = self.meter.spent_usd + self.meter.reserved_usd
        self.most_reserved = max(self.most_reserved, committed)
        tokens, seconds, fails = self.plan[request]
        await asyncio.sleep(seconds)
        self.running -= 1
        if fails:
            raise Unavailable("down")
        return used(tokens)


calls = st.tuples(
    st.integers(1, 100),  # max_tokens
    st.floats(0, 1),  # the share of them used
    st.floats(0, 10),  # seconds
    st.booleans(),  # fails
)


@settings(max_examples=60)
@given(st.integers(0, 400), st.lists(calls, max_size=30), st.randoms(use_true_random=False))
def test_the_budget_is_never_passed_whatever_the_order_of_settling(
    cents: int, plans: list[tuple[int, float, float, bool]], chance: random.Random
) -> None:
    meter = Meter(budget_usd=cents / 100)
    plan: dict[Any, Any] = {}
    requests = []
    for number, (allowed, share, seconds, fails) in enumerate(plans):
        request = Request("s/m", (user(str(number)),), settings=Settings(max_tokens=allowed))
        plan[request] = (int(allowed * share), seconds, fails)
        requests.append(request)
    provider = Watching(meter, plan)
    metered = Metered(provider, meter, CENT)
    outcomes: list[str] = []

    async def ask(request: Request) -> None:
        try:
            await metered.complete(request)
            outcomes.append("paid")
        except BudgetExceeded:
            assert meter.reserved_tokens == 0, "refused only when no call in flight can make room"
            outcomes.append("refused")
        except Unavailable:
            outcomes.append("failed")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for request in requests:
                group.create_task(ask(request))
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() * 3)

    virtually(work())
    assert len(outcomes) == len(plans)
    assert provider.most_reserved <= meter.budget_usd + 1e-9  # type: ignore[operator]
    assert meter.spent_usd <= meter.budget_usd + 1e-9  # type: ignore[operator]
    assert (meter.reserved_usd, meter.reserved_tokens, meter.in_flight) == (0, 0, 0)
    assert meter.calls == outcomes.count("paid")


async def test_a_call_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    meter, provider = Meter(budget_usd=1.0), ScriptedProvider(in_turn(used(50)))
    metered = Metered(provider, meter, CENT)
    await metered.complete(asked(100))
    with pytest.raises(BudgetExceeded, match=r"\$0.5000 are spent .* could cost \$0.5100"):
        await metered.complete(asked(51))
    assert provider.calls == 1


def test_a_call_waits_for_others_that_may_come_back_cheaper() -> None:
    meter = Meter(budget_usd=1.0)
    first, second = asked(90), asked(80)
    provider = Watching(meter, {first: (10, 5, False), second: (80, 1, False)})
    metered = Metered(provider, meter, CENT)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(metered.complete(first))
            group.create_task(metered.complete(second))
            await asyncio.sleep(1)
            assert provider.running == 1

    virtually(work())
    assert meter.calls == 2
    assert meter.spent_usd == pytest.approx(0.90)


def test_a_waiting_call_that_is_cancelled_keeps_no_room() -> None:
    meter = Meter(budget_usd=1.0)
    first, second = asked(90), asked(80)
    provider = Watching(meter, {first: (10, 5, False), second: (80, 1, False)})
    metered = Metered(provider, meter, CENT)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(metered.complete(first))
            waiting = group.create_task(metered.complete(second))
            await asyncio.sleep(1)
            waiting.cancel()

    virtually(work())
    assert (meter.calls, meter.reserved_tokens, meter.reserved_usd) == (1, 0, 0)


async def test_a_failed_call_gives_its_reservation_back_and_costs_nothing() -> None:
    meter = Meter(budget_usd=1.0)
    metered = Metered(ScriptedProvider(in_turn(Unavailable("down"), used(100))), meter, CENT)
    with pytest.raises(Unavailable):
        await metered.complete(asked(100))
    await metered.complete(asked(100))
    assert meter.spent_usd == pytest.approx(1.0)


async def test_a_limit_on_tokens_holds_without_any_price() -> None:
    meter = Meter(max_tokens_total=1000)
    metered = Metered(ScriptedProvider(lambda _: used(400)), meter, UNKNOWN)
    await metered.complete(asked(500))
    await metered.complete(asked(500))
    with pytest.raises(BudgetExceeded, match="limit of 1,000 tokens: 802 are used"):
        await metered.complete(asked(500))
    assert (meter.calls, meter.unpriced_calls, meter.spent_usd) == (2, 2, 0.0)


async def test_a_budget_of_nothing_lets_only_free_calls_pass() -> None:
    meter = Meter(budget_usd=0.0)
    free = Price("free", per_million=(0.0, 0.0))
    await Metered(ScriptedProvider(), meter, free).complete(asked(10))
    with pytest.raises(BudgetExceeded):
        await Metered(ScriptedProvider(), meter, CENT).complete(asked(10))


async def test_without_a_budget_everything_is_booked_and_nothing_reserved() -> None:
    meter = Meter()
    metered = Metered(ScriptedProvider(lambda _: used(5)), meter, PRICED)
    for _ in range(3):
        await metered.complete(asked(10))
    assert not meter.bounded
    assert meter.usage == Usage(3, 15)
    assert meter.spent_usd == pytest.approx((3 * 1 + 15 * 2) / 1e6)


async def test_what_earlier_sessions_spent_counts() -> None:
    meter = Meter(budget_usd=1.0, spent_usd=0.99)
    with pytest.raises(BudgetExceeded):
        await Metered(ScriptedProvider(), meter, CENT).complete(asked(10))


async def test_it_passes_on_what_the_provider_can_do() -> None:
    capabilities = Capabilities(max_in_flight=3)
    metered = Metered(ScriptedProvider(capabilities=capabilities), Meter(), UNKNOWN)
    assert metered.capabilities("m") is capabilities
    await metered.aclose()


# ── when a bill is more than was reserved ────────────────────────────────────────────────────


async def test_a_bill_above_its_reservation_makes_the_next_ones_larger() -> None:
    meter = Meter(budget_usd=10.0)
    metered = Metered(ScriptedProvider(in_turn(used(150), used(1))), meter, CENT)
    await metered.complete(asked(100))
    reserved = await meter.reserve(asked(100), CENT)
    assert reserved is not None
    assert reserved.usd == pytest.approx(1.50)
    other = await meter.reserve(Request("s/other", (user(""),), settings=Settings(100)), CENT)
    assert other is not None
    assert other.usd == pytest.approx(1.0), "what one model bills says nothing of another"


async def test_reservations_in_force_grow_too() -> None:
    meter = Meter(budget_usd=10.0)
    one = await meter.reserve(asked(100), CENT)
    assert one is not None
    meter.learn("s/m", one.most, Usage(1, 200))
    assert meter.reserved_usd == pytest.approx(2.0)
    meter.release(one)
    assert (meter.reserved_usd, meter.reserved_tokens) == (0, 0)


async def test_bills_below_their_reservation_change_nothing() -> None:
    meter = Meter(budget_usd=10.0)
    metered = Metered(ScriptedProvider(lambda _: used(10)), meter, CENT)
    for _ in range(3):
        await metered.complete(asked(100))
    reserved = await meter.reserve(asked(100), CENT)
    assert reserved is not None
    assert reserved.usd == pytest.approx(1.0)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 3)), max_size=30), st.integers(0, 999))
def test_where_bills_pass_reservations_the_excess_is_of_calls_in_flight(
    plans: list[tuple[int, float]], cents: int
) -> None:
    """One call at a time: only a call that set a new record may have gone over the budget."""
    meter = Meter(budget_usd=cents / 100)
    answers = [(allowed, int(allowed * factor)) for allowed, factor in plans]

    async def work() -> None:
        highest = 1.0
        for allowed, billed in answers:
            metered = Metered(ScriptedProvider(lambda _, n=billed: used(n)), meter, CENT)  # type: ignore[misc]
            try:
                await metered.complete(asked(allowed))
            except BudgetExceeded:
                return
            if billed / allowed <= highest:
                assert meter.spent_usd <= cents / 100 + 1e-9
            highest = max(highest, billed / allowed)
            if meter.spent_usd > cents / 100:
                return

    virtually(work())


async def test_what_a_model_may_think_beyond_its_limit_is_reserved() -> None:
    meter = Meter(budget_usd=1000.0)
    request = Request("s/m", (user(""),), settings=Settings(100, reasoning_effort="low"))
    reserved = await meter.reserve(request, CENT)
    assert reserved is not None
    assert reserved.usd == pytest.approx((100 + 2048) / 100)


async def test_a_prompt_may_be_written_to_the_cache_which_costs_more() -> None:
    meter, price = Meter(budget_usd=1000.0), price_of("anthropic/claude-haiku-4-5")
    request = Request("s/m", (user("word " * 900),), settings=Settings(1))
    into = request.estimated_input_tokens()
    reserved = await meter.reserve(request, price)
    assert reserved is not None
    assert reserved.usd == price.cost(Usage(into, 1, cache_write_tokens=into))
    assert reserved.usd > (price.cost(Usage(into, 1)) or 0)


# ── what earlier processes have left in batches ──────────────────────────────────────────────


def left_behind(meter: Meter, *requests: Request) -> None:
    for request in requests:
        most = request.settings.max_tokens
        meter.hold(request.digest().hex(), Reservation("s/m", CENT, False, (1, most)))


async def test_what_waits_in_a_batch_counts_from_the_start() -> None:
    meter = Meter(budget_usd=1.0, patience_s=0.01)
    left_behind(meter, asked(60))
    assert meter.held_usd == pytest.approx(0.6)
    with pytest.raises(BudgetExceeded, match=r"batches under way may cost \$0\.6000"):
        await Metered(ScriptedProvider(), meter, CENT).complete(asked(50))


async def test_a_limit_on_tokens_counts_what_waits_in_a_batch() -> None:
    meter = Meter(max_tokens_total=100, patience_s=0.01)
    left_behind(meter, asked(60))
    with pytest.raises(BudgetExceeded, match="batches under way may use 61"):
        await Metered(ScriptedProvider(), meter, UNKNOWN).complete(asked(50))


async def test_the_call_that_was_left_takes_its_place_over_at_any_level_of_the_budget() -> None:
    meter = Meter(budget_usd=0.5)
    left_behind(meter, asked(60), asked(60))
    metered = Metered(ScriptedProvider(lambda _: used(20)), meter, CENT)
    await metered.complete(asked(60))
    assert meter.held_usd == pytest.approx(0.6)
    await metered.complete(asked(60))
    assert (meter.held_usd, meter.held_tokens, meter.reserved_usd) == (0, 0, 0)
    assert meter.spent_usd == pytest.approx(0.4)


def test_a_new_call_waits_for_those_that_come_out_of_batches() -> None:
    meter = Meter(budget_usd=1.0)
    left_behind(meter, asked(60))
    new = asked(55)
    provider = Watching(meter, {asked(60): (10, 500, False), new: (55, 1, False)})
    metered = Metered(provider, meter, CENT)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(metered.complete(new))
            await asyncio.sleep(4)  # samples that take their time to get to the batch again
            group.create_task(metered.complete(asked(60)))

    virtually(work())
    assert meter.spent_usd == pytest.approx(0.65)


@settings(max_examples=60)
@given(
    st.integers(0, 400),
    st.lists(calls, max_size=12),
    st.lists(calls, max_size=12),
    st.randoms(use_true_random=False),
)
def test_the_budget_holds_with_calls_in_batches_asked_for_or_not(
    cents: int,
    left: list[tuple[int, float, float, bool]],
    new: list[tuple[int, float, float, bool]],
    chance: random.Random,
) -> None:
    """Dollars paid and owed never pass the budget, unless the batches alone do."""
    meter = Meter(budget_usd=cents / 100)
    plan: dict[Any, Any] = {}
    asked_for, owed = [], 0.0
    for number, (allowed, share, seconds, fails) in enumerate([*left, *new]):
        request = Request("s/m", (user(str(number)),), settings=Settings(max_tokens=allowed))
        plan[request] = (int(allowed * share), seconds, fails)
        if number < len(left):
            left_behind(meter, request)
            owed += allowed / 100
        if number >= len(left) or chance.random() < 0.7:
            asked_for.append(request)
    metered = Metered(Watching(meter, plan), meter, CENT)
    bound = max(meter.budget_usd or 0.0, owed) + 1e-9
    chance.shuffle(asked_for)

    async def ask(request: Request) -> None:
        with contextlib.suppress(BudgetExceeded, Unavailable):
            await metered.complete(request)
        assert meter.spent_usd + meter.reserved_usd + meter.held_usd <= bound

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for request in asked_for:
                group.create_task(ask(request))
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() * 3)

    virtually(work())
    assert (meter.reserved_usd, meter.in_flight) == (0, 0)
    unasked = sum(r.settings.max_tokens for r in plan if r not in asked_for) / 100
    assert meter.held_usd == pytest.approx(unasked)
