"""Three independent validators, each a process that stays up and answers one file at a time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

__all__ = ["NAMES", "Judge", "judges", "missing"]

NAMES = ("parallelogram", "mistral-common", "together")

_HERE = Path(__file__).parent
_TOOLS = _HERE.parents[1] / ".tools" / "validators"


def missing() -> str | None:
    """Why the validators cannot be asked; None where they can."""
    try:
        installed = (_TOOLS / "installed.txt").read_text()
    except OSError:
        installed = ""
    if installed == (_HERE / "validators.txt").read_text():
        return None
    return "no validators to compare with: run tests/export/install_validators.sh"


class Judge:
    """One validator."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [_TOOLS / "bin" / "python", _HERE / "judge.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"},
        )

    def refusal(self, path: Path) -> str | None:
        """Why the validator does not take the file; None where it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer: str | None = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.__exit__(kind, error, traceback)  # closes its input, which ends it


@contextmanager
def judges() -> Iterator[list[Judge]]:
    """All three, started together."""
    with ExitStack() as stack:
        yield [stack.enter_context(Judge(name)) for name in NAMES]
