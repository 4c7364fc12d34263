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

from synthtutor.testing.replies import plausible_reply
from synthtutor.testing.server import Asked, OpenAIServer
from tests.system.runs import (
    CALL,
    POSIX,
    Process,
    Run,
    contents,
    in_a_thread,
    kept,
    write_rows,
    write_rubric,
)

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


MOMENTS = [
    Moment(UPLOAD, 1, handled=False),
    Moment(UPLOAD, 2, handled=True),
    Moment(CREATE, 1, handled=False),
    Moment(CREATE, 1, handled=True),  # it is made, and the client never hears of it
    Moment(CREATE, 2, handled=True),
    Moment(CREATE, 1, handled=True, later_s=0.05),
    Moment(LOOK, 1, handled=True),
    Moment(LOOK, 5, handled=False),
    Moment(RESULTS, 1, handled=False),
    Moment(RESULTS, 1, handled=True),
    Moment(RESULTS, 1, handled=True, later_s=0.01),  # while replies are journaled
    Moment(RESULTS, 1, handled=True, later_s=0.03),
    Moment(RESULTS, 2, handled=True, later_s=0.02),
]


class Killer(OpenAIServer):
    """Kills its client at one moment, once."""

    def __init__(self, moment: Moment | None = None) -> None:
        super().__init__(plausible_reply, row_pattern=CALL)
        self.batches.polls = 2
        self.victim: Process | None = None
        self._moment = moment
        self._seen = 0

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        moment = self._moment
        hit = False
        if moment is not None and self.victim is not None and _kind(method, asked) == moment.kind:
            self._seen += 1
            hit = self._seen == moment.nth
        if not hit:
            return super().other(method, asked, content)
        assert moment is not None
        if not moment.handled:
            self._kill()
            return b""
        answer = super().other(method, asked, content)
        if not moment.later_s:
            self._kill()
            return b""
        threading.Timer(moment.later_s, self._kill).start()
        return answer

    @property
    def requested(self) -> int:
        """How many calls it was given in batches, each of which costs money."""
        return sum(len(batch.outcomes) for batch in self.batches.batches.values())

    def _kill(self) -> None:
        assert self.victim is not None
        os.killpg(self.victim.popen.pid, signal.SIGKILL)


def _kind(method: str, asked: Asked) -> str | None:
    path = asked.path.partition("?")[0]
    if method == "POST":
        return {"/v1/files": UPLOAD, "/v1/batches": CREATE}.get(path)
    return RESULTS if path.endswith("/content") else LOOK if path != "/v1/batches" else None


def run_at(server: Killer, folder: Path, options: tuple[str, ...]) -> Run:
    return Run(server.root_url, folder, options, {"OPENAI_API_KEY": KEY})


def test_a_batch_survives_a_kill_at_every_step(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", ROWS)
    rubric = write_rubric(tmp_path / "rubric.yaml")
    options = (
        *("--rows", str(rows), "--rubric", str(rubric), "--mode", "answer", "--controls", "2"),
        *("--model", "openai/gpt-4o-mini", "--batch", "--batch-wait", "0.4", "--batch-poll", "0.3"),
    )
    with in_a_thread(Killer()) as server:
        whole = run_at(server, tmp_path / "whole", options).finish()
        assert whole.code == 0, whole.told
        needed = server.requested
        assert server.calls == 0, "every call goes in a batch"
    assert needed == 2 * ROWS + 2 * 2
    expected = contents(tmp_path / "whole")

    def interrupted(moment: Moment) -> tuple[int, dict[str, bytes], int]:
        folder = tmp_path / str(moment)
        with in_a_thread(Killer(moment)) as server:
            run = run_at(server, folder, options)
            server.victim = process = run.start()
            assert process.ended().code == -signal.SIGKILL, f"{moment}: not killed"
            server.victim = None
            ended = run.finish()
            assert ended.code == 0, f"{moment}: {ended.told}"
            return server.requested, contents(folder), len(kept(folder).calls)

    with ThreadPoolExecutor(max_workers=3) as pool:
        found = dict(zip(MOMENTS, pool.map(interrupted, MOMENTS), strict=True))
    assert {str(moment): paid for moment, (paid, _, _) in found.items()} == {
        str(moment): needed for moment in MOMENTS
    }, "no call is paid for twice"
    for moment, (_, files, journaled) in found.items():
        assert files == expected, moment
        assert journaled == needed, moment
