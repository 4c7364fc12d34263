"""Two mock servers that are not ours, each a process from its own package: aimock and llmock.

They are installed by install_mocks.sh; a test that needs one is skipped where it is missing, and
fails there when everything is required.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.runs import unavailable

__all__ = ["aimock", "asked", "llmock"]

_TOOLS = Path(__file__).parents[2] / ".tools"
_PATIENCE_S = 60.0


@contextmanager
def aimock(fixtures: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    """aimock with these fixtures; yields its root URL."""
    program = _TOOLS / "aimock/node_modules/@copilotkit/aimock/dist/cli.js"
    node = shutil.which("node")
    if node is None or not program.is_file():
        unavailable("there is no aimock: it needs Node 20 and tests/faults/install_mocks.sh")
    file = folder / "fixtures.json"
    file.write_text(json.dumps({"fixtures": fixtures}))
    port = _free_port()
    command = [str(node), str(program), "-p", str(port), "-h", "127.0.0.1", "-f", str(file)]
    with _serving([*command, "--log-level", "silent"], port, "/health") as url:
        yield url


@contextmanager
def llmock(*options: str) -> Iterator[str]:
    """llmock that repeats what it is told; yields its root URL."""
    program = _TOOLS / "llmock/bin/llmock"
    if not program.is_file():
        unavailable("there is no llmock: run tests/faults/install_mocks.sh")
    port = _free_port()
    command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(port)]
    more = ["--log-level", "critical", "--response-style", "echo", *options]
    with _serving([*command, *more], port, "/health") as url:
        yield url


def asked(url: str, body: object = None, *, method: str | None = None) -> Any:
    """What a control address says, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as reply:
        return json.load(reply)


@contextmanager
def _serving(command: Sequence[str], port: int, health: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            patience = time.monotonic() + _PATIENCE_S
            while not _answers(url + health):
                if process.poll() is not None or time.monotonic() > patience:
                    pytest.fail(f"it did not start: {' '.join(command)}")
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:  # urllib's own errors are among these
        return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
