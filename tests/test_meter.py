from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import BudgetExceeded, Unavailable
from synthtutor.messages import Request, Response, Settings, Usage, user
from synthtutor.meter import Meter, Metered
from synthtutor.prices import UNKNOWN, Price
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
