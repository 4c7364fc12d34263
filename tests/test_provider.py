from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import (
    ConfigError,
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from synthtutor.provider import (
    Endpoint,
    Provider,
    error_for_status,
    rate_limits,
    redact,
    retry_after_s,
    split_thinking,
)
from synthtutor.testing import ScriptedProvider

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT"}, 30.0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:00 GMT"}, 0.0),
        ({"retry-after": "2026-01-02T03:04:35Z"}, 30.0),
        ({"retry-after": "1767323075"}, 30.0),  # a point in time, in seconds since 1970
        ({"retry-after": "1767323075000"}, 30.0),
        ({"retry-after": "20s"}, 20.0),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form_that_servers_write(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers, now=NOW) == seconds


def test_dates_are_compared_with_the_servers_own_clock() -> None:
    ours_is_an_hour_late = {"date": format_datetime(NOW, usegmt=True)}
    date = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
    assert retry_after_s({**ours_is_an_hour_late, "retry-after": date}) == 30
    reset = {"anthropic-ratelimit-requests-reset": "2026-01-02T03:05:05Z"}
    status = rate_limits({**ours_is_an_hour_late, **reset})
    assert status is not None
    assert status.requests_reset_s == 60


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "Rate limit reached for gpt-4o. Add a payment method: https://h.test/account/billing.",
            "",
        ),
        ("Rate limit reached. Need more? Upgrade at https://h.test/settings/billing", ""),
        ("Rate limit reached: you may add a card under billing.", "rate_limit_exceeded"),
    ],
)
def test_a_rate_limit_that_advertises_is_no_unpaid_bill(message: str, code: str) -> None:
    assert isinstance(error_for_status(429, message, {}, code=code), RateLimited)


def test_a_request_larger_than_the_whole_limit_is_not_waited_for() -> None:
    message = "Request too large for m on tokens per min (TPM): Limit 30000, Requested 45000."
    error = error_for_status(429, message, {}, code="rate_limit_exceeded")
    assert isinstance(error, Rejected)
    assert error.reason == "context"


def test_no_server_is_waited_for_longer_than_an_hour() -> None:
    error = error_for_status(429, "", {"retry-after": "86400"})
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 3600


@given(st.floats(0, 86_400))
def test_seconds_and_milliseconds_mean_the_same_wait(seconds: float) -> None:
    assert retry_after_s({"retry-after": repr(seconds)}) == seconds
    milliseconds = repr(seconds * 1000)
    assert retry_after_s({"retry-after-ms": milliseconds}) == pytest.approx(seconds)


@given(st.integers(0, 10**7))
def test_an_http_date_means_the_seconds_until_then(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"retry-after": date}, now=NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_is_too_odd_to_read(value: str, milliseconds: str) -> None:
    wait = retry_after_s({"retry-after": value, "retry-after-ms": milliseconds}, now=NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("6m0s", 360.0), ("1h2m3s", 3723.0), ("120ms", 0.12), ("1.5s", 1.5), ("12", 12.0)],
)
def test_a_reset_is_read_as_a_duration(reset: str, seconds: float) -> None:
    status = rate_limits({"x-ratelimit-reset-tokens": reset})
    assert status is not None
    assert status.tokens_reset_s == pytest.approx(seconds)


def test_headers_of_another_vendor_say_the_same_thing() -> None:
    status = rate_limits(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-01-02T03:05:05Z",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "x-ratelimit-limit-tokens-prompt": "60000",
        },
        now=NOW,
    )
    assert status is not None
    assert (status.requests_limit, status.requests_remaining) == (50, 0)
    assert status.requests_reset_s == 60
    assert status.output_tokens_remaining == 8000
    assert status.input_tokens_limit == 60_000
    assert status.tokens_remaining is None


def test_headers_without_rate_limits_give_none() -> None:
    assert rate_limits({"content-type": "application/json"}) is None


