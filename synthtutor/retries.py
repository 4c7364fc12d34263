"""The one place that asks again: every SDK's own retries are switched off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import tenacity

from synthtutor.errors import RateLimited, Retryable
from synthtutor.messages import Request, Response
from synthtutor.provider import Capabilities, Provider

__all__ = ["Retrying"]


class Retrying:
    """Asks again after `Retryable`, with full jitter and the server's own Retry-After.

    Faults are retried ``attempts`` times within ``deadline_s`` seconds of the first; rate limits
    are waited out, however often they come: a row never fails because of them alone.
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

    async def complete(self, request: Request) -> Response:
        """The reply, or the last error."""
        # tenacity costs as much as the rest of a call, so the first attempt goes without it.
        try:
            return await self._provider.complete(request)
        except Retryable as error:
            self._on_retry(error)
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
                try:
                    return await self._provider.complete(request)
                except Retryable as error:
                    self._on_retry(error)
                    raise
        raise AssertionError("tenacity reraises")  # pragma: no cover

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
            return len(faults) >= self._attempts or faults[-1] - faults[0] >= self._deadline_s

        return enough
