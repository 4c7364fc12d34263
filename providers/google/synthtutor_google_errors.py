"""What Gemini's errors mean: `translated` for what the SDK raises, `failure` for an error's body.

Google says the same thing with one status and several meanings, and puts the difference into
``details``: a wrong key is a 400, and a 429 that asks to wait ten seconds is worded like an unpaid
bill. So the details are read first, and the words only where there are none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Retryable,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from synthtutor.provider import error_for_status, redact

__all__ = ["failure", "translated"]

# Google's own numbers for errors, which stand in a batch's items where HTTP has a status.
_HTTP_STATUS = {
    1: 499,  # CANCELLED
    2: 500,  # UNKNOWN
    3: 400,  # INVALID_ARGUMENT
    4: 504,  # DEADLINE_EXCEEDED
    5: 404,  # NOT_FOUND
    6: 409,  # ALREADY_EXISTS
    7: 403,  # PERMISSION_DENIED
    8: 429,  # RESOURCE_EXHAUSTED
    9: 400,  # FAILED_PRECONDITION
    10: 409,  # ABORTED
    11: 400,  # OUT_OF_RANGE
    12: 501,  # UNIMPLEMENTED
    13: 500,  # INTERNAL
    14: 503,  # UNAVAILABLE
    15: 500,  # DATA_LOSS
    16: 401,  # UNAUTHENTICATED
}
_MESSAGE_CHARACTERS = 2000
_BAD_KEY = re.compile(r"API key (not valid|not found|expired)|API_KEY_INVALID", re.IGNORECASE)
_NOT_FOR_YOU = re.compile(r"billing|location is not supported|not available in your", re.IGNORECASE)
_TOO_LONG = re.compile(r"token count.{0,40}exceeds|exceeds the maximum number of tokens")
_NONE_AT_ALL = re.compile(r"limit: 0(?![\d.])")
_WAIT_IN_WORDS = re.compile(r"retry in [\d.]+", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


def translated(error: Exception, key: str | None = None) -> ProviderError:
    """The synthtutor error that one of the SDK's errors means; other errors are raised again."""
    import httpx2
    from google.genai import errors

    if isinstance(error, errors.APIError):
        headers = getattr(error.response, "headers", None) or {}
        return failure(error.code, _told(error), headers, key)
    if isinstance(error, TimeoutError):
        return Unavailable("no reply in time")
    if isinstance(error, json.JSONDecodeError):
        return Unavailable(f"the reply is not JSON: {error.msg}")
    if isinstance(error, UnicodeDecodeError):
        return Unavailable("the reply is not text")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Unreachable(redact(f"no connection: {error}", key)[:_MESSAGE_CHARACTERS])
    if isinstance(error, (httpx2.HTTPError, errors.UnknownApiResponseError, *_aiohttp_errors())):
        return Unavailable(redact(f"{type(error).__name__}: {error}", key)[:_MESSAGE_CHARACTERS])
    raise error


def failure(
    code: int, told: Mapping[str, Any], headers: Mapping[str, str], key: str | None = None
) -> ProviderError:
    """The synthtutor error for an error object of the API. ``code`` is HTTP's or Google's own."""
    status = _HTTP_STATUS.get(code, code)
    message = redact(str(told.get("message") or ""), key)[:_MESSAGE_CHARACTERS]
    details = _objects(told.get("details"))
    request_id = headers.get("x-request-id")
    kind = _kind(status, str(told.get("status")), message, details)
    if kind is None:
        name = "context_length_exceeded" if _TOO_LONG.search(message) else ""
        found = error_for_status(status, message, headers, code=name, request_id=request_id)
    else:
        line = f"HTTP {status}: {message}" if message else f"HTTP {status}"
        found = kind(line, status=status, request_id=request_id)
    if isinstance(found, Retryable) and found.retry_after_s is None:
        found.retry_after_s = _wait_s(status, headers, details)
    return found


def _kind(
    status: int, name: str, message: str, details: Sequence[Mapping[str, Any]]
) -> type[ProviderError] | None:
    """What Google means where its status alone does not say it; None where it does."""
    if status == 429:
        return _too_much(message, details)
    if status == 499:  # cancelled, and not by us
        return Unavailable
    if status == 400:
        if _BAD_KEY.search(message) or any(d.get("reason") == "API_KEY_INVALID" for d in details):
            return Unauthorized
        if name == "FAILED_PRECONDITION" and _NOT_FOR_YOU.search(message):
            return Unauthorized
    return None


def _too_much(message: str, details: Sequence[Mapping[str, Any]]) -> type[ProviderError] | None:
    """A limit of a minute passes by waiting; one of a day, or of nothing at all, does not."""
    violated = [one for detail in details for one in _objects(detail.get("violations"))]
    quotas = " ".join(str(one.get("quotaId", "")) for one in violated)
    nothing = any(str(one.get("quotaValue")) == "0" for one in violated)
    if nothing or "PerDay" in quotas or _NONE_AT_ALL.search(message):
        return Unauthorized
    if quotas or _WAIT_IN_WORDS.search(message) or _retry_delay_s(details) is not None:
        return RateLimited
    return None


def _wait_s(
    status: int, headers: Mapping[str, str], details: Sequence[Mapping[str, Any]]
) -> float | None:
    """How long to wait: what the headers say, else what the details say."""
    # Read without its words, in which the shared reading sees an unpaid bill.
    plain = error_for_status(status, "", headers)
    said = plain.retry_after_s if isinstance(plain, Retryable) else None
    return _retry_delay_s(details) if said is None else said


def _retry_delay_s(details: Sequence[Mapping[str, Any]]) -> float | None:
    for detail in details:
        found = _DURATION.fullmatch(str(detail.get("retryDelay", "")))
        if found:
            return float(found[1])
    return None


def _told(error: Any) -> dict[str, Any]:
    """The object under ``error`` of an error's body; of a body that is none, what it says."""
    body = error.details
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        return inner
    return {"message": error.message or inner or "", "status": error.status}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _aiohttp_errors() -> tuple[type[Exception], ...]:
    """The errors of aiohttp, on which the SDK can ride; none of them where it was never imported."""
    aiohttp = sys.modules.get("aiohttp")
    return (aiohttp.ClientError,) if aiohttp else ()
