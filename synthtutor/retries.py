"""The one place that asks again: every SDK's own retries are switched off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import tenacity

from synthtutor.errors import ProviderError, RateLimited, Retryable, Unreachable
from synthtutor.messages import Request, Response
from synthtutor.provider import Capabilities, Provider

__all__ = ["Retrying"]

_ATTEMPTS_UNANSWERED = 3


class Retrying:
    """Asks again after `Retryable`, with full jitter and the server's own Retry-After.

    Faults are retried ``attempts`` times within ``deadline_s`` seconds of the first; rate limits
    are waited out, however often they come: a row never fails because of them alone. Where nobody
    has ever answered, three attempts tell that the address is wrong, and every other call has one.
    ``on_retry`` hears of every failed attempt. ``sleep`` is a parameter so that tests own time.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        attempts: int = 6,
        deadline_s: float = 900.0,
        max_wait_s: float = 60.0,
        on_retry: Callable[[Retryable], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._attempts = attempts
        self._deadline_s = deadline_s
        self._backoff = tenacity.wait_random_exponential(multiplier=0.5, max=max_wait_s)
        self._jitter = tenacity.wait_random(0, 0.25)
        self._on_retry = on_retry or (lambda _error: None)
        self._sleep = sleep
        self._answered = False
        self._given_up = False

    async def complete(self, request: Request) -> Response:
        """The reply, or the last error."""
        # tenacity costs as much as the rest of a call, so the first attempt goes without it.
        try:
            return await self._asked(request)
        except Retryable as error:
            first: Retryable | None = error
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Retryable),
            wait=self._wait,
            stop=self._enough_faults(),
            sleep=self._sleep,
            reraise=True,
        )
        async for attempt in again:
            with attempt:
                if first is not None:  # already made, above
                    failed, first = first, None
                    raise failed
                return await self._asked(request)
        raise AssertionError("tenacity reraises")  # pragma: no cover

    async def _asked(self, request: Request) -> Response:
        try:
            response = await self._provider.complete(request)
        except ProviderError as error:
            self._answered |= not isinstance(error, Unreachable)
            if isinstance(error, Retryable):
                self._on_retry(error)
            raise
        self._answered = True
        return response

    def capabilities(self, model: str) -> Capabilities:
        """The provider's."""
        return self._provider.capabilities(model)

    async def aclose(self) -> None:
        """Close the provider."""
        await self._provider.aclose()

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = error.retry_after_s if isinstance(error, Retryable) else None
        if told is not None:
            return told + self._jitter(state)
        return self._backoff(state)

    def _enough_faults(self) -> Callable[[tenacity.RetryCallState], bool]:
        """When to give up on one call: rate limits use up neither attempts nor deadline."""
        faults: list[float] = []  # when each came

        def enough(state: tenacity.RetryCallState) -> bool:
            if state.outcome and isinstance(state.outcome.exception(), RateLimited):
                return False
            faults.append(state.outcome_timestamp or 0.0)
            if self._answered:
                return len(faults) >= self._attempts or faults[-1] - faults[0] >= self._deadline_s
            self._given_up |= len(faults) >= min(_ATTEMPTS_UNANSWERED, self._attempts)
            return self._given_up

        return enough
