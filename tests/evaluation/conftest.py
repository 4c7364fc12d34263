from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synthtutor.cli.app import run

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command line: exit code, output and errors, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    monkeypatch.setitem(sys.modules, "keyring", None)

    def said(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return said
