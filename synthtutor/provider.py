"""The one seam to the outside: a provider turns one `Request` into one `Response`.

Everything else (limits, retries, accounts) wraps a provider in a provider. A plugin is a class
with these three methods, named by the entry point group ``synthtutor.providers``; it is built
with one `Endpoint`. The functions below are what every HTTP plugin needs to say the same thing
in the same words: how long to wait, what a status means, where reasoning ends and text begins.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import orjson

from synthtutor import keys
from synthtutor.errors import (
    ConfigError,
    ProviderError,
    RateLimited,
    Rejected,
    Retryable,
    Unauthorized,
    Unavailable,
)
from synthtutor.headers import rate_limits, refill_s, retry_after_s
from synthtutor.messages import Request, Response, Settings

__all__ = [
    "BatchLimits",
    "BatchProvider",
    "BatchStatus",
    "Capabilities",
    "CountingProvider",
    "Endpoint",
    "Provider",
    "content_text",
    "error_for_status",
    "object_of",
    "rate_limits",
    "read_json",
    "redact",
    "retry_after_s",
    "scrubbed",
    "sendable",
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
# Every word of a rate limit may stand beside an advertisement: "…/settings/billing".
_LINK = re.compile(r"https?://\S+")
_MORE_THAN_EVER = re.compile(r"request too large", re.IGNORECASE)
_LONGEST_S = 3600.0  # that a server is waited for before it is asked again, whatever it says


def error_for_status(
    status: int,
    message: str,
    headers: Mapping[str, str],
    *,
    code: str = "",
    request_id: str | None = None,
) -> ProviderError:
    """The synthtutor error that an HTTP error status means. ``code`` is the vendor's own error code.

    A 429 that does not say how long to wait takes the word of its rate-limit reset headers; an hour
    is the most. One that is for a request larger than the whole limit is no matter of time.
    """
    text = f"{code} {_LINK.sub('', message)}"
    line = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    used_up = _QUOTA.search(text) and code != "rate_limit_exceeded"
    if status in (401, 402, 403, 412) or (status == 429 and used_up):
        return Unauthorized(line, status=status, request_id=request_id)
    too_large = status == 413 or (status == 429 and _MORE_THAN_EVER.search(text))
    if not too_large and (status in (408, 409, 425, 429) or status >= 500):
        kind: type[Retryable] = RateLimited if status == 429 else Unavailable
        wait = retry_after_s(headers)
        if wait is None and status == 429:
            wait = refill_s(headers)
        wait = None if wait is None else min(wait, _LONGEST_S)
        return kind(line, retry_after_s=wait, status=status, request_id=request_id)
    reason: Literal["model", "context", "content", "request"] = "request"
    if too_large or code == "context_length_exceeded" or _CONTEXT.search(text):
        reason = "context"
    elif code == "model_not_found" or status == 404 or _MODEL.search(text):
        reason = "model"
    elif code in ("content_policy_violation", "content_filter", "invalid_prompt"):
        reason = "content"
    return Rejected(line, reason=reason, status=status, request_id=request_id)


def read_json(content: bytes) -> Any:
    """A reply's body. Raises json.JSONDecodeError where it is no JSON.

    Half a surrogate pair, which a text may end in that was cut within an emoji, is let through:
    a `Response` makes U+FFFD of it.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if b"\\u" not in content:
            raise
        return json.loads(content)


def object_of(told: Any) -> Mapping[str, Any]:
    """A JSON object, as some server tells it; an empty one for what is none."""
    return told if isinstance(told, dict) else {}


def sendable(key: str, *variables: str) -> str:
    """The key, without the line end it was pasted with.

    Raises ConfigError, naming the variables, where no header can carry it.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        names = " or ".join(variables)
        raise ConfigError(f"the API key in {names} has characters that no key has")
    return key


def content_text(content: Any) -> str:
    """The text of a chat message's content, also where it comes in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return content or ""


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