@given(st.dictionaries(st.sampled_from(["limit", "remaining", "reset"]), st.text(max_size=12)))
def test_no_rate_limit_header_is_too_odd_to_read(values: dict[str, str]) -> None:
    rate_limits({f"x-ratelimit-{what}-tokens": value for what, value in values.items()}, now=NOW)


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (401, "bad key", "", Unauthorized),
        (402, "pay", "", Unauthorized),
        (403, "no", "", Unauthorized),
        (429, "slow down", "", RateLimited),
        (429, "You exceeded your current quota", "insufficient_quota", Unauthorized),
        (408, "", "", Unavailable),
        (500, "", "", Unavailable),
        (503, "overloaded", "", Unavailable),
        (529, "overloaded", "", Unavailable),
        (400, "what?", "", Rejected),
        (422, "what?", "", Rejected),
    ],
)
def test_a_status_becomes_the_error_that_says_what_to_do(
    status: int, message: str, code: str, kind: type[ProviderError]
) -> None:
    error = error_for_status(status, message, {}, code=code, request_id="r1")
    assert type(error) is kind
    assert (error.status, error.request_id) == (status, "r1")
    assert message in str(error)


@pytest.mark.parametrize(
    ("status", "message", "code", "reason"),
    [
        (404, "", "", "model"),
        (400, "The model `x` does not exist", "", "model"),
        (400, "no", "model_not_found", "model"),
        (413, "", "", "context"),
        (400, "This model's maximum context length is 8192 tokens", "", "context"),
        (400, "no", "content_filter", "content"),
        (400, "temperature must be below 2", "", "request"),
    ],
)
def test_a_rejection_says_whose_fault_it_is(
    status: int, message: str, code: str, reason: str
) -> None:
    error = error_for_status(status, message, {}, code=code)
    assert isinstance(error, Rejected)
    assert error.reason == reason


def test_a_429_without_retry_after_waits_for_the_limit_that_is_used_up() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "50s",
    }
    error = error_for_status(429, "", headers)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 2.0


def test_the_key_is_the_given_one_or_the_first_variable_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FIRST_KEY", raising=False)
    monkeypatch.setenv("SECOND_KEY", "from-environment")
    assert Endpoint().key("FIRST_KEY", "SECOND_KEY") == "from-environment"
    assert Endpoint(api_key="given").key("FIRST_KEY", "SECOND_KEY") == "given"
    monkeypatch.setenv("SECOND_KEY", "")
    with pytest.raises(ConfigError, match="FIRST_KEY or SECOND_KEY"):
        Endpoint().key("FIRST_KEY", "SECOND_KEY")


def test_a_key_is_not_shown() -> None:
    assert "sk-very-secret" not in repr(Endpoint(api_key="sk-very-secret"))


def test_a_url_is_the_given_one_the_variable_or_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("THE_URL", "http://set")
    assert Endpoint(base_url="http://given").url("THE_URL", "http://default") == "http://given"
    assert Endpoint().url("THE_URL", "http://default") == "http://set"
    monkeypatch.delenv("THE_URL")
    assert Endpoint().url("THE_URL", "http://default") == "http://default"


def test_secrets_are_cut_out_of_messages() -> None:
    assert redact("bad key sk-12345678.", "sk-12345678", None, "") == "bad key [redacted]."
    assert redact("a cat", "a") == "a cat", "too short to be a secret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>hm</think>\n\nYes.", ("hm", "Yes.")),
        ("hm</think>Yes.", ("hm", "Yes.")),
        ("<think>cut he", ("cut he", "")),
        ("  <think>cut he", ("cut he", "")),
        ("No tags.", ("", "No tags.")),
        ("A <think> in the middle.", ("", "A <think> in the middle.")),
        ("<think></think>Yes.", ("", "Yes.")),
    ],
)
def test_reasoning_is_split_off_the_text(text: str, expected: tuple[str, str]) -> None:
    assert split_thinking(text) == expected


def test_the_protocol_is_seen_in_an_object() -> None:
    assert isinstance(ScriptedProvider(), Provider)
    assert not isinstance(object(), Provider)
