"""Whether two answers are the same by algebra, with math-verify and sympy where they are installed.

sympy may think for minutes about a short expression, holds the interpreter while it does, and
cannot be interrupted from a thread; so comparisons run in processes of their own, and one that
takes too long is killed with its process. What plain arithmetic decides never gets there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from synthtutor.errors import ConfigError
from synthtutor.quality.numeric import same_answer

__all__ = ["Equivalence", "algebra_installed", "shared_equivalence"]

_MOST_SHARED = 4
_MOST_MEMORY = 2 << 30  # bytes; a power of powers asks for more than there is
_ROUNDED = 0.005
_START_S = 60.0  # importing sympy takes a second; on a machine under load, many


def algebra_installed() -> bool:
    """Whether math-verify is there (``pip install math-verify``); it is not imported."""
    return find_spec("math_verify") is not None


class Equivalence:
    """Compares answers in ``processes`` processes; use with ``async with``.

    A comparison that takes more than ``timeout_s`` seconds is not decided, and its process is
    replaced. Without math-verify there are no processes, and what :func:`same_answer` does not
    decide is not decided. Raises ConfigError for no processes or no time.
    """

    def __init__(self, *, processes: int = 1, timeout_s: float = 5.0) -> None:
        if processes < 1 or timeout_s <= 0:
            raise ConfigError("comparing answers needs at least one process and some time")
        self._processes = processes if algebra_installed() else 0
        self._timeout_s = timeout_s
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()  # a warm one goes first
        self._workers: list[_Worker] = []

    async def __aenter__(self) -> Equivalence:
        self._workers = [_Worker() for _ in range(self._processes)]
        for worker in self._workers:
            self._free.put_nowait(worker)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            await worker.stop()

    async def same(self, gold: str, answer: str) -> bool | None:
        """Whether ``answer`` is ``gold`` in another form; None where that was not decided in time.

        The order matters to math-verify: a gold inequality may be met by an answer that is an
        interval.
        """
        if same_answer(gold, answer):
            return True
        if not self._workers:
            return None
        worker = await self._free.get()
        try:
            return await worker.ask(gold, answer, self._timeout_s)
        finally:
            self._free.put_nowait(worker)


@asynccontextmanager
async def shared_equivalence() -> AsyncIterator[Equivalence]:
    """The processes that all who compare in this event loop share; with the last user they end.

    There are at most four, and no more than processors. Where samples are made beside each other
    each comparison would otherwise import sympy anew, which takes a second and 100 MB.
    """
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        most = min(_MOST_SHARED, os.cpu_count() or 1)
        pool = _pools[loop] = _Pool(await Equivalence(processes=most).__aenter__())
    pool.users += 1
    try:
        yield pool.equivalence
    finally:
        pool.users -= 1
        if not pool.users:
            del _pools[loop]
            await pool.equivalence.__aexit__(None, None, None)


@dataclass(slots=True)
class _Pool:
    equivalence: Equivalence
    users: int = 0


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


class _Worker:
    """One process that is started when it is first asked, and again after it was stopped."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def ask(self, gold: str, answer: str, timeout_s: float) -> bool | None:
        """The process's verdict; None where it takes too long or dies, and then it is stopped."""
        try:
            process = self._process or await self._start()
            async with asyncio.timeout(timeout_s):
                line = await _exchanged(process, json.dumps([gold, answer]))
            verdict: bool | None = json.loads(line)
        except (TimeoutError, OSError, ValueError):
            await self.stop()  # too slow, or it died, for want of memory perhaps
            return None
        except BaseException:  # looked after and raised again
            await self.stop()  # cancelled: its answer would be taken for the next one's
            raise
        return verdict

    async def stop(self) -> None:
        """Kill the process and wait for it."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def _start(self) -> Process:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        async with asyncio.timeout(_START_S):
            await _exchanged(process, "[]")  # what follows is timed
        return process


async def _exchanged(process: Process, line: str) -> bytes:
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()
    return await process.stdout.readline()


def _serve() -> None:
    logging.disable(logging.CRITICAL)  # it warns at each call that it has no time limit
    _limit_memory()
    library: Any = import_module("math_verify")
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_verified(library, *asked) if asked else None), flush=True)  # noqa: T201


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limits
        resource: Any = import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


def _verified(library: Any, gold: str, answer: str) -> bool | None:
    try:
        # Its own time limits are signals, which are not needed where the process is killed.
        read = [library.parse(_formula(text), parsing_timeout=None) for text in (gold, answer)]
        if not all(read):
            return None
        if library.verify(*read, timeout_seconds=None, allow_set_relation_comp=True):
            return True
        return None if _is_rounded(*(found[0] for found in read)) else False
    except Exception:  # a foreign parser may raise anything on such texts
        return None


def _is_rounded(one: Any, other: Any) -> bool:
    """Whether one is a decimal that the other rounds to: 1.41 may be meant as the root of 2.

    Raises what sympy does for what is no number.
    """
    if not (getattr(one, "is_number", False) and getattr(other, "is_number", False)):
        return False
    if not (one.is_irrational or other.is_irrational):
        return False
    return bool(abs(float(one) - float(other)) <= _ROUNDED * max(1.0, abs(float(one))))


def _formula(text: str) -> str:
    return text if "\\boxed" in text else f"${text.strip().strip('$')}$"


if __name__ == "__main__":
    _serve()
