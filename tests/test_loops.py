from __future__ import annotations

import asyncio
import sys

import pytest

from synthtutor.loops import run


async def kind() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_a_run_goes_on_uvloop() -> None:
    pytest.importorskip("uvloop", reason="no uvloop on this platform")
    assert run(kind()) == "uvloop"


def test_without_uvloop_it_goes_on_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert run(kind()).startswith("asyncio")


def test_errors_come_out() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fails())
