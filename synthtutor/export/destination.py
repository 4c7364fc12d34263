"""Where an export goes: written under another name beside its place, then put there in one step."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthtutor.errors import ConfigError

__all__ = ["refuse_own", "replacing", "replacing_folder", "sweep", "unwritable"]

_OF_A_RUN = ("journal.", "run.yaml", "ratings.jsonl")


def refuse_own(path: str | Path) -> None:
    """Raise ConfigError where writing to ``path`` would destroy what a run cannot make again."""
    place = Path(os.path.realpath(path))
    if place.is_file() and place.name.startswith(_OF_A_RUN):
        raise ConfigError(f"cannot write {path}: that is a run's own file; choose another name")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A free name beside ``path`` to write one file to; on success it takes the place of ``path``.

    A reader sees the old file or the whole new one, also after a power cut. When the body
    raises, the old file stays and nothing is left beside it. A symbolic link keeps pointing
    where it does: its target is replaced. Raises ConfigError, naming the path, where no file
    can be.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        raise ConfigError(f"cannot write {path}: it exists and is not a regular file")
    temporary = _beside(place)
    try:
        yield temporary
        with _told(path):
            _sync(temporary)
            temporary.replace(place)
            _sync(place.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path, *, known_by: tuple[str, ...]) -> Iterator[Path]:
    """The same for a folder.

    An existing folder is replaced only if it is empty or holds one of the files ``known_by``,
    so that a mistyped path never deletes anything else. Folders cannot be exchanged in one step
    everywhere: a crash between the two renames leaves the old one beside its place, complete.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not _ours(place, known_by):
        raise ConfigError(
            f"will not replace {path}: it holds something else than an earlier export"
        )
    temporary, old = _beside(place), _beside(place)
    try:
        yield temporary
        with _told(path):
            for file in sorted(temporary.rglob("*")):
                _sync(file)
            if place.exists():
                place.rename(old)
            temporary.rename(place)
            _sync(place.parent)
    finally:
        if old.exists() and not place.exists():
            old.rename(place)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def sweep(path: str | Path) -> None:
    """Remove what writers of ``path`` that were killed have left beside it.

    For a folder's owner only: another writer under way would lose its file.
    """
    place = Path(os.path.realpath(path))
    for leftover in place.parent.glob(f".{glob.escape(place.name[:200])}.*.tmp"):
        with suppress(OSError):
            leftover.unlink()


def unwritable(path: str | Path, error: OSError) -> ConfigError:
    """What to raise when the system does not let us write there."""
    return ConfigError(f"cannot write {path}: {error.strerror or error}")


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def _beside(place: Path) -> Path:
    if not place.parent.is_dir():
        raise ConfigError(f"cannot write {place}: there is no folder {place.parent}")
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {place}: the folder {place.parent} is not writable")
    return place.parent / f".{place.name[:200]}.{secrets.token_hex(6)}.tmp"


def _ours(place: Path, known_by: tuple[str, ...]) -> bool:
    if not place.is_dir():
        return False
    names = {entry.name for entry in place.iterdir()}
    return not names or not names.isdisjoint(known_by)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
