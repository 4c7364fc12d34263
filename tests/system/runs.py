"""What the system tests share: the real command line as a process, and the truth about what it did.

The truth comes from both ends: the server says what it was asked and answered, the journal (read
from a copy, with sqlite3 alone) says what was kept. Calls are told apart by words of their prompt
that both ends can see: the beginning of the question, and what stands before it there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from synthtutor.testing.replies import Behaviour
from synthtutor.testing.server import OpenAIServer, RowCount
from tests.threads import serving as in_a_thread

FILES = ("samples.jsonl", "rejected.jsonl", "finetune.jsonl", "statistics.json")
# The scenario's, the reply's and the judge's prompt about one question differ in what comes first.
CALL = r"(\nquestion: .{1,60}|(?:<context>\n)?Question:\n.{1,60})"
MODEL = "compatible/test-model"
PATIENCE_S = 90.0
POSIX = pytest.mark.skipif(os.name == "nt", reason="process groups and these signals are POSIX")


def unavailable(reason: str) -> None:
    """Skip, unless everything has to run."""
    if os.environ.get("SYNTHTUTOR_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but {reason}")
    pytest.skip(reason)


# ── the command line ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that is over; ``code`` is negative where a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """Everything it printed."""
        return self.out + self.err

    def resume_command(self) -> list[str]:
        """The arguments of the command that it says goes on where it stopped."""
        lines = self.err.splitlines()
        words = shlex.split(lines[lines.index("to go on where it stopped:") + 1])
        assert words[0] == "synthtutor"
        return words[1:]


class Process:
    """The command line at work, in a process group of its own. A fixture ends what a test leaves."""

    unended: ClassVar[set[Process]] = set()

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        with ExitStack() as stack:
            out = stack.enter_context(tempfile.TemporaryFile())
            err = stack.enter_context(tempfile.TemporaryFile())
            self._files, self._open = (out, err), stack.pop_all()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "synthtutor", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self.unended.add(self)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def kill(self) -> Ended:
        """``kill -9`` of the whole group."""
        with suppress(ProcessLookupError):  # it may just have ended by itself
            os.killpg(self.popen.pid, signal.SIGKILL)
        return self.ended()

    def ended(self, timeout_s: float = PATIENCE_S) -> Ended:
        """Wait for its end."""
        try:
            code = self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s} s: {self.told()}")
        out, err = self.told()
        self.close()
        return Ended(code, out, err)

    def close(self) -> None:
        """End it, if it has not ended, and let go of what it printed."""
        if self.alive:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        self._open.close()
        self.unended.discard(self)

    def told(self) -> tuple[str, str]:
        """What it has printed so far: (stdout, stderr)."""
        # Not read(): that would move the place at which the process goes on writing.
        out, err = (
            os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()
            for file in self._files
        )
        return out, err


@dataclass(frozen=True, slots=True)
class Run:
    """One run's command: which server is asked, which folder it fills, and further arguments."""

    url: str
    folder: Path
    more: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *more: str) -> list[str]:
        """The words after ``synthtutor``."""
        own = [] if "--model" in self.more else ["--model", MODEL]
        own += [] if "--base-url" in self.more else ["--base-url", f"{self.url}/v1"]
        fixed = ["generate", "misconception", *own]
        return [*fixed, "--no-report", "--out", str(self.folder), *self.more, *more]

    def start(self, *more: str) -> Process:
        """Start it."""
        return Process(self.arguments(*more), self.environment)

    def finish(self, *more: str) -> Ended:
        """Start it and wait for its end."""
        return self.start(*more).ended()

    def again(self, ended: Ended) -> Ended:
        """Run the command that the stopped one named."""
        return Process(ended.resume_command(), self.environment).ended()


