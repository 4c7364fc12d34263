"""``kill -9`` of a run in batches, at each step that the two sides take together.

The server kills the client itself: when a request of the step comes, before it is handled or when
it is handled and not yet answered. So every state is met, not only those that chance meets.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.fireworks_wire import FireworksServer
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import plausible_reply
from synthtutor.testing.server import Asked, FakeServer, OpenAIServer
from tests.system.runs import (
    CALL,
    POSIX,
    Process,
    Run,
    contents,
    kept,
    write_rows,
    write_rubric,
)
from tests.threads import serving as in_a_thread

pytestmark = [pytest.mark.slow, POSIX]

ROWS = 24
KEY = "sk-batch-kill-0123456789abcdef"
UPLOAD, CREATE, LOOK, RESULTS = "upload", "create", "look", "results"


@dataclass(frozen=True)
class Moment:
    """When the client is killed: at the ``nth`` request of a kind.

    ``handled`` is whether the server has done its part by then; ``later_s`` kills the client only
    so long after the answer was sent.
    """

    kind: str
    nth: int
    handled: bool
    later_s: float = 0.0

    def __str__(self) -> str:
        when = "after" if self.handled else "before"
        return f"{when}-{self.kind}-{self.nth}" + (f"-and-{self.later_s}s" if self.later_s else "")


HANDED_OVER = [
    Moment(CREATE, 1, handled=False),
    Moment(CREATE, 1, handled=True),  # it is made, and the client never hears of it
    Moment(CREATE, 2, handled=True),
    Moment(CREATE, 1, handled=True, later_s=0.05),
    Moment(LOOK, 1, handled=True),
    Moment(LOOK, 5, handled=False),
]
UPLOADED = [Moment(UPLOAD, 1, handled=False), Moment(UPLOAD, 2, handled=True)]
COLLECTED = [
    Moment(RESULTS, 1, handled=False),
    Moment(RESULTS, 1, handled=True),
    Moment(RESULTS, 1, handled=True, later_s=0.01),  # while replies are journaled
    Moment(RESULTS, 1, handled=True, later_s=0.03),
    Moment(RESULTS, 2, handled=True, later_s=0.02),
]


class _Killing(FakeServer):
    """Kills its client at one moment, once."""

    victim: Process | None = None
    moment: Moment | None = None
    seen = 0

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        moment = self.moment
        hit = False
        if moment is not None and self.victim is not None:
            self.seen += self.kind(method, asked.path.partition("?")[0]) == moment.kind
            hit = self.seen == moment.nth
        if moment is None or not hit:
            return super().other(method, asked, content)
        self.moment = None
        if not moment.handled:
            self._kill()
            return b""
        answer = super().other(method, asked, content)
        if not moment.later_s:
            self._kill()
            return b""
        threading.Timer(moment.later_s, self._kill).start()
        return answer

    def kind(self, method: str, path: str) -> str | None:
        """What a request is for, where it is one of a batch's."""
        raise NotImplementedError

    @property
    def requested(self) -> int:
        """How many calls it was given in batches, each of which costs money."""
        return sum(row.started for row in self.rows.values())

    def _kill(self) -> None:
        assert self.victim is not None
        os.killpg(self.victim.popen.pid, signal.SIGKILL)


class OpenAI(_Killing, OpenAIServer):
    def kind(self, method: str, path: str) -> str | None:
        if method == "POST":
            return {"/v1/files": UPLOAD, "/v1/batches": CREATE}.get(path)
        return RESULTS if path.endswith("/content") else LOOK if path != "/v1/batches" else None


class Anthropic(_Killing, AnthropicServer):
    def kind(self, method: str, path: str) -> str | None:
        if path == "/v1/messages/batches":
            return CREATE if method == "POST" else None
        return RESULTS if path.endswith("/results") else LOOK


