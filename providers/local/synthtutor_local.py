"""Models that run in this process by llama.cpp: no key, no network, no money.

``local/smollm2-135m`` is the embedded default, ``local/PATH.gguf`` any GGUF file, and
``local/OWNER/REPO:FILE.gguf`` one from Hugging Face where there is a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synthtutor_local_models import DEFAULT, MODELS, Models, located

from synthtutor.errors import ConfigError, ProviderError, Rejected, Unavailable
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint, split_thinking

__all__ = ["Local"]

_STOPPED = "the call was cancelled"


class Local:
    """llama.cpp in this process.

    Options: ``threads`` (default: the machine's cores, at most 8), ``parallel`` (calls decoded at
    once, default 2) and ``context`` (tokens per call, prompt and reply together, default 4096).
    A call may take as long as the endpoint's timeout, but at least half an hour: on a busy
    machine a small model's reply takes minutes.
    """

    models: Models = MODELS

    def __init__(self, endpoint: Endpoint) -> None:
        options = endpoint.options
        self._threads = _whole(options, "threads", min(os.cpu_count() or 2, 8))
        self._parallel = _whole(options, "parallel", 2)
        self._context = _whole(options, "context", 4096)
        self._timeout_s = max(endpoint.timeout_s, 1800.0)
        self._workers = ThreadPoolExecutor(self._parallel, thread_name_prefix="llama")
        self._servers: dict[str, Any] = {}
        self._opening = asyncio.Lock()
        self._stopping = threading.Event()

    def capabilities(self, model: str) -> Capabilities:
        """Grammar-constrained output, seeds, no price."""
        return Capabilities(
            structured_output="grammar",
            max_in_flight=self._parallel,
            free=True,
            demonstration_only=model == DEFAULT,
        )

    async def complete(self, request: Request) -> Response:
        """Ask the model once; calls beyond the slots wait their turn."""
        server = await self._server(request.model_name)
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._workers, self._ask, server, _body(request), stop)
        try:
            async with asyncio.timeout(self._timeout_s):
                chunks = await work
        except TimeoutError:
            raise Unavailable(f"no reply in {self._timeout_s:.0f} s") from None
        finally:
            stop.set()
        return _response(chunks, request.model_name)

    async def aclose(self) -> None:
        """End the calls under way and unload the models."""
        self._stopping.set()
        await asyncio.to_thread(self._workers.shutdown, wait=True, cancel_futures=True)
        self._servers.clear()

    async def _server(self, model: str) -> Any:
        async with self._opening:
            if model not in self._servers:
                path = await asyncio.to_thread(located, model)
                self._servers[model] = await asyncio.to_thread(self._start, path)
        return self._servers[model]

    def _start(self, path: Path) -> Any:
        # Spinning OpenMP threads starve each other as soon as anything else runs.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_parallel = self._parallel
        params.n_ctx = self._context * self._parallel
        params.kv_unified = False
        params.fit_params = False
        params.cache_ram_mib = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1
        params.n_threads_http = 1
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [os.urandom(16).hex()]  # nobody else on this machine may ask it
        try:
            with _quiet():
                return xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigError(f"{path}: llama.cpp cannot load it as a model ({error})") from None

    def _ask(
        self, server: Any, body: dict[str, Any], stop: threading.Event
    ) -> list[dict[str, Any]]:
        chunks: list[dict[str, Any]] = []

        def take(chunk: dict[str, Any]) -> bool:
            chunks.append(chunk)
            return stop.is_set() or self._stopping.is_set()

        if not (stop.is_set() or self._stopping.is_set()):
            server.handle_chat_completions(body, take)
        return chunks


def _body(request: Request) -> dict[str, Any]:
    settings = request.settings
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": settings.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        # Small models fall into loops; these are the mildest settings that keep them out.
        "temperature": 0.7 if settings.temperature is None else settings.temperature,
        "top_p": 0.9 if settings.top_p is None else settings.top_p,
        "repeat_penalty": 1.1,
        "repeat_last_n": 256,
    }
    if settings.seed is not None:
        body["seed"] = settings.seed & 0x7FFFFFFF
        body["cache_prompt"] = False  # a warm prefix cache can change the text of a seeded call
    if settings.stop:
        body["stop"] = list(settings.stop)
    if request.schema is not None:
        schema = {"name": request.schema.name, "schema": request.schema.strict, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _response(chunks: list[dict[str, Any]], model: str) -> Response:
    if not chunks:
        raise Unavailable(_STOPPED)
    last = chunks[-1]
    if "error" in last:
        raise _error(last["error"])
    choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
    ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    if not ends:
        raise Unavailable(_STOPPED)
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    told = "".join(choice["delta"].get("reasoning_content") or "" for choice in choices)
    thought, answer = split_thinking(text)
    counts = last.get("usage") or {}
    cached = (counts.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Response(
        answer,
        usage=Usage(
            input_tokens=counts.get("prompt_tokens", 0),
            output_tokens=counts.get("completion_tokens", 0),
            cache_read_tokens=cached,
        ),
        finish="length" if ends[-1] == "length" else "stop",
        reasoning=told or thought,
        model=model,
    )


def _error(error: Mapping[str, Any]) -> ProviderError:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return Rejected(f"{message} (--provider-option local.context=N)", reason="context")
    if int(error.get("code", 500)) < 500:
        return Rejected(message)
    return Unavailable(message)


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"provider option local.{name}={text}: must be a whole number above 0")
    return int(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """llama.cpp reports to the process's own stderr while it loads: point it elsewhere meanwhile."""
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
