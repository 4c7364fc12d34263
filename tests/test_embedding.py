"""What a program of somebody else's meets that makes runs: odd rows, odd samples, a loop to share."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from synthtutor import Message, Recipe, Sample, Session, arun, recipe, run
from synthtutor.errors import ConfigError, Unavailable
from synthtutor.loops import aside
from synthtutor.messages import Request
from synthtutor.sources import canonical
from synthtutor.testing import ScriptedProvider
from tests.doubles import echo

MODEL = "scripted/m"


@recipe
async def told(session: Session, row: Any) -> Sample:
    """Says a row."""
    return Sample([Message("user", "q"), Message("assistant", await session.generate(str, "q"))])


def given(script: Any = echo) -> dict[str, Any]:
    return {"models": MODEL, "providers": {"scripted": ScriptedProvider(script)}}


def reasons(recipe: Recipe[Any], out: Path) -> list[str]:
    """Why the one row that the recipe is given fails."""
    found = run(recipe, rows=[{"n": 1}], out=out, **given())
    assert found.summary.outcomes == {"failed": 1}
    return [reason for reason, _ in found.summary.reasons]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


class Frame:
    """A data frame, as far as iterating goes: of pandas, polars or pyarrow."""

    columns = ("problem", "answer")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


def test_a_data_frame_is_not_taken_for_the_names_of_its_columns(tmp_path: Path) -> None:
    for into in ("to_dict", "to_dicts", "to_pylist"):
        frame = type("Frame", (Frame,), {into: lambda self: None})()
        with pytest.raises(ConfigError, match=rf"gives its columns; give rows\.{into}\("):
            run(told, rows=frame, out=tmp_path / "run", **given())
    assert not (tmp_path / "run").exists()


def test_what_holds_no_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows\['train'\]"):
        run(told, rows={"train": [{"n": 1}]}, out=tmp_path / "run", **given())
    for rows in (b"rows.jsonl", 5):
        with pytest.raises(ConfigError, match="no file and no iterable"):
            run(told, rows=rows, out=tmp_path / "run", **given())  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


class Stamp(datetime):
    """A time of pandas: JSON libraries know datetime, and none of its subclasses."""


class NoTime(datetime):
    """Pandas' NaT: a datetime that does not equal itself."""

    __hash__ = datetime.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True


class Pair(NamedTuple):
    problem: str
    answer: int


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Stamp(2026, 1, 2, tzinfo=UTC), b'"2026-01-02T00:00:00+00:00"'),
        (NoTime(2026, 1, 2), b"null"),
        (Decimal("1.20"), b'"1.20"'),
        (PurePosixPath("a/b"), b'"a/b"'),
        (Pair("1 + 1", 2), b'{"answer":2,"problem":"1 + 1"}'),
    ],
)
def test_what_tables_and_databases_hold_is_a_row(value: object, written: bytes) -> None:
    assert canonical(value) == written
    assert canonical({"x": value}) == b'{"x":' + written + b"}"


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    row = {"n": numpy.int64(3), "x": numpy.float32(1.5), "many": numpy.arange(3)}
    assert canonical(row) == canonical({"n": 3, "x": 1.5, "many": [0, 1, 2]})


def test_a_row_that_is_no_json_is_named_with_its_field(tmp_path: Path) -> None:
    rows = [{"a": 1}, {"a": 1, "tags": {"x"}}]
    with pytest.raises(ConfigError, match="row 2: 'tags': a row must be JSON"):
        run(told, rows=rows, out=tmp_path, **given())


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out, said in (("file", "is a file"), ("file/run", "no folder can be made")):
        with pytest.raises(ConfigError, match=said):
            run(told, rows=[1], out=tmp_path / out, **given())


# ── samples ──────────────────────────────────────────────────────────────────────────────────


class Hint(BaseModel):
    hint: str
    at: datetime


@dataclass
class Step:
    says: str


@recipe
async def typed(session: Session, row: Any) -> Sample:
    """Puts what it has got into the metadata."""
    made = Hint(hint="half", at=datetime(2026, 1, 2, tzinfo=UTC))
    return Sample([Message("user", "q")], {"made": made, "steps": [Step("a")]})


