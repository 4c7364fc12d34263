from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, StringConstraints

from synthtutor.config import RunConfig
from synthtutor.engine import sample_id
from synthtutor.messages import Message, Request, Settings
from synthtutor.prices import FREE
from synthtutor.provider import Capabilities
from synthtutor.recipes.misconception import MISCONCEPTION
from synthtutor.recipes.recipe import Recipe, recipe
from synthtutor.rehearsal import Expected, Rehearsal, Rehearsing, rehearse
from synthtutor.samplings import Figures
from synthtutor.session import CallSite, Role, Session
from synthtutor.sources import BadRow, Occurrences
from synthtutor.tutoring import Sample

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

WORDS = 30.0
ROWS = [{"question": f"question {number}"} for number in range(40)]


def words(request: Request) -> int:
    return sum(len(message.content.split()) for message in request.messages)


def always(_site: CallSite, _request: Request) -> Expected:
    return Expected(WORDS)


def roles(
    *names: str, lengths: Any = always, capabilities: Capabilities | None = None
) -> dict[str, Role]:
    can = capabilities or Capabilities()
    provider = Rehearsing(words, lengths, can)
    return {name: Role("x/m", provider, can, FREE) for name in names or ("writer",)}


async def rehearsed(
    asked: Recipe[Any], rows: Any = ROWS, *, players: Mapping[str, Role] | None = None, **more: Any
) -> Rehearsal:
    fields: dict[str, Any] = {key: more.pop(key) for key in ("n", "controls") if key in more}
    config = RunConfig.checked({"recipe": asked.name, "models": {"default": "x/m"}, **fields})
    return await rehearse(config, asked, players or roles(*asked.roles), rows=rows, **more)


def only_site(found: Rehearsal) -> list[Figures]:
    (site,) = found.samples.sites()
    return list(found.samples.at(site))


def told(text: str = "done") -> Sample:
    return Sample(messages=[Message("user", "?"), Message("assistant", text)])


# ── what a recipe does happens ───────────────────────────────────────────────────────────────


@recipe
async def looping(session: Session, row: dict[str, Any]) -> Sample:
    for number in range(row["turns"]):
        await session.generate(str, f"turn {number} of {row['turns']}")
    return told()


async def test_loops_are_walked_through_for_each_row() -> None:
    found = await rehearsed(looping, [{"turns": turns} for turns in (1, 2, 5)])
    assert sorted(figures.calls for figures in only_site(found)) == [1, 2, 5]
    assert {figures.input_tokens / figures.calls for figures in only_site(found)} == {4}


@recipe
async def fanning_out(session: Session, row: dict[str, Any]) -> Sample:
    async def draft(number: int) -> str:
        return await session.branch(f"draft {number}").generate(str, row["question"])

    async with asyncio.TaskGroup() as group:
        drafts = [group.create_task(draft(number)) for number in range(4)]
    longest = max((task.result() for task in drafts), key=len)
    return told(await session.generate(str, f"mend {longest}"))


async def test_concurrent_children_are_counted_and_so_is_what_is_made_of_them() -> None:
    found = await rehearsed(fanning_out)
    assert {figures.calls for figures in only_site(found)} == {5}
    into = [figures.input_tokens for figures in only_site(found)]
    assert min(into) > 4 * 2 + 20, "the last prompt holds a whole draft"


@recipe
async def conversing(session: Session, row: dict[str, Any]) -> Sample:
    history = [Message("user", "one two three four")]
    for _ in range(4):
        said = await session.generate(str, history)
        history += [Message("assistant", said), Message("user", "go on")]
    return told()


async def test_a_growing_dialogue_pays_for_what_was_said_before() -> None:
    found = await rehearsed(conversing, [{"question": 1}])
    (figures,) = only_site(found)
    spoken = round(WORDS / 1.15)
    assert figures.input_tokens == sum(4 + k * (spoken + 2) for k in range(4))
    assert figures.output_tokens == 4 * WORDS


class Turn(BaseModel):
    """What decides whether a dialogue goes on."""

    says: str
    understood: bool


@recipe
async def until_understood(session: Session, row: dict[str, Any]) -> Sample:
    for _ in range(8):
        turn = await session.generate(Turn, f"{row['question']}: what do you say?")
        if turn.understood:
            break
    return told()


