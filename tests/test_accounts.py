"""The account against the books of the other side: a server that notes what it billed."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from synthtutor.accounts import Expectation, Left, Resumes, expectation, folded, left
from synthtutor.config import RunConfig
from synthtutor.journal import Call, Journal, SampleRecord
from synthtutor.messages import Message, Response, Settings, Usage
from synthtutor.prices import price_of
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import recipe
from synthtutor.runs import Live, Outcome, opened
from synthtutor.session import Session
from synthtutor.testing.replies import Reply, plausible_reply
from synthtutor.testing.server import OpenAIServer
from synthtutor.tutoring import Sample
from tests.doubles import Answer

pytestmark = pytest.mark.slow

MODEL = "openai/gpt-4o-mini"
FIGURES = ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")
ROWS, AT_ONCE = 12, 8


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-loopback")


@recipe(name="talk", roles=("writer", "judge"))
async def talk(session: Session, row: dict[str, Any]) -> Sample:
    """A text, and a structured answer about it that may have to be asked for again."""
    settings = Settings(max_tokens=200)
    text = await session.generate(str, f"write about {row['n']}", settings=settings)
    verdict = await session.generate(Answer, f"judge {text}", role="judge", settings=settings)
    messages = [Message("user", "?"), Message("assistant", text)]
    return Sample(messages, {}, "kept" if verdict.number % 2 else "rejected")


@asynccontextmanager
async def run_at(server: OpenAIServer, folder: Path, **more: Any) -> AsyncIterator[Live]:
    fields = {"recipe": "talk", "models": {"default": MODEL}, "concurrency": AT_ONCE}
    fields |= {"batch_wait_s": 0.03, "batch_poll_s": 0.05, "max_failed": 1.0, **more}
    fields["base_urls"] = {"openai": server.base_url}
    rows = [{"n": number} for number in range(ROWS)]
    async with opened(RunConfig.checked(fields), folder, recipe=talk, rows=rows) as live:
        yield live


async def finish(server: OpenAIServer, folder: Path, **more: Any) -> Outcome:
    async with run_at(server, folder, **more) as live:
        return await live.go()


# ── against the server's own books ───────────────────────────────────────────────────────────


@dataclass
class Books:
    """A vendor by chance: what it bills for each reply by id, and which of those never arrive."""

    dice: random.Random
    faults: float
    billed: dict[str, Usage] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    crash_at: int | None = None
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: set[str] = field(default_factory=set)
    under_way_from: int = 0
    asked: int = 0

    def answer(self, body: dict[str, Any]) -> Reply:
        self.asked += 1
        if self.crash_at is not None and self.asked >= self.crash_at:
            self.crash_at = None
            self.crashed.set()
        if self.dice.random() < self.faults:
            status = self.dice.choice((429, 500, 503))
            return Reply.failure(status, "no", headers={"retry-after-ms": "1"})
        return self._billed(body)

    def _billed(self, body: dict[str, Any]) -> Reply:
        into, out = self.dice.randint(1, 900), self.dice.randint(1, 200)
        cached, thought = self.dice.randint(0, into), self.dice.randint(0, out)
        usage = Usage(into, out, cached, 0, thought)
        text = plausible_reply(body).text
        kind = self.dice.random()
        refusal = "I would rather not." if kind < 0.05 else None
        if 0.05 <= kind < 0.15:
            text = "not what was asked for"
        name = f"req-{self.asked}"
        drop = self.dice.random() < self.faults / 3
        self.billed[name] = usage
        self.dropped |= {name} if drop else set()
        headers = {"x-request-id": name}
        return Reply(text, refusal=refusal, usage=usage, headers=headers, drop=drop)


def in_batches(server: OpenAIServer) -> dict[str, str]:
    """The ids of what was answered in batches, and the names that the journal has for them."""
    return {
        outcome["response"]["request_id"]: f"{name}/{outcome['custom_id']}"
        for name, batch in server.batches.batches.items()
        for outcome in batch.outcomes
        if outcome["response"] is not None and outcome["response"]["status_code"] == 200
    }


def journaled(folder: Path) -> dict[str, Usage]:
    """The journal's replies by the server's name for each, read with sqlite3 alone."""
    connection = sqlite3.connect(folder / "journal.sqlite")
    try:
        rows = connection.execute("SELECT response FROM calls").fetchall()
    finally:
        connection.close()
    replies = [json.loads(response) for (response,) in rows]
    found = {reply["request_id"]: Usage(**reply["usage"]) for reply in replies}
    assert len(found) == len(replies), "a reply is in the journal twice"
    return found


def sums(usages: Iterable[Usage]) -> dict[str, int]:
    total = sum(usages, Usage())
    return {name: getattr(total, name) for name in FIGURES}


async def crash_when(
    moment: Callable[[], Coroutine[Any, Any, None]], server: OpenAIServer, folder: Path, **more: Any
) -> None:
    """Run until the moment has come, and end the run's task in the middle of everything."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(finish(server, folder, **more))
        waiting = group.create_task(moment())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        waiting.cancel()
        _, still = await asyncio.wait([running], timeout=20)
        running.cancel()
    assert not still, "a run whose task was cancelled went on"


