from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor.errors import InvalidOutput, Unavailable
from synthtutor.journal import Journal
from synthtutor.messages import Message, Settings
from synthtutor.reading import Reading
from synthtutor.session import RunContext, Session
from synthtutor.testing import ScriptedProvider
from tests.doubles import PRICED, Answer, Every, context, echo, in_turn, reply
from tests.test_session import BAD, GOOD, Work, in_a_pass, keys, session

# ── replay ───────────────────────────────────────────────────────────────────────────────────

plans = st.lists(
    st.tuples(st.sampled_from("pq"), st.integers(0, 3)), max_size=4
)  # what a branch asks, and how many turns of the loop it waits before


@settings(max_examples=12)
@given(
    st.dictionaries(st.sampled_from(["", "a", "b", "a/b"]), plans, max_size=4),
    st.randoms(use_true_random=False),
)
def test_any_interleaving_of_branches_replays_without_a_call(
    tmp_path_factory: pytest.TempPathFactory,
    branches: dict[str, list[tuple[str, int]]],
    chance: random.Random,
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    answers = iter(range(10_000))
    provider = ScriptedProvider(lambda request: f"{request.messages[0].content}{next(answers)}")
    waits: Callable[[int], int] = lambda turns: turns  # noqa: E731

    async def child(parent: Session, name: str, said: dict[str, list[str]]) -> None:
        mine = parent.branch(name) if name else parent
        said[name] = []
        for text, turns in branches[name]:
            for _ in range(waits(turns)):
                await asyncio.sleep(0)
            said[name].append(await mine.generate(str, text))

    async def work(context: RunContext) -> dict[str, list[str]]:
        parent = session(context)
        said: dict[str, list[str]] = {}
        children = [name for name in branches if name]
        chance.shuffle(children)
        async with asyncio.TaskGroup() as group:
            for name in children:
                group.create_task(child(parent, name, said))
            if "" in branches:
                await child(parent, "", said)
        return said

    async def twice() -> tuple[Any, Any, int]:
        first = await in_a_pass(folder, provider, work)
        paid = provider.calls
        nonlocal waits
        waits = lambda turns: (7 - turns) * chance.randint(0, 2)  # noqa: E731
        return first, await in_a_pass(folder, provider, work), paid

    first, second, paid = asyncio.run(twice())
    assert second == first
    assert provider.calls == paid


async def test_a_changed_prompt_asks_only_what_changed(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)

    def asking(*texts: str) -> Work:
        async def work(context: RunContext) -> None:
            asked = session(context)
            for text in texts:
                await asked.generate(str, text)

        return work

    await in_a_pass(tmp_path, provider, asking("a", "b", "c"))
    await in_a_pass(tmp_path, provider, asking("a", "B", "c"))
    assert [request.messages[0].content for request in provider.requests] == ["a", "b", "c", "B"]


async def test_a_replayed_sample_costs_and_counts_as_it_did_when_it_was_paid(
    tmp_path: Path,
) -> None:
    provider = ScriptedProvider(in_turn(reply("a"), reply("b")))

    async def work(context: RunContext) -> dict[str, Any]:
        asked = session(context)
        await asked.generate(str, "1")
        await asked.generate(str, "2", role="judge")
        return asked.lineage()

    first = await in_a_pass(tmp_path, provider, work, price=PRICED)
    assert first["cost_usd"] == pytest.approx(2 * (100 + 2 * 10) / 1e6)
    assert (first["input_tokens"], first["output_tokens"]) == (200, 20)
    assert await in_a_pass(tmp_path, provider, work, price=PRICED) == first


# ── invalid replies ──────────────────────────────────────────────────────────────────────────


async def failing(folder: Path, provider: ScriptedProvider, **more: Any) -> InvalidOutput:
    """The error of one structured call in a new pass."""

    async def work(context: RunContext) -> None:
        await session(context).generate(Answer, "hi")

    with pytest.raises(InvalidOutput) as caught:
        await in_a_pass(folder, provider, work, **more)
    return caught.value


async def test_an_invalid_reply_is_asked_again_with_what_is_wrong_with_it(
    journal: Journal,
) -> None:
    provider = ScriptedProvider(in_turn(BAD, GOOD))
    run = context(journal, provider)
    assert await session(run).generate(Answer, "hi") == Answer(words="yes", number=3)
    first, second = provider.requests
    assert second.messages[: len(first.messages)] == first.messages
    said, complaint = second.messages[len(first.messages) :]
    assert said == Message("assistant", BAD)
    assert complaint.role == "user"
    assert "number: Field required" in complaint.content
    assert run.reasked_calls == 1


async def test_an_empty_reply_is_asked_again_without_an_empty_turn(journal: Journal) -> None:
    provider = ScriptedProvider(in_turn("", "yes"))
    assert await session(context(journal, provider)).generate(str, "hi") == "yes"
    assert [message.role for message in provider.requests[1].messages] == ["user", "user"]


async def test_a_cut_reply_is_asked_again_with_twice_the_room(journal: Journal) -> None:
    provider = ScriptedProvider(in_turn(reply("Half a", finish="length"), "Whole."))
    asked = session(context(journal, provider))
    assert await asked.generate(str, "hi", settings=Settings(max_tokens=300)) == "Whole."
    assert [request.settings.max_tokens for request in provider.requests] == [300, 600]
    assert provider.requests[0].messages == provider.requests[1].messages


async def test_an_unparsable_reply_is_asked_a_bounded_number_of_times_and_kept(
    tmp_path: Path,
) -> None:
    provider = ScriptedProvider(lambda _: BAD)
    error = await failing(tmp_path, provider)
    assert (error.kind, error.text) == ("unparsable", BAD)
    assert provider.calls == 3
    assert len(set(keys(tmp_path))) == 3, "each is a new request under a key of its own"
    await failing(tmp_path, provider)
    assert provider.calls == 3, "replayed without paying"


async def test_a_refusal_is_kept_and_costed_and_replayed_without_paying(tmp_path: Path) -> None:
    provider = ScriptedProvider(in_turn(reply("I can't.", finish="refusal"), GOOD))
    for _ in range(2):
        error = await failing(tmp_path, provider, price=PRICED)
        assert (error.kind, error.text) == ("refused", "I can't.")
    assert provider.calls == 1
    reading = Reading.open(tmp_path / "journal.sqlite")
    try:
        (account,) = reading.account()
    finally:
        reading.close()
    assert (account["calls"], account["refused"]) == (1, 1)
    assert account["cost_usd"] == pytest.approx(120e-6)


async def test_a_truncated_reply_is_kept_and_replayed_without_paying(tmp_path: Path) -> None:
    provider = ScriptedProvider(lambda _: reply("Half", finish="length"))
    for _ in range(2):
        assert (await failing(tmp_path, provider)).kind == "truncated"
    assert provider.calls == 3


@pytest.mark.parametrize("finish", ["refusal", "length", "stop"])
async def test_retrying_the_failed_asks_again_what_was_refused_cut_or_unparsable(
    tmp_path: Path, finish: Any
) -> None:
    provider = ScriptedProvider(lambda _: reply("No", finish=finish))
    await failing(tmp_path, provider)
    paid = provider.calls

    async def work(context: RunContext) -> Answer:
        return await session(context).generate(Answer, "hi")

    willing = ScriptedProvider(lambda _: GOOD)
    expected = Answer(words="yes", number=3)
    assert await in_a_pass(tmp_path, willing, work, retry=Every()) == expected
    assert (willing.calls, len(keys(tmp_path))) == (1, paid + 1)
    assert await in_a_pass(tmp_path, willing, work) == expected, "the later answer is the one kept"
    assert willing.calls == 1


async def test_retrying_the_failed_leaves_good_replies_alone(tmp_path: Path) -> None:
    provider = ScriptedProvider(echo)

    async def work(context: RunContext) -> str:
        return await session(context).generate(str, "hi")

    for retried in (False, True):
        await in_a_pass(tmp_path, provider, work, retry=Every() if retried else ())
    assert provider.calls == 1


async def test_a_provider_error_is_not_journaled(tmp_path: Path) -> None:
    provider = ScriptedProvider(in_turn(Unavailable("down"), "yes"))

    async def work(context: RunContext) -> str:
        return await session(context).generate(str, "hi")

    with pytest.raises(Unavailable):
        await in_a_pass(tmp_path, provider, work)
    assert keys(tmp_path) == []
    assert await in_a_pass(tmp_path, provider, work) == "yes"


async def test_replies_are_parsed_again_by_the_type_of_today(tmp_path: Path) -> None:
    class Stricter(Answer):
        def model_post_init(self, _context: object) -> None:
            if self.number < 10:
                raise ValueError("number: must be 10 or more")

    provider = ScriptedProvider(in_turn(GOOD, '{"words": "yes", "number": 30}'))

    def asking(type_: type[Answer]) -> Work:
        async def work(context: RunContext) -> Answer:
            return await session(context).generate(type_, "hi")

        return work

    Stricter.__name__ = "Answer"  # the schema is the same, so the request is
    assert (await in_a_pass(tmp_path, provider, asking(Answer))).number == 3
    assert (await in_a_pass(tmp_path, provider, asking(Stricter))).number == 30
    assert provider.calls == 2
