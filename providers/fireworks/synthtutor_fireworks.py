"""Fireworks AI through OpenAI's SDK, with what Fireworks adds to that wire.

Their endpoint speaks chat completions; what differs is how models are named, that a request which
does not fit must be told to fail, and where the reasoning is. Batches are another API of theirs:
`synthtutor_fireworks_batches`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from synthtutor_fireworks_batches import LIMITS, Batches
from synthtutor_openai import ChatCompletions

from synthtutor.errors import ProviderError
from synthtutor.messages import Request, Response
from synthtutor.provider import (
    BatchLimits,
    BatchStatus,
    Capabilities,
    Endpoint,
    split_thinking,
)

__all__ = ["Fireworks", "full_name"]


class Fireworks(ChatCompletions):
    """The plugin ``fireworks``."""

    name = "fireworks"
    key_variables = ("FIREWORKS_API_KEY",)
    url_variable = "FIREWORKS_BASE_URL"
    default_url = "https://api.fireworks.ai/inference/v1"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "max_tokens_field": ("max_tokens", "max_completion_tokens"),
        "account_id": (),
    }

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._batches = Batches(self)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # the API is one for all
        """Schemas, seeds, stops and efforts are the API's; a model without an effort answers 400."""
        return Capabilities(max_in_flight=self.endpoint.max_in_flight)

    def arguments(self, request: Request) -> dict[str, Any]:
        """The request's body; where it does not fit the context it fails, instead of being cut."""
        return {
            **super().arguments(request),
            "model": full_name(request.model_name),
            "context_length_exceeded_behavior": "error",
        }

    def response(
        self, headers: Mapping[str, str], completion: Any, request: Request | None
    ) -> Response:
        """What a completion says, its reasoning apart: from its own field or from ``<think>``."""
        plain = super().response(headers, completion, request)
        reasoning = completion["choices"][0]["message"].get("reasoning_content") or ""
        text = plain.text
        if not reasoning:
            reasoning, text = split_thinking(plain.text)
        usage = plain.usage
        if reasoning and not usage.reasoning_tokens:  # Fireworks seldom counts it
            thought = min(len(reasoning) // 4 + 1, usage.output_tokens)
            usage = replace(usage, reasoning_tokens=thought)
        cached = headers.get("fireworks-cached-prompt-tokens", "")
        if cached.isdecimal() and not usage.cache_read_tokens:
            usage = replace(usage, cache_read_tokens=int(cached))
        return replace(plain, text=text, reasoning=reasoning, usage=usage)

    async def aclose(self) -> None:
        """Close the connections."""
        try:
            await super().aclose()
        finally:
            await self._batches.aclose()

    # Batches

    def batch_limits(self) -> BatchLimits:
        """What one upload may hold; Fireworks does not limit the number of requests."""
        return LIMITS

    async def submit_batch(self, label: str, requests: Mapping[str, Request]) -> str:
        """Upload the requests as a dataset and start a job of the label's name."""
        return await self._batches.submit(label, requests)

    async def find_batch(
        self,
        label: str,
        custom_ids: Collection[str],  # noqa: ARG002  # the label names the job
        since: datetime,  # noqa: ARG002
    ) -> str | None:
        """The job of the label's name."""
        return await self._batches.find(label)

    async def batch_status(self, batch: str) -> BatchStatus:
        """How the job stands."""
        return await self._batches.status(batch)

    def batch_results(self, batch: str) -> AsyncIterator[tuple[str, Response | ProviderError]]:
        """What the job's output dataset says, read while it arrives."""
        return self._batches.results(batch)

    async def cancel_batch(self, batch: str) -> None:
        """Delete the job: Fireworks has no gentler way, and may keep nothing of what it answered."""
        await self._batches.cancel(batch)


def full_name(model: str) -> str:
    """The model's full name: a short one is among Fireworks' own, one with a slash is full."""
    return model if "/" in model else f"accounts/fireworks/models/{model}"
