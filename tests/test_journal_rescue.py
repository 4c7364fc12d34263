"""What the journal cannot take is kept beside it, and taken in when it is opened again."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from synthtutor.errors import JournalError
from synthtutor.journal import Call, Journal
from tests.test_journal import SAMPLE, call, count, files, path_in, record

RESCUE = "journal.rescue"


async def opened_again(folder: Path) -> set[bytes]:
    """The keys of the sample's replies after the next run has opened the journal."""
    async with Journal(path_in(folder), ballast_bytes=0) as journal:
        return set(journal.replies(SAMPLE))


async def swallowed(journal: Journal, one: Call) -> JournalError | None:
    try:
        await journal.put(one)
    except JournalError as error:
        return error
    return None


@pytest.mark.slow
async def test_replies_outlive_a_lock_that_another_program_holds(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
        await journal.begin("{}")
        await journal._write("PRAGMA busy_timeout = 20", ())
        with closing(sqlite3.connect(journal.path, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(swallowed(journal, call(b"%d" % number)))
            with pytest.raises(JournalError, match="locked"):
                await journal.finish(record(SAMPLE, 0))
    assert count(path_in(tmp_path)) == 0
    assert await opened_again(tmp_path) == {b"0", b"1", b"2", b"3", b"4"}
    assert count(path_in(tmp_path), "samples") == 1
    assert RESCUE not in files(tmp_path)


async def test_a_value_that_fits_into_no_column_costs_no_other_reply(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
        await journal.begin("{}")
        odd = call(b"odd", stage="half a pair: \ud83d")
        writes = [call(b"before"), odd, call(b"after")]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(swallowed(journal, one)) for one in writes]
        assert all(isinstance(task.result(), JournalError) for task in tasks)
    assert await opened_again(tmp_path) == {b"before", b"after"}


async def test_what_was_kept_is_taken_in_once_however_often_that_is_begun(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path), ballast_bytes=0) as journal:
        await journal.begin("{}")
        await journal._write("PRAGMA max_page_count = 1", ())
        for number in range(40):  # until no page has room
            await swallowed(journal, call(b"%d" % number, text="x" * 4000))
        assert journal.broken is not None
    shutil.copy(tmp_path / RESCUE, tmp_path / "copy")
    assert len(await opened_again(tmp_path)) == 40
    shutil.copy(tmp_path / "copy", tmp_path / RESCUE)  # the process ended before it was removed
    assert len(await opened_again(tmp_path)) == 40
    assert count(path_in(tmp_path)) == 40


async def test_a_rescue_that_cannot_be_read_stops_the_next_run_and_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / RESCUE).write_bytes(b"this is no database, but may have been one" * 100)
    with pytest.raises(JournalError):
        await opened_again(tmp_path)
    assert RESCUE in files(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no RLIMIT_FSIZE")
async def test_a_limit_to_the_size_of_files_costs_no_reply(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, resource, sys
        from pathlib import Path
        from synthtutor.errors import JournalError
        from synthtutor.journal import Journal
        from tests.test_journal import call

        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        async def work():
            put = heard = 0
            async with Journal(Path(sys.argv[1]), ballast_bytes=1 << 16) as journal:
                await journal.begin("{}")

                async def one(number):
                    nonlocal heard
                    try:
                        await journal.put(call(b"%d" % number, text="x" * 2000))
                    except JournalError:
                        heard += 1

                while not heard:
                    async with asyncio.TaskGroup() as group:
                        for _ in range(8):
                            group.create_task(one(put))
                            put += 1
                for _ in range(20):  # paid calls that were under way when the limit was met
                    await one(put)
                    put += 1
            print(put, heard)

        asyncio.run(work())
        """
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(path_in(tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    paid, heard = map(int, done.stdout.split())
    assert heard > 20
    assert len(await opened_again(tmp_path)) == paid
