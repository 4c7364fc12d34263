"""What a journal needs of a disk besides SQLite: one owner, and space kept aside."""

from __future__ import annotations

import os
from pathlib import Path

from synthtutor.errors import JournalError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

__all__ = ["fill", "lock"]


def fill(path: Path, size: int) -> None:
    """Make a file that really occupies ``size`` bytes (a sparse one would keep nothing aside)."""
    with path.open("wb") as file:
        block = bytes(1 << 16)
        for _ in range(0, size, len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def lock(path: Path) -> int:
    """Own the file until the descriptor is closed. Raises JournalError where another process does."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.name == "nt":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        by = f" (process {owner})" if owner else ""
        raise JournalError(
            f"{path.parent}: another run owns this folder{by}; wait for it"
        ) from None
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    except OSError:  # a full disk: the lock must not outlive the attempt
        os.close(handle)
        raise
    return handle
