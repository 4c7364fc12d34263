from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthtutor.cli.app import run
from synthtutor.testing.replies import Reply
from synthtutor.testing.server import OpenAIServer
from tests.system.runs import POSIX
from tests.threads import serving

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command line: (exit code, stdout, stderr), where no key can be found."""
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> tuple[int, str, str]:
        code = run(["providers", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return said


# ── check ────────────────────────────────────────────────────────────────────────────────────


def test_a_provider_without_a_key_is_checked(say: Say) -> None:
    code, out, err = say("check", "scripted", "--model", "any")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "scripted/any, without a key"
    assert [line[19:32].strip() for line in lines if line.startswith("structured")] == ["works"]
    assert lines[-1].startswith("5 calls in ")
    assert lines[-1].endswith(", free")


def test_the_key_that_is_used_is_named_and_the_finding_is_json(say: Say, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPATIBLE_API_KEY=sk-of-the-file\n")
    with serving(OpenAIServer()) as server:
        words = ("check", "compatible", "-m", "compatible/org/model", "--base-url")
        code, out, _ = say(*words, server.base_url, "--price", "compatible/org/model=1/2", "--json")
        assert server.asked[0].headers["authorization"] == "Bearer sk-of-the-file"
        assert server.asked[0].body["model"] == "org/model"
    assert code == 0
    told = json.loads(out)
    assert told["key"] == {"variable": "COMPATIBLE_API_KEY", "place": str(tmp_path / ".env")}
    assert told["model"] == "compatible/org/model"
    assert told["price"] == "given"
    assert told["cost_usd"] > 0


def test_options_reach_the_provider(say: Say) -> None:
    with serving(OpenAIServer()) as server:
        words = ("check", "compatible", "-m", "x", "--base-url", server.base_url)
        option = "compatible.max_tokens_field=max_completion_tokens"
        code, out, _ = say(*words, "--provider-option", option, "--reasoning-effort", "low")
        assert "max_completion_tokens" in server.asked[0].body
        assert server.asked[0].body["reasoning_effort"] == "low"
    assert code == 0
    assert "of unknown price" in out


def test_basics_that_do_not_work_are_exit_code_1(say: Say) -> None:
    def prose(body: dict[str, Any]) -> Reply:
        return Reply("I would rather not.")

    with serving(OpenAIServer(prose)) as server:
        code, out, _ = say("check", "compatible", "-m", "x", "--base-url", server.base_url)
    assert code == 1
    assert "structured output  does not" in out


def test_a_bad_key_is_one_line_that_names_where_it_came_from(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "sk-planted-wrong")
    wrong = Reply.failure(401, "Incorrect API key: sk-planted-wrong.")
    with serving(OpenAIServer(lambda _body: wrong)) as server:
        code, out, err = say("check", "compatible", "-m", "x", "--base-url", server.base_url)
        assert server.calls == 1
    assert (code, out) == (2, "")
    assert err == (
        "synthtutor: HTTP 401: Incorrect API key: [redacted]. "
        "(with COMPATIBLE_API_KEY from the environment)\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "scripted"), "which model? add --model scripted/MODEL"),
        (("check", "scripted", "-m", "x", "--reasoning-effort", "much"), "--reasoning-effort"),
        (("check", "scripted", "-m", "x", "--provider-option", "y"), "scripted.NAME=VALUE"),
        (("check", "scripted", "-m", "x", "--price", "y"), "provider/model=IN/OUT"),
        (("check", "scripted", "-m", "x", "--timeout", "0"), "--timeout: must be more than 0"),
        (
            ("check", "compatible", "-m", "x", "--base-url", "http://me:key@host"),
            "not into the URL",
        ),
        (("check", "compatible", "-m", "x"), "no endpoint"),
        (("check", "skripted", "-m", "x"), "did you mean 'scripted'?"),
        (("set-key", "scripted"), "asks for no key"),
        (("set-key", "skripted", "--variable", "X"), "did you mean 'scripted'?"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], said: str, say: Say) -> None:
    code, out, err = say(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_missing_key_is_one_line_that_names_the_places(say: Say) -> None:
    pytest.importorskip("synthtutor_openai")
    code, _, err = say("check", "openai", "-m", "any")
    assert code == 2
    assert err.startswith(
        "synthtutor: no API key: set OPENAI_API_KEY in the environment, in a .env"
    )
    assert len(err.splitlines()) == 1


# ── set-key ──────────────────────────────────────────────────────────────────────────────────

# That a key is stored and found again is in test_planted_key.py, with a keyring of its own.


def test_without_the_package_set_key_says_how_to_install_it(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-very-secret\n"))
    code, out, err = say("set-key", "compatible")
    assert code == 2
    assert 'pip install "synthtutor[keyring]"' in err
    assert "very-secret" not in out + err


def test_no_key_is_not_stored(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert say("set-key", "compatible")[0::2] == (2, "synthtutor: no key was given\n")


@POSIX
def test_a_key_that_is_typed_is_not_shown(tmp_path: Path) -> None:
    import pty
    import subprocess

    (tmp_path / "nowhere.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class Nowhere(KeyringBackend):\n"
        "    priority = 1\n"
        "    def set_password(self, *given): assert given == ('synthtutor', 'MY_KEY', 'sk-typed')\n"
        "    def get_password(self, *given): return 'sk-typed'\n"
    )
    pytest.importorskip("keyring")
    ours, theirs = pty.openpty()
    backend = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "nowhere.Nowhere"}
    command = ("providers", "set-key", "scripted", "--variable", "MY_KEY")
    process = subprocess.Popen(
        [sys.executable, "-m", "synthtutor", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **backend, "HOME": str(tmp_path)},
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"(not shown)" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"sk-typed\n")
    try:
        while more := os.read(ours, 1024):
            shown += more
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown
    assert b"MY_KEY is in the keyring" in shown
    assert b"sk-typed" not in shown


# ── what is installed ────────────────────────────────────────────────────────────────────────


def test_providers_are_listed_and_shown(say: Say) -> None:
    assert "scripted" in say()[1]
    assert json.loads(say("list", "--json")[1])["scripted"].startswith("synthtutor ")
    code, out, _ = say("show", "scripted")
    assert code == 0
    assert out.startswith("scripted\n\nThe plugin")
