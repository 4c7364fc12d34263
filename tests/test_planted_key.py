"""A key is planted in each place that keys come from; then it is nowhere but there.

The vendor is a server on this machine that quotes the key wherever a failing vendor could: in error
messages, codes, headers and broken bodies. The command line runs as a process of its own, and
everything that it prints or writes (its home and its temporary folder are the test's) is searched
for the key, and for the key as Base64 has it.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from synthtutor.plugins import installed
from synthtutor.testing.replies import Reply, plausible_reply
from synthtutor.testing.serving import FakeServer
from tests.system.runs import unavailable, write_rows
from tests.threads import serving

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

KEY = "sk-planted-0123456789-abcdefXYZ"

# Provider: (the variable of its key, the fake server that speaks its wire).
WIRES = {
    "anthropic": ("ANTHROPIC_API_KEY", "synthtutor.testing.anthropic_wire:AnthropicServer"),
    "compatible": ("COMPATIBLE_API_KEY", "synthtutor.testing.server:OpenAIServer"),
    "fireworks": ("FIREWORKS_API_KEY", "synthtutor.testing.server:OpenAIServer"),
    "google": ("GOOGLE_API_KEY", "synthtutor.testing.google_wire:GoogleServer"),
    "openai": ("OPENAI_API_KEY", "synthtutor.testing.server:OpenAIServer"),
}
PLACES = ("environment", ".env", "keyring")

KEYRING = """\
import json, pathlib
from keyring.backend import KeyringBackend

FILE = pathlib.Path(__file__).with_name("kept.json")

class Drawer(KeyringBackend):
    priority = 1
    name = "drawer"

    def get_password(self, service, username):
        return self._kept().get(f"{service} {username}")

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({**self._kept(), f"{service} {username}": password}))

    def _kept(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}
"""


# ── the vendor ───────────────────────────────────────────────────────────────────────────────

QUOTES = {
    "x-echo": f"Bearer {KEY}",
    "x-ratelimit-remaining-requests": KEY,
    "location": f"http://127.0.0.1/?key={KEY}",
}


def failure(status: int, code: str | None = None) -> Reply:
    """An error that quotes the key in its message and its headers."""
    said = f"Incorrect request by {KEY} (authorization: Bearer {KEY})"
    headers = {**QUOTES, "x-request-id": f"req-{KEY}"}
    return Reply.failure(status, said, code=code, headers=headers)


def checked(body: dict[str, Any]) -> Reply:
    """What a check is told: a reply to the plain question, and errors to all others."""
    if "no-such-model" in body["model"]:
        return failure(404, "model_not_found")
    if body.get("response_format"):
        return failure(400)
    long = any(message["role"] == "system" for message in body["messages"])
    return failure(429) if long else replace(plausible_reply(body), headers=QUOTES)


class Generated:
    """What a run is told: each row meets another error, some of them twice."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any]) -> Reply:
        said = str(body["messages"])
        row = next((name for name in TROUBLES if name in said), "")
        self.asked[row] += 1
        if row and self.asked[row] <= 1:
            return TROUBLES[row]
        sound = plausible_reply(body)
        text = f"{sound.text} {KEY}" if not body.get("response_format") else sound.text
        return replace(
            sound, text=text, headers={**QUOTES, "x-request-id": f"r-{KEY}", "request-id": KEY}
        )


TROUBLES = {
    "row-0000": failure(400),
    "row-0001": failure(400, "context_length_exceeded"),
    "row-0002": failure(503),
    "row-0003": Reply(raw=f'{{"choices": "{KEY}"}}'.encode(), headers=QUOTES),
    "row-0004": Reply(raw=f"<html>{KEY}".encode(), headers=QUOTES),
}


# ── the command line ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Machine:
    """Folders of the test's own, with the key planted in one place of them."""

    folder: Path
    environment: Mapping[str, str]
    planted: frozenset[Path]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, in the folder ``work``."""
        return subprocess.run(
            [sys.executable, "-m", "synthtutor", *arguments],
            cwd=self.folder / "work",
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def leaks(self, *printed: str) -> list[str]:
        """Where the key is, other than where it was planted."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        contents = {str(path): path.read_bytes() for path in files if path not in self.planted}
        contents |= {f"print {n}": text.encode() for n, text in enumerate(printed)}
        return [name for name, content in contents.items() if any(f in content for f in FORMS)]


