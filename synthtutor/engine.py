"""Many samples at once, each recorded as soon as it is finished.

One task group owns every sample's task. Rows are read one at a time, only when there is room for
another sample, so memory does not grow with their number. A sample fails alone: whatever its
recipe raises becomes its recorded reason. Only what would fail every row (a bad key, an unknown
model, a broken journal) stops the run, and even then paid calls land first: stopping means that
no new call is admitted, samples that wait are cancelled, and samples whose call is under way get
to commit it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from inspect import isawaitable
from os import sep
from pathlib import Path
from sysconfig import get_path
from typing import Any, Generic, TypeVar, get_args

import orjson

from synthtutor.errors import (
    BudgetExceeded,
    ConfigError,
    InvalidOutput,
    JournalError,
    RecipeError,
    Rejected,
    Retryable,
    SynthtutorError,
    Unauthorized,
)
from synthtutor.journal import SampleRecord
from synthtutor.messages import Message, storable
from synthtutor.session import RunContext, Session
from synthtutor.sources import BadRow, Occurrences, canonical, json_bytes, unfit
from synthtutor.stopping import Stop
from synthtutor.tutoring import Outcome, Sample

__all__ = ["Engine", "Finished", "Progress", "sample_id"]

_log = logging.getLogger(__name__)
logging.getLogger("synthtutor").addHandler(logging.NullHandler())  # silent unless somebody listens

# Where an error came up is told by the innermost line of the caller's code, not by ours or a library's.
_NOT_OF_A_RECIPE = (
    f"{Path(__file__).parent}{sep}",
    *{get_path(name) + sep for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    "<frozen ",
)

Row = TypeVar("Row")
RecipeFunction = Callable[[Session, Row], Awaitable[Sample]]


@dataclass(frozen=True, slots=True)
class Finished:
    """A sample that is done. ``body`` is what the files will hold of it.

    ``at_once`` marks a failure that waited for no answer: a line that is no row, a refused request.
    """

    outcome: str
    reason: str
    body: dict[str, Any]
    at_once: bool = False


@dataclass(slots=True)
class Progress:
    """Counts while a run goes on; read them at any time."""

    total: int | None = None
    kept: int = 0
    rejected: int = 0
    undetermined: int = 0
    failed: int = 0
    waiting: int = 0
    latest: str = ""

    @property
    def done(self) -> int:
        """Samples that have an outcome."""
        return self.kept + self.rejected + self.undetermined + self.failed


@dataclass(slots=True)
class Engine(Generic[Row]):
    """Runs ``function`` over rows. ``kind`` tells samples from controls in the journal.

    A ``dry`` one records nothing. ``max_failed`` is the share of failed rows (0 to 1) beyond which
    the run stops, looked at from ``judge_after`` finished rows on.
    """

    name: str
    function: RecipeFunction[Row]
    context: RunContext
    stop: Stop
    kind: str = "sample"
    samples_in_flight: int = 64
    max_failed: float = 0.5
    judge_after: int = 20
    dry: bool = False
    progress: Progress = field(default_factory=Progress)
    on_finished: Callable[[Finished], None] | None = None
    _at_once: int = field(default=0, init=False)
    _under_way: int = field(default=0, init=False)
    _raised: Exception | None = field(default=None, init=False)

    async def run(self, rows: Iterable[Row | BadRow]) -> None:
        """Until the rows or the run are at their end. What stopped it early is in ``stop``.

        To cancel it stops it, and paid calls land first; to cancel it again drops them. Raises what
        ``rows`` or ``on_finished`` raise, after paid calls have landed.
        """
        slots = asyncio.Semaphore(self.samples_in_flight)

        def back(_: asyncio.Task[None]) -> None:
            self._under_way -= 1
            slots.release()

        with _rare_collections(), Occurrences() as occurrences:
            async with asyncio.TaskGroup() as group:
                try:
                    for position, (row, sample) in enumerate(self._named(rows, occurrences)):
                        await slots.acquire()
                        if self.stop.reason is not None:
                            break
                        self.progress.waiting += 1
                        self._under_way += 1
                        task = group.create_task(self._sample(row, sample, position))
                        task.add_done_callback(back)
                    await self._all_back(slots)
                except asyncio.CancelledError:
                    await self._landed(slots)
                    raise
        if self._raised is not None:
            raise self._raised

    async def _all_back(self, slots: asyncio.Semaphore) -> None:
        """Wait until no sample is under way."""
        while self._under_way:
            await slots.acquire()

    async def _landed(self, slots: asyncio.Semaphore) -> None:
        """Let paid calls land; to be cancelled while they do drops them."""
        self.stop.request("interrupted")
        try:
            await self._all_back(slots)
        except asyncio.CancelledError:
            self.stop.now()
            raise

    def _stopped_by(self, error: Exception) -> None:
        """Stop, and raise it when paid calls have landed."""
        self._raised = self._raised or error
        self.stop.request(f"{type(error).__name__}: {error}")

    def _named(
        self, rows: Iterable[Row | BadRow], occurrences: Occurrences
    ) -> Iterator[tuple[Row | BadRow, bytes]]:
        try:
            for number, row in enumerate(rows, 1):
                try:
                    sample = sample_id(self.name, self.kind, row, occurrences)
                except ConfigError as error:
                    raise ConfigError(f"row {number}: {error}") from None
                yield row, sample
        except SynthtutorError as error:
            self.stop.request("the rows cannot be read", error)
        except Exception as error:  # the caller's own code, with calls of ours under way
            self._stopped_by(error)

    async def _sample(self, row: Row | BadRow, sample: bytes, position: int) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine runs in a task
        try:
            with self.stop.flying(task) as flight:
                finished = await self._made(row, sample)
            if finished is not None and not (self.dry or flight.turned_away):
                await self._record(finished, sample, position)
        except JournalError as error:
            self.stop.request("the journal cannot be written", error)
        except Exception as error:  # on_finished is the caller's own code
            self._stopped_by(error)
        finally:
            self.progress.waiting -= 1

    async def _made(self, row: Row | BadRow, sample: bytes) -> Finished | None:
        """The finished sample, or None where the run stops instead."""
        if isinstance(row, BadRow):
            return _failure(sample, f"{row.where}: {row.reason}", {"row": row.where}, at_once=True)
        session = Session(self.context, sample, kind=self.kind)
        try:
            return self._finished(await self._called(session, row), session)
        except Exception as error:  # the engine's boundary: a sample fails alone
            return self._failed(_cause(error), session)
        except asyncio.CancelledError as error:
            if self.dry or self.stop.reason is not None or _is_cancelled():
                raise
            # Something that the recipe waited for was cancelled, not the recipe: the row must not vanish.
            return self._failed(error, session)

    def _called(self, session: Session, row: Row) -> Awaitable[Sample]:
        made = self.function(session, row)
        if not isawaitable(made):
            raise ConfigError(f"recipe {self.name} is no async function: write async def")
        return made

    def _finished(self, made: object, session: Session) -> Finished:
        sample = _checked(made)
        # A text is a sequence of texts too: one reason, not as many as it has letters.
        reasons = [sample.reasons] if isinstance(sample.reasons, str) else list(sample.reasons)
        metadata = {
            **sample.metadata,
            "outcome": sample.outcome,
            "reasons": reasons,
            "lineage": {"recipe": self.name, **session.lineage()},
        }
        messages = [{"role": m.role, "content": _text(m)} for m in sample.messages]
        body = {"id": session.sample.hex(), "messages": messages, "metadata": metadata}
        return Finished(sample.outcome, "; ".join(reasons), body)

    def _failed(self, error: BaseException, session: Session) -> Finished | None:
        if isinstance(error, BudgetExceeded):
            self.stop.request("budget", error)
            return None
        if _stops_the_run(error):
            assert isinstance(error, SynthtutorError)  # noqa: S101  # all that stop a run are
            self.stop.request("failed", error)
            return None
        extra: dict[str, Any] = {"lineage": {"recipe": self.name, **session.lineage()}}
        if isinstance(error, InvalidOutput):
            extra["text"] = error.text
        at_once = isinstance(error, Rejected)
        return _failure(session.sample, _reason(error), extra, at_once=at_once)

    async def _record(self, finished: Finished, sample: bytes, position: int) -> None:
        try:
            body = json_bytes(finished.body)
        except TypeError as error:
            field = unfit(finished.body["metadata"])
            what = "sample" if field is None else f"metadata {field!r}"
            finished = _failure(sample, f"the recipe's {what} is not JSON: {error}", {})
            body = json_bytes(finished.body)
        await self.context.journal.finish(
            SampleRecord(
                sample=sample,
                kind=self.kind,
                position=position,
                outcome=finished.outcome,
                reason=finished.reason,
                body=body,
            )
        )
        progress = self.progress
        setattr(progress, finished.outcome, getattr(progress, finished.outcome) + 1)
        if finished.outcome == "kept" and finished.body["messages"]:
            progress.latest = finished.body["messages"][-1]["content"][:120]
        if self.on_finished is not None:
            # As the files hold it: a date or a model in the metadata is JSON there.
            self.on_finished(replace(finished, body=orjson.loads(body)))
        self._look_at_failures(finished)

    def _look_at_failures(self, finished: Finished) -> None:
        if finished.outcome != "failed":
            return
        _log.info("%s: a row failed: %s", self.name, finished.reason)
        progress = self.progress
        self._at_once += finished.at_once
        done, failed = progress.done - self._at_once, progress.failed - self._at_once
        # Refusals and faults come back before answers do, so the first five say little while most wait.
        few = failed == done >= 5 and failed >= progress.waiting - 1
        enough = done >= self.judge_after or few
        # What fails at once is ahead of answers that take their time: count those as good.
        at_best = progress.done + progress.waiting - 1
        if (enough and failed > self.max_failed * done) or (
            progress.failed >= self.judge_after and progress.failed > self.max_failed * at_best
        ):
            self.stop.request(
                f"too many failures: {progress.failed} of {progress.done} rows failed, "
                f"the last because {finished.reason}"
            )


def sample_id(recipe: str, kind: str, row: object, occurrences: Occurrences) -> bytes:
    """16 bytes from the recipe's name and the row's content; equal rows count up."""
    content = blake2b(
        recipe.encode() + b"\0" + kind.encode() + b"\0" + canonical(row), digest_size=16
    ).digest()
    nth = occurrences.count(content)
    if nth == 0:
        return content
    return blake2b(content + nth.to_bytes(8, "big"), digest_size=16).digest()


@contextmanager
def _rare_collections(objects: int = 20_000) -> Iterator[None]:
    """Let the garbage collector look after so many new objects, not after Python's 700.

    Each look goes through the objects of all samples in flight, which are no garbage: with 2,000
    calls in flight that was a quarter of the run's CPU time. Elsewhere and later Python's rule holds.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < objects:  # switched off, or rare already: somebody meant it
        yield
        return
    gc.set_threshold(objects, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _is_cancelled() -> bool:
    """Whether somebody asked for this very task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _checked(made: object) -> Sample:
    """What a recipe returned. Raises RecipeError, saying what is wrong, where files cannot hold it."""
    if not isinstance(made, Sample):
        raise RecipeError(f"the recipe returned {type(made).__name__}; return a Sample")
    if made.outcome not in get_args(Outcome):
        raise RecipeError(f"outcome {made.outcome!r} is none of {', '.join(get_args(Outcome))}")
    if made.outcome == "kept" and not made.messages:
        raise RecipeError("a sample that is kept needs at least one message")
    if not isinstance(made.metadata, Mapping):
        raise RecipeError(f"metadata is a dict, not {type(made.metadata).__name__}")
    for message in made.messages:
        if not isinstance(message, Message):
            raise RecipeError(f"a sample's messages are Message, not {message!r:.80}")
    return made


def _text(message: Message) -> str:
    if not isinstance(message.content, str):
        raise RecipeError(f"the content of a message is no text: {message.content!r:.100}")
    return message.content


def _failure(
    sample: bytes, reason: str, extra: dict[str, Any], *, at_once: bool = False
) -> Finished:
    reason = storable(reason)
    metadata = {"outcome": "failed", "reasons": [reason], **extra}
    body = {"id": sample.hex(), "messages": [], "metadata": metadata}
    return Finished("failed", reason, body, at_once)


def _cause(error: BaseException) -> BaseException:
    """The error that matters: of a group's, one that stops the run before one that fails a row."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_cause(inner) for inner in error.exceptions]
    return next((cause for cause in causes if _stops_the_run(cause)), causes[0])


def _stops_the_run(error: BaseException) -> bool:
    fatal = (Unauthorized, ConfigError, JournalError, BudgetExceeded)
    return isinstance(error, fatal) or (isinstance(error, Rejected) and error.reason == "model")


def _reason(error: BaseException) -> str:
    if isinstance(error, InvalidOutput):
        return f"{error.kind}: {error}"
    if isinstance(error, Rejected):
        return f"rejected ({error.reason}): {error}"
    if isinstance(error, Retryable):
        return f"unavailable: {error}"
    if isinstance(error, SynthtutorError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_OF_A_RECIPE)]
    where = "".join(f" ({frame.filename}, line {frame.lineno})" for frame in (own or frames)[-1:])
    return f"the recipe raised {type(error).__name__}: {error}{where}"
