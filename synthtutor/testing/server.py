"""A real HTTP server on the loopback interface that speaks OpenAI chat completions.

    async with OpenAIServer(lambda body: Reply("Which part would you compare first?")) as server:
        provider = OpenAI(Endpoint(base_url=server.base_url, api_key="test"))

As a process of its own (``python -m synthtutor.testing.server --port 0 --delay-s 0.2``) it prints
its port as the first line, for benchmarks and for tests that kill the client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from synthtutor.testing.openai_batches import OpenAIBatches
from synthtutor.testing.replies import Behaviour, Reply, fixed, http_answer, plausible_reply
from synthtutor.testing.serving import Asked, FakeServer, RowCount

__all__ = [
    "Asked",
    "Behaviour",
    "FakeServer",
    "OpenAIServer",
    "Reply",
    "RowCount",
    "fixed",
    "plausible_reply",
    "server_process",
]


class OpenAIServer(FakeServer):
    """OpenAI's wire: chat completions, token counts, models, and ``batches`` with their files."""

    def __init__(
        self,
        behaviour: Behaviour = plausible_reply,
        *,
        models: Sequence[str] = ("test-model",),
        **options: Any,
    ) -> None:
        super().__init__(behaviour, **options)
        self._models = models
        self.batches = OpenAIBatches(self)

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls its base URL: the root and ``/v1``."""
        return f"{self.root_url}/v1"

    def is_chat(self, method: str, path: str) -> bool:
        """``POST /v1/chat/completions``."""
        return method == "POST" and path == "/v1/chat/completions"

    def chat(self, asked: Asked) -> dict[str, Any] | None:
        """The body itself, where it is one."""
        body = dict(asked.body)
        try:
            usable = isinstance(body["model"], str) and all(
                "content" in m and "role" in m for m in body["messages"]
            )
        except (KeyError, TypeError):
            return None
        return body if usable else None

    def render(self, reply: Reply, asked: Asked) -> bytes:
        """A chat completion, or an error in OpenAI's form."""
        return reply.wire(asked.body)

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        """``GET /v1/models``, token counts, files and batches."""
        if (method, asked.path) == ("GET", "/v1/models"):
            return http_answer(200, orjson.dumps(_models(self._models)))
        if (method, asked.path) == ("POST", "/v1/responses/input_tokens"):
            return self._counted(asked)
        return self.batches.answer(method, asked, content)

    def _counted(self, asked: Asked) -> bytes:
        """As many as a reply without a usage of its own bills for the prompt."""
        if self._keep:
            self.asked.append(asked)
        body = {"model": asked.body.get("model"), "messages": asked.body.get("input")}
        if self.chat(Asked(asked.headers, body, asked.path)) is None:
            return self.render(Reply.failure(400, "not a request for a count"), asked)
        characters = sum(len(message["content"]) for message in body["messages"] or ())
        counted = {"object": "response.input_tokens", "input_tokens": characters // 4 + 1}
        return http_answer(200, orjson.dumps(counted))


def _models(names: Sequence[str]) -> dict[str, object]:
    data = [{"id": n, "object": "model", "created": 0, "owned_by": "synthtutor"} for n in names]
    return {"object": "list", "data": data}


@contextlib.contextmanager
def server_process(*arguments: str) -> Iterator[str]:
    """The server as a process of its own, for the length of a ``with``; yields its root URL."""
    command = [sys.executable, "-m", "synthtutor.testing.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None  # noqa: S101  # asked for in the line above
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"the server did not start: {' '.join(command)}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m synthtutor.testing.server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--delay-s", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--text", help="what every reply says, instead of plausible text")
    parser.add_argument("--fixed", action="store_true", help="make one reply per model and schema")
    parser.add_argument("--row-pattern", help="count calls by this pattern's first group")
    parser.add_argument("--batch-polls", type=int, default=1, help="looks until a batch ends")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> None:
    ready_made = options.fixed or options.text is not None
    server = OpenAIServer(
        fixed(options.text) if ready_made else plausible_reply,
        port=options.port,
        delay_s=options.delay_s,
        keep=False,
        row_pattern=options.row_pattern,
    )
    server.batches.polls = options.batch_polls
    stopped = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows: the process is simply ended
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_options(None)))
