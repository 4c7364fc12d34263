from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from synthtutor.journal import Journal

# No test may meet the keys of whoever runs it; those with a keyring of their own set this anew.
os.environ.setdefault("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")

# A slow machine is not a failure: no deadlines, and no complaint about slow first examples.
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=20)


def pytest_configure(config: pytest.Config) -> None:
    """Signals as in a terminal; whoever leaves out the slow tests wants an answer soon: fewer examples."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Started in the background of a shell: programs that tests start and interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "steady")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """A real journal, open in its first pass."""
    async with Journal(tmp_path / "journal.sqlite", ballast_bytes=0) as opened:
        await opened.begin("{}")
        yield opened
