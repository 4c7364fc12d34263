from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Retryable,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from synthtutor.messages import Request, user
from synthtutor.provider import Capabilities
from synthtutor.retries import Retrying
from synthtutor.testing import ScriptedProvider
from tests.doubles import in_turn, virtually

ASKED = Request("s/m", [user("hi")])


class Slept(list[float]):
    """A sleep that only notes how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def down() -> Unavailable:
    return Unavailable("down")


async def test_a_call_that_succeeds_is_made_once() -> None:
    provider, slept = ScriptedProvider(in_turn("yes")), Slept()
    assert (await Retrying(provider, sleep=slept).complete(ASKED)).text == "yes"
    assert (provider.calls, slept) == (1, [])


async def test_a_fault_is_asked_again_and_every_one_is_heard_of() -> None:
    provider, slept = ScriptedProvider(in_turn(down(), RateLimited("slow"), "yes")), Slept()
    heard: list[Retryable] = []
    retrying = Retrying(provider, sleep=slept, on_retry=heard.append)
    assert (await retrying.complete(ASKED)).text == "yes"
    assert [type(error) for error in heard] == [Unavailable, RateLimited]
    assert len(slept) == 2


async def test_after_its_attempts_the_last_fault_is_raised() -> None:
    provider, slept = ScriptedProvider(lambda _: Unavailable("still down")), Slept()
    heard: list[Retryable] = []
    with pytest.raises(Unavailable, match="still down"):
        await Retrying(provider, attempts=4, sleep=slept, on_retry=heard.append).complete(ASKED)
    assert (provider.calls, len(slept), len(heard)) == (4, 3, 4)


async def test_where_nobody_has_ever_answered_three_attempts_are_enough_for_all() -> None:
    provider, slept = ScriptedProvider(lambda _: Unreachable("refused")), Slept()
    retrying = Retrying(provider, sleep=slept)
    for attempts in (3, 1, 1):
        provider.calls = 0
        with pytest.raises(Unreachable):
            await retrying.complete(ASKED)
        assert provider.calls == attempts
    assert sum(slept) <= 1.5, "half a second, then one"


@pytest.mark.parametrize("answer", [RateLimited("slow"), down(), Rejected("no"), "yes"])
async def test_who_has_answered_once_is_given_all_attempts(answer: str | Exception) -> None:
    refused = [Unreachable("refused")] * 5
    retrying = Retrying(
        ScriptedProvider(in_turn(answer, *refused, "yes")), attempts=7, sleep=Slept()
    )
    if answer == "yes" or isinstance(answer, Rejected):
        with suppress(Rejected):
            await retrying.complete(ASKED)
    assert (await retrying.complete(ASKED)).text == "yes"


async def test_after_the_deadline_no_fault_is_asked_again() -> None:
    provider = ScriptedProvider(lambda _: down())
    with pytest.raises(Unavailable):
        await Retrying(provider, deadline_s=0, sleep=Slept()).complete(ASKED)
    assert provider.calls == 1


async def test_rate_limits_are_waited_out_however_many() -> None:
    errors = [RateLimited("slow") for _ in range(50)]
    provider = ScriptedProvider(in_turn(*errors, "yes"))
    retrying = Retrying(provider, attempts=2, deadline_s=0, sleep=Slept())
    assert (await retrying.complete(ASKED)).text == "yes"
    assert provider.calls == 51


async def test_rate_limits_do_not_use_up_the_attempts_for_faults() -> None:
    errors = [RateLimited("slow") for _ in range(10)]
    provider = ScriptedProvider(in_turn(*errors, down(), "yes"))
    assert (await Retrying(provider, attempts=3, sleep=Slept()).complete(ASKED)).text == "yes"


@pytest.mark.parametrize("error", [Rejected("no"), Unauthorized("no"), ProviderError("no")])
async def test_what_will_never_work_is_not_asked_again(error: ProviderError) -> None:
    provider, slept = ScriptedProvider(in_turn(error)), Slept()
    with pytest.raises(type(error)):
        await Retrying(provider, sleep=slept).complete(ASKED)
    assert (provider.calls, slept) == (1, [])


async def test_the_last_error_is_the_one_that_counts() -> None:
    provider = ScriptedProvider(in_turn(down(), Rejected("no")))
    with pytest.raises(Rejected):
        await Retrying(provider, sleep=Slept()).complete(ASKED)


@given(st.floats(0, 1000))
def test_the_servers_own_word_is_waited_and_never_less(seconds: float) -> None:
    slept = Slept()
    provider = ScriptedProvider(in_turn(RateLimited("slow", retry_after_s=seconds), "yes"))
    virtually(Retrying(provider, sleep=slept).complete(ASKED))
    assert seconds <= slept[0] <= seconds + 0.25


async def test_without_a_word_waits_grow_to_their_bound_with_jitter() -> None:
    slept = Slept()
    provider = ScriptedProvider(lambda _: down())
    with pytest.raises(Unavailable):
        await Retrying(provider, attempts=200, max_wait_s=8, sleep=slept).complete(ASKED)
    assert all(0 <= wait <= 8 for wait in slept)
    assert slept[0] <= 0.5
    assert len(set(slept)) > 100, "jittered: callers do not come back together"
    assert max(slept) > 4


async def test_it_passes_on_what_the_provider_can_do() -> None:
    capabilities = Capabilities(max_in_flight=3)
    retrying = Retrying(ScriptedProvider(capabilities=capabilities))
    assert retrying.capabilities("m") is capabilities
    await retrying.aclose()