def write_rows(path: Path, count: int, **more: str) -> Path:
    """Seeds whose questions carry their number: row-0000, row-0001, …"""
    rows = [
        {
            "question": f"row-{number:04}: why is 1/2 + 1/3 not 2/5?",
            "first_explanation": "Halves and thirds are parts of different sizes.",
            "follow_up": f"But {number} halves and {number} thirds, do I not just add them?",
            "subject": "mathematics",
            "misconception_type": "overgeneralised rule",
            **more,
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_rubric(path: Path) -> Path:
    """A pack that keeps about half of the server's chance verdicts, so that no file is empty."""
    path.write_text(
        """\
pack: {id: system, version: 1, applies_to: [reply], license: MIT, about: For these tests.}
scale: binary
scoring:
  keep_if: {metric: critical_rate, op: ">", value: 0.6}
  min_weighted: 0.5
  on_missing: undetermined
criteria:
  - {id: s.names, text: The reply names the confusion., weight: 5, dimension: diagnosis}
  - {id: s.false, text: The reply contains a wrong statement., weight: -1, dimension: truth}
controls:
  - {mutate: drop_diagnosis, must_flip: [s.names]}
  - {mutate: false_content, must_flip: [s.false]}
"""
    )
    return path


# ── what was done ────────────────────────────────────────────────────────────────────────────


def counts(url: str) -> dict[str, RowCount]:
    """What the server process was asked and answered so far, call by call."""
    with urllib.request.urlopen(f"{url}/_calls", timeout=30) as reply:
        data = json.load(reply)
    return {call: RowCount(**count) for call, count in data.items()}


def settled_counts(url: str) -> dict[str, RowCount]:
    """The same, once the server has read all that a killed client had sent.

    That lay in its sockets before our first question, so it was read before our second.
    """
    counts(url)
    return counts(url)


def started(url: str) -> int:
    """How many calls the server was asked so far."""
    return sum(count.started for count in counts(url).values())


def answered(url: str) -> int:
    """How many it has answered."""
    return sum(count.answered for count in counts(url).values())


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal holds: the key and the name of each call."""

    calls: tuple[tuple[bytes, str], ...]

    @property
    def keys(self) -> set[bytes]:
        """The keys of the calls."""
        return {key for key, _ in self.calls}

    @property
    def by_call(self) -> Counter[str]:
        """How often each call is there."""
        return Counter(call for _, call in self.calls)


def kept(folder: Path) -> Kept:
    """The journal as it lies there, read from a copy."""
    if not (folder / "journal.sqlite").exists():
        return Kept(())
    with tempfile.TemporaryDirectory() as name:
        for suffix in ("", "-wal"):
            source = folder / f"journal.sqlite{suffix}"
            if source.exists():
                shutil.copyfile(source, Path(name) / source.name)
        connection = sqlite3.connect(Path(name) / "journal.sqlite")
        try:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone()
            rows = connection.execute("SELECT key, request FROM calls").fetchall() if made else []
        finally:
            connection.close()
    return Kept(tuple((key, _call(json.loads(request))) for key, request in rows))


def _call(request: dict[str, Any]) -> str:
    """As the server finds it."""
    for message in request["messages"]:
        if match := re.search(CALL, message["content"]):
            return match[1]
    return ""


def contents(folder: Path) -> dict[str, bytes]:
    """The files that a run leaves for others, whole."""
    return {name: (folder / name).read_bytes() for name in FILES}


def records(folder: Path, *names: str) -> list[dict[str, Any]]:
    """The samples in the files of these names."""
    return [json.loads(line) for name in names for line in (folder / name).read_text().splitlines()]


def reasons(folder: Path) -> list[str]:
    """Why each dropped sample was dropped, in the order of the rows."""
    return ["; ".join(r["metadata"]["reasons"]) for r in records(folder, "rejected.jsonl")]


# ── waiting and serving ──────────────────────────────────────────────────────────────────────


def wait_until(true: Callable[[], bool], process: Process | None = None) -> bool:
    """Whether it became true before the process ended. Fails where neither happens."""
    patience = time.monotonic() + PATIENCE_S
    while not true():
        if process is not None and not process.alive:
            return False
        if time.monotonic() > patience:
            pytest.fail(f"it did not come true within {PATIENCE_S} s")
        time.sleep(0.01)
    return True


def serving(behaviour: Behaviour, *, delay_s: float = 0.0) -> AbstractContextManager[OpenAIServer]:
    """A server with a behaviour of the test's own, in a thread of this process."""
    return in_a_thread(OpenAIServer(behaviour, delay_s=delay_s, row_pattern=CALL))
