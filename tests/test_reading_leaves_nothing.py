"""Whoever reads a run leaves its folder as it was, and misses nothing of a run that goes on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from synthtutor import Message, Sample, Session, recipe, run
from synthtutor.cli.app import run as command
from synthtutor.errors import JournalError
from synthtutor.reading import Reading, looking
from synthtutor.viewer.app import viewing


@recipe(name="hints", roles=("writer",))
async def hints(session: Session, row: dict[str, str]) -> Sample:
    """One hint."""
    text = await session.generate(str, f"Give a hint: {row['problem']}", role="writer")
    return Sample([Message("user", row["problem"]), Message("assistant", text)])


def made(folder: Path, count: int = 4) -> Path:
    rows = [{"problem": f"{n} + {n}"} for n in range(count)]
    run(hints, rows=rows, models="scripted/any", out=folder)
    return folder


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs") / "finished")


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def samples(folder: Path) -> int:
    reading = Reading.open(folder / "journal.sqlite")
    try:
        return sum(reading.outcomes().values())
    finally:
        reading.close()


def written(journal: Path) -> sqlite3.Connection:
    """A run that goes on: one more sample is in its log, and not yet in its file."""
    writer = sqlite3.connect(journal, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute(
        "INSERT INTO samples SELECT zeroblob(16), kind, 99, pass, outcome, reason, body "
        "FROM samples LIMIT 1"
    )
    return writer


def test_a_run_leaves_no_log_behind(folder: Path) -> None:
    assert not [name for name in state(folder) if name.endswith(("-wal", "-shm"))]


def test_reading_a_finished_run_leaves_its_folder_as_it_was(folder: Path) -> None:
    before = state(folder)
    assert samples(folder) == 4
    assert state(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["report", "--out", "{tmp}/r.html"], ["export", "--out", "{tmp}/x.jsonl"]])  # fmt: skip
def test_no_command_that_reads_leaves_anything(
    folder: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.joinpath("run.yaml").write_text("recipe: misconception\nmodels: {default: scripted/x}\n")
    before = state(folder)
    name, *rest = [word.format(tmp=tmp_path) for word in words]
    assert command([name, str(folder), *rest]) == 0, capsys.readouterr().err
    assert state(folder) == before


@pytest.mark.slow
def test_the_viewer_leaves_its_index_and_nothing_else(folder: Path) -> None:
    before = state(folder)
    with viewing([folder], rater="Ada") as viewer:
        thread = threading.Thread(target=viewer.serve)
        thread.start()
        try:
            with httpx2.Client(follow_redirects=True, timeout=60) as client:
                client.get(viewer.address)
                shown = client.get(viewer.address.partition("?")[0])
                assert '<strong id="total">4</strong>' in shown.text
        finally:
            viewer.stop()
            thread.join()
    after = state(folder)
    assert after.pop("view.sqlite")
    assert after == before


def test_a_run_that_goes_on_is_read_with_what_is_only_in_its_log(folder: Path) -> None:
    with closing(written(folder / "journal.sqlite")) as writer:
        assert samples(folder) == 5
        reading = Reading.open(folder / "journal.sqlite")
        writer.execute("UPDATE samples SET sample = randomblob(16), position = 100")
        writer.execute("DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples LIMIT 2)")
        assert sum(reading.outcomes().values()) == 3
        reading.close()
        assert samples(folder) == 3


def test_the_log_of_a_killed_run_is_read_and_stays(folder: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with closing(written(folder / "journal.sqlite")):
        shutil.copytree(folder, killed)  # what a process that ends at once leaves on the disk
    (killed / "journal.sqlite-shm").unlink()
    log = (killed / "journal.sqlite-wal").read_bytes()
    file = (killed / "journal.sqlite").read_bytes()
    assert log
    assert samples(killed) == 5
    assert (killed / "journal.sqlite-wal").read_bytes() == log
    assert (killed / "journal.sqlite").read_bytes() == file


def test_a_run_that_begins_and_ends_while_one_reads_loses_nothing(folder: Path) -> None:
    reading = Reading.open(folder / "journal.sqlite")
    assert sum(reading.outcomes().values()) == 4
    made(folder, 7)
    assert sum(reading.outcomes().values()) == 7
    reading.close()
    assert not [name for name in state(folder) if name.endswith(("-wal", "-shm"))]
    with closing(looking(folder / "journal.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert samples(folder) == 7


def test_a_reader_cannot_write(folder: Path) -> None:
    with closing(looking(folder / "journal.sqlite")) as connection:
        for sql in (
            "DELETE FROM samples",
            "UPDATE meta SET value = 1",
            "CREATE TABLE x(y)",
            "DROP TABLE calls",
        ):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute(sql)
    assert samples(folder) == 4


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_run_in_a_folder_that_cannot_be_written_is_read(folder: Path) -> None:
    before = state(folder)
    folder.chmod(0o555)
    try:
        assert samples(folder) == 4
        assert state(folder) == before
    finally:
        folder.chmod(0o755)


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Reading.open(tmp_path / "journal.sqlite")
