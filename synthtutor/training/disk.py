"""A disk that runs full while a checkpoint is written, told in a line.

torch and safetensors tell it each in words of their own, of which none is "full"; so it is the disk
that is asked.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthtutor.errors import ConfigError

__all__ = ["full_disk_told"]

_NEARLY_FULL = 32 * 2**20


@contextmanager
def full_disk_told(folder: Path, *, least: int = _NEARLY_FULL) -> Iterator[None]:
    """Make a ConfigError of a failure to write, where the disk has less than ``least`` bytes left."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # safetensors' own is no more than that
        told = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not told and shutil.disk_usage(folder).free >= least:
            raise
        raise ConfigError(
            f"{folder}: the disk is full: free some of it; the same command with --resume goes on "
            "from the last checkpoint that was written to its end"
        ) from error
