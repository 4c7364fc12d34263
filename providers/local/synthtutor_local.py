"""Models that run in this process by llama.cpp: no key, no network, no money.

``local/smollm2-135m`` is the embedded default, ``local/PATH.gguf`` any GGUF file, and
``local/OWNER/REPO:FILE.gguf`` one from Hugging Face where there is a network.

What was measured decides the settings below. A text depends on how the numbers are summed up, and
so on which calls share a batch, on what the prompt cache holds and, with flash attention, on the
number of threads: hence one call at a time unless asked otherwise (two cores decode two calls no
faster), no cache for a seeded call, no flash attention. A schema as an LLGuidance grammar without
free whitespace takes fewer tokens than the server's own grammar for it, and keeps small models
from writing blank lines until they are cut.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
from synthtutor_local_models import DEFAULT, MODELS, Models, located

from synthtutor.errors import ConfigError, ProviderError, Rejected, Unavailable
from synthtutor.messages import Request, Response, Usage
from synthtutor.provider import Capabilities, Endpoint, split_thinking

__all__ = ["Local"]

_STOPPED = "the call was cancelled"

# The embedded model falls into loops. A penalty on repeated phrases (DRY) keeps it out of them;
# one on repeated tokens also hits the quotes and commas of JSON, and spoils it.
_AGAINST_LOOPS = {
    "temperature": 0.7,
    "top_p": 0.9,
    "min_p": 0.05,
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
}


class Local:
    """llama.cpp in this process.

    Options: ``threads`` (default: the machine's cores, at most 8), ``parallel`` (calls decoded at
    once, default 1; with more, a seed no longer repeats every text) and ``context`` (tokens per
    call, prompt and reply together, default 4096).

    A call may take as long as the endpoint's timeout, but at least half an hour: on a busy
    machine a small model's reply takes minutes.
    """

    models: Models = MODELS

    def __init__(self, endpoint: Endpoint) -> None:
        options = endpoint.options
        self._threads = _whole(options, "threads", _cores())
        self._parallel = _whole(options, "parallel", 1)
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
        if self._stopping.is_set():
            raise Unavailable("the provider is closed")
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
        return _response(chunks, request)

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens in the model's own chat template. It is cut up, but not read."""
        if self._stopping.is_set():
            raise Unavailable("the provider is closed")
        server = await self._server(request.model_name)
        loop = asyncio.get_running_loop()
        first = await loop.run_in_executor(self._workers, _first, server, _body(request))
        if "error" in first:
            raise _error(first["error"])
        return int(first["prompt_progress"]["total"])

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
        llama = _llama()
        params = llama.CommonParams()
        params.model.path = str(path)
        params.n_parallel = self._parallel
        params.n_ctx = self._context * self._parallel
        params.n_batch = 512  # between two batches of a prompt a call can be cancelled
        params.kv_unified = False
        params.fit_params = False
        params.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_ram_mib = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.verbosity = -1
        params.prefill_assistant = False  # a closing assistant message is answered, not continued
        params.endpoint_metrics = True
        params.n_threads_http = 1
        params.port = 0
        params.api_keys = [os.urandom(16).hex()]  # nobody else on this machine may ask it
        with tempfile.TemporaryDirectory() as folder:
            params.hostnames = [_address(folder)]
            try:
                server = llama.Server(params)
            except RuntimeError as error:
                message = f"{path}: llama.cpp cannot load it as a model ({error})"
                raise ConfigError(message) from None
        # A server that is closed before its loop has begun never ends: wait for a first answer.
        server.handle_metrics()
        return server

    def _ask(
        self, server: Any, body: dict[str, Any], stop: threading.Event
    ) -> list[dict[str, Any]]:
        chunks: list[dict[str, Any]] = []

        def take(chunk: dict[str, Any]) -> bool:
            chunks.append(chunk)
            return stop.is_set() or self._stopping.is_set()

        if not (stop.is_set() or self._stopping.is_set()):
            _complete(server, body, take)
        return chunks


def _complete(server: Any, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
    """Hand over what llama.cpp says, piece by piece, until ``take`` is true."""
    try:
        server.handle_chat_completions(body, take)
    except ValueError as error:  # the model's chat template does not take these messages
        raise Rejected(str(error)) from None


def _first(server: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The first piece: how long the prompt is, said before any of it is read."""
    chunks: list[dict[str, Any]] = []

    def take(chunk: dict[str, Any]) -> bool:
        chunks.append(chunk)
        return True

    _complete(server, body, take)
    return chunks[0]


def _llama() -> Any:
    # OpenMP's threads wait by spinning for milliseconds, which starves whatever else runs, or
    # sleep at once, which halves the speed of a quiet machine. This is some microseconds.
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = "3000"
    import xllamacpp

    return xllamacpp


def _address(folder: str) -> str:
    """Where llama.cpp's server, which cannot do without, listens: a file about to be deleted."""
    path = f"{folder}/llama.sock"
    short = len(path) < 100  # the system's limit for such a path
    return path if hasattr(socket, "AF_UNIX") and short else "127.0.0.1"


def _body(request: Request) -> dict[str, Any]:
    settings = request.settings
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": settings.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    if request.model_name == DEFAULT:
        body |= _AGAINST_LOOPS
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if settings.top_p is not None:
        body["top_p"] = settings.top_p
    if settings.seed is not None:
        body["seed"] = settings.seed & 0x7FFFFFFF
        body["cache_prompt"] = False  # a warm prefix cache can change the text of a seeded call
    if settings.stop:
        body["stop"] = list(settings.stop)
    if request.schema is not None:
        strict = request.schema.strict
        body["grammar"] = _grammar(_bounded(strict) if request.model_name == DEFAULT else strict)
    return body


def _grammar(definition: Mapping[str, Any]) -> str:
    style = {"x-guidance": {"whitespace_flexible": False, "lenient": True}}
    return "%llguidance {}\nstart: %json " + orjson.dumps({**definition, **style}).decode()


def _bounded(node: Any) -> Any:
    """The schema with an end to every text and list: the embedded model does not find one itself."""
    if isinstance(node, list):
        return [_bounded(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    bounded = {key: _bounded(value) for key, value in node.items()}
    if bounded.get("type") == "string" and not bounded.keys() & {"enum", "const", "pattern"}:
        bounded.setdefault("maxLength", max(200, bounded.get("minLength", 0)))
    if bounded.get("type") == "array":
        bounded.setdefault("maxItems", max(4, bounded.get("minItems", 0)))
    return bounded


def _response(chunks: list[dict[str, Any]], request: Request) -> Response:
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
    if request.schema is not None and len(answer) > 1 and not answer.startswith(('{"', "{}")):
        # A schema that llama.cpp cannot follow it drops without a word; only the text shows it.
        raise Rejected(f"llama.cpp cannot make a grammar of the schema {request.schema.name}")
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
        model=request.model_name,
    )


def _error(error: Mapping[str, Any]) -> ProviderError:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return Rejected(f"{message} (--provider-option local.context=N)", reason="context")
    if int(error.get("code", 500)) < 500:
        return Rejected(message)
    return Unavailable(message)


def _cores() -> int:
    """The cores that this process may use; more than eight gain little."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 2, 8)


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"provider option local.{name}={text}: must be a whole number above 0")
    return int(text)
