from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import synthtutor
from synthtutor import Message, Recipe, Sample, Session, arun, recipe, run, running
from synthtutor.api import RunOptions
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, Unauthorized
from synthtutor.messages import Request, Response
from synthtutor.testing import ScriptedProvider
from tests.doubles import echo, reply

MODEL = "scripted/m"


@recipe
async def question(session: Session, row: dict[str, Any]) -> Sample:
    """Answers a question.

    And says no more.
    """
    answer = await session.generate(str, f"question {row['n']}")
    return Sample([Message("user", str(row["n"])), Message("assistant", answer)])


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"n": number} for number in range(count)]


def given(provider: ScriptedProvider | None = None) -> dict[str, ScriptedProvider]:
    return {"scripted": provider or ScriptedProvider(echo)}


def test_a_run_in_a_script(tmp_path: Path) -> None:
    result = run(question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given())
    assert result.complete
    assert result.folder == tmp_path
    assert result.summary.kept == 3
    contents = [sample["messages"][-1]["content"] for sample in result.samples()]
    assert contents == [f"echo of question {number}" for number in range(3)]


async def test_a_run_in_async_code(tmp_path: Path) -> None:
    result = await arun(question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given())
    assert result.summary.kept == 3


async def test_a_run_where_a_loop_is_running_already(tmp_path: Path) -> None:
    # What a notebook does: plain run(), with no await, inside a running loop.
    result = run(question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given())
    assert result.summary.kept == 3
    with pytest.raises(ConfigError):
        run(question, models="m", out=tmp_path)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signal to one thread")
