from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import JournalError
from synthtutor.journal import Call, Journal, SampleRecord
from synthtutor.messages import Response, Usage
from synthtutor.reading import Reading
from synthtutor.tables import FORMAT
from tests.test_messages import responses

SAMPLE = b"s" * 16


def call(key: bytes = b"k", text: str = "yes", sample: bytes = SAMPLE, **more: Any) -> Call:
    response = Response(text, usage=Usage(10, 5, 4, 3, 2))
    made = Call(key, sample, "sample", "writer", "p.j2", "s/m", b"{}", response, 0.5, 1.5)
    return replace(made, **more)


def record(sample: bytes, position: int, outcome: str = "kept", reason: str = "") -> SampleRecord:
    body = f'{{"id": "{sample.decode()}", "metadata": {{}}}}'.encode()
    return SampleRecord(sample, "sample", position, outcome, reason, body)


def count(path: Path, table: str = "calls") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def path_in(folder: Path) -> Path:
    return folder / "journal.sqlite"


# ── writing ──────────────────────────────────────────────────────────────────────────────────


async def test_a_reply_is_on_disk_when_put_returns(journal: Journal) -> None:
    await journal.put(call())
    assert count(journal.path) == 1


async def test_a_put_lands_even_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
        await journal.begin("{}")
        putting = asyncio.create_task(journal.put(call()))
        await asyncio.sleep(0)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
    assert count(path_in(tmp_path)) == 1


async def test_what_is_waiting_is_committed_when_the_block_is_left_by_an_error(
    tmp_path: Path,
) -> None:
    putting: list[asyncio.Task[None]] = []

    async def block() -> None:
        async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
            await journal.begin("{}")
            calls = [call(b"%d" % number) for number in range(50)]
            putting.extend(asyncio.create_task(journal.put(made)) for made in calls)
            await asyncio.sleep(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert count(path_in(tmp_path)) == 50
    async with asyncio.timeout(10):
        for task in putting:
            await task


async def test_leaving_waits_for_the_commit_though_it_is_cancelled_itself(tmp_path: Path) -> None:
    async def work() -> None:
        async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
            await journal.begin("{}")
            for number in range(50):
                journal._write("INSERT INTO meta VALUES (?, 'x')", (str(number),))
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert count(path_in(tmp_path), "meta") == 51
    async with Journal(path_in(tmp_path), ballast_bytes=0):
        pass  # the folder has no owner any more


async def test_many_puts_at_once_all_land_in_the_order_they_were_made(journal: Journal) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(300):
            group.create_task(journal.put(call(b"k%d" % number)))
    with closing(sqlite3.connect(journal.path)) as connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM calls ORDER BY id")]
    assert keys == [b"k%d" % number for number in range(300)]


async def test_a_value_that_no_column_holds_is_an_error_and_the_writer_lives_on(
    journal: Journal,
) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(JournalError):
            await journal.put(call(stage="half a pair: \ud83d"))
        with pytest.raises(JournalError):
            await journal.finish(record(b"a", 2**70))


# ── reading back ─────────────────────────────────────────────────────────────────────────────


@settings(max_examples=15)
@given(written=st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), responses), max_size=6))
def test_replies_come_back_as_they_were_and_of_one_key_the_last(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[bytes, Response]]
) -> None:
    path = path_in(tmp_path_factory.mktemp("journal"))

    async def work() -> dict[bytes, Response]:
        async with Journal(path, ballast_bytes=0) as journal:
            await journal.begin("{}")
            for key, response in written:
                await journal.put(call(key, response=response))
        async with Journal(path, ballast_bytes=0) as journal:
            found = journal.replies(SAMPLE)
            assert journal.replies(b"another") == {}
        return {key: replay.response for key, replay in found.items()}

    assert asyncio.run(work()) == dict(written)


async def test_a_fresh_journal_is_not_asked_for_replies(journal: Journal) -> None:
    assert journal.empty
    await journal.put(call())
    assert journal.replies(SAMPLE) == {}, "its own samples have no earlier replies"


async def test_a_second_pass_reads_what_the_first_one_put(journal: Journal) -> None:
    await journal.put(call())
    assert await journal.begin("{}") == 2
    assert list(journal.replies(SAMPLE)) == [b"k"]


# ── one owner, one format ────────────────────────────────────────────────────────────────────


async def test_a_second_owner_of_the_folder_is_refused(journal: Journal) -> None:
    with pytest.raises(JournalError, match=rf"another run owns.*process {os.getpid()}"):
        async with Journal(journal.path, ballast_bytes=0):
            pass
    await journal.put(call())
    assert count(journal.path) == 1, "the first owner goes on"