def forms(key: str) -> list[bytes]:
    """The key, and what Base64 makes of it wherever it begins in a longer text."""
    encoded = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + key.encode())
        encoded.append(whole[-(-before * 4 // 3) :].rstrip(b"=")[:-1])
    return [key.encode(), *encoded]


FORMS = forms(KEY)


def machine(folder: Path, provider: str, place: str) -> Machine:
    variable, address = WIRES[provider]
    if provider not in installed("providers") or find_spec(address.partition(":")[0]) is None:
        unavailable(f"the provider {provider} is not installed")
    for name in ("work", "home", "tmp", "keyring"):
        (folder / name).mkdir()
    (folder / "keyring" / "drawer.py").write_text(KEYRING)
    kept = {name: text for name, text in os.environ.items() if not name.endswith("_API_KEY")}
    environment = kept | {
        "HOME": str(folder / "home"),
        "USERPROFILE": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(folder / "keyring"),
        "PYTHON_KEYRING_BACKEND": "drawer.Drawer",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    kept_in = {".env": folder / "work" / ".env", "keyring": folder / "keyring" / "kept.json"}
    planted = frozenset(path for name, path in kept_in.items() if name == place)
    if place == "environment":
        environment[variable] = KEY
    if place == ".env":
        kept_in[".env"].write_text(f"{variable}={KEY}\n")
    made = Machine(folder, environment, planted)
    if place == "keyring":
        if find_spec("keyring") is None:
            unavailable("the package keyring is not installed")
        done = made.run("providers", "set-key", provider, stdin=f"{KEY}\n")
        assert done.returncode == 0, done.stderr
        assert made.leaks(done.stdout, done.stderr) == []
    return made


def server_for(provider: str, behaviour: Callable[[dict[str, Any]], Reply]) -> FakeServer:
    module, _, name = WIRES[provider][1].partition(":")
    made = getattr(import_module(module), name)(behaviour)
    assert isinstance(made, FakeServer)
    return made


DEBUG = dict.fromkeys(("OPENAI_LOG", "ANTHROPIC_LOG", "FIREWORKS_LOG"), "debug")


def came_with_the_key(server: FakeServer) -> bool:
    return bool(server.asked) and all(
        any(KEY in value for value in asked.headers.values()) for asked in server.asked
    )


# ── the tests ────────────────────────────────────────────────────────────────────────────────


def check_leaves_no_key(provider: str, place: str, folder: Path) -> None:
    at = machine(folder, provider, place)
    with serving(server_for(provider, checked)) as server:
        arguments = ("providers", "check", provider, "-m", "test-model")
        told = at.run(*arguments, "--base-url", server.base_url)
        assert told.returncode == 1, told.stderr
        assert came_with_the_key(server)
        assert "plain text         works" in told.stdout
        assert "[redacted]" in told.stdout
        assert WIRES[provider][0] in told.stdout
    assert at.leaks(told.stdout, told.stderr) == [], told.stderr


@pytest.mark.parametrize("place", PLACES)
def test_a_check_leaves_no_key(place: str, tmp_path: Path) -> None:
    check_leaves_no_key("compatible", place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("provider", sorted(set(WIRES) - {"compatible"}))
def test_a_check_of_any_provider_leaves_no_key(provider: str, place: str, tmp_path: Path) -> None:
    check_leaves_no_key(provider, place, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("provider", WIRES)
def test_the_logs_of_the_vendors_clients_hold_no_key(provider: str, tmp_path: Path) -> None:
    """They print every header that the server sends, so this server quotes in its bodies only."""
    at = machine(tmp_path, provider, "environment")
    at = replace(at, environment={**at.environment, **DEBUG})
    bodies = replace(failure(400), headers={})
    with serving(server_for(provider, lambda _body: bodies)) as server:
        arguments = ("providers", "check", provider, "-m", "test-model")
        told = at.run(*arguments, "--base-url", server.base_url)
        assert told.returncode == 1, told.stderr
        assert came_with_the_key(server)
    if provider in ("anthropic", "openai"):
        assert "HTTP Response: POST" in told.stderr
    assert at.leaks(told.stdout, told.stderr) == [], told.stderr


RUNS = [(provider, "environment") for provider in WIRES]
RUNS += [("compatible", place) for place in PLACES if place != "environment"]


@pytest.mark.slow
@pytest.mark.parametrize(("provider", "place"), RUNS)
def test_a_run_leaves_no_key(provider: str, place: str, tmp_path: Path) -> None:
    at = machine(tmp_path, provider, place)
    write_rows(tmp_path / "work" / "rows.jsonl", 6)
    with serving(server_for(provider, Generated())) as server:
        arguments = (
            *("generate", "misconception", "-m", f"{provider}/test-model"),
            *("--base-url", server.base_url, "--rows", "rows.jsonl"),
            *("--controls", "0", "--max-failed", "1", "--out", "run", "--json"),
        )
        told = at.run(*arguments)
        assert told.returncode == 0, told.stderr
        assert came_with_the_key(server)
        assert (tmp_path / "work" / "run" / "journal.sqlite").exists()
        assert "[redacted]" in (tmp_path / "work" / "run" / "rejected.jsonl").read_text()
        assert at.leaks(told.stdout, told.stderr) == []

        server.behaviour = lambda _body: failure(401)
        write_rows(tmp_path / "work" / "rows.jsonl", 7)
        stopped = at.run(*arguments)
        assert stopped.returncode == 2, stopped.stderr
        assert "[redacted]" in stopped.stderr
    assert at.leaks(stopped.stdout, stopped.stderr) == []


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    at = machine(tmp_path, "compatible", ".env")
    assert at.leaks("nothing here") == []
    (tmp_path / "home" / "log").write_text(f"authorization: Bearer {KEY}")
    (tmp_path / "tmp" / "basic").write_bytes(base64.b64encode(f"user:{KEY}".encode()))
    found = at.leaks(f"quoted: {KEY}", base64.b64encode(f"x{KEY}y".encode()).decode())
    assert {Path(name).name for name in found} == {"log", "basic", "print 0", "print 1"}
