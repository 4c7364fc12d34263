"""Vendors and servers that speak OpenAI's chat completions, each under a name of its own.

What differs between them is where they are, which key they take and what their models can do: a
subclass of `Compatible` says that. All read the same dialects of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import orjson
from synthtutor_compatible import Compatible

from synthtutor.errors import ProviderError, Rejected, Unavailable
from synthtutor.messages import Request, Response
from synthtutor.provider import Capabilities

__all__ = ["DeepSeek", "Groq", "LlamaCpp", "Ollama", "OpenRouter", "Together", "Vllm"]

_LOCAL = MappingProxyType({"free": "true"})
_GRAMMAR = MappingProxyType({"free": "true", "structured_output": "grammar"})


class OpenRouter(Compatible):
    """The plugin ``openrouter``."""

    name = "openrouter"
    default_url = "https://openrouter.ai/api/v1"
    url_variable = "OPENROUTER_BASE_URL"
    key_variable = "OPENROUTER_API_KEY"
    needs_key = True

    def response(
        self, reply: dict[str, Any], headers: Mapping[str, str], request: Request
    ) -> Response:
        """As everywhere; a model's failure comes inside the choice, the request's id as the body's."""
        failed = reply["choices"][0].get("error")
        if failed:
            code = failed.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            raise self.failure(status, headers, orjson.dumps({"error": failed}))
        response = super().response(reply, headers, request)
        return replace(response, request_id=response.request_id or reply.get("id"))

    def failure(self, status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
        """As everywhere, but for a 403 with reasons: that is about the prompt, not about the key."""
        error = super().failure(status, headers, content)
        if status == 403 and _moderated(content):
            return Rejected(str(error), reason="content", status=status)
        return error


class DeepSeek(Compatible):
    """The plugin ``deepseek``."""

    name = "deepseek"
    default_url = "https://api.deepseek.com/chat/completions"  # the API has no /v1
    url_variable = "DEEPSEEK_BASE_URL"
    key_variable = "DEEPSEEK_API_KEY"
    needs_key = True
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType({"structured_output": "json"})

    def capabilities(self, model: str) -> Capabilities:
        """No seed. A model that thinks, which is the default, ignores temperature and top_p."""
        thinks = model != "deepseek-chat" and self.extra.get("thinking") != {"type": "disabled"}
        known = super().capabilities(model)
        return replace(known, seed=False, temperature=not thinks, reasoning_effort=thinks)

    def response(
        self, reply: dict[str, Any], headers: Mapping[str, str], request: Request
    ) -> Response:
        """As everywhere; a reply that their machines could not finish is none."""
        if reply["choices"][0].get("finish_reason") == "insufficient_system_resource":
            raise Unavailable("the reply was broken off: insufficient_system_resource")
        return super().response(reply, headers, request)


class Together(Compatible):
    """The plugin ``together``."""

    name = "together"
    default_url = "https://api.together.ai/v1"
    url_variable = "TOGETHER_BASE_URL"
    key_variable = "TOGETHER_API_KEY"
    needs_key = True
    # Else a reply may be given fewer tokens than were asked for, and nobody hears of it.
    always: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"context_length_exceeded_behavior": "error"}
    )


class Groq(Compatible):
    """The plugin ``groq``."""

    name = "groq"
    default_url = "https://api.groq.com/openai/v1"
    url_variable = "GROQ_BASE_URL"
    key_variable = "GROQ_API_KEY"
    needs_key = True
    defaults: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"structured_output": "", "max_tokens_field": "max_completion_tokens"}
    )

    def capabilities(self, model: str) -> Capabilities:
        """Only some models take a reasoning effort of low, medium or high."""
        takes = model.startswith(("openai/gpt-oss-", "qwen/qwen3.8-"))
        return replace(super().capabilities(model), reasoning_effort=takes)

    def structured_output(self, model: str) -> str:
        """Only some models decode under a schema; the others promise JSON."""
        strict = "schema" if model.startswith("openai/gpt-oss-") else "json"
        return super().structured_output(model) or strict

    def response(
        self, reply: dict[str, Any], headers: Mapping[str, str], request: Request
    ) -> Response:
        """As everywhere; the request's id is in ``x_groq``."""
        response = super().response(reply, headers, request)
        own_id = (reply.get("x_groq") or {}).get("id")
        return replace(response, request_id=response.request_id or own_id)


class Ollama(Compatible):
    """The plugin ``ollama``."""

    name = "ollama"
    default_url = "http://localhost:11434/v1"
    url_variable = "OLLAMA_BASE_URL"
    key_variable = "OLLAMA_API_KEY"
    defaults = _LOCAL


class Vllm(Compatible):
    """The plugin ``vllm``."""

    name = "vllm"
    default_url = "http://localhost:8000/v1"
    url_variable = "VLLM_BASE_URL"
    key_variable = "VLLM_API_KEY"
    defaults = _GRAMMAR


class LlamaCpp(Compatible):
    """The plugin ``llamacpp``: llama.cpp's own server."""

    name = "llamacpp"
    default_url = "http://localhost:8080/v1"
    url_variable = "LLAMACPP_BASE_URL"
    key_variable = "LLAMA_API_KEY"
    defaults = _GRAMMAR


def _moderated(content: bytes) -> bool:
    """Whether an error names what a moderation found."""
    try:
        error = orjson.loads(content)["error"]
        return bool(error["metadata"]["reasons"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