async def crash(server: OpenAIServer, folder: Path, books: Books, **more: Any) -> None:
    """End a run when the books say so."""

    async def moment() -> None:
        await books.crashed.wait()
        if more.get("batch"):  # the server answers a batch when it is made: let it be known of
            await asyncio.sleep(books.dice.uniform(0, 0.1))
        books.under_way_from = max(0, len(books.billed) - AT_ONCE)

    books.crash_at = books.asked + books.dice.randint(1, 2 * ROWS)
    await crash_when(moment, server, folder, **more)
    books.crashed.clear()
    books.under_way |= set(list(books.billed)[books.under_way_from :])
    books.crash_at = None


async def compare(seed: int, folder: Path) -> tuple[int, int]:
    """One schedule by chance; how many replies were billed, and how many of those never arrived."""
    dice = random.Random(seed)
    share = dice.choice((0.0, 0.6, 1.0))
    books = Books(dice, faults=dice.choice((0.0, 0.1, 0.25)))
    crashes = dice.randint(0, 3)
    async with OpenAIServer(books.answer) as server:
        server.batches.polls = dice.randint(0, 2)
        for _ in range(crashes):
            await crash(server, folder, books, batch=dice.random() < share)
        outcome = await finish(server, folder, batch=dice.random() < share)
    assert outcome.complete
    batched = in_batches(server)
    dropped = books.dropped - batched.keys()  # a batch's replies do not hang on a connection
    kept = journaled(folder)
    billed = {batched.get(name, name): usage for name, usage in books.billed.items()}
    assert kept.keys() <= billed.keys()
    assert all(kept[name] == billed[name] for name in kept)

    missing = billed.keys() - kept.keys()
    assert dropped <= missing, "a dropped reply was taken all the same"
    cut = missing - dropped
    assert cut <= books.under_way, "only a crash may lose a reply, and only one under way"
    assert len(cut) <= crashes * AT_ONCE

    arrived = {name: usage for name, usage in billed.items() if name not in missing}
    account = {name: sum(e[name] for e in outcome.summary.account) for name in FIGURES}
    assert account == sums(arrived.values())
    assert sum(entry["calls"] for entry in outcome.summary.account) == len(arrived)
    price = price_of(MODEL)
    dollars = sum(price.cost(usage, batched="/" in name) or 0.0 for name, usage in arrived.items())
    assert outcome.summary.cost_usd == pytest.approx(dollars, abs=1e-9)
    return len(billed), len(missing)


@pytest.mark.parametrize("seed", range(10))
async def test_the_account_is_what_the_server_billed(seed: int, tmp_path: Path) -> None:
    billed, _ = await compare(seed, tmp_path)
    assert billed >= 2 * ROWS - 5


