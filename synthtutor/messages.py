"""What goes to a model and what comes back, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import orjson

__all__ = [
    "Finish",
    "Message",
    "RateLimitStatus",
    "Request",
    "Response",
    "Schema",
    "Settings",
    "Usage",
    "count_of",
    "storable",
    "system",
    "user",
]

Finish = Literal["stop", "length", "refusal", "other"]


@dataclass(frozen=True, slots=True)
class Message:
    """One utterance of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def system(content: str) -> Message:
    """A system message."""
    return Message("system", content)


def user(content: str) -> Message:
    """A user message."""
    return Message("user", content)


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON schema that the reply must satisfy.

    ``definition`` keeps to the subset that every vendor's structured output accepts (closed
    objects, everything required, no lengths or ranges); ``strict`` is the full schema, for
    endpoints that constrain decoding with a grammar and can honour all of it.
    """

    name: str
    definition: Mapping[str, Any]
    strict: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """Sampling. None means: do not send, let the endpoint decide. ``max_tokens`` bounds the reply."""

    max_tokens: int = 2048
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one model. ``model`` is ``provider/model``.

    Two requests with the same content are the same request: :meth:`to_json` is the content,
    :meth:`digest` its name. Nothing else (time, address, key) may enter here.
    """

    model: str
    messages: Sequence[Message]
    schema: Schema | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def provider(self) -> str:
        """The provider's name: ``openai`` in ``openai/gpt-5-mini``."""
        return self.model.partition("/")[0]

    @property
    def model_name(self) -> str:
        """The model's own name at its provider: ``gpt-5-mini`` in ``openai/gpt-5-mini``."""
        return self.model.partition("/")[2]

    def to_json(self) -> bytes:
        """The content as JSON bytes, stable from run to run."""
        return orjson.dumps(self)

    def digest(self) -> bytes:
        """16 bytes that name the content."""
        return blake2b(self.to_json(), digest_size=16).digest()

    def estimated_input_tokens(self) -> int:
        """A cautious count of the prompt's tokens, the schema included: UTF-8 bytes / 3."""
        size = sum(len(message.content.encode(errors="replace")) + 12 for message in self.messages)
        if self.schema is not None:
            size += len(str(self.schema.definition))
        return size // 3 + 1

    @classmethod
    def from_json(cls, data: bytes) -> Request:
        """The inverse of :meth:`to_json`."""
        raw = orjson.loads(data)
        return cls(
            model=raw["model"],
            messages=tuple(Message(**message) for message in raw["messages"]),
            schema=Schema(**raw["schema"]) if raw["schema"] else None,
            settings=Settings(**{**raw["settings"], "stop": tuple(raw["settings"]["stop"])}),
        )


_TOO_MANY = 10**12  # tokens of one reply


def count_of(told: Any) -> int:
    """A number of tokens, as some server tells it; 0 for what cannot be one."""
    try:
        count = int(told)
    except (TypeError, ValueError, OverflowError):
        return 0
    return count if 0 <= count < _TOO_MANY else 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply, in one meaning for all vendors.

    ``input_tokens`` counts the whole prompt, the cached part included; ``output_tokens`` counts
    everything generated, reasoning included. What is told as a count and cannot be one counts 0:
    a reply is paid for, and kept, whatever its server counts.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            told = getattr(self, name)
            if type(told) is not int or not 0 <= told < _TOO_MANY:
                object.__setattr__(self, name, count_of(told))

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What a reply's headers say is left; None where they say nothing. Resets are in seconds from now."""

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset_s: float | None = None
    input_tokens_limit: int | None = None
    input_tokens_remaining: int | None = None
    input_tokens_reset_s: float | None = None
    output_tokens_limit: int | None = None
    output_tokens_remaining: int | None = None
    output_tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One reply, as it was received: ``text`` is raw and is parsed again on every replay.

    ``finish`` says why it ended: ``stop`` (complete), ``length`` (cut at ``max_tokens``),
    ``refusal`` (declined or filtered; ``detail`` says how) or ``other``. ``model`` is what the
    endpoint says it served. ``batched`` marks a reply of a batch, which costs half.
    ``rate_limits`` is about the connection, not the content, and is not journaled. Half a surrogate
    pair, which a cut reply can end in and UTF-8 cannot hold, becomes U+FFFD.
    """

    text: str
    usage: Usage = field(default_factory=Usage)
    finish: Finish = "stop"
    reasoning: str = ""
    model: str = ""
    request_id: str | None = None
    detail: str | None = None
    batched: bool = False
    rate_limits: RateLimitStatus | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("text", "reasoning", "detail", "model", "request_id"):
            said = getattr(self, name)
            if said and not (isinstance(said, str) and said.isascii()):
                object.__setattr__(self, name, storable(str(said)))

    def to_json(self) -> bytes:
        """The reply as JSON bytes, without its rate limits."""
        batched = {"batched": True} if self.batched else {}
        return orjson.dumps(
            {
                "text": self.text,
                "usage": self.usage,
                "finish": self.finish,
                "reasoning": self.reasoning,
                "model": self.model,
                "request_id": self.request_id,
                "detail": self.detail,
                **batched,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Response:
        """The inverse of :meth:`to_json`."""
        raw = orjson.loads(data)
        raw["usage"] = Usage(**raw["usage"])
        return cls(**raw)


def storable(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
