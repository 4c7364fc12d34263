"""What a reply's headers say: how long to wait, and what is left of a rate limit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from synthtutor.messages import RateLimitStatus

__all__ = ["rate_limits", "refill_s", "retry_after_s"]

_EPOCH_S = 1e9  # more seconds than that are no span of time, but a point in it


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """The server's word on how long to wait, in seconds; None where it says nothing.

    Reads ``retry-after-ms``, then ``retry-after`` as seconds or as an HTTP date, which is compared
    with the server's own ``date``, as clocks differ. ``headers`` must be lower-case or
    case-insensitive.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    return _reset_s(value, headers, now) if value else None


def rate_limits(
    headers: Mapping[str, str], *, now: datetime | None = None
) -> RateLimitStatus | None:
    """What the vendors' rate-limit headers say is left; None where there are none.

    Understands ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` (resets as Go durations
    or seconds), ``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-…`` (resets as
    RFC 3339 times) and Fireworks' ``x-ratelimit-limit-tokens-{prompt,generated}``.
    """
    if not any("ratelimit" in name.lower() for name in headers):
        return None  # most endpoints of one's own, which are asked the fastest
    found: dict[str, float | int | None] = {}
    for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
        name = kind.replace("-", "_")
        for what in ("limit", "remaining", "reset"):
            value = headers.get(f"anthropic-ratelimit-{kind}-{what}") or headers.get(
                f"x-ratelimit-{what}-{kind}"
            )
            if not value:
                continue
            if what == "reset":
                found[f"{name}_reset_s"] = _reset_s(value, headers, now)
            else:
                number = _number(value)
                found[f"{name}_{what}"] = None if number is None else int(number)
    for kind, name in (("prompt", "input_tokens"), ("generated", "output_tokens")):
        number = _number(headers.get(f"x-ratelimit-limit-tokens-{kind}"))
        if number is not None:
            found[f"{name}_limit"] = int(number)
    return RateLimitStatus(**found) if found else None  # type: ignore[arg-type]  # built by name


def refill_s(headers: Mapping[str, str]) -> float | None:
    """When the limit that is used up is full again, in seconds; None where none says it is."""
    limits = rate_limits(headers)
    kinds = ("requests", "tokens", "input_tokens", "output_tokens")
    return max(
        (
            reset_s
            for kind in kinds
            if getattr(limits, f"{kind}_remaining", None) == 0
            and (reset_s := getattr(limits, f"{kind}_reset_s", None)) is not None
        ),
        default=None,
    )


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_DURATION_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _reset_s(value: str, headers: Mapping[str, str], now: datetime | None) -> float | None:
    parts = _DURATION.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    return _span_s(value, headers, now)


def _span_s(value: str, headers: Mapping[str, str], now: datetime | None) -> float | None:
    """From now until then: a number of seconds, or a point in time, also as seconds since 1970."""
    then: datetime | None = None
    seconds = _number(value)
    if seconds is not None:
        if seconds < _EPOCH_S:
            return max(0.0, seconds)
        seconds /= 1000 if seconds >= 1000 * _EPOCH_S else 1
        with suppress(OverflowError, OSError, ValueError):
            then = datetime.fromtimestamp(seconds, UTC)
    else:
        then = _point(value)
    if then is None:
        return None
    now = now or _point(headers.get("date") or "") or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _point(value: str) -> datetime | None:
    """A time in RFC 3339 or as an HTTP date."""
    then: datetime | None = None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError):
            then = read(value)
            break
    return then.replace(tzinfo=UTC) if then is not None and then.tzinfo is None else then


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None