class Google(_Killing, GoogleServer):
    def kind(self, method: str, path: str) -> str | None:
        if path.endswith(":batchGenerateContent"):
            return CREATE
        return LOOK if method == "GET" and "/batches/" in path else None


class Fireworks(_Killing, FireworksServer):
    def kind(self, method: str, path: str) -> str | None:
        if path.endswith(":upload"):
            return UPLOAD
        if path.endswith("/batchInferenceJobs"):
            return CREATE if method == "POST" else None
        if "/batchInferenceJobs/" in path:
            return LOOK
        return RESULTS if path.startswith("/_download") or "getDownload" in path else None


@dataclass(frozen=True)
class Vendor:
    """A server, what the command line needs for it, and the moments that its wire has."""

    server: type[_Killing]
    options: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    moments: tuple[Moment, ...]


VENDORS = {
    "openai": Vendor(
        OpenAI,
        ("--model", "openai/gpt-4o-mini"),
        (("OPENAI_API_KEY", KEY),),
        (*UPLOADED, *HANDED_OVER, *COLLECTED),
    ),
    "anthropic": Vendor(
        Anthropic,
        # Who is first to write a prompt's cache is chance, and so would be the account.
        ("--model", "anthropic/claude-haiku-4-5", "--provider-option", "anthropic.cache=off"),
        (("ANTHROPIC_API_KEY", KEY),),
        (*HANDED_OVER, *COLLECTED),
    ),
    "google": Vendor(
        Google,
        ("--model", "google/gemini-2.5-flash"),
        (("GEMINI_API_KEY", KEY),),
        (*HANDED_OVER, Moment(LOOK, 4, handled=True, later_s=0.02)),
    ),
    "fireworks": Vendor(
        Fireworks,
        ("--model", "fireworks/deepseek-v3"),
        (("FIREWORKS_API_KEY", KEY), ("FIREWORKS_ACCOUNT_ID", "acct")),
        (*UPLOADED, *HANDED_OVER),
    ),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_batch_survives_a_kill_at_every_step(vendor: str, tmp_path: Path) -> None:
    about = VENDORS[vendor]
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    rubric = write_rubric(tmp_path / "rubric.yaml")
    options = (
        *("--rows", str(rows), "--rubric", str(rubric), "--mode", "answer", "--controls", "2"),
        *("--batch", "--batch-wait", "0.4", "--batch-poll", "0.3", *about.options),
    )

    def run_at(server: _Killing, folder: Path) -> Run:
        address = (*options, "--base-url", server.base_url)
        return Run(server.root_url, folder, address, dict(about.environment))

    def made() -> _Killing:
        return about.server(plausible_reply, row_pattern=CALL)

    with in_a_thread(made()) as server:
        whole = run_at(server, tmp_path / "whole").finish()
        assert whole.code == 0, whole.told
        needed = server.requested
        assert server.calls == 0, "every call goes in a batch"
    assert needed == 2 * ROWS + 2 * 2
    expected = contents(tmp_path / "whole")

    def interrupted(moment: Moment) -> tuple[int, dict[str, bytes], int]:
        folder = tmp_path / str(moment)
        with in_a_thread(made()) as server:
            run = run_at(server, folder)
            server.moment = moment
            server.victim = process = run.start()
            ended = process.ended()
            assert ended.code == -signal.SIGKILL, f"{moment}: not killed: {ended.told}"
            server.victim = None
            ended = run.finish()
            assert ended.code == 0, f"{moment}: {ended.told}"
            return server.requested, contents(folder), len(kept(folder).calls)

    with ThreadPoolExecutor(max_workers=3) as pool:
        found = dict(zip(about.moments, pool.map(interrupted, about.moments), strict=True))
    assert {str(moment): paid for moment, (paid, _, _) in found.items()} == {
        str(moment): needed for moment in about.moments
    }, "no call is paid for twice"
    for moment, (_, files, journaled) in found.items():
        assert files == expected, moment
        assert journaled == needed, moment