def test_models_and_dates_in_the_metadata_are_json_in_the_files(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    found = run(
        typed,
        rows=[{"n": 1}],
        out=tmp_path,
        on_finished=lambda finished: heard.append(finished.body),
        **given(),
    )
    (sample,) = found.samples()
    assert Hint.model_validate(sample["metadata"]["made"]).at.year == 2026
    assert sample["metadata"]["steps"] == [{"says": "a"}]
    assert heard == [sample], "whoever listens hears what the files hold"


def test_a_field_that_is_no_json_is_named(tmp_path: Path) -> None:
    @recipe
    async def tags(session: Session, row: Any) -> Sample:
        return Sample([Message("user", "q")], {"fine": 1, "tags": {"x"}})

    (reason,) = reasons(tags, tmp_path)
    assert reason.startswith("the recipe's metadata 'tags' is not JSON")


def test_a_sample_that_no_file_can_hold_fails_alone(tmp_path: Path) -> None:
    odd: list[tuple[Any, str]] = [
        (Sample([]), "needs at least one message"),
        (Sample([("user", "x")]), "are Message, not"),  # type: ignore[list-item]
        (Sample([Message("user", "x")], None), "metadata is a dict"),  # type: ignore[arg-type]
    ]
    for number, (sample, said) in enumerate(odd):

        @recipe
        async def made(session: Session, row: Any, sample: Sample = sample) -> Sample:
            return sample

        (reason,) = reasons(made, tmp_path / str(number))
        assert said in reason


def test_one_reason_is_one_reason_though_a_text_is_a_sequence(tmp_path: Path) -> None:
    @recipe
    async def short(session: Session, row: Any) -> Sample:
        return Sample([Message("user", "q")], outcome="rejected", reasons="too short")

    found = run(short, rows=[{"n": 1}], out=tmp_path, **given())
    assert found.summary.reasons == [("too short", 1)]


# ── asking ───────────────────────────────────────────────────────────────────────────────────


def test_an_argument_that_no_template_takes_is_not_ignored(tmp_path: Path) -> None:
    @recipe
    async def hot(session: Session, row: Any) -> Sample:
        return Sample([Message("user", await session.generate(str, "q", temperature=2))])

    options = given()
    with pytest.raises(ConfigError, match="no argument temperature"):
        run(hot, rows=[{"n": 1}], out=tmp_path, **options)
    assert options["providers"]["scripted"].calls == 0


def test_a_prompt_that_is_not_made_of_messages_fails_its_row(tmp_path: Path) -> None:
    prompts: list[tuple[Any, str]] = [
        ([{"role": "user", "content": "x"}], "made of Message, not of"),
        ([], "at least one message"),
    ]
    for number, (prompt, said) in enumerate(prompts):

        @recipe
        async def asks(session: Session, row: Any, prompt: Any = prompt) -> Sample:
            return Sample([Message("user", await session.generate(str, prompt))])

        (reason,) = reasons(asks, tmp_path / str(number))
        assert said in reason


# ── recipes ──────────────────────────────────────────────────────────────────────────────────


def test_a_recipe_that_is_not_async_is_told_at_its_first_row(tmp_path: Path) -> None:
    @recipe
    def plain(session: Session, row: Any) -> Any:
        return Sample([Message("user", "q")])

    with pytest.raises(ConfigError, match="recipe plain is no async function"):
        run(plain, rows=[{"n": 1}, {"n": 2}], out=tmp_path, **given())


def test_an_error_is_placed_in_the_recipe_and_not_in_a_library(tmp_path: Path) -> None:
    @recipe
    async def broken(session: Session, row: Any) -> Sample:
        Hint.model_validate_json("{")
        return Sample([])

    (reason,) = reasons(broken, tmp_path / "broken")
    assert Path(__file__).name in reason
    (reason,) = reasons(replace(typed, function=_reads_json), tmp_path / "json")
    assert Path(__file__).name in reason


async def _reads_json(session: Session, row: Any) -> Sample:
    import json

    return Sample([Message("user", json.loads("{"))])


async def test_a_row_whose_recipe_waited_for_something_cancelled_does_not_vanish(
    tmp_path: Path,
) -> None:
    @recipe
    async def waits(session: Session, row: Any) -> Sample:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone
        return Sample([])

    found = await arun(waits, rows=[{"n": 1}], out=tmp_path, **given())
    assert found.summary.outcomes == {"failed": 1}
    assert "CancelledError" in found.summary.reasons[0][0]


# ── a loop and a log that are others' too ────────────────────────────────────────────────────


class Watching(Recipe[Any]):
    """A recipe that notes the threads on which files are checked by it."""

    __slots__ = ()
    threads: list[int] = []  # noqa: RUF012  # of this test's only

    def __getattribute__(self, name: str) -> Any:
        if name == "chat_roles":
            Watching.threads.append(threading.get_ident())
        return super().__getattribute__(name)


async def test_files_are_written_while_the_loop_goes_on(tmp_path: Path) -> None:
    watching = Watching("told", told.function, told.rows)
    Watching.threads.clear()
    await arun(watching, rows=[{"n": 1}], out=tmp_path, **given())
    assert Watching.threads
    assert threading.get_ident() not in Watching.threads


async def test_whoever_is_cancelled_while_a_thread_works_leaves_when_it_is_over() -> None:
    going, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    done: list[str] = []

    def work() -> None:
        loop.call_soon_threadsafe(going.set)
        may_end.wait(30)
        done.append("all of it")

    task = asyncio.create_task(aside(work))
    await going.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["all of it"]


def test_retries_failed_rows_and_stops_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def script(request: Request) -> str | Exception:
        nonlocal calls
        calls += 1
        return Unavailable("gone", retry_after_s=0.0) if calls == 1 else "yes"

    @recipe
    async def some(session: Session, row: Any) -> Sample:
        text = await session.generate(str, f"q {row['n']}")
        return Sample([Message("user", text)], {"x": row["x"]})

    rows = [{"n": 1, "x": 1}, {"n": 2}]
    with caplog.at_level(logging.INFO, logger="synthtutor"):
        run(some, rows=rows, out=tmp_path, **given(script), max_tokens_total=10**6)
        run(some, rows=[{"n": 3}], out=tmp_path, **given(), max_tokens_total=1)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", "gone") in said
    assert any(level == "INFO" and "a row failed" in text for level, text in said)
    assert any(level == "WARNING" and "stopped: limit of 1 tokens" in text for level, text in said)


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    before = set(threading.enumerate())
    yield
    left = {thread.name for thread in {*threading.enumerate()} - before}
    assert not [name for name in left if not name.startswith("asyncio_")], left