@pytest.mark.slow
async def test_the_account_is_what_the_server_billed_whatever_happens(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        each = [group.create_task(compare(seed, tmp_path / str(seed))) for seed in range(100, 140)]
    billed, missing = map(sum, zip(*(task.result() for task in each), strict=True))
    print(f"{billed} replies billed, {missing} of them never arrived")
    assert missing, "nothing was dropped or cut, so that was not tested"


# ── what the account says ────────────────────────────────────────────────────────────────────


def call(sample: bytes, role: str, cost: float | None, **more: Any) -> Call:
    kind = more.pop("kind", "sample")
    response = Response("t", Usage(10, 5), more.pop("finish", "stop"))
    key = sample + role.encode() + str(more).encode()
    return Call(key, sample, kind, role, f"{role}.j2", "p/m", b"{}", response, cost, 1.0, **more)


async def finished(journal: Journal, sample: bytes, outcome: str, kind: str = "sample") -> None:
    await journal.finish(SampleRecord(sample, kind, sample[0], outcome, "", b"{}"))


async def test_money_is_told_by_what_became_of_the_sample(journal: Journal) -> None:
    for sample, outcome in ((b"a", "kept"), (b"b", "rejected"), (b"c", "failed"), (b"d", "")):
        await journal.put(
            call(sample, "writer", 1.0, finish="refusal" if sample == b"c" else "stop")
        )
        if outcome:
            await finished(journal, sample, outcome)
    await journal.put(call(b"a", "writer", 0.5, attempt=1))
    await journal.put(call(b"a", "writer", 0.25, attempt=2))
    await journal.put(call(b"k", "judge", 0.125, kind="control"))
    await finished(journal, b"k", "kept", "control")
    reading = Reading.open(journal.path)
    try:
        found = {(e["role"], e["outcome"]): e for e in reading.entries()}
        assert {place: e["cost_usd"] for place, e in found.items()} == {
            ("judge", "control"): 0.125,
            ("writer", "kept"): 1.75,
            ("writer", "rejected"): 1.0,
            ("writer", "failed"): 1.0,
            ("writer", "unfinished"): 1.0,
        }
        kept, failed = found["writer", "kept"], found["writer", "failed"]
        assert (kept["asked_again"], kept["asked_again_calls"]) == (1, 2)
        assert kept["asked_again_tokens"] == 30
        assert (failed["refused"], failed["refused_tokens"]) == (1, 15)
        (all_of_it,) = folded(reading.entries())
        assert all_of_it["calls"] == reading.totals()[0] == 7
        assert all_of_it["cost_usd"] == reading.totals()[2] == 4.875
    finally:
        reading.close()


async def test_samples_that_a_later_run_no_longer_makes_are_told_apart(journal: Journal) -> None:
    await journal.put(call(b"a", "writer", 1.0))
    await finished(journal, b"a", "kept")
    await journal.end(complete=True, retries=0, rate_limited=0, seconds=1.0)
    await journal.begin("{}")
    await journal.end(complete=True, retries=0, rate_limited=0, seconds=1.0)
    reading = Reading.open(journal.path)
    try:
        assert [entry["outcome"] for entry in reading.entries()] == ["outdated"]
    finally:
        reading.close()


async def test_what_resuming_saved_is_counted_where_the_run_went_on(tmp_path: Path) -> None:
    chance = random.Random(7)
    books = Books(chance, faults=0.0)
    async with OpenAIServer(books.answer) as server:
        await crash(server, tmp_path, books)
        before = len(journaled(tmp_path))
        assert before > 0
        first = await finish(server, tmp_path)
        again = await finish(server, tmp_path)
    resumes = first.summary.resumes
    assert (resumes.passes, resumes.calls) == (1, before)
    assert 0 < resumes.usd < first.summary.cost_usd
    assert again.summary.resumes == resumes, "a finished run that is run again saves nothing"


async def test_a_run_of_one_go_has_saved_nothing_by_resuming(tmp_path: Path) -> None:
    async with OpenAIServer(Books(random.Random(1), faults=0.0).answer) as server:
        outcome = await finish(server, tmp_path)
    assert outcome.summary.resumes == Resumes()
    assert outcome.summary.left is None


async def test_the_cost_of_a_kept_sample_has_all_dollars_in_it_or_is_not_told(
    tmp_path: Path,
) -> None:
    async with OpenAIServer(Books(random.Random(3), faults=0.0).answer) as server:
        priced = (await finish(server, tmp_path / "priced")).summary
        unknown = {"default": "openai/no-such-model", "judge": MODEL}
        unpriced = (await finish(server, tmp_path / "unpriced", models=unknown)).summary
    assert priced.kept
    assert priced.cost_per_kept_usd == pytest.approx(priced.cost_usd / priced.kept)
    assert unpriced.kept
    assert unpriced.unpriced_calls
    assert unpriced.cost_per_kept_usd is None
    figures = json.loads((tmp_path / "priced" / "statistics.json").read_text())
    assert figures["cost_per_kept_usd"] == round(priced.cost_usd / priced.kept, 6)
    outcomes = {entry["outcome"] for entry in figures["account"]}
    assert outcomes == {name for name, count in priced.outcomes.items() if count}


@pytest.mark.parametrize(
    ("noted", "billed", "unpriced", "complete", "ratio"),
    [
        ({"low_usd": 8.0, "expected_usd": 10.0, "high_usd": 13.0}, 11.0, 0, True, 1.1),
        ({"low_usd": 8.0, "expected_usd": 10.0, "high_usd": 13.0}, 11.0, 0, False, None),
        ({"low_usd": 8.0, "expected_usd": 10.0, "high_usd": 13.0}, 11.0, 3, True, None),
        ({"low_usd": 0.0, "expected_usd": 0.0, "high_usd": 0.0}, 0.0, 0, True, None),
    ],
)
def test_an_estimate_is_compared_with_a_bill_that_is_whole(
    noted: dict[str, float], billed: float, unpriced: int, complete: bool, ratio: float | None
) -> None:
    found = expectation(noted, billed, unpriced, complete=complete)
    low, expected, high = noted.values()
    assert found == Expectation(low, expected, high, billed, ratio)
    assert expectation(None, billed, unpriced, complete=complete) is None


async def test_an_estimate_that_was_noted_is_in_the_summary(tmp_path: Path) -> None:
    books = Books(random.Random(1), faults=0.0)
    async with OpenAIServer(books.answer) as server, run_at(server, tmp_path) as live:
        await live.journal.note("estimate", '{"low_usd": 1, "expected_usd": 2, "high_usd": 3}')
        summary = (await live.go()).summary
    assert summary.expected is not None
    assert summary.expected.ratio == round(summary.cost_usd / 2, 4)


def test_what_is_left_costs_as_much_a_row_as_the_finished_did() -> None:
    def entry(outcome: str, cost: float, **more: Any) -> dict[str, Any]:
        return {"kind": "sample", "outcome": outcome, "cost_usd": cost, "unpriced": 0, **more}

    done = [entry("kept", 3.0), entry("rejected", 1.0), entry("control", 9.0, kind="control")]
    assert left(done, 10, 4) == Left(6, 6.0)
    assert left([*done, entry("unfinished", 0.5)], 10, 4) == Left(6, 5.5), "in part it is paid"
    assert left(done, 10, 4, longer=1.5) == Left(6, 11.0), "those under way are longer ones"
    assert left([*done, entry("kept", 0.0, unpriced=2)], 10, 4) == Left(6, None)
    assert left([], 10, 0) == Left(10, None)
    assert left(done, 4, 4) is None
    assert left(done, None, 4) is None, "rows without end have no rest"
