from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from synthtutor.errors import JournalError
from synthtutor.journal import Journal
from tests.test_journal import call, count, path_in

pytestmark = pytest.mark.slow

# ── a full disk ──────────────────────────────────────────────────────────────────────────────


async def fill(journal: Journal) -> list[int]:
    """Put until it raises; the numbers of the replies whose put was called."""
    called: list[int] = []

    async def put_on() -> None:
        for number in range(10_000):
            called.append(number)
            await journal.put(call(b"%d" % number, text="x" * 2000))

    with pytest.raises(JournalError, match="full"):
        await put_on()
    return called


def small(journal: Journal, pages: int) -> None:
    """Let the journal's file grow by so many pages only: what a full disk looks like to SQLite."""
    with closing(sqlite3.connect(journal.path)) as connection:
        now = connection.execute("PRAGMA page_count").fetchone()[0]
    # The writer runs it between two transactions, on its own connection.
    journal._write(f"PRAGMA max_page_count = {now + pages}", ())


async def test_on_a_full_disk_the_run_hears_of_it(tmp_path: Path) -> None:
    async with Journal(path_in(tmp_path), ballast_bytes=1 << 16) as journal:
        await journal.begin("{}")
        small(journal, 20)
        called = await fill(journal)
        assert journal.broken is not None
        assert not (tmp_path / "journal.ballast").exists(), "the ballast is given back"
    assert len(called) > 5
    assert count(path_in(tmp_path)) == len(called) - 1, "what was put before is there"


@pytest.mark.skipif(os.name == "nt", reason="no RLIMIT_FSIZE")
def test_on_a_full_disk_the_ballast_makes_room_for_what_is_under_way(tmp_path: Path) -> None:
    # A device of its own size needs root; a quota that the ballast counts against is played by a
    # writer whose page limit is lifted the moment the ballast is gone.
    script = textwrap.dedent(
        """
        import asyncio, sqlite3, sys, threading
        from pathlib import Path
        from synthtutor import journal as module
        from synthtutor.errors import JournalError
        from tests.test_journal import call

        folder = Path(sys.argv[1])

        class Quota(sqlite3.Connection):
            def execute(self, sql, *values):
                if sql.startswith("BEGIN"):
                    used = super().execute("PRAGMA page_count").fetchone()[0]
                    full = (folder / "journal.ballast").exists()
                    super().execute(f"PRAGMA max_page_count = {40 if full else used + 500}")
                return super().execute(sql, *values)

        connect = sqlite3.connect
        sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Quota)

        async def work():
            async with module.Journal(folder / "journal.sqlite", ballast_bytes=1 << 16) as journal:
                await journal.begin("{}")
                heard = put = 0
                while not heard:
                    async def one(number):
                        nonlocal heard
                        try:
                            await journal.put(call(b"%d" % number, text="x" * 2000))
                        except JournalError:
                            heard += 1
                    async with asyncio.TaskGroup() as group:
                        for _ in range(8):
                            group.create_task(one(put))
                            put += 1
                for _ in range(20):  # paid calls that were under way when the disk filled up
                    await one(put)
                    put += 1
            print(put, heard)

        asyncio.run(work())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    put, heard = map(int, done.stdout.split())
    assert heard >= 21
    assert count(path_in(tmp_path)) == put, "every paid reply was committed"


async def test_a_ballast_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    script = (
        "import asyncio, pathlib, resource, signal, sys; from synthtutor.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "async def work():\n"
        "    async with Journal(pathlib.Path(sys.argv[1])): pass\n"
        "asyncio.run(work())"
    )
    assert resource
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(path_in(tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "JournalError" in done.stderr
    assert not (tmp_path / "journal.ballast").exists()
