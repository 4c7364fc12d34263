"""Hugging Face checkpoints in this process, with LoRA adapters: ``transformers/PATH_OR_NAME``.

torch decodes one batch at a time, in a thread of its own. Calls that come meanwhile wait; the first
of them takes as many with the same settings along as ``batch`` allows. torch, transformers and peft
are imported with the first call.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from jinja2 import TemplateError

from synthtutor.errors import ConfigError, Rejected, Unavailable
from synthtutor.messages import Request, Response, Settings, Usage
from synthtutor.provider import Capabilities, Endpoint, split_thinking

__all__ = ["Transformers"]

_OPTIONS = ("adapter", "device", "dtype", "batch")
_DTYPES = ("float16", "bfloat16", "float32")
_STOPPED = "the call was cancelled"


@dataclass(eq=False)
class _Waiting:
    """A call that has no reply yet."""

    request: Request
    prompt: list[int]
    reply: asyncio.Future[Response]


@dataclass(frozen=True)
class _Loaded:
    """A model with its tokenizer, and the tokens that end a reply."""

    model: Any
    tokenizer: Any
    ends: frozenset[int]
    longest: int | None
    queue: list[_Waiting] = field(default_factory=list)
    decoding: asyncio.Lock = field(default_factory=asyncio.Lock)


class Transformers:
    """Checkpoints by torch.

    Options: ``adapter`` (a folder), ``device``, ``dtype`` and ``batch`` (calls decoded together,
    default 1; with more, no seed is taken). A call may take as long as the endpoint's timeout, but
    at least half an hour.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        options = endpoint.options
        for name in options:
            if name not in _OPTIONS:
                raise ConfigError(
                    f"provider option transformers.{name}: there are {', '.join(_OPTIONS)}"
                )
        if options.get("dtype", "float32") not in _DTYPES:
            raise ConfigError(
                f"provider option transformers.dtype={options['dtype']}: one of {', '.join(_DTYPES)}"
            )
        self._options = options
        self._batch = _whole(options, "batch", 1)
        self._timeout_s = max(endpoint.timeout_s, 1800.0)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="torch")
        self._models: dict[str, _Loaded] = {}
        self._loading = asyncio.Lock()
        self._stopping = threading.Event()

    def capabilities(self, model: str) -> Capabilities:  # noqa: ARG002  # the same for all
        """Text, no price. A second batch may wait while one is decoded."""
        return Capabilities(
            structured_output="none",
            seed=self._batch == 1,
            reasoning_effort=False,
            max_in_flight=1 if self._batch == 1 else 2 * self._batch,
            free=True,
        )

    async def complete(self, request: Request) -> Response:
        """Ask the model once; calls that cannot be decoded now wait their turn."""
        if self._stopping.is_set():
            raise Unavailable("the provider is closed")
        loaded = await self._loaded(request.model_name)
        prompt = _prompt(loaded, request)
        waiting = _Waiting(request, prompt, asyncio.get_running_loop().create_future())
        loaded.queue.append(waiting)
        try:
            async with asyncio.timeout(self._timeout_s), loaded.decoding:
                if not waiting.reply.done():
                    await self._decode(loaded, waiting)
        except TimeoutError:
            raise Unavailable(f"no reply in {self._timeout_s:.0f} s") from None
        finally:
            loaded.queue.remove(waiting)
        return waiting.reply.result()

    async def count_tokens(self, request: Request) -> int:
        """The prompt's tokens in the model's own chat template."""
        return len(_prompt(await self._loaded(request.model_name), request))

    async def aclose(self) -> None:
        """End the call under way and unload the models."""
        self._stopping.set()
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)
        self._models.clear()

    async def _decode(self, loaded: _Loaded, first: _Waiting) -> None:
        """Decode a call and those that wait with the same settings; each gets its reply."""
        alike = [each for each in loaded.queue if each is not first and _alike(each, first)]
        batch = [first, *[each for each in alike if not each.reply.done()][: self._batch - 1]]
        stop = threading.Event()
        prompts, settings = [each.prompt for each in batch], first.request.settings

        def halted() -> bool:
            return stop.is_set() or self._stopping.is_set()

        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._worker, _generate, loaded, prompts, settings, halted
            )
        finally:
            stop.set()
        if found is None:
            raise Unavailable(_STOPPED)
        for each, tokens in zip(batch, found, strict=True):
            each.reply.set_result(_response(loaded, each, tokens))

    async def _loaded(self, name: str) -> _Loaded:
        async with self._loading:
            if name not in self._models:
                loop = asyncio.get_running_loop()
                self._models[name] = await loop.run_in_executor(
                    self._worker, _load, name, self._options
                )
        return self._models[name]


# ── loading ──────────────────────────────────────────────────────────────────────────────────


def _load(name: str, options: Mapping[str, str]) -> _Loaded:
    with warnings.catch_warnings():  # of what these libraries will one day call otherwise
        warnings.simplefilter("ignore", FutureWarning)
        return _read(name, options)


