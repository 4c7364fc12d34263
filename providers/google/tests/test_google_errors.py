"""What Gemini's errors mean to `google`, and that every error of the SDK has a meaning."""

from __future__ import annotations

import inspect
import json
import sys
import traceback
from collections.abc import Mapping
from types import SimpleNamespace

import httpx2
import pytest
from google.genai import errors
from synthtutor_google import Google, translated

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from synthtutor.messages import Request, user
from synthtutor.provider import Endpoint
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import Reply

KEY = "AIza-test-0123456789"


async def failure(reply: Reply, *, retry_info: bool = False) -> ProviderError:
    async with GoogleServer(lambda _: reply, retry_info=retry_info) as server:
        provider = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        with pytest.raises(ProviderError) as caught:
            await provider.complete(Request("google/gemini-2.5-flash", [user("Hi.")]))
        await provider.aclose()
    return caught.value


def too_many(*quotas: str, message: str = "You exceeded your current quota.", **more: str) -> Reply:
    """A 429 as Gemini words it: like an unpaid bill, whatever limit it was."""
    violations = [{"quotaId": quota, **more} for quota in quotas]
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
    return Reply(status=429, error={"message": message, "details": details})


PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


async def test_a_limit_of_a_minute_is_waited_for_whatever_its_words() -> None:
    assert type(await failure(too_many(PER_MINUTE, quotaValue="10"))) is RateLimited
    words = "You exceeded your current quota, check your billing. Please retry in 12.5s."
    assert type(await failure(Reply.failure(429, words))) is RateLimited


async def test_a_limit_of_a_day_or_of_nothing_stops_the_run() -> None:
    assert type(await failure(too_many(PER_MINUTE, PER_DAY))) is Unauthorized
    assert type(await failure(too_many(PER_MINUTE, quotaValue="0"))) is Unauthorized
    words = (
        "You exceeded your current quota. Quota exceeded, limit: 0, model: m. Please retry in 9s"
    )
    assert type(await failure(Reply.failure(429, words))) is Unauthorized


async def test_a_wait_in_the_details_is_obeyed() -> None:
    reply = Reply.failure(429, "Resource exhausted.", headers={"retry-after": "12.5"})
    error = await failure(reply, retry_info=True)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 12.5


async def test_a_limit_in_quota_words_with_a_wait_in_the_details_is_waited_for() -> None:
    words = "You exceeded your current quota, please check your plan and billing details."
    error = await failure(Reply.failure(429, words, headers={"retry-after": "8"}), retry_info=True)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 8.0


async def test_a_wait_in_a_header_comes_first() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}
    error = {"message": "Exhausted.", "details": [info]}
    reply = Reply(status=429, error=error, headers={"retry-after": "2"})
    found = await failure(reply)
    assert isinstance(found, RateLimited)
    assert found.retry_after_s == 2.0


async def test_an_overload_says_how_long_to_wait_too() -> None:
    reply = Reply.failure(503, "The model is overloaded.", headers={"retry-after": "4"})
    error = await failure(reply, retry_info=True)
    assert isinstance(error, Unavailable)
    assert error.retry_after_s == 4.0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "API key not valid. Please pass a valid API key."}, Unauthorized),
        ({"message": "API key expired. Please renew the API key."}, Unauthorized),
        ({"message": "x", "details": [{"reason": "API_KEY_INVALID"}]}, Unauthorized),
        (
            {"message": "User location is not supported.", "status": "FAILED_PRECONDITION"},
            Unauthorized,
        ),
        ({"message": "Please enable billing.", "status": "FAILED_PRECONDITION"}, Unauthorized),
        ({"message": "Please check.", "status": "FAILED_PRECONDITION"}, Rejected),
        ({"message": "billing is a fine word in a prompt"}, Rejected),
    ],
)
async def test_a_400_may_mean_the_account(
    error: Mapping[str, object], kind: type[ProviderError]
) -> None:
    assert type(await failure(Reply(status=400, error=error))) is kind


