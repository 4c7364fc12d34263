"""``kill -9``, again and again: nothing that was paid for is lost or paid for again."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from synthtutor.testing.server import server_process
from tests.system.runs import (
    CALL,
    POSIX,
    Kept,
    Run,
    contents,
    counts,
    kept,
    records,
    settled_counts,
    started,
    wait_until,
)

pytestmark = [pytest.mark.slow, POSIX]

ROWS = 60
LANDED_S = 0.5
SERVER = ("--delay-s", "0.05", "--row-pattern", CALL)


@dataclass
class Account:
    """What the kills have cost a run, by comparing the server's word with the journal's.

    ``needed`` is how often an uninterrupted run makes each call; ``cut`` counts calls that a kill
    caught between being sent and being journaled: those are asked again, and only those may be.
    """

    run: Run
    needed: Counter[str]
    kills: int = 0
    cut: int = 0
    landed_but_lost: int = 0
    asked_again: int = 0
    _started: Counter[str] = field(default_factory=Counter)
    _journal: Kept = field(default_factory=lambda: Kept(()))
    _since: float = 0.0

    def close_session(self, killed_at: float | None = None) -> None:
        """Look at both ends after the command has ended, killed or finished."""
        asked, journal = settled_counts(self.run.url), kept(self.run.folder)
        assert self._journal.keys <= journal.keys, "a journaled reply is gone"
        assert len(journal.keys) == len(journal.calls), "a reply is journaled twice"
        now = Counter({call: count.started for call, count in asked.items()})
        for call, times in (now - self._started).items():
            known = self._journal.by_call[call] >= self.needed[call]
            self.asked_again += times if known else 0
        if killed_at is not None:
            self.kills += 1
            for call, count in asked.items():
                landed = self._since < (count.last_answered_s or 0.0) < killed_at - LANDED_S
                self.landed_but_lost += landed and not journal.by_call[call]
        self.cut = now.total() - len(journal.calls)
        self._started, self._journal, self._since = now, journal, time.monotonic()

    def kill_after(self, share: float, pause_s: float) -> None:
        """Run, and kill the run when that share of its calls has been sent, and a moment later."""
        process = self.run.start()
        goal = self.cut + share * self.needed.total()
        if wait_until(lambda: started(self.run.url) >= goal, process):
            time.sleep(pause_s)
        at = time.monotonic()
        killed = process.kill().code == -signal.SIGKILL
        self.close_session(at if killed else None)

    def finish(self) -> None:
        """Run to the end."""
        ended = self.run.finish()
        assert ended.code == 0, ended.told
        self.close_session()


def moments(dice: random.Random, count: int) -> Iterator[tuple[float, float]]:
    """Random moments, one in each of ``count`` equal parts of a run, and a pause after each."""
    for part in range(count):
        yield (part + dice.uniform(0, 1)) / count, dice.uniform(0, 0.06)


@pytest.mark.parametrize("mode", ["answer", "scenario"])
def test_what_kills_leave_is_what_an_uninterrupted_run_leaves(
    mode: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    dice = random.Random(f"kills {mode}")
    with server_process(*SERVER) as url:
        whole = Run(url, tmp_path / "whole", (*options, "--mode", mode))
        ended = whole.finish()
        assert ended.code == 0, ended.told
        needed = Counter({call: count.started for call, count in counts(url).items()})
    assert needed.total() > ROWS * (3 if mode == "scenario" else 2)

    def interrupted(name: str, schedule: list[tuple[float, float]]) -> Account:
        with server_process(*SERVER) as url:
            account = Account(replace(whole, url=url, folder=tmp_path / name), needed)
            for share, pause_s in schedule:
                account.kill_after(share, pause_s)
            account.finish()
        return account

    schedules = {"many": list(moments(dice, 7))}
    schedules |= {f"one-{number}": [moment] for number, moment in enumerate(moments(dice, 5))}
    with ThreadPoolExecutor(max_workers=3) as pool:
        accounts = list(pool.map(interrupted, schedules, schedules.values()))

    rows = [
        Counter(sample["id"] for sample in records(a.run.folder, "samples.jsonl", "rejected.jsonl"))
        for a in accounts
    ]
    different = [
        f"{a.run.folder.name}/{name}"
        for a in accounts
        for name, content in contents(a.run.folder).items()
        if content != contents(whole.folder)[name]
    ]
    left = {path.name for a in accounts for path in a.run.folder.iterdir()}
    figures = {
        "answered 0.5 s before a kill and lost": sum(a.landed_but_lost for a in accounts),
        "journaled and asked again": sum(a.asked_again for a in accounts),
        "rows lost": sum(ROWS - len(ids) for ids in rows),
        "rows doubled": sum(ids.total() - len(ids) for ids in rows),
        "files that differ": len(different),
        "files left over": len(left - {path.name for path in whole.folder.iterdir()}),
    }
    kills, cut = sum(a.kills for a in accounts), sum(a.cut for a in accounts)
    print(f"mode {mode}: {kills} kills cut off {cut} calls in flight; {figures}")
    assert figures == dict.fromkeys(figures, 0), (different, left)
    assert kills >= 10, "the runs ended before they could be killed"
    assert cut, "no kill caught a call in flight, so none of this was tested"