async def test_another_process_is_refused_too(journal: Journal) -> None:
    script = (
        "import asyncio, pathlib, sys; from synthtutor.journal import Journal\n"
        "async def work():\n"
        "    async with Journal(pathlib.Path(sys.argv[1])): pass\n"
        "asyncio.run(work())"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(journal.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "another run owns this folder" in done.stderr


async def test_an_owner_that_left_leaves_no_lock(tmp_path: Path) -> None:
    for _ in range(3):
        async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
            await journal.begin("{}")


async def test_a_journal_of_another_format_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = path_in(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT + 1),))
    for _ in range(2):
        with pytest.raises(JournalError, match=f"written in format {FORMAT + 1}"):
            async with Journal(path, ballast_bytes=1):
                pass
    assert not path.with_name("journal.ballast").exists()
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert list(tables) == [("meta",)]


async def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path_in(tmp_path).write_bytes(b"This is no database. " * 100)
    for _ in range(2):
        with pytest.raises(JournalError, match="not a database"):
            async with Journal(path_in(tmp_path), ballast_bytes=0):
                pass


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="missing"):
        async with Journal(path_in(tmp_path / "missing"), ballast_bytes=0):
            pass


async def test_nothing_but_the_journal_and_its_lock_is_left(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path)) as journal:
        await journal.begin("{}")
        await journal.put(call())
        assert (tmp_path / "journal.ballast").stat().st_size >= 4 << 20
    assert files(tmp_path) == {"journal.sqlite", "journal.lock"}


# ── samples and accounts ─────────────────────────────────────────────────────────────────────


async def finish(journal: Journal, *samples: bytes, complete: bool = True) -> None:
    for position, sample in enumerate(samples):
        await journal.finish(record(sample, position))
    await journal.end(complete=complete, retries=1, rate_limited=0, seconds=2.0)


def bodies(path: Path, *outcomes: str) -> list[bytes]:
    reading = Reading.open(path)
    try:
        return [body.split(b'"')[3] for body in reading.samples("sample", *outcomes)]
    finally:
        reading.close()


async def test_samples_are_read_in_the_order_of_their_rows(journal: Journal) -> None:
    for position in (2, 0, 1):
        await journal.finish(record(b"row%d" % position, position))
    assert bodies(journal.path) == [b"row0", b"row1", b"row2"]


async def test_after_a_complete_smaller_rerun_the_other_samples_are_read_no_more(
    journal: Journal,
) -> None:
    await finish(journal, b"a", b"b", b"c")
    await journal.begin("{}")
    await finish(journal, b"a", b"b")
    assert bodies(journal.path) == [b"a", b"b"]


async def test_after_an_incomplete_rerun_they_still_are(journal: Journal) -> None:
    await finish(journal, b"a", b"b", b"c")
    await journal.begin("{}")
    await finish(journal, b"a", complete=False)
    assert bodies(journal.path) == [b"a", b"b", b"c"]


async def test_a_later_outcome_takes_the_place_of_an_earlier_one(journal: Journal) -> None:
    await journal.finish(record(b"a", 0, "failed", "down"))
    await journal.begin("{}")
    await journal.finish(record(b"a", 0))
    assert bodies(journal.path, "failed") == []
    assert bodies(journal.path, "kept") == [b"a"]


async def test_the_account_covers_everything_ever_paid(journal: Journal) -> None:
    await journal.put(call(b"1"))
    await journal.put(call(b"1", text="the same key, paid again"))
    await journal.put(call(b"2", cost_usd=None))
    refused = Response("no", usage=Usage(1, 1), finish="refusal")
    await journal.put(call(b"3", response=refused, role="judge"))
    reading = Reading.open(journal.path)
    try:
        calls, usage, cost, unpriced = reading.totals()
        judge, writer = reading.account()
    finally:
        reading.close()
    assert (calls, cost, unpriced) == (4, 1.5, 1)
    assert usage == Usage(31, 16, 12, 9, 6)
    assert (writer["calls"], writer["cost_usd"], writer["unpriced"]) == (3, 1.0, 1)
    assert (judge["calls"], judge["refused"], judge["truncated"]) == (1, 1, 0)


async def test_a_pass_remembers_how_it_went(journal: Journal) -> None:
    await finish(journal, b"a")
    await journal.begin('{"n": 2}')
    reading = Reading.open(journal.path)
    try:
        last = reading.last_pass()
    finally:
        reading.close()
    assert last is not None
    assert (last["pass"], last["configuration"], last["complete"]) == (2, '{"n": 2}', 0)


async def test_a_run_can_be_read_while_it_is_written(journal: Journal) -> None:
    reading = Reading.open(journal.path)
    try:
        for expected in range(1, 4):
            await journal.put(call(b"%d" % expected))
            assert reading.totals()[0] == expected
    finally:
        reading.close()


def test_reading_where_there_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no run here"):
        Reading.open(path_in(tmp_path))
