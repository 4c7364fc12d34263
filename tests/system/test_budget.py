"""A budget holds: with hundreds of calls in flight, over processes, and with batches at the vendor."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import BudgetExceeded
from synthtutor.messages import Message, Request, Settings, Usage
from synthtutor.meter import worst_case
from synthtutor.prices import Price, price_of
from synthtutor.testing.replies import Reply, plausible_reply
from synthtutor.testing.server import OpenAIServer
from tests.system.runs import (
    MODEL,
    POSIX,
    Process,
    Run,
    contents,
    serving,
    write_rows,
    write_rubric,
)
from tests.test_accounts import MODEL as IN_BATCHES
from tests.test_accounts import ROWS, crash_when, finish, in_batches, journaled, run_at

pytestmark = pytest.mark.slow

PRICE = Price("given", per_million=(1.0, 2.0))
ALLOWED = 600
NEVER = 1_000_000  # looks at a batch until it ends


class LongTailed:
    """Replies whose lengths are log-normal, up to what was allowed; it sums up what it bills."""

    def __init__(self) -> None:
        self.billed_usd = 0.0
        self.replies = 0
        self.cut = 0
        self._dice = random.Random(11)
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            allowed = int(body.get("max_tokens") or body["max_completion_tokens"])
            wanted = round(self._dice.lognormvariate(math.log(120), 1.1))
            prompt = sum(len(str(m["content"]).encode()) for m in body["messages"])
            usage = Usage(prompt // 4 + 1, min(allowed, wanted))
            self.billed_usd += PRICE.cost(usage) or 0.0
            self.replies += 1
            self.cut += wanted >= allowed
            delay_s = 0.5 + min(allowed, wanted) / allowed
        return Reply(plausible_reply(body).text, usage=usage, delay_s=delay_s)


def told_left(out: str) -> tuple[int, float]:
    """The rows that are left and what they will cost, as the command says it."""
    found = re.search(r"left: ([\d,]+) rows?, about \$([\d.]+) at what a row has cost so far", out)
    assert found, out
    return int(found[1].replace(",", "")), float(found[2])


@pytest.mark.slow
@POSIX
def test_with_200_in_flight_and_long_tailed_replies_not_a_cent_too_much(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 500)
    rubric = write_rubric(tmp_path / "rubric.yaml")
    options = (
        *("--rows", str(rows), "--rubric", str(rubric), "--mode", "answer", "--controls", "0"),
        *("--concurrency", "200", "--price", f"{MODEL}=1/2", "--yes"),
        *("--max-tokens", f"writer={ALLOWED}", "--max-tokens", f"judge={ALLOWED}"),
    )
    vendor = LongTailed()
    with serving(vendor) as server:
        run = Run(server.root_url, tmp_path / "run", options)
        ended = run.finish("--budget", "0.5")
        assert ended.code == 3, ended.told
        assert server.max_in_flight >= 150, "the budget was never under pressure"
        assert vendor.cut >= 10, "no reply was as long as it may be"
        assert 0.49 <= vendor.billed_usd <= 0.5
        spent = json.loads(contents(run.folder)["statistics.json"])["cost_usd"]
        assert spent == pytest.approx(vendor.billed_usd, abs=1e-6), "what is paid has landed"
        left, told_usd = told_left(ended.out)
        made = sum(len(contents(run.folder)[name].splitlines()) for name in ("samples.jsonl", "rejected.jsonl"))  # fmt: skip
        assert left == 500 - made

        before = vendor.replies
        again = run.finish("--budget", "0.5")
        assert again.code == 3, "the same budget is still used up"
        assert vendor.billed_usd <= 0.5
        assert vendor.replies - before <= 2, "what a smaller call found room for"

        status = Process(["status", str(run.folder)], {}).ended()
        assert told_left(status.out)[0] <= left

        paid = vendor.billed_usd
        assert run.finish("--budget", "9").code == 0
        print(f"told {told_usd:.4f}, billed {vendor.billed_usd - paid:.4f}")
        assert vendor.billed_usd - paid == pytest.approx(told_usd, rel=0.5)


@pytest.mark.slow
@POSIX
def test_a_limit_on_tokens_holds_as_a_budget_does(options: tuple[str, ...], tmp_path: Path) -> None:
    vendor = LongTailed()
    with serving(vendor) as server:
        more = (*options, "--max-tokens", f"writer={ALLOWED}", "--max-tokens", f"judge={ALLOWED}")
        run = Run(server.root_url, tmp_path / "run", more)
        ended = run.finish("--max-tokens-total", "20000")
        assert ended.code == 3, ended.told
        assert "limit of 20,000 tokens" in ended.err
        account = json.loads(contents(run.folder)["statistics.json"])["account"]
        used = sum(entry["input_tokens"] + entry["output_tokens"] for entry in account)
        assert 15_000 < used <= 20_000


# ── batches that a process has left at the vendor ────────────────────────────────────────────


@pytest.fixture
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-loopback")


def worst_usd(*, batched: bool) -> float:
    """What the first call of each row may cost at most."""
    requests = [
        Request(IN_BATCHES, (Message("user", f"write about {n}"),), settings=Settings(200))
        for n in range(ROWS)
    ]
    price = price_of(IN_BATCHES)
    costs = [price.cost(Usage(*worst_case(one)), batched=batched) for one in requests]
    return sum(cost or 0.0 for cost in costs)


def billed(usage: Usage) -> Callable[[dict[str, Any]], Reply]:
    """A vendor that bills every call alike."""
    names = iter(range(10_000))

    def answer(body: dict[str, Any]) -> Reply:
        headers = {"x-request-id": f"req-{next(names)}"}
        return Reply(plausible_reply(body).text, usage=usage, headers=headers)

    return answer


async def leave_in_batches(server: OpenAIServer, folder: Path, *, batches: int = 1) -> None:
    """A process that ends while its batches are at the vendor."""

    async def looked_at() -> None:
        while len(server.batches.batches) < batches or server.batches.looks < batches:
            if server.batches.batches:
                server.batches.polls = NEVER
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)  # now it waits a second until it looks again

    await crash_when(looked_at, server, folder, batch=True, budget_usd=1.0, batch_poll_s=16.0)
    assert len(server.batches.batches) == batches


def end_batches(server: OpenAIServer) -> None:
    server.batches.polls = 0
    for batch in server.batches.batches.values():
        batch.polls_left = 0


@pytest.mark.usefixtures("_key")
@pytest.mark.parametrize("batch", [True, False])
async def test_what_is_in_batches_counts_from_the_start_until_it_is_collected(
    tmp_path: Path, batch: bool
) -> None:
    async with OpenAIServer(billed(Usage(5, 20))) as server:
        server.batches.polls = NEVER
        await leave_in_batches(server, tmp_path)
        async with run_at(server, tmp_path, batch=batch, budget_usd=1.0) as live:
            # Without --batch a batch that turns out lost would be asked for at the full price.
            assert live.meter.held_usd == pytest.approx(worst_usd(batched=batch))
            assert live.meter.spent_usd == 0
            end_batches(server)
            outcome = await live.go()
            assert (live.meter.held_usd, live.meter.reserved_usd) == (0, 0)
        assert outcome.complete
        assert len(journaled(tmp_path)) == 2 * ROWS
        assert len(in_batches(server)) + server.calls == 2 * ROWS, "nothing is paid twice"
        async with run_at(server, tmp_path, batch=batch, budget_usd=1.0) as live:
            assert live.meter.held_usd == 0


@pytest.mark.usefixtures("_key")
async def test_paid_batches_land_even_where_they_have_used_the_budget_up(tmp_path: Path) -> None:
    usage, price = Usage(5, 200), price_of(IN_BATCHES)
    budget_usd = worst_usd(batched=False)
    async with OpenAIServer(billed(usage)) as server:
        server.batches.polls = NEVER
        await leave_in_batches(server, tmp_path)
        end_batches(server)
        outcome = await finish(server, tmp_path, budget_usd=budget_usd)
        assert isinstance(outcome.error, BudgetExceeded)
        names = journaled(tmp_path)
        assert sum("/" in name for name in names) == ROWS, "all that was paid has landed"
        live = price.cost(usage) or 0.0
        bill = server.calls * live + len(in_batches(server)) * live / 2
        assert server.calls, "what came back cheaper made room"
        assert budget_usd - 2 * live < bill <= budget_usd


@pytest.mark.usefixtures("_key")
async def test_nothing_is_held_for_what_a_batch_did_not_answer(tmp_path: Path) -> None:
    expired = 5
    vendor = billed(Usage(5, 20))
    left = [Reply(hang=True)] * expired

    def forgetful(body: dict[str, Any]) -> Reply:
        return left.pop() if left else vendor(body)

    async with OpenAIServer(forgetful) as server:
        server.batches.polls = 0
        await leave_in_batches(server, tmp_path, batches=2)
        waiting = sum(len(b.outcomes) for b in server.batches.batches.values() if not b.ended)
        async with run_at(server, tmp_path, batch=True, budget_usd=1.0) as live:
            held = sum(map(len, live.meter._held.values()))
        unjournaled = len(in_batches(server)) - len(journaled(tmp_path))
        assert waiting >= expired
        assert held == unjournaled
