"""Ctrl-C: once lets paid calls land, twice does not wait, and neither loses what was answered."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synthtutor.testing.replies import Reply, plausible_reply
from synthtutor.testing.server import server_process
from tests.system.runs import (
    CALL,
    POSIX,
    Process,
    Run,
    contents,
    counts,
    kept,
    serving,
    settled_counts,
    started,
    wait_until,
)

pytestmark = [pytest.mark.slow, POSIX]

IN_FLIGHT = 8
PROMPTLY_S = 15.0  # on a busy machine; what would be waited for takes longer
SERVER = ("--delay-s", "0.5", "--row-pattern", CALL)


def interrupt(process: Process, number: signal.Signals = signal.SIGINT) -> None:
    """Send the signal, and wait until it was understood."""
    process.popen.send_signal(number)
    assert wait_until(lambda: "stopping" in process.told()[1], process), process.told()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_paid_calls_land_and_the_named_command_goes_on(
    number: signal.Signals, options: tuple[str, ...], tmp_path: Path
) -> None:
    with server_process("--row-pattern", CALL) as url:
        whole = Run(url, tmp_path / "whole", options)
        assert whole.finish().code == 0
        needed = Counter({call: count.started for call, count in counts(url).items()})

    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "run", options)
        process = run.start()
        assert wait_until(lambda: started(url) > IN_FLIGHT, process)
        sent = started(url)
        interrupt(process, number)
        ended = process.ended()

        assert ended.code == 3, ended.told
        assert "stopped: interrupted" in ended.err
        asked = settled_counts(url)
        assert sum(count.started for count in asked.values()) <= sent + IN_FLIGHT
        assert all(count.answered == count.started for count in asked.values()), "a call was cut"
        answered = Counter({call: count.answered for call, count in asked.items()})
        assert kept(run.folder).by_call == answered, "an answered call is not in the journal"

        resumed = run.again(ended)
        assert resumed.code == 0, resumed.told
        assert Counter({call: count.started for call, count in counts(url).items()}) == needed
    assert contents(run.folder) == contents(whole.folder)


class SlowJudge:
    """Writes at once; takes minutes to judge, until told otherwise."""

    delay_s = 120.0

    def __call__(self, body: dict[str, Any]) -> Reply:
        reply = plausible_reply(body)
        judging = "Statements:" in str(body["messages"][-1]["content"])
        return replace(reply, delay_s=self.delay_s) if judging else reply


def test_a_second_signal_does_not_wait_and_loses_nothing_answered(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    judge = SlowJudge()
    with serving(judge) as server:
        run = Run(server.root_url, tmp_path / "run", options)
        process = run.start()
        assert wait_until(lambda: server.in_flight == IN_FLIGHT and server.calls > 8, process)
        assert wait_until(lambda: server.in_flight == IN_FLIGHT, process)
        interrupt(process)
        assert process.alive, "the first signal waits for what is paid"

        process.popen.send_signal(signal.SIGINT)
        since = time.monotonic()
        ended = process.ended()
        assert time.monotonic() - since < PROMPTLY_S
        assert ended.code == 3, ended.told
        answered = Counter({call: count.answered for call, count in server.rows.items()})
        assert kept(run.folder).by_call == +answered

        judge.delay_s = 0.0
        before = {call: count.started for call, count in server.rows.items() if count.answered}
        resumed = run.again(ended)
        assert resumed.code == 0, resumed.told
        again = {call: server.rows[call].started for call in before}
        assert again == before, "an answered call was asked again"


@pytest.mark.parametrize(
    "trouble",
    [
        Reply.failure(429, "slow down", headers={"retry-after": "120"}),
        Reply.failure(503, "overloaded", headers={"retry-after": "120"}),
    ],
    ids=["rate limit", "overload"],
)
def test_a_signal_while_all_calls_wait_to_be_asked_again_ends_at_once(
    trouble: Reply, options: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(lambda _body: trouble) as server:
        run = Run(server.root_url, tmp_path / "run", options)
        process = run.start()
        assert wait_until(lambda: server.calls > 0 and not server.in_flight, process)
        interrupt(process)
        since = time.monotonic()
        ended = process.ended()
        assert time.monotonic() - since < PROMPTLY_S
        assert ended.code == 3, ended.told
        assert "to go on where it stopped" in ended.err


def test_a_signal_before_the_first_call_stops_too(options: tuple[str, ...], tmp_path: Path) -> None:
    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "run", options)
        process = run.start()
        wait_until(lambda: (run.folder / "journal.lock").exists(), process)
        process.popen.send_signal(signal.SIGINT)
        ended = process.ended()
        assert ended.code == 3, ended.told
        assert "Traceback" not in ended.told
    with server_process("--row-pattern", CALL) as url:  # the same, but answers at once
        assert replace(run, url=url).finish().code == 0
