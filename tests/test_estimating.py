from __future__ import annotations

import os
import random
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, RubricError
from synthtutor.estimates import Estimate
from synthtutor.estimating import basis_of, costs_nothing, estimate
from synthtutor.messages import Message, Request, Response, Usage
from synthtutor.pilots import make_pilot
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe, recipe
from synthtutor.runs import opened
from synthtutor.session import Session
from synthtutor.sources import BadRow
from synthtutor.tables import META
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer
from synthtutor.tutoring import Sample

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

PAID = Capabilities()
PRICES = {"scripted/m": [1.0, 4.0], "scripted/other": [2.0, 8.0]}


@recipe(name="asking")
async def asking(session: Session, row: dict[str, Any]) -> Sample:
    said = await session.generate(str, row["question"])
    return Sample([Message("user", "?"), Message("assistant", said)])


@recipe(name="asking-otherwise")
async def otherwise(session: Session, row: dict[str, Any]) -> Sample:
    return await asking.function(session, row)


def rows(count: int, words: int = 20) -> list[dict[str, str]]:
    return [{"question": f"{number} " + "why " * (words + number % 7)} for number in range(count)]


def counting(request: Request) -> Response:
    """A vendor that counts words, and is neither terse nor always alike."""
    chance = random.Random(request.messages[0].content)
    into = 8 + sum(len(message.content.split()) for message in request.messages)
    return Response("because", usage=Usage(into, chance.randint(80, 120)), model="m")


def provider(script: Any = counting) -> ScriptedProvider:
    return ScriptedProvider(script, capabilities=PAID)


def config(**fields: Any) -> RunConfig:
    known = {"recipe": "asking", "models": {"default": "scripted/m"}, "prices": PRICES}
    return RunConfig.checked({**known, **fields})


async def asked(folder: Path, made: Any, **fields: Any) -> Estimate:
    """An estimate; whatever it asked would be an error."""
    which = {"asking": asking, "asking-otherwise": otherwise}[fields.get("recipe", "asking")]
    silent = ScriptedProvider(lambda _: RuntimeError("an estimate asked"), capabilities=PAID)
    found = await estimate(
        config(**fields), folder, recipe=which, rows=made, providers={"scripted": silent}
    )
    assert silent.calls == 0
    return found


async def run(folder: Path, made: Any, *, asks: Recipe[Any] = asking, **fields: Any) -> None:
    given = config(recipe=asks.name, **fields)
    async with opened(
        given, folder, recipe=asks, rows=made, providers={"scripted": provider()}
    ) as live:
        await live.go()


async def pilot(folder: Path, made: Any, count: int, of: ScriptedProvider | None = None) -> None:
    asks = {"scripted": of or provider()}
    await make_pilot(config(), folder, count, recipe=asking, rows=made, providers=asks)


