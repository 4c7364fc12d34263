"""The one seam to the outside: a provider turns one `Request` into one `Response`.

Everything else (limits, retries, accounts) wraps a provider in a provider. A plugin is a class
with these three methods, named by the entry point group ``synthtutor.providers``; it is built
with one `Endpoint`. The functions below are what every HTTP plugin needs to say the same thing
in the same words: how long to wait, what a status means, where reasoning ends and text begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol, runtime_checkable

from synthtutor import keys
from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from synthtutor.messages import RateLimitStatus, Request, Response, Settings

__all__ = [
    "BatchLimits",
    "BatchProvider",
    "BatchStatus",
    "Capabilities",
    "CountingProvider",
    "Endpoint",
    "Provider",
    "error_for_status",
    "rate_limits",
    "redact",
    "retry_after_s",
    "scrubbed",
    "split_thinking",
]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model at one provider can do; the session and the run adapt to it.

    ``structured_output``: ``grammar`` honours a full JSON schema while decoding, ``schema`` the
    common subset, ``json`` only promises JSON, ``none`` promises nothing (the schema is then put
    into the prompt). ``seed``, ``temperature`` (and top_p with it), ``stop`` and
    ``reasoning_effort`` say which settings the model takes: the others are not sent, and the run
    says so. ``reasons`` means that it thinks before it answers without being told to, which is paid
    as output. ``max_in_flight`` is where the run's concurrency is capped. ``free`` means
    that no money changes hands. ``demonstration_only`` marks a model whose text nobody should
    train on; the run says so.
    """

    structured_output: Literal["grammar", "schema", "json", "none"] = "schema"
    seed: bool = True
    temperature: bool = True
    stop: bool = True
    reasoning_effort: bool = True
    reasons: bool = False
    max_in_flight: int | None = None
    free: bool = False
    demonstration_only: bool = False

    def left_out(self, settings: Settings) -> list[str]:
        """Which of the settings that are set the model does not take."""
        taken = {
            "temperature": self.temperature,
            "top_p": self.temperature,
            "seed": self.seed,
            "stop": self.stop,
            "reasoning_effort": self.reasoning_effort,
        }
        unset: tuple[object, ...] = (None, (), [])
        return [
            name for name, ok in taken.items() if not ok and getattr(settings, name) not in unset
        ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a provider is built with. ``options`` are the plugin's own, as text (``threads``, …)."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 600.0
    max_in_flight: int = 1000
    options: Mapping[str, str] = field(default_factory=dict)

    def key(self, *variables: str) -> str:
        """The API key: given, or what the environment, a ``.env`` file or the keyring has.

        Raises ConfigError, naming the variables and the places, where there is none.
        """
        return self.api_key or keys.find(*variables).value

    def url(self, variable: str, default: str | None = None) -> str | None:
        """The base URL: given, or from the environment variable, or the default."""
        return self.base_url or os.environ.get(variable) or default


@runtime_checkable
class Provider(Protocol):
    """Turns one request into one response."""

    async def complete(self, request: Request) -> Response:
        """Ask the model once.

        Raises RateLimited, Unavailable, Rejected or Unauthorized. A refusal, a reply cut by
        length and a reply that is not JSON are responses, not errors: they were paid for.
        """
        ...

    def capabilities(self, model: str) -> Capabilities:
        """What the model (its own name, without the provider's) can do. Must not use the network."""
        ...

    async def aclose(self) -> None:
        """Close connections, processes and files."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much one batch may hold; ``megabytes`` are of 10⁶ bytes, over all its requests' bodies."""

    requests: int
    megabytes: float


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How a batch stands. ``done`` means that nothing more will come and results can be read.

    ``finished`` of ``total`` requests have an outcome; ``detail`` says why a batch failed as a
    whole, None where it did not.
    """

    done: bool
    finished: int = 0
    total: int = 0
    detail: str | None = None


@runtime_checkable
class BatchProvider(Protocol):
    """What a provider with a batch API has besides `Provider`: hours later, for half the money.

    Every method may raise what ``complete`` raises. Custom ids are 1 to 64 letters, digits,
    ``-`` and ``_``.
    """

    def batch_limits(self) -> BatchLimits:
        """The vendor's own."""
        ...

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
        """Hand the requests over, by custom id, all of one model; returns the vendor's batch id.

        ``label`` is unique to this batch, and written where the vendor keeps such a thing.
        """
        ...

    async def find_batch(
        self, label: str, custom_ids: Collection[str], since: datetime
    ) -> str | None:
        """The id of a batch submitted earlier whose id was lost, None where there is none.

        ``since`` is a little before it was submitted. Found by label, or where the vendor keeps
        no label by what it holds.
        """
        ...

    async def batch_status(self, batch: str) -> BatchStatus:
        """How the batch stands."""
        ...

    def batch_results(self, batch: str) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """The outcome of each request by custom id, in any order; what is missing was not answered.

        An expired or cancelled request is `Unavailable`; a response has ``batched`` set.
        """
        ...

    async def cancel_batch(self, batch: str) -> None:
        """Ask for no more of it; what was answered until then can still be read."""
        ...


@runtime_checkable
class CountingProvider(Protocol):
    """What a provider has besides `Provider` whose vendor counts a prompt's tokens before it is sent."""

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens as the vendor counts them, the schema included where it is billed.

        Nothing is generated and nothing is paid. May raise what ``complete`` raises.
        """
        ...


def retry_after_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """The server's word on how long to wait, in seconds; None where it says nothing.

    Reads ``retry-after-ms``, then ``retry-after`` as seconds or as an HTTP date. ``headers`` must
    be lower-case or case-insensitive.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return max(0.0, seconds)
    if value:
        return _seconds_until(value, now)
    return None


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
                found[f"{name}_reset_s"] = _reset_s(value, now)
            else:
                number = _number(value)
                found[f"{name}_{what}"] = None if number is None else int(number)
    for kind, name in (("prompt", "input_tokens"), ("generated", "output_tokens")):
        number = _number(headers.get(f"x-ratelimit-limit-tokens-{kind}"))
        if number is not None:
            found[f"{name}_limit"] = int(number)
    return RateLimitStatus(**found) if found else None  # type: ignore[arg-type]  # built by name


def _refill_s(headers: Mapping[str, str]) -> float | None:
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


def _reset_s(value: str, now: datetime | None) -> float | None:
    seconds = _number(value)
    if seconds is not None:
        return max(0.0, seconds)
    parts = _DURATION.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    return _seconds_until(value, now)


def _seconds_until(value: str, now: datetime | None) -> float | None:
    try:
        then = datetime.fromisoformat(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if number == number and abs(number) != float("inf") else None


_CONTEXT = re.compile(
    r"context.{0,20}(length|window|size|limit)|maximum context|too long|too many tokens"
    r"|exceeds? the (available )?context",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model.{0,80}(not found|does not exist|no access|not available|not supported|unknown)"
    r"|(unknown|invalid|no such|unsupported) model|model_not_found",
    re.IGNORECASE | re.DOTALL,
)
_QUOTA = re.compile(
    r"insufficient_quota|insufficient balance|credit balance|billing|spend.?limit|exceeded your current quota",
    re.IGNORECASE,
)


def error_for_status(
    status: int,
    message: str,
    headers: Mapping[str, str],
    *,
    code: str = "",
    request_id: str | None = None,
) -> ProviderError:
    """The synthtutor error that an HTTP error status means. ``code`` is the vendor's own error code.

    A 429 that does not say how long to wait takes the word of its rate-limit reset headers.
    """
    text = f"{code} {message}"
    line = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (401, 402, 403, 412) or (status == 429 and _QUOTA.search(text)):
        return Unauthorized(line, status=status, request_id=request_id)
    if status == 429:
        wait = retry_after_s(headers)
        if wait is None:
            wait = _refill_s(headers)
        return RateLimited(line, retry_after_s=wait, status=status, request_id=request_id)
    if status in (408, 409, 425) or status >= 500:
        wait = retry_after_s(headers)
        return Unavailable(line, retry_after_s=wait, status=status, request_id=request_id)
    reason: Literal["model", "context", "content", "request"] = "request"
    if status == 413 or code == "context_length_exceeded" or _CONTEXT.search(text):
        reason = "context"
    elif code == "model_not_found" or status == 404 or _MODEL.search(text):
        reason = "model"
    elif code in ("content_policy_violation", "content_filter", "invalid_prompt"):
        reason = "content"
    return Rejected(line, reason=reason, status=status, request_id=request_id)


def redact(text: str, *secrets: str | None) -> str:
    """The text without the secrets: vendors quote keys in their error messages."""
    for secret in secrets:
        if secret and len(secret) >= 4:
            text = text.replace(secret, "[redacted]")
    return text


def scrubbed(response: Response, *secrets: str | None) -> Response:
    """The response without the secrets, wherever an endpoint may have echoed them."""
    for secret in secrets:
        if not secret or len(secret) < 4:
            continue
        fields = ("text", "reasoning", "model", "request_id", "detail")
        found = [name for name in fields if secret in (getattr(response, name) or "")]
        if found:
            clean: dict[str, Any] = {n: redact(getattr(response, n), secret) for n in found}
            response = replace(response, **clean)
    return response


def split_thinking(text: str) -> tuple[str, str]:
    """Split a leading ``<think>…</think>`` off the text: (reasoning, answer).

    Tolerates a missing opening tag (some chat templates put it into the prompt) and a missing
    closing tag (the reply was cut inside its reasoning).
    """
    head, closed, tail = text.partition("</think>")
    if closed:
        return head.replace("<think>", "", 1).strip(), tail.lstrip()
    stripped = text.lstrip()
    if stripped.startswith("<think>"):
        return stripped.removeprefix("<think>").strip(), ""
    return "", text
