"""Every error that synthtutor raises on purpose.

    SynthtutorError
    ├── ConfigError          wrong use: an option, a file, an unknown name        → exit 2
    ├── ProviderError        a model's endpoint did not give a reply
    │   ├── Retryable        worth asking again after a wait
    │   │   ├── RateLimited  too many requests or tokens (429)
    │   │   └── Unavailable  connection, timeout, 5xx, a broken body
    │   │       ├── Unreachable  nobody is there: refused, no such host
    │   │       └── Unreadable   a batch's results came, and some make no sense
    │   ├── Rejected         this request will never work (400, 404, 413, 422)    → the row fails
    │   └── Unauthorized     no valid key, or no money (401, 402, 403)            → the run stops
    ├── InvalidOutput        a paid reply that is no answer: refused, cut, unparsable
    ├── RecipeError          the recipe broke a rule of its session
    ├── BudgetExceeded       the next call could cost more than the budget allows → exit 3
    ├── JournalError         the run's file cannot be read, written or owned
    └── RubricError          a rubric pack or rubric JSON is malformed

A class exists only where somebody handles it differently.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "BudgetExceeded",
    "ConfigError",
    "InvalidOutput",
    "JournalError",
    "ProviderError",
    "RateLimited",
    "RecipeError",
    "Rejected",
    "Retryable",
    "RubricError",
    "SynthtutorError",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Unreadable",
]


class SynthtutorError(Exception):
    """The root: catch it to catch everything that synthtutor raises on purpose."""


class ConfigError(SynthtutorError):
    """Wrong use: an option, an environment variable, a file or a name that does not exist."""


class ProviderError(SynthtutorError):
    """A model's endpoint did not give a reply.

    ``status`` is the HTTP status where there was one; ``request_id`` the vendor's own id.
    """

    def __init__(
        self, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class Retryable(ProviderError):
    """Worth asking again. ``retry_after_s`` is the server's own word on how long to wait, in seconds."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after_s = retry_after_s


class RateLimited(Retryable):
    """Too many requests or tokens in a span of time."""


class Unavailable(Retryable):
    """Connection refused or dropped, timeout, 5xx, or a body that is not what the API promises."""


class Unreachable(Unavailable):
    """No connection came about at all: refused, no such host, nobody in time. Nothing was sent."""


class Unreadable(Unavailable):
    """A batch's results came, but some of their lines make no sense; the others were given out."""


class Rejected(ProviderError):
    """The endpoint refuses this request for good.

    ``reason`` is ``"model"`` (no such model: stops the run), ``"context"`` (too long for the
    model), ``"content"`` (blocked before generation) or ``"request"`` (anything else).
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["model", "context", "content", "request"] = "request",
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.reason = reason


class Unauthorized(ProviderError):
    """The key is missing, wrong, expired, or has no money behind it."""


class InvalidOutput(SynthtutorError):
    """A paid reply that is not an answer; its text stays in the journal.

    ``kind`` is ``"refused"``, ``"truncated"`` or ``"unparsable"``; ``text`` is what the model said.
    """

    def __init__(
        self, message: str, *, kind: Literal["refused", "truncated", "unparsable"], text: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.text = text


class RecipeError(SynthtutorError):
    """A recipe broke a rule of its session, or raised an error of its own."""


class BudgetExceeded(SynthtutorError):
    """The next call could cost more than what is left of the budget; nothing was sent."""


class JournalError(SynthtutorError):
    """The run's file cannot be read, written or owned."""


class RubricError(SynthtutorError):
    """A rubric pack or a rubric in JSON is malformed; the message names the file and the field."""