def billed(folder: Path) -> tuple[int, float]:
    reading = Reading.open(folder / "journal.sqlite")
    try:
        calls, _, dollars, _ = reading.totals()
        return calls, dollars
    finally:
        reading.close()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a key and without a network, the loopback interface included."""

    def refused(*_: object) -> None:
        raise AssertionError("a connection was made")

    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


# ── before any spend ─────────────────────────────────────────────────────────────────────────

PAID_MODELS = [
    "openai/gpt-5-mini",
    "anthropic/claude-haiku-4-5",
    "google/gemini-2.5-flash",
    "fireworks/deepseek-v3p1",
    "compatible/some-model",
    "openrouter/openai/gpt-4o-mini",
]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("model", [*PAID_MODELS, "local/smollm2-135m", "scripted/m"])
async def test_no_key_and_no_connection_is_needed(model: str, tmp_path: Path) -> None:
    urls = {"compatible": "http://127.0.0.1:9/v1"} if model.startswith("compatible/") else {}
    asks = RunConfig.checked(
        {"models": {"default": model}, "n": 3, "controls": 2, "base_urls": urls}
    )
    found = await estimate(asks, tmp_path / "run")
    assert found.rows == 3
    assert found.calls == 3 * 3 + 4
    assert found.total().input_tokens > 1000
    assert found.total().output_tokens > 1000
    assert not (tmp_path / "run").exists()
    assert costs_nothing(asks) == (model not in PAID_MODELS)
    if model in ("openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"):
        assert found.unpriced_calls == 0
        assert 0 < found.cost_usd.low < found.cost_usd.expected < found.cost_usd.high
        assert found.batch_usd.expected == pytest.approx(found.cost_usd.expected / 2)
    if model not in PAID_MODELS:
        assert found.cost_usd.high == found.unpriced_calls == 0
    if model == "compatible/some-model":
        assert found.unpriced_calls == found.calls
        assert found.prices == {model: "unknown"}


async def test_declared_lengths_are_gone_by_and_said_to_be(tmp_path: Path) -> None:
    given = RunConfig.checked({"models": {"default": "openai/gpt-4.1"}, "n": 10, "controls": 0})
    found = await estimate(given, tmp_path)
    lengths = {s.stage: s.figures.output_tokens / s.figures.calls for s in found.stages}
    from synthtutor.recipes.misconception import MISCONCEPTION

    for stage, declared in MISCONCEPTION.output_tokens.items():
        assert lengths[stage] == pytest.approx(declared, abs=1)
    assert {stage.basis for stage in found.stages} == {"declared lengths"}
    assert found.paid_usd == 0


@recipe(name="in-form")
async def in_form(session: Session, row: dict[str, Any]) -> Sample:
    made = await session.generate(Made, row["question"])
    return Sample([Message("user", "?"), Message("assistant", made.text)])


class Made(BaseModel):
    """What a reply must be."""

    text: str


def form_of(lines: int) -> type[BaseModel]:
    exact = Annotated[list[str], Field(min_length=lines, max_length=lines)]
    return create_model("Lines", lines=(exact, ...))


@recipe(name="of-many-sizes", output_tokens={"text": 300.0})
async def of_many_sizes(session: Session, row: dict[str, Any]) -> Sample:
    await session.generate(form_of(row["lines"]), "Write lines.")
    return Sample([Message("user", "?"), Message("assistant", "!")])


async def test_a_larger_form_is_expected_to_be_answered_at_more_length(tmp_path: Path) -> None:
    made = [{"lines": 2 + number % 4, "number": number} for number in range(60)]
    asks = ScriptedProvider(capabilities=PAID)
    basis = await basis_of(
        config(recipe=of_many_sizes.name),
        tmp_path,
        recipe=of_many_sizes,
        rows=made,
        providers={"scripted": asks},
    )
    found = [
        each.output_tokens
        for one in basis.found.samples.by_sample.values()
        for each in one.values()
    ]
    assert len(set(found)) == 4
    assert max(found) > 1.8 * min(found)
    assert fmean(found) == pytest.approx(300, rel=0.1), "what is declared is the average"
    assert asks.calls == 0


@recipe(name="of-many-calls")
async def of_many_calls(session: Session, row: dict[str, Any]) -> Sample:
    for number in range(row["calls"]):
        await session.generate(str, f"{row['calls']} {number} why")
    return Sample([Message("user", "?"), Message("assistant", "!")])


async def test_more_rows_are_rehearsed_where_that_says_what_they_cost(tmp_path: Path) -> None:
    chance = random.Random(4)
    made = [{"calls": chance.choice([1, 1, 1, 9]), "number": n} for n in range(150)]
    asks = {"scripted": ScriptedProvider(lambda _: "because", capabilities=PAID)}
    given: dict[str, Any] = {"recipe": of_many_calls, "rows": made, "providers": asks}
    settings = config(recipe=of_many_calls.name)
    await make_pilot(settings, tmp_path, 12, **given)
    found = await estimate(settings, tmp_path, most=30, **given)
    calls = sum(row["calls"] for row in made)
    assert found.calls + asks["scripted"].calls == pytest.approx(calls), "all were looked at"


async def test_rows_out_of_an_iterator_are_read_once(tmp_path: Path) -> None:
    found = await asked(tmp_path, iter(rows(30)))
    assert (found.rows, found.calls) == (30, 30)


async def test_where_nobody_sees_to_the_form_some_replies_are_asked_for_again(
    tmp_path: Path,
) -> None:
    found = {}
    kinds: tuple[Literal["grammar", "schema", "json", "none"], ...]
    kinds = ("grammar", "schema", "json", "none")
    for kind in kinds:
        can = Capabilities(structured_output=kind)
        asks = {"scripted": ScriptedProvider(lambda _: RuntimeError("asked"), capabilities=can)}
        found[kind] = await estimate(
            config(recipe="in-form"), tmp_path, recipe=in_form, rows=rows(50), providers=asks
        )
    assert found["grammar"].calls == found["schema"].calls == 50
    assert 52 < found["json"].calls < found["none"].calls < 60
    for kind, each in found.items():
        assert each.cost_usd.low < each.cost_usd.expected < each.cost_usd.high, kind
    assert found["json"].cost_usd.expected > 1.05 * found["schema"].cost_usd.expected
    some, more = found["json"].cost_usd, found["none"].cost_usd
    assert more.high / more.expected > some.high / some.expected
    assert more.low / more.expected < some.low / some.expected


async def test_thinking_models_cost_more_than_they_show(tmp_path: Path) -> None:
    thinks = RunConfig.checked({"models": {"default": "openai/gpt-5-mini"}, "n": 3, "controls": 0})
    more = thinks.model_copy(update={"settings": RunConfig.checked({
        "settings": {"writer": {"reasoning_effort": "high"}}
    }).settings})  # fmt: skip
    some, much = await estimate(thinks, tmp_path), await estimate(more, tmp_path)
    assert 0 < some.total().reasoning_tokens < much.total().reasoning_tokens
    assert some.cost_usd.expected < much.cost_usd.expected


# ── by this run's own journal ────────────────────────────────────────────────────────────────


async def test_after_a_part_of_a_run_only_the_rest_is_estimated(tmp_path: Path) -> None:
    made = rows(60)
    before = await asked(tmp_path / "run", made)
    assert (before.rows, before.all_rows, before.paid_usd) == (60, 60, 0)
    await pilot(tmp_path / "run", made, 20)
    calls, paid = billed(tmp_path / "run")
    assert calls == 20
    after = await asked(tmp_path / "run", made)
    assert (after.rows, after.all_rows, after.calls) == (40, 60, 40)
    assert after.paid_usd == paid > 0
    assert {stage.basis for stage in after.stages} == {"20 samples of this run"}
    await run(tmp_path / "run", made)
    _, whole = billed(tmp_path / "run")
    assert paid + after.cost_usd.low <= whole <= paid + after.cost_usd.high
    assert paid + after.cost_usd.expected == pytest.approx(whole, rel=0.05)
    nothing = await asked(tmp_path / "run", made)
    assert (nothing.rows, nothing.calls, nothing.cost_usd.high) == (0, 0, 0)
    assert nothing.paid_usd == whole


async def test_a_pilots_bills_correct_how_prompts_are_counted(tmp_path: Path) -> None:
    made = rows(200, words=100)
    await pilot(tmp_path / "run", made, 10)
    found = await asked(tmp_path / "run", made)
    words = sum(8 + len(row["question"].split()) for row in made) / 200 * 190
    assert found.total().input_tokens == pytest.approx(words, rel=0.01)
    assert "× " in found.counting["scripted/m"]


async def test_where_rows_get_longer_the_rest_is_known_to_be_long(tmp_path: Path) -> None:
    made = [{"question": f"{n} " + "why " * (10 + n)} for n in range(200)]
    await run(tmp_path / "run", made[:100])
    found = await asked(tmp_path / "run", made)
    assert found.rows == 100
    words = sum(8 + len(row["question"].split()) for row in made[100:])
    assert found.total().input_tokens == pytest.approx(words, rel=0.02)


async def test_a_longer_run_of_the_same_rows_is_only_as_much_more(tmp_path: Path) -> None:
    await run(tmp_path / "run", rows(100), n=30)
    found = await asked(tmp_path / "run", rows(100), n=50)
    assert (found.rows, found.all_rows) == (20, 50)


async def test_rows_that_are_none_cost_nothing_in_the_rest_either(tmp_path: Path) -> None:
    made: list[Any] = [
        row if n % 2 else BadRow(f"line {n}", "no row") for n, row in enumerate(rows(200))
    ]
    async with opened(
        config(max_failed=1.0),
        tmp_path / "run",
        recipe=asking,
        rows=made[:100],
        providers={"scripted": provider()},
    ) as live:
        await live.go()
    found = await asked(tmp_path / "run", made)
    assert found.rows == 100
    assert found.calls == pytest.approx(50)


async def test_a_pilot_goes_evenly_through_the_rows(tmp_path: Path) -> None:
    vendor = provider()
    await pilot(tmp_path / "run", rows(100), 5, vendor)
    made = sorted(int(r.messages[0].content.split()[0]) for r in vendor.requests)
    assert [number // 20 for number in made] == [0, 1, 2, 3, 4], "one out of each twenty"


# ── by an earlier run beside it ──────────────────────────────────────────────────────────────


async def test_an_earlier_run_of_the_same_recipe_and_model_is_gone_by(tmp_path: Path) -> None:
    await run(tmp_path / "yesterday", rows(40))
    found = await asked(tmp_path / "today", rows(100, words=50))
    assert {stage.basis for stage in found.stages} == {f"40 samples of {tmp_path / 'yesterday'}"}
    assert found.rows == 100
    assert found.paid_usd == 0
    assert found.total().output_tokens / 100 == pytest.approx(100, rel=0.1)
    words = sum(8 + len(row["question"].split()) for row in rows(100, words=50))
    assert found.total().input_tokens == pytest.approx(words, rel=0.05), "of these rows"


async def test_the_largest_of_several_earlier_runs_is_taken(tmp_path: Path) -> None:
    await run(tmp_path / "a", rows(30))
    await run(tmp_path / "b", rows(10))
    (basis,) = {stage.basis for stage in (await asked(tmp_path / "c", rows(5))).stages}
    assert basis == f"30 samples of {tmp_path / 'a'}"


@pytest.mark.parametrize(
    "fields", [{"models": {"default": "scripted/other"}}, {"recipe": "asking-otherwise"}]
)
async def test_an_earlier_run_of_another_model_or_recipe_is_not(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    await run(tmp_path / "yesterday", rows(40))
    found = await asked(tmp_path / "today", rows(10), **fields)
    assert {stage.basis for stage in found.stages} == {"declared lengths"}


async def test_what_is_no_journal_does_not_keep_from_estimating(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.sqlite").write_text("not a database, whatever its name")
    found = await asked(tmp_path / "today", rows(10))
    assert found.rows == 10


@pytest.mark.parametrize("tables", [[META], [META, "INSERT INTO meta VALUES ('format', '2')"]])
async def test_a_run_beside_it_whose_journal_is_only_being_made_does_not_either(
    tables: list[str], tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    with closing(sqlite3.connect(tmp_path / "beside" / "journal.sqlite")) as journal, journal:
        for sql in tables:
            journal.execute(sql)
    found = await asked(tmp_path / "today", rows(10))
    assert found.rows == 10


# ── what else it says ────────────────────────────────────────────────────────────────────────


async def test_savings_are_said_the_largest_first(tmp_path: Path) -> None:
    fields = {"models": {"default": "openai/gpt-5"}, "per_seed": 3, "controls": 0}
    found = await estimate(RunConfig.checked(fields), tmp_path)
    saved = dict(found.savings)
    full = found.cost_usd.expected
    assert saved["--batch"] == pytest.approx(full / 2)
    assert saved["--per-seed 1"] == pytest.approx(full * 2 / 3)
    assert any("gpt-5-nano" in what or "gpt-5-mini" in what for what in saved)
    assert [dollars for _, dollars in found.savings] == sorted(saved.values(), reverse=True)


async def test_other_models_are_compared_when_they_are_named(tmp_path: Path) -> None:
    asks = RunConfig.checked({"models": {"default": "openai/gpt-4.1-mini"}, "n": 3, "controls": 0})
    found = await estimate(asks, tmp_path, compare=["openai/gpt-4.1"])
    (dearer,) = [dollars for what, dollars in found.savings if "openai/gpt-4.1" in what]
    assert dearer < 0, "a dearer one saves less than nothing"


async def test_vendors_count_prompts_exactly_for_a_key(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        asks = RunConfig.checked(
            {
                "models": {"default": "openai/gpt-4.1-mini"},
                "n": 3,
                "controls": 0,
                "base_urls": {"openai": server.base_url},
            }
        )
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            await estimate(asks, tmp_path, exact=True)
        from synthtutor_openai import OpenAI

        from synthtutor.provider import Endpoint

        provider = OpenAI(Endpoint(base_url=server.base_url, api_key="test"))
        try:
            found = await estimate(asks, tmp_path, exact=True, providers={"openai": provider})
        finally:
            await provider.aclose()
        assert server.calls == 0, "counted, not asked"
        assert server.asked
    assert "× " in found.counting["openai/gpt-4.1-mini"]


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"recipe": "no-such-recipe", "n": 3}, "no-such-recipe"),
        ({"mode": "no-such-mode", "n": 3}, "no mode 'no-such-mode'; its modes: scenario, answer"),
        (
            {"models": {"talker": "scripted/m"}, "n": 3},
            "has no role talker; its roles: writer, judge",
        ),
        ({"models": {"default": "nowhere/m"}, "n": 3}, "nowhere"),
        ({"rows": "no-such-file.csv"}, "there is no such file"),
        ({}, "without end: say how many with -n"),
        ({"rubric": "no-such-rubric", "n": 3}, "no-such-rubric"),
    ],
)
async def test_what_would_keep_the_run_from_starting_is_refused_in_a_line(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    given = RunConfig.checked({"models": {"default": "scripted/m"}, **fields})
    with pytest.raises((ConfigError, RubricError)) as refused:
        await estimate(given, tmp_path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
