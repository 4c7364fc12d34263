"""Who is asked in these tests: each provider plugin, the fake server that speaks its vendor's wire,
and the words that this vendor finds for what it will not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.fireworks_wire import FireworksServer
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.server import FakeServer, OpenAIServer, Reply

__all__ = ["VENDORS", "Vendor"]


@dataclass(frozen=True, slots=True)
class Vendor:
    """One provider: its ``model``, the variable of its ``key``, its fake ``server``.

    ``used_up`` makes the 429 that tells the wait in seconds in this vendor's own form, not as a
    Retry-After. The replies are what it says to an expired key, to an account without money, for a
    model that it does not have, to a prompt that is too long. ``at_aimock`` and ``at_llmock`` are
    where these mocks speak its wire.
    """

    name: str
    model: str
    key: str
    server: Callable[..., FakeServer]
    used_up: Callable[[float], Reply]
    expired_key: Reply
    no_money: Reply
    unknown_model: Reply
    too_long: Reply
    at_aimock: str = "/v1"
    at_llmock: str = "/v1"
    options: Mapping[str, str] = field(default_factory=dict)
    tells_reasoning: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def full_model(self) -> str:
        """``provider/model``."""
        return f"{self.name}/{self.model}"


def _openai_used_up(seconds: float) -> Reply:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{round(seconds * 1000)}ms",
    }
    return Reply.failure(429, "Rate limit reached", code="rate_limit_exceeded", headers=headers)


def _anthropic_used_up(seconds: float) -> Reply:
    full_again = datetime.now(UTC) + timedelta(seconds=seconds)
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": full_again.isoformat(),
    }
    return Reply.failure(429, "This request would exceed your rate limit.", headers=headers)


def _google_used_up(seconds: float) -> Reply:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}
    words = f"You exceeded your current quota. Please retry in {seconds}s."
    return Reply(status=429, error={"message": words, "details": [info]})


_WRONG_MODEL = Reply.failure(
    404, "The model `gone` does not exist or you do not have access to it.", code="model_not_found"
)

VENDORS = (
    Vendor(
        name="openai",
        model="gpt-4o-mini",
        key="OPENAI_API_KEY",
        server=OpenAIServer,
        used_up=_openai_used_up,
        expired_key=Reply.failure(401, "Incorrect API key provided.", code="invalid_api_key"),
        no_money=Reply.failure(
            429, "You exceeded your current quota, check your plan.", code="insufficient_quota"
        ),
        unknown_model=_WRONG_MODEL,
        too_long=Reply.failure(
            400,
            "This model's maximum context length is 8192 tokens, your messages came to 9000.",
            code="context_length_exceeded",
        ),
        tells_reasoning=False,
    ),
    Vendor(
        name="compatible",
        model="test-model",
        key="COMPATIBLE_API_KEY",
        server=OpenAIServer,
        used_up=_openai_used_up,
        expired_key=Reply.failure(403, "this key has expired"),
        no_money=Reply.failure(402, "Insufficient balance"),
        unknown_model=_WRONG_MODEL,
        too_long=Reply.failure(400, "the request exceeds the available context size"),
    ),
    Vendor(
        name="anthropic",
        model="claude-haiku-4-5",
        key="ANTHROPIC_API_KEY",
        server=AnthropicServer,
        used_up=_anthropic_used_up,
        expired_key=Reply.failure(401, "invalid bearer token"),
        no_money=Reply.failure(400, "Your credit balance is too low to access the API."),
        unknown_model=Reply.failure(404, "model: gone"),
        too_long=Reply.failure(400, "prompt is too long: 210000 tokens > 200000 maximum"),
        at_aimock="",
        at_llmock="/anthropic",
    ),
    Vendor(
        name="google",
        model="gemini-2.5-flash",
        key="GOOGLE_API_KEY",
        server=GoogleServer,
        used_up=_google_used_up,
        expired_key=Reply.failure(400, "API key expired. Please renew the API key."),
        no_money=Reply.failure(402, "billing is disabled for this project"),
        unknown_model=Reply.failure(404, "models/gone is not found for API version v1beta"),
        too_long=Reply.failure(
            400, "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
        ),
        at_aimock="",
        at_llmock="/gemini",
    ),
    Vendor(
        name="fireworks",
        model="test-model",
        key="FIREWORKS_API_KEY",
        server=FireworksServer,
        used_up=_openai_used_up,
        expired_key=Reply.failure(401, "The API key you provided is invalid."),
        no_money=Reply.failure(412, "Account is suspended"),
        unknown_model=Reply.failure(404, "Model not found, inaccessible, and/or not deployed"),
        too_long=Reply.failure(
            400, "The prompt is too long: 9000, model maximum context length: 8191"
        ),
    ),
)
