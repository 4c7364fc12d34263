"""The smallest synthtutor provider that is good enough to install: it says the prompt back."""

from __future__ import annotations

from synthtutor.errors import ConfigError, Rejected
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint

__all__ = ["Echo"]

_LONGEST_PROMPT = 100_000


class Echo:
    """The plugin ``echo``: the last message, ``times`` times (an option, 1 by default)."""

    def __init__(self, endpoint: Endpoint) -> None:
        times = endpoint.options.get("times", "1")
        if not times.isdigit() or times == "0":
            raise ConfigError(f"echo: times must be a whole number from 1, not {times!r}")
        self._times = int(times)

    async def complete(self, request: Request) -> Response:
        """Say the last message back, cut at the request's ``max_tokens``."""
        prompt = "\n".join(message.content for message in request.messages)
        if len(prompt) > _LONGEST_PROMPT:
            raise Rejected(f"the prompt has {len(prompt)} characters", reason="context")
        text = "\n".join([request.messages[-1].content] * self._times)
        words = text.split()
        most = request.settings.max_tokens
        usage = Usage(len(prompt.split()), min(len(words), most))
        if len(words) > most:
            return Response(" ".join(words[:most]), usage, "length", model=request.model_name)
        return Response(text, usage, model=request.model_name)

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # all models are alike
        """No JSON is promised; nothing is charged; nobody should train on an echo."""
        return Capabilities(
            structured_output="none", seed=False, free=True, demonstration_only=True
        )

    async def aclose(self) -> None:
        """Close nothing: there are no connections."""