async def test_too_long_a_prompt_is_told_apart() -> None:
    words = (
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."
    )
    error = await failure(Reply.failure(400, words))
    assert isinstance(error, Rejected)
    assert error.reason == "context"


async def test_a_call_cancelled_by_the_service_is_asked_again() -> None:
    assert type(await failure(Reply.failure(499, "The operation was cancelled."))) is Unavailable


async def test_a_redirect_does_not_carry_the_key_away() -> None:
    async with GoogleServer() as elsewhere:
        target = f"{elsewhere.base_url}/v1beta/models/gemini-2.5-flash:generateContent"
        reply = Reply(status=307, raw=b"", headers={"location": target})
        assert type(await failure(reply)) is Rejected
        assert elsewhere.calls == 0


async def test_the_key_is_cut_out_before_a_long_message_is_cut() -> None:
    error = await failure(Reply.failure(400, "x" * 1995 + KEY))
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY[:4] not in shown


# Every exception the SDK defines, and what it means here. A new one in a new version of the SDK
# makes the test below fail until it has a line.
MEANINGS: dict[type[Exception], type[ProviderError]] = {
    errors.APIError: Rejected,  # with the status 302 below; the status decides
    errors.ClientError: Rejected,
    errors.ServerError: Unavailable,
    errors.UnknownApiResponseError: Unavailable,
}
# Raised only by other parts of the SDK: functions called for the model, and interactions.
ELSEWHERE = {
    "UnknownFunctionCallArgumentError",
    "UnsupportedFunctionError",
    "FunctionInvocationError",
    "ContinuationInterruptedError",
}
STATUSES = {errors.APIError: 302, errors.ClientError: 400, errors.ServerError: 503}


def test_every_error_of_the_sdk_is_accounted_for() -> None:
    found = {
        value.__name__
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == "google.genai.errors"
    }
    assert found == {kind.__name__ for kind in MEANINGS} | ELSEWHERE


@pytest.mark.parametrize("kind", MEANINGS, ids=lambda kind: kind.__name__)
def test_an_sdk_error_is_translated(kind: type[Exception]) -> None:
    if issubclass(kind, errors.APIError):
        error: Exception = kind(STATUSES[kind], {"error": {"message": "said"}}, None)
    else:
        error = kind("said")
    found = translated(error)
    assert type(found) is MEANINGS[kind]
    assert "said" in str(found)


def transport_errors() -> list[type[httpx2.HTTPError]]:
    def below(kind: type[httpx2.HTTPError]) -> list[type[httpx2.HTTPError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in below(sub))]

    # Without what other libraries derive from them, which are loaded by other tests or not.
    own = [kind for kind in below(httpx2.HTTPError) if kind.__module__.startswith("httpx2")]
    return [kind for kind in own if kind is not httpx2.HTTPStatusError]


@pytest.mark.parametrize("kind", transport_errors(), ids=lambda kind: kind.__name__)
def test_a_transport_error_is_unavailable(kind: type[httpx2.HTTPError]) -> None:
    nobody = issubclass(kind, httpx2.ConnectError | httpx2.ConnectTimeout)
    assert type(translated(kind("lost"))) is (Unreachable if nobody else Unavailable)


def test_an_error_of_aiohttp_is_unavailable_where_that_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class ClientError(Exception):
        pass

    with pytest.raises(ClientError):
        translated(ClientError("lost"))
    monkeypatch.setitem(sys.modules, "aiohttp", SimpleNamespace(ClientError=ClientError))
    assert type(translated(ClientError("lost"))) is Unavailable


def test_errors_that_the_sdk_lets_through_are_translated() -> None:
    with pytest.raises(json.JSONDecodeError) as not_json:
        json.loads("{")
    with pytest.raises(UnicodeDecodeError) as not_text:
        b"\xff".decode()
    for error in (not_json.value, not_text.value, TimeoutError()):
        assert type(translated(error)) is Unavailable


def test_a_mistake_of_ours_is_not_dressed_up_as_the_endpoints() -> None:
    with pytest.raises(KeyError):
        translated(KeyError("typo"))