async def test_an_interrupt_in_a_notebook_ends_the_run_and_what_is_paid_lands(
    tmp_path: Path,
) -> None:
    class Interrupting(ScriptedProvider):
        async def complete(self, request: Request) -> Response:
            if self.calls == 3:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                await asyncio.sleep(0.1)
            return await super().complete(request)

    first, again = Interrupting(echo), ScriptedProvider(echo)
    options: dict[str, Any] = {"models": MODEL, "out": tmp_path, "rows": numbered(500)}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(question, **options, providers=given(first), concurrency=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert first.calls < 500
    run(question, **options, providers=given(again))
    assert first.calls + again.calls == 500, "the run is over, and nothing was asked twice"


def test_the_same_call_again_resumes_and_pays_nothing(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)
    for count in (2, 5, 5):
        run(question, models=MODEL, out=tmp_path, rows=numbered(count), providers=given(provider))
    assert provider.calls == 5


def test_rows_come_from_a_file_or_from_anything_that_can_be_iterated(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("n\n1\n2\n")

    def generated() -> Iterator[dict[str, Any]]:
        yield from numbered(2)

    kinds: list[Any] = [file, str(file), generated(), tuple(numbered(2))]
    for number, rows in enumerate(kinds):
        out = tmp_path / str(number)
        result = run(question, models=MODEL, out=out, rows=rows, providers=given())
        assert result.summary.kept == 2


def test_options_are_those_of_the_configuration(tmp_path: Path) -> None:
    result = run(question, models=MODEL, out=tmp_path, rows=numbered(9), providers=given(), n=4)
    assert result.summary.made == 4
    with pytest.raises(ConfigError, match="budget: there is no such field; did you mean"):
        run(question, models=MODEL, out=tmp_path, rows=numbered(9), budget=4)  # type: ignore[call-arg]


def test_every_field_of_the_configuration_is_an_option_with_a_name() -> None:
    named = {"recipe", "models", "rows"}
    assert set(RunOptions.__annotations__) == set(RunConfig.model_fields) - named


def test_paths_and_numbers_are_taken_as_they_are(tmp_path: Path) -> None:
    pack = Path(__file__).parents[1] / "examples" / "short_reply.yaml"
    options = {"malrules": "longer-is-larger", "turns": 2}
    out = tmp_path / "dialogue"
    result = run("dialogue", models="scripted/x", n=1, rubric=pack, options=options, out=out)
    assert result.summary.made == 1
    config = RunConfig.load(out / "run.yaml")
    assert config.rubric == str(pack)
    assert config.options == {"malrules": "longer-is-larger", "turns": "2"}


def test_a_function_that_is_no_recipe_and_a_row_that_is_no_list_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="decorate the function with @recipe"):
        run(question.function, models=MODEL, out=tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give a list of rows"):
        run(question, models=MODEL, rows={"n": 1}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_also_known_by_its_name(tmp_path: Path) -> None:
    result = run("misconception", models=MODEL, out=tmp_path, n=2, controls=0)
    assert result.summary.made == 2
    assert result.summary.recipe == "misconception"


def test_models_are_named_by_role(tmp_path: Path) -> None:
    models = {"writer": "scripted/a", "judge": "scripted/b"}
    result = run("misconception", models=models, out=tmp_path, n=2, controls=0)
    assert {entry["model"] for entry in result.summary.account} == set(models.values())
    with pytest.raises(ConfigError, match="write provider/model"):
        run("misconception", models="gpt-5", out=tmp_path, n=2)


def test_a_run_over_its_budget_is_a_result_and_not_an_error(tmp_path: Path) -> None:
    result = run(
        question,
        models=MODEL,
        out=tmp_path,
        rows=numbered(50),
        providers=given(ScriptedProvider(lambda _: reply("ok"))),
        max_tokens_total=2700,
        concurrency=1,
    )
    assert not result.complete
    assert 0 < len(result.samples()) < 50


def test_what_fails_every_row_is_raised_as_it_is(tmp_path: Path) -> None:
    provider = ScriptedProvider(lambda _: Unauthorized("bad key"))
    with pytest.raises(Unauthorized, match="bad key"):
        run(question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given(provider))


def test_every_finished_sample_is_heard_of(tmp_path: Path) -> None:
    heard: list[str] = []
    run(
        question,
        models=MODEL,
        out=tmp_path,
        rows=[*numbered(3), {"wrong": 1}],
        providers=given(),
        on_finished=lambda finished: heard.append(finished.outcome),
    )
    assert sorted(heard) == ["failed", "kept", "kept", "kept"]


# ── running ──────────────────────────────────────────────────────────────────────────────────


async def test_samples_are_given_as_they_finish(tmp_path: Path) -> None:
    gate = asyncio.Event()

    class Held(ScriptedProvider):
        async def complete(self, request: Request) -> Response:
            if "question 2" in request.messages[0].content:
                await gate.wait()
            return await super().complete(request)

    seen = []
    async with running(
        question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given(Held(echo))
    ) as samples:
        async for sample in samples:
            seen.append(sample.body["messages"][0]["content"])
            if len(seen) == 2:
                gate.set()  # the third could not have been waited for
    assert sorted(seen[:2]) == ["0", "1"]
    assert seen[2] == "2"
    assert (tmp_path / "finetune.jsonl").exists()


async def test_leaving_early_stops_the_run_and_keeps_what_was_paid(tmp_path: Path) -> None:
    first = ScriptedProvider(echo)
    async with asyncio.timeout(60):
        async with running(
            question,
            models=MODEL,
            out=tmp_path,
            rows=({"n": number} for number in iter(int, 1)),
            providers=given(first),
            concurrency=2,
        ) as samples:
            async for _ in samples:
                break
    assert first.calls < 1000, "the rows have no end"
    again = ScriptedProvider(echo)
    async with asyncio.timeout(60):
        await arun(question, models=MODEL, out=tmp_path, rows=[{"n": 0}], providers=given(again))
    assert again.calls == 0


async def test_an_error_of_the_run_is_raised_as_it_is(tmp_path: Path) -> None:
    provider = ScriptedProvider(lambda _: Unauthorized("bad key"))

    async def block() -> None:
        async with running(
            question, models=MODEL, out=tmp_path, rows=numbered(3), providers=given(provider)
        ) as samples:
            async for _ in samples:
                raise AssertionError("there is none")

    with pytest.raises(Unauthorized):
        await block()


async def test_an_error_of_the_block_is_raised_as_it_is(tmp_path: Path) -> None:
    async def block() -> None:
        async with running(
            question, models=MODEL, out=tmp_path, rows=numbered(50), providers=given()
        ) as samples:
            async for _ in samples:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()


# ── recipes ──────────────────────────────────────────────────────────────────────────────────


def test_a_bare_decorator_names_the_recipe_after_its_function() -> None:
    assert isinstance(question, Recipe)
    assert (question.name, question.roles) == ("question", ("writer",))
    assert question.summary == "Answers a question."


def test_a_decorator_with_arguments_says_the_rest() -> None:
    @recipe(name="other", roles=("student", "tutor"), chat_roles=("user", "assistant"))
    async def named(session: Session, row: dict[str, Any]) -> Sample:
        return Sample([])

    assert (named.name, named.roles) == ("other", ("student", "tutor"))
    assert named.summary == ""


def test_recipes_are_part_of_the_front_door() -> None:
    assert synthtutor.recipe is recipe
