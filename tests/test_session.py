from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import ConfigError, RecipeError
from synthtutor.journal import Journal
from synthtutor.messages import Message, Request, Response, Settings, Usage, user
from synthtutor.prices import UNKNOWN, Price
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.session import RunContext, Session
from synthtutor.testing import ScriptedProvider
from tests.doubles import Answer, context, echo, in_turn, reply

GOOD = '{"words": "yes", "number": 3}'
BAD = '{"words": "yes"}'
Work = Callable[[RunContext], Awaitable[Any]]


def session(context: RunContext, sample: bytes = b"sample") -> Session:
    return Session(context, sample)


async def in_a_pass(folder: Path, provider: ScriptedProvider, work: Work, **more: Any) -> Any:
    """``work`` done in a new pass of the run in the folder."""
    async with Journal(folder / "journal.sqlite", ballast_bytes=0) as journal:
        await journal.begin("{}")
        return await work(context(journal, provider, **more))


def keys(folder: Path) -> list[bytes]:
    """The keys of all journaled calls, in order."""
    reading = Reading.open(folder / "journal.sqlite")
    try:
        return [key for (key,) in reading.connection.execute("SELECT key FROM calls ORDER BY id")]
    finally:
        reading.close()


# ── one call ─────────────────────────────────────────────────────────────────────────────────


async def test_a_reply_is_committed_before_generate_returns(journal: Journal) -> None:
    await session(context(journal, ScriptedProvider(echo))).generate(str, "hi")
    reading = Reading.open(journal.path)
    try:
        assert reading.totals()[0] == 1
    finally:
        reading.close()


async def test_a_reply_lands_though_its_caller_is_cancelled_while_it_is_committed(
    tmp_path: Path,
) -> None:
    async def work(context: RunContext) -> None:
        async def child() -> None:
            await session(context).generate(str, "hi")

        task = asyncio.create_task(child())
        while not provider.calls:  # noqa: ASYNC110  # until the reply is on its way
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    provider = ScriptedProvider(echo)
    await in_a_pass(tmp_path, provider, work)
    assert len(keys(tmp_path)) == 1

    async def again(context: RunContext) -> str:
        return await session(context).generate(str, "hi")

    assert await in_a_pass(tmp_path, provider, again) == "echo of hi"
    assert provider.calls == 1


async def test_a_prompt_is_text_messages_or_a_template(journal: Journal) -> None:
    provider = ScriptedProvider(echo)
    asked = session(context(journal, provider))
    await asked.generate(str, "hi")
    await asked.generate(str, [Message("system", "s"), user("u")])
    await asked.generate(
        str,
        "misconception/student.md.j2",
        case={"question": "q", "first_explanation": "e"} | {"follow_up": "f"},
    )
    text, messages, template = provider.requests
    assert text.messages == (user("hi"),)
    assert messages.messages == (Message("system", "s"), user("u"))
    assert "My follow-up:\nf" in template.messages[0].content


async def test_a_role_without_a_model_is_named_with_what_to_add(journal: Journal) -> None:
    with pytest.raises(ConfigError, match="--model student=provider/model"):
        await session(context(journal, ScriptedProvider())).generate(str, "hi", role="student")


async def test_the_runs_settings_win_over_the_recipes(journal: Journal) -> None:
    provider = ScriptedProvider(echo)
    run = context(journal, provider, overrides={"temperature": 0.1})
    await session(run).generate(str, "hi", settings=Settings(max_tokens=7, temperature=0.9))
    (sent,) = provider.requests
    assert (sent.settings.temperature, sent.settings.max_tokens) == (0.1, 7)


async def test_each_call_has_a_seed_of_its_own_where_the_model_takes_one(
    journal: Journal,
) -> None:
    provider = ScriptedProvider(echo)
    asked = session(context(journal, provider))
    for _ in range(3):
        await asked.generate(str, "hi")
    seeds = [request.settings.seed for request in provider.requests]
    assert len(set(seeds)) == 3
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)
    await asked.generate(str, "hi", settings=Settings(seed=5))
    assert provider.requests[-1].settings.seed == 5