async def test_dialogues_that_replies_decide_are_rehearsed_from_short_to_long() -> None:
    found = await rehearsed(until_understood, [{"question": n} for n in range(60)])
    calls = [figures.calls for figures in only_site(found)]
    assert min(calls) == 1
    assert max(calls) == 8


class Particular(BaseModel):
    """What text in form cannot satisfy."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-\d{4}$")]


@recipe
async def particular(session: Session, row: dict[str, Any]) -> Sample:
    return told((await session.generate(Particular, row["question"])).code)


async def test_filler_that_a_recipe_cannot_take_is_not_asked_for_again() -> None:
    """How often a real reply must be is not known before there are any: bills tell it."""
    found = await rehearsed(particular, ROWS[:5])
    assert {figures.calls for figures in only_site(found)} == {1}


@recipe
async def failing(session: Session, row: dict[str, Any]) -> Sample:
    await session.generate(str, row["question"])
    raise ValueError("after it was paid")


async def test_a_recipe_that_raises_has_still_made_its_calls() -> None:
    found = await rehearsed(failing)
    assert found.samples.count == 40
    assert sum(figures.calls for figures in only_site(found)) == 40


# ── the misconception recipe, with its judge and its controls ────────────────────────────────


async def test_judges_and_controls_are_counted_as_they_are() -> None:
    found = await rehearsed(MISCONCEPTION, None, n=12, controls=4)
    by_stage = {site.stage: found.samples.total(site) for site in found.samples.sites()}
    assert {stage: figures.calls for stage, figures in by_stage.items()} == {
        "misconception/scenario.md.j2": 12,
        "misconception/reply.md.j2": 12,
        "judge.md.j2": 12,
    }
    (site,) = found.controls.sites()
    assert (site.role, found.controls.total(site).calls) == ("judge", 8)
    assert found.controls.count == 4


async def test_without_a_judge_there_are_no_controls() -> None:
    found = await rehearsed(looping, [{"turns": 1}], controls=4)
    assert found.controls.count == 0


async def test_each_samples_own_criteria_reach_its_judge() -> None:
    asked: list[str] = []

    def noting(request: Request) -> int:
        asked.append(request.messages[-1].content)
        return words(request)

    provider = Rehearsing(noting, always, Capabilities())
    players = {
        name: Role("x/m", provider, provider.capabilities("m"), FREE)
        for name in ("writer", "judge")
    }
    await rehearsed(MISCONCEPTION, None, players=players, n=4, controls=2, most=4)
    with_own = [text for text in asked if "own.c1" in text]
    assert len(with_own) == 4, "each sample's judge, and no control's"


# ── which rows ───────────────────────────────────────────────────────────────────────────────


@recipe
async def numbered(session: Session, row: dict[str, Any]) -> Sample:
    await session.generate(str, "word " * (row["number"] + 1))
    return told()


@pytest.mark.parametrize("count", [5, 10, 11, 79, 80, 81, 333, 1000])
async def test_rows_are_chosen_evenly_whatever_their_number(count: int) -> None:
    found = await rehearsed(numbered, [{"number": n} for n in range(count)], most=10)
    sizes = sorted(figures.input_tokens for figures in only_site(found))
    assert len(sizes) == min(10, count)
    assert (found.rows, found.left) == (count, count)
    mean, wanted = sum(sizes) / len(sizes), (count + 1) / 2
    assert abs(mean - wanted) <= 0.11 * count + 0.5
    steps = [later - earlier for earlier, later in pairwise(sizes)]
    assert max(steps) <= 2 * count / len(sizes) + 1, "no stretch is left out"


async def test_only_as_many_rows_are_read_as_the_run_would() -> None:
    def endless() -> Any:
        number = 0
        while True:
            yield {"number": number}
            number += 1

    found = await rehearsed(numbered, endless(), n=25)
    assert (found.rows, found.samples.count) == (25, 25)


async def test_rows_that_are_done_are_not_rehearsed_but_compared() -> None:
    rows = [{"number": n} for n in range(20)]
    with Occurrences() as occurrences:
        ids = [sample_id("numbered", "sample", row, occurrences) for row in rows]
    done = set(ids[:15])
    found = await rehearsed(numbered, rows, done=done, also=set(ids[:4]))
    assert (found.rows, found.left, found.samples.count) == (20, 5, 5)
    assert set(found.samples.by_sample) == set(ids[15:])
    assert set(found.also.by_sample) == set(ids[:4])


async def test_equal_rows_are_samples_of_their_own() -> None:
    found = await rehearsed(numbered, [{"number": 1}] * 3)
    assert len(found.samples.by_sample) == 3


async def test_bad_rows_stand_for_rows_that_ask_nothing() -> None:
    rows = [*ROWS[:3], BadRow("file, line 4", "not JSON")]
    found = await rehearsed(failing, rows)
    assert found.rows == found.samples.count == 4
    (site,) = found.samples.sites()
    assert found.samples.mean(site).calls == 0.75


# ── the provider that counts ─────────────────────────────────────────────────────────────────


async def test_a_reply_is_never_longer_than_it_may_be() -> None:
    @recipe
    async def bounded(session: Session, row: dict[str, Any]) -> Sample:
        return told(await session.generate(str, "say", settings=Settings(max_tokens=12)))

    (figures,) = only_site(await rehearsed(bounded, [{}]))
    assert figures.output_tokens == 12


async def test_thinking_is_output_and_is_told_apart() -> None:
    def thinking(_site: CallSite, _request: Request) -> Expected:
        return Expected(20, reasoning=300)

    (figures,) = only_site(
        await rehearsed(looping, [{"turns": 1}], players=roles(lengths=thinking))
    )
    assert (figures.output_tokens, figures.reasoning_tokens) == (320, 300)


async def test_lengths_are_asked_for_by_role_and_stage() -> None:
    asked: set[tuple[str, str]] = set()

    def noting(site: CallSite, _request: Request) -> Expected:
        asked.add((site.role, site.stage))
        return Expected(50)

    players = roles("writer", "judge", lengths=noting)
    await rehearsed(MISCONCEPTION, None, players=players, n=2, controls=0)
    assert asked == {
        ("writer", "misconception/scenario.md.j2"),
        ("writer", "misconception/reply.md.j2"),
        ("judge", "judge.md.j2"),
    }


async def test_a_schema_that_stands_in_the_prompt_is_counted() -> None:
    sizes = []
    kinds: tuple[Literal["grammar", "none"], ...] = ("grammar", "none")
    for kind in kinds:
        can = Capabilities(structured_output=kind)
        found = await rehearsed(until_understood, ROWS[:1], players=roles(capabilities=can))
        sizes.append(only_site(found)[0].input_tokens / only_site(found)[0].calls)
    assert sizes[1] > sizes[0] + 20


async def test_a_reply_has_the_form_that_only_the_prompt_asks_for() -> None:
    """A vendor without structured output gets the schema as text; the recipe goes on all the same."""
    calls = []
    kinds: tuple[Literal["schema", "none"], ...] = ("schema", "none")
    for kind in kinds:
        players = roles("writer", "judge", capabilities=Capabilities(structured_output=kind))
        found = await rehearsed(MISCONCEPTION, None, players=players, n=4, controls=0)
        calls.append(
            {site.stage: found.samples.total(site).calls for site in found.samples.sites()}
        )
    assert calls[0] == calls[1]
    assert len(calls[0]) == 3


async def test_a_few_rows_that_go_by_chance_are_rehearsed_often() -> None:
    few, many = await rehearsed(until_understood, ROWS[:4]), await rehearsed(until_understood)
    assert (few.rows, few.samples.count) == (4, 4 * 16)
    ((site,), _) = few.samples.sites(), many.samples.sites()
    assert few.samples.mean(site).calls == pytest.approx(many.samples.mean(site).calls, rel=0.4)
    assert len({name[:16] for name in few.samples.by_sample}) == 4


async def test_rows_without_chance_are_rehearsed_once() -> None:
    assert (await rehearsed(looping, [{"turns": turns} for turns in (1, 2)])).samples.count == 2


async def test_a_rehearsal_is_the_same_each_time_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    once = await rehearsed(until_understood)
    again = await rehearsed(until_understood)
    for site in once.samples.sites():
        first, second = once.samples.total(site), again.samples.total(site)
        assert (first.calls, first.input_tokens, first.output_tokens) == (
            second.calls,
            second.input_tokens,
            second.output_tokens,
        )
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240  # the test has nothing else to do