def _read(name: str, options: Mapping[str, str]) -> _Loaded:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise ConfigError(
            f"transformers/ needs {error.name}: pip install synthtutor-transformers"
        ) from None
    base, adapter = _places(name, options.get("adapter"))
    device = options.get("device") or _device(torch)
    dtype = options.get("dtype") or ("bfloat16" if device.startswith("cuda") else "float32")
    own = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    try:
        tokenizer = AutoTokenizer.from_pretrained(adapter if own else base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer))
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, adapter)
        model = model.to(device).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ConfigError(f"transformers/{name}: cannot be loaded: {line}") from None
    if tokenizer.chat_template is None:
        raise ConfigError(
            f"transformers/{name}: its tokenizer has no chat template, so it is no chat model"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    longest = getattr(model.config, "max_position_embeddings", None)
    return _Loaded(model, tokenizer, _ends(model, tokenizer), longest)


def _places(name: str, adapter: str | None) -> tuple[str, Path | None]:
    """The base and the adapter: a folder that holds an adapter alone names its base itself."""
    if adapter is not None:
        return name, Path(adapter)
    folder = Path(name)
    if not (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file():
        return name, None
    try:
        told = orjson.loads((folder / "adapter_config.json").read_bytes())
        return str(told["base_model_name_or_path"]), folder
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ConfigError(
            f"{folder}: its adapter_config.json names no base; give the base and --adapter"
        ) from None


def _device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    said = model.generation_config.eos_token_id
    listed = said if isinstance(said, list) else [said]
    return frozenset(token for token in [*listed, tokenizer.eos_token_id] if token is not None)


# ── one batch ────────────────────────────────────────────────────────────────────────────────


def _prompt(loaded: _Loaded, request: Request) -> list[int]:
    """The prompt's tokens. Raises Rejected where the template or the context does not take it."""
    messages = [{"role": m.role, "content": m.content} for m in request.messages]
    try:
        text = loaded.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
    except (TemplateError, ValueError) as error:
        raise Rejected(f"the model's chat template does not take these messages: {error}") from None
    tokens: list[int] = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
    if loaded.longest is not None and len(tokens) >= loaded.longest:
        raise Rejected(
            f"the prompt has {len(tokens)} tokens, the model takes {loaded.longest}",
            reason="context",
        )
    return tokens


def _generate(
    loaded: _Loaded, prompts: Sequence[list[int]], settings: Settings, halted: Any
) -> list[list[int]] | None:
    """The new tokens of each prompt, up to and with its end; None where it was halted."""
    import torch

    if halted():
        return None
    longest = max(map(len, prompts))
    room = settings.max_tokens
    if loaded.longest is not None:
        room = min(room, loaded.longest - longest)
    pad = loaded.tokenizer.pad_token_id
    device = next(loaded.model.parameters()).device
    rows = [[pad] * (longest - len(p)) + p for p in prompts]
    seen = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
    if settings.seed is not None:
        torch.manual_seed(settings.seed)
    with torch.inference_mode():
        made = loaded.model.generate(
            input_ids=torch.tensor(rows, device=device),
            attention_mask=torch.tensor(seen, device=device),
            max_new_tokens=room,
            pad_token_id=pad,
            eos_token_id=sorted(loaded.ends) or None,
            stopping_criteria=[_halting(halted)],
            **_sampling(loaded, settings),
        )
    if halted():
        return None
    return [_cut(row, loaded.ends) for row in made[:, longest:].tolist()]


def _sampling(loaded: _Loaded, settings: Settings) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if settings.stop:
        given |= {"stop_strings": list(settings.stop), "tokenizer": loaded.tokenizer}
    if settings.temperature == 0:
        return {**given, "do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    named = {"temperature": settings.temperature, "top_p": settings.top_p}
    told = {name: value for name, value in named.items() if value is not None}
    return {**given, **({"do_sample": True, **told} if told else {})}


def _halting(halted: Any) -> Any:
    """What ends decoding at the next token where the call was given up."""
    import torch
    from transformers import StoppingCriteria

    class Halting(StoppingCriteria):  # type: ignore[misc]  # transformers is not there to be checked
        def __call__(self, input_ids: Any, *_: Any, **__: Any) -> Any:
            return torch.full((len(input_ids),), halted(), device=input_ids.device)

    return Halting()


def _cut(tokens: list[int], ends: frozenset[int]) -> list[int]:
    at = next((place for place, token in enumerate(tokens) if token in ends), None)
    return tokens if at is None else tokens[: at + 1]


def _response(loaded: _Loaded, waiting: _Waiting, tokens: list[int]) -> Response:
    text: str = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
    ended = bool(tokens) and tokens[-1] in loaded.ends
    for stop in waiting.request.settings.stop:
        text, found, _ = text.partition(stop)
        ended = ended or bool(found)
    thought, answer = split_thinking(text)
    return Response(
        answer.strip(),
        usage=Usage(input_tokens=len(waiting.prompt), output_tokens=len(tokens)),
        finish="stop" if ended else "length",
        reasoning=thought,
        model=waiting.request.model_name,
    )


def _alike(one: _Waiting, other: _Waiting) -> bool:
    return one.request.settings == other.request.settings


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(
            f"provider option transformers.{name}={text}: must be a whole number above 0"
        )
    return int(text)