async def test_no_seed_is_sent_to_a_model_that_takes_none(journal: Journal) -> None:
    provider = ScriptedProvider(echo, capabilities=Capabilities(seed=False))
    await session(context(journal, provider)).generate(str, "hi")
    assert provider.requests[0].settings.seed is None


@pytest.mark.parametrize(
    ("structured", "has_schema", "in_prompt"),
    [
        ("grammar", True, False),
        ("schema", True, False),
        ("json", True, True),
        ("none", False, True),
    ],
)
async def test_the_schema_goes_where_the_model_reads_it(
    journal: Journal, structured: Any, has_schema: bool, in_prompt: bool
) -> None:
    provider = ScriptedProvider(
        in_turn(GOOD), capabilities=Capabilities(structured_output=structured)
    )
    await session(context(journal, provider)).generate(Answer, "hi")
    (sent,) = provider.requests
    assert (sent.schema is not None) == has_schema
    assert ("JSON schema" in sent.messages[-1].content) == in_prompt


# ── keys ─────────────────────────────────────────────────────────────────────────────────────


async def ask_all(folder: Path, *asked: tuple[bytes, int, str, str, float]) -> list[bytes]:
    """The key of each (sample, seed, branch, text, temperature), asked in runs of their own."""
    async with Journal(folder / "journal.sqlite", ballast_bytes=0) as journal:
        await journal.begin("{}")
        for sample, seed, branch, text, temperature in asked:
            at = session(context(journal, ScriptedProvider(echo), seed=seed), sample)
            at = at.branch(branch) if branch else at
            await at.generate(str, text or " ", settings=Settings(temperature=temperature))
    return keys(folder)


places = st.tuples(
    st.sampled_from([b"a", b"b"]),
    st.integers(0, 2),
    st.sampled_from(["", "x", "y", "x/y"]),
    st.sampled_from(["p", "q"]),
    st.sampled_from([0.0, 1.0]),
)


@settings(max_examples=15)
@given(st.lists(places, min_size=2, max_size=8))
def test_the_same_content_in_the_same_place_has_the_same_key_and_any_other_another(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[bytes, int, str, str, float]]
) -> None:
    found = asyncio.run(ask_all(tmp_path_factory.mktemp("keys"), *asked))
    for one, key in zip(asked, found, strict=True):
        for other, other_key in zip(asked, found, strict=True):
            assert (key == other_key) == (one == other)


async def test_the_same_request_asked_again_is_another_call(tmp_path: Path) -> None:
    provider = ScriptedProvider(in_turn("one", "two", "three"))

    async def work(context: RunContext) -> list[str]:
        asked = session(context)
        return [await asked.generate(str, "pick a number") for _ in range(3)]

    first = await in_a_pass(tmp_path, provider, work)
    assert first == ["one", "two", "three"]
    assert await in_a_pass(tmp_path, provider, work) == first
    assert len(set(keys(tmp_path))) == 3


# ── branches ─────────────────────────────────────────────────────────────────────────────────


async def test_a_task_that_does_not_own_a_session_may_not_use_it(journal: Journal) -> None:
    parent = session(context(journal, ScriptedProvider(echo)))
    with pytest.raises(RecipeError, match=r"session\.branch"):
        await asyncio.create_task(parent.generate(str, "hi"))


async def test_a_branch_belongs_to_the_task_that_took_it(journal: Journal) -> None:
    provider = ScriptedProvider(echo)
    parent = session(context(journal, provider))

    async def child(name: str) -> str:
        return await parent.branch(name).generate(str, "hi")

    assert await asyncio.create_task(child("a")) == "echo of hi"
    taken_outside = parent.branch("b")
    with pytest.raises(RecipeError):
        await asyncio.create_task(taken_outside.generate(str, "hi"))
    assert provider.calls == 1


async def test_a_timeout_inside_the_task_keeps_it_the_owner(journal: Journal) -> None:
    parent = session(context(journal, ScriptedProvider(echo)))
    async with asyncio.timeout(60):
        assert await parent.generate(str, "hi") == "echo of hi"


async def test_a_branch_name_is_taken_once_in_a_sample(journal: Journal) -> None:
    run = context(journal, ScriptedProvider())
    parent = session(run)
    parent.branch("a")
    with pytest.raises(RecipeError, match="'/a' was taken before"):
        parent.branch("a")
    session(run, b"another sample").branch("a")


