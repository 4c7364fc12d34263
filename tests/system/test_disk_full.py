"""A disk that fills up in the middle of a run: what was answered is kept, and room is all it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthtutor.testing.server import server_process
from tests.system.runs import (
    CALL,
    POSIX,
    Ended,
    Process,
    Run,
    answered,
    contents,
    counts,
    kept,
    settled_counts,
    unavailable,
)

pytestmark = [pytest.mark.slow, POSIX]

DISK_BYTES = 16 << 20
ROOM_BYTES = 1_900_000  # the ballast for eight calls in flight, and half of the journal
SERVER = ("--delay-s", "0.02", "--row-pattern", CALL)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        unavailable("there is no mount command")
    if made.returncode:
        unavailable(f"a small disk cannot be mounted: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def whole(options: tuple[str, ...], tmp_path: Path) -> Iterator[Run]:
    """An uninterrupted run on a disk with room; its server goes on counting."""
    with server_process(*SERVER) as url:
        run = Run(url, tmp_path / "whole", options)
        assert run.finish().code == 0
        yield run


def answered_since(url: str, before: Counter[str]) -> Counter[str]:
    now = Counter({call: count.answered for call, count in settled_counts(url).items()})
    return now - before


def is_one_clear_line(ended: Ended) -> bool:
    said = [line for line in ended.err.splitlines() if "resuming" not in line]
    return len(said) == 1 and said[0].startswith("synthtutor: ") and "Traceback" not in ended.told


def test_a_full_disk_stops_the_run_and_loses_no_reply(whole: Run, disk: Path) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes(DISK_BYTES - ROOM_BYTES))
    before = Counter({call: count.answered for call, count in counts(whole.url).items()})
    run = Run(whole.url, disk / "run", whole.more)

    stopped = run.finish()
    paid = answered_since(run.url, before)
    assert 0 < paid.total() < before.total(), "the disk was full too early or too late"
    assert stopped.code == 3, stopped.told
    assert is_one_clear_line(stopped), stopped.told
    assert "full" in stopped.err
    assert str(run.folder) in stopped.err
    print(f"the disk was full after {paid.total()} of {before.total()} replies")
    assert kept(run.folder).by_call == paid, "a reply was paid for and not journaled"

    filler.unlink()
    ended = run.finish()
    assert ended.code == 0, ended.told
    assert contents(run.folder) == contents(whole.folder)
    assert answered_since(run.url, before) == before, "a journaled reply was asked again"


def test_on_a_disk_that_is_still_full_nothing_is_asked(whole: Run, disk: Path) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes(DISK_BYTES - ROOM_BYTES))
    run = Run(whole.url, disk / "run", whole.more)
    assert run.finish().code == 3
    with filler.open("ab") as file:
        file.write(bytes(room(disk) - 300_000))
    paid, free = answered(run.url), room(disk)

    again = run.finish()
    assert again.code == 2, again.told
    assert is_one_clear_line(again), again.told
    assert str(run.folder) in again.err
    assert answered(run.url) == paid, "it asked although it could not write"
    assert room(disk) >= free, "the attempt took more of what little room there is"

    filler.unlink()
    assert run.finish().code == 0
    assert contents(run.folder) == contents(whole.folder)


def test_an_export_to_a_full_disk_leaves_the_earlier_one(whole: Run, disk: Path) -> None:
    export = ["export", str(whole.folder), "--format", "rejected", "--out", str(disk / "r.jsonl")]
    assert Process(export, {}).ended().code == 0
    earlier = (disk / "r.jsonl").read_bytes()
    (disk / "filler").write_bytes(bytes(room(disk)))

    ended = Process(export, {}).ended()
    assert ended.code == 2, ended.told
    assert is_one_clear_line(ended), ended.told
    assert "r.jsonl" in ended.err
    assert (disk / "r.jsonl").read_bytes() == earlier
    left = {path.name for path in disk.iterdir()}
    assert left == {"filler", "r.jsonl", "r.jsonl.card.md"}, "something was left on the full disk"


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_limit_on_the_size_of_files_loses_nothing(whole: Run, tmp_path: Path) -> None:
    """Here the ballast cannot help: what waits for its commit goes into a file beside the journal."""
    import resource

    before = Counter({call: count.answered for call, count in counts(whole.url).items()})
    run = Run(whole.url, tmp_path / "limited", whole.more)
    process = run.start()
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (1_200_000, -1))

    stopped = process.ended()
    assert stopped.code == 3, stopped.told
    assert is_one_clear_line(stopped), stopped.told
    paid, journal = answered_since(run.url, before), kept(run.folder).by_call
    beside = paid - journal
    print(f"stopped after {paid.total()} of {before.total()} replies; {beside.total()} beside")
    assert 0 < journal.total() < before.total()
    assert (run.folder / "journal.rescue").is_file() == (beside.total() > 0)

    ended = run.finish()
    assert ended.code == 0, ended.told
    assert contents(run.folder) == contents(whole.folder)
    assert answered_since(run.url, before) == before, "none was paid for again"


def room(disk: Path) -> int:
    """Bytes that can still be written."""
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize
