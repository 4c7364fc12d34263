from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from synthtutor.errors import RateLimited
from synthtutor.provider import Endpoint, error_for_status, rate_limits
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import OpenAIServer
from synthtutor.testing.throttle import Throttle

NOW = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def throttle(clock: Clock, **options: object) -> Throttle:
    made: dict[str, object] = {"clock": clock, "now": lambda: NOW + timedelta(seconds=clock.now)}
    return Throttle(lambda _: Reply("ok"), **made | options)  # type: ignore[arg-type]


def statuses(made: Throttle, times: int) -> list[int]:
    return [made({}).status for _ in range(times)]


def test_a_burst_is_admitted_and_then_the_rate() -> None:
    made = throttle(clock := Clock())
    assert statuses(made, 12) == [200] * 10 + [429] * 2
    clock.now = 0.3
    assert statuses(made, 4) == [200] * 3 + [429]
    clock.now = 60
    assert statuses(made, 11) == [200] * 10 + [429]
    assert (made.admitted, made.refused) == (23, 4)


@pytest.mark.parametrize("form", ["openai", "anthropic"])
@pytest.mark.parametrize("rounded", [False, True])
def test_what_is_left_is_told_on_every_answer_as_vendors_do(form: str, rounded: bool) -> None:
    made = throttle(Clock(), form=form, rounded=rounded)
    seen = [rate_limits(made({}).headers, now=NOW) for _ in range(4)]
    assert [status.requests_remaining for status in seen if status] == [9, 8, 7, 6]
    assert seen[3] is not None
    assert seen[3].requests_limit == 600
    assert seen[3].requests_reset_s == pytest.approx(0.4, abs=0.01 if not rounded else 0.65)


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("retry-after", {"retry-after": "1"}),
        ("retry-after-ms", {"retry-after-ms": "100"}),
        ("retry-after-date", {"retry-after": "Thu, 01 Jan 2026 12:00:01 GMT"}),
        ("none", {}),
    ],
)
def test_other_servers_tell_only_whom_they_refuse(form: str, header: dict[str, str]) -> None:
    made = throttle(Clock(), form=form)
    assert all(made({}).headers == {} for _ in range(10))
    refused = made({})
    assert refused.headers == header
    assert isinstance(error_for_status(429, "", refused.headers), RateLimited)


def test_a_long_wait_is_a_duration_in_minutes() -> None:
    made = throttle(Clock(), per_minute=6, burst=20)
    for _ in range(20):
        made({})
    assert made.headers()["x-ratelimit-reset-requests"] == "3m20.000s"


def test_a_form_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(ValueError, match="morse"):
        throttle(Clock(), form="morse")


async def test_over_http_the_provider_sees_both_answers() -> None:
    from synthtutor_compatible import Compatible

    from synthtutor.messages import Request, user

    made = throttle(Clock(), burst=1)
    async with OpenAIServer(made) as server:
        provider = Compatible(Endpoint(base_url=server.base_url))
        asked = Request("compatible/m", [user("hi")])
        answer = await provider.complete(asked)
        assert answer.rate_limits is not None
        assert answer.rate_limits.requests_remaining == 0
        with pytest.raises(RateLimited) as refused:
            await provider.complete(asked)
        assert refused.value.retry_after_s == pytest.approx(0.1)
        await provider.aclose()