async def test_branches_nest(tmp_path: Path) -> None:
    provider = ScriptedProvider(in_turn(*map(str, range(4))))

    async def work(context: RunContext) -> list[str]:
        parent = session(context)
        a, b = parent.branch("a"), parent.branch("b")
        places = [parent, a, b, a.branch("b")]
        return [await place.generate(str, "the same") for place in places]

    first = await in_a_pass(tmp_path, provider, work)
    assert first == ["0", "1", "2", "3"]
    assert await in_a_pass(tmp_path, provider, work) == first


async def test_random_numbers_are_decided_by_seed_sample_and_branch(journal: Journal) -> None:
    def draw(seed: int, sample: bytes, branch: str) -> float:
        at = session(context(journal, ScriptedProvider(), seed=seed), sample)
        return (at.branch(branch) if branch else at).random.random()

    numbers = [draw(0, b"a", ""), draw(1, b"a", ""), draw(0, b"b", ""), draw(0, b"a", "x")]
    assert len(set(numbers)) == 4
    assert numbers == [draw(0, b"a", ""), draw(1, b"a", ""), draw(0, b"b", ""), draw(0, b"a", "x")]


# ── what a sample carries ────────────────────────────────────────────────────────────────────


async def test_lineage_lists_the_calls_in_an_order_that_timing_does_not_change(
    journal: Journal,
) -> None:
    parent = session(context(journal, ScriptedProvider(echo)))

    async def child(name: str, turns: int) -> None:
        mine = parent.branch(name)
        for _ in range(turns):
            await asyncio.sleep(0)
        await mine.generate(str, "hi")

    async with asyncio.TaskGroup() as group:
        group.create_task(child("b", 0))
        group.create_task(child("a", 5))
    assert [entry["branch"] for entry in parent.lineage()["calls"]] == ["/a", "/b"]


async def test_lineage_says_what_was_served_and_by_which_prompt(journal: Journal) -> None:
    provider = ScriptedProvider(in_turn(reply("x"), reply("y")))
    asked = session(context(journal, provider))
    case = {"question": "q", "first_explanation": "e", "follow_up": "f"}
    await asked.generate(str, "misconception/student.md.j2", case=case)
    served = reply("y")
    provider._script = lambda _request: type(served)("y", model="another-m")
    await asked.generate(str, "hi")
    first, second = asked.lineage()["calls"]
    assert len(first["prompt_digest"]) == 12
    assert "served" not in first
    assert second["served"] == "another-m"


async def test_the_cost_does_not_depend_on_which_branch_came_first(journal: Journal) -> None:
    # In dollars of floats the first order sums to ….352538 millionths, the second to ….352537.
    prices = {"a": 0.0001038375, "b": 8.4675e-05, "c": 0.000164025}
    costs = set()
    for order in permutations(prices):

        def script(request: Request) -> Response:
            return Response("yes", Usage(round(prices[request.messages[0].content] * 1e10), 0))

        price = Price("given", per_million=(1e-4, 0.0))
        asked = session(
            context(journal, ScriptedProvider(script), price=price), "".join(order).encode()
        )
        for branch in order:
            await asked.branch(branch).generate(str, branch)
        costs.add(asked.lineage()["cost_usd"])
    assert len(costs) == 1


async def test_an_unknown_price_makes_the_samples_cost_unknown(journal: Journal) -> None:
    asked = session(context(journal, ScriptedProvider(echo), price=UNKNOWN))
    await asked.generate(str, "hi")
    assert asked.lineage()["cost_usd"] is None


async def test_text_for_demonstration_only_marks_the_sample(journal: Journal) -> None:
    for marked in (True, False):
        provider = ScriptedProvider(echo, capabilities=Capabilities(demonstration_only=marked))
        asked = session(context(journal, provider), b"%d" % marked)
        await asked.generate(str, "hi")
        assert asked.lineage().get("demonstration_only", False) is marked


async def test_a_recipe_that_needs_a_rubric_says_so(journal: Journal) -> None:
    with pytest.raises(ConfigError, match="--rubric"):
        _ = session(context(journal, ScriptedProvider())).rubric
