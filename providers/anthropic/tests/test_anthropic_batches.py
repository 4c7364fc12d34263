"""Message batches, end to end: submitted, found again, polled, read, cancelled, and what fails."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from synthtutor_anthropic import Anthropic

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from synthtutor.messages import Request, Response, Settings, Usage, user
from synthtutor.provider import BatchStatus, Endpoint
from synthtutor.testing.anthropic_wire import AnthropicServer
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply

KEY = "sk-ant-planted-0123456789"


def asking(*texts: str, model: str = "claude-opus-5", **settings: Any) -> dict[str, Request]:
    return {
        f"id-{text}": Request(f"anthropic/{model}", [user(text)], None, Settings(**settings))
        for text in texts
    }


def echo(body: dict[str, Any]) -> Reply:
    return Reply(str(body["messages"][-1]["content"]), usage=Usage(9, 3, 5, 2, 1))


@asynccontextmanager
async def against(
    behaviour: Behaviour = echo, **options: Any
) -> AsyncIterator[tuple[Anthropic, AnthropicServer]]:
    async with AnthropicServer(behaviour, **options) as server:
        provider = Anthropic(Endpoint(base_url=server.base_url, api_key=KEY, timeout_s=30.0))
        yield provider, server
        await provider.aclose()


async def read(provider: Anthropic, batch: str) -> Mapping[str, Response | ProviderError]:
    return {name: outcome async for name, outcome in provider.batch_results(batch)}


def lately() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


async def test_a_batch_is_submitted_polled_and_read() -> None:
    async with against(batch_polls=2) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a", "b"))
        assert await provider.batch_status(batch) == BatchStatus(False, 0, 2)
        assert await provider.batch_status(batch) == BatchStatus(False, 0, 2)
        assert await provider.batch_status(batch) == BatchStatus(True, 2, 2)
        outcomes = await read(provider, batch)
    assert set(outcomes) == {"id-a", "id-b"}
    assert outcomes["id-a"] == Response(
        "a", usage=Usage(9, 3, 5, 2, 1), model="claude-opus-5", batched=True
    )
    assert server.batches_created == 1


async def test_a_batch_carries_what_single_requests_carry() -> None:
    requests = asking("a", reasoning_effort="low", stop=["END"])
    async with against() as (provider, server):
        await provider.submit_batch("run-1", requests)
        await provider.complete(requests["id-a"])
    batch, single = server.asked
    assert batch.body == {"requests": [{"custom_id": "id-a", "params": single.body}]}


async def test_sampling_in_a_batch_goes_out_under_the_version_that_takes_it() -> None:
    async with against() as (provider, server):
        model = "claude-haiku-4-5"
        sampled = await provider.submit_batch("1", asking("a", model=model, temperature=0.5))
        plain = await provider.submit_batch("2", asking("b", model=model))
        for batch in (sampled, plain):
            await provider.batch_status(batch)
            await provider.batch_status(batch)
        outcomes = await read(provider, sampled)
    versions = [asked.headers["anthropic-version"] for asked in server.asked]
    assert versions[0] == "2023-06-01"
    assert versions[1] != "2023-06-01"
    assert server.asked[0].body["requests"][0]["params"]["temperature"] == 0.5
    assert isinstance(outcomes["id-a"], Response)


FAILURES: dict[str, tuple[Reply, type[ProviderError]]] = {
    "overloaded": (Reply.failure(529, "Busy."), Unavailable),
    "broken": (Reply.failure(500, "Oops."), Unavailable),
    "late": (Reply.failure(504, "Timed out."), Unavailable),
    "limited": (Reply.failure(429, "Slower."), RateLimited),
    "wrong": (Reply.failure(400, "messages: wrong"), Rejected),
    "unpaid": (Reply.failure(402, "No money."), Unauthorized),
    "expired": (Reply(hang=True), Unavailable),
    "malformed": (Reply(raw=b'{"content": 7}'), Unavailable),
}


async def test_each_failure_in_a_batch_means_what_it_would_mean_alone() -> None:
    def fail(body: dict[str, Any]) -> Reply:
        return FAILURES[body["messages"][-1]["content"]][0]

    async with against(fail, batch_polls=0) as (provider, _):
        batch = await provider.submit_batch("run-1", asking(*FAILURES))
        assert (await provider.batch_status(batch)).done
        outcomes = await read(provider, batch)
    kinds = {name.removeprefix("id-"): type(outcome) for name, outcome in outcomes.items()}
    assert kinds == {name: kind for name, (_, kind) in FAILURES.items()}
    overloaded = outcomes["id-overloaded"]
    assert isinstance(overloaded, ProviderError)
    assert overloaded.status == 529
    assert "Busy." in str(overloaded)
    assert "expired" in str(outcomes["id-expired"])


async def test_a_request_that_the_vendor_refuses_does_not_spoil_the_others() -> None:
    requests = asking("a") | {"id-empty": Request("anthropic/claude-opus-5", [])}
    async with against(batch_polls=0) as (provider, _):
        outcomes = await read(provider, await provider.submit_batch("run-1", requests))
    assert isinstance(outcomes["id-a"], Response)
    assert isinstance(outcomes["id-empty"], Rejected)


async def test_a_refusal_and_a_cut_in_a_batch_are_replies() -> None:
    def say(body: dict[str, Any]) -> Reply:
        if body["messages"][-1]["content"] == "cut":
            return Reply("Half", finish_reason="length")
        return Reply(None, refusal="No.")

    async with against(say, batch_polls=0) as (provider, _):
        batch = await provider.submit_batch("run-1", asking("cut", "refuse"))
        outcomes = await read(provider, batch)
    cut, refused = outcomes["id-cut"], outcomes["id-refuse"]
    assert isinstance(cut, Response)
    assert isinstance(refused, Response)
    assert (cut.finish, refused.finish) == ("length", "refusal")


async def test_a_cancelled_batch_ends_with_its_requests_unanswered() -> None:
    async with against(batch_polls=9) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a", "b"))
        await provider.cancel_batch(batch)
        assert (await provider.batch_status(batch)).done
        outcomes = await read(provider, batch)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes.values())
        assert len(outcomes) == 2
        await provider.cancel_batch(batch)
    assert server.rows == {}


# An id that was lost


async def test_a_batch_whose_id_was_lost_is_found_and_read() -> None:
    async with against(batch_polls=0) as (provider, server):
        await provider.submit_batch("run-1", asking("c", "d"))
        server.batch_faults.append(Reply(raw=b'{"id": "msgb'))
        with pytest.raises(Unavailable):
            await provider.submit_batch("run-2", asking("a", "b"))
        found = await provider.find_batch("run-2", ["id-a", "id-b"], lately())
        assert found is not None
        assert set(await read(provider, found)) == {"id-a", "id-b"}
    assert server.batches_created == 2


async def test_the_only_unfinished_batch_of_that_size_is_the_lost_one() -> None:
    async with against(batch_polls=9) as (provider, _):
        lost = await provider.submit_batch("run-1", asking("a", "b"))
        await provider.submit_batch("run-2", asking("c"))
        assert await provider.find_batch("run-1", ["id-a", "id-b"], lately()) == lost


async def test_several_unfinished_batches_of_that_size_are_told_apart_later() -> None:
    async with against(batch_polls=9) as (provider, server):
        lost = await provider.submit_batch("run-1", asking("a"))
        await provider.submit_batch("run-2", asking("b"))
        with pytest.raises(Unavailable, match="2 unfinished"):
            await provider.find_batch("run-1", ["id-a"], lately())
        for _ in range(10):
            await provider.batch_status(lost)
        assert await provider.find_batch("run-1", ["id-a"], lately()) == lost
        assert server.batches_created == 2


async def test_a_batch_that_never_arrived_is_not_found() -> None:
    async with against(batch_polls=0) as (provider, server):
        await provider.submit_batch("run-1", asking("c", "d"))
        server.batch_faults.append(Reply.failure(503, "Later."))
        with pytest.raises(Unavailable):
            await provider.submit_batch("run-2", asking("a", "b"))
        assert await provider.find_batch("run-2", ["id-a", "id-b"], lately()) is None
    assert server.batches_created == 1


async def test_a_batch_from_before_is_not_taken_for_the_lost_one() -> None:
    async with against(batch_polls=9) as (provider, _):
        await provider.submit_batch("run-1", asking("a"))
        later = datetime.now(UTC) + timedelta(seconds=1)
        assert await provider.find_batch("run-2", ["id-a"], later) is None


async def test_a_lost_batch_is_found_on_a_later_page() -> None:
    async with against(batch_polls=0) as (provider, _):
        lost = await provider.submit_batch("run-1", asking("a", "b"))
        for number in range(101):
            await provider.submit_batch("run-2", asking(f"{number}"))
        assert await provider.find_batch("run-1", ["id-a", "id-b"], lately()) == lost


async def test_a_reader_may_stop_early() -> None:
    async with against(batch_polls=0) as (provider, _):
        batch = await provider.submit_batch("run-1", asking("a", "b"))
        async with aclosing(provider.batch_results(batch)) as outcomes:
            async for name, _outcome in outcomes:
                assert name == "id-b"
                break
        assert len(await read(provider, batch)) == 2


# What goes wrong on the way


async def test_a_text_may_hold_any_line_separator() -> None:
    odd = "one\u2028two\x85three\x0bfour\r\nfive"
    async with against(lambda _: Reply(odd), batch_polls=0) as (provider, _):
        outcomes = await read(provider, await provider.submit_batch("run-1", asking("a")))
    assert isinstance(outcomes["id-a"], Response)
    assert outcomes["id-a"].text == odd


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"null", b'{"data": 7}', b"<html>Log in</html>"])
async def test_what_is_no_batch_is_not_taken_for_one(raw: bytes) -> None:
    async with against(batch_polls=9) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a"))
        calls = (
            lambda: provider.submit_batch("run-2", asking("b")),
            lambda: provider.batch_status(batch),
            lambda: provider.find_batch("run-2", ["id-b"], lately()),
            lambda: read(provider, batch),
        )
        for call in calls:
            server.batch_faults.append(Reply(raw=raw))
            with pytest.raises(Unavailable):
                await call()


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"custom_id": 7}', b"\xff", b"{"])
async def test_lines_that_are_no_results_are_told_after_all_the_others(line: bytes) -> None:
    async with against(batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a"))
        after = b'{"custom_id":"id-a","result":{"type":"expired"}}'
        server.batch_faults += [None, Reply(raw=line + b"\n" + after)]
        seen: list[str] = []
        with pytest.raises(Unreadable):
            await names_into(seen, provider, batch)
    assert seen == ["id-a"]


@pytest.mark.parametrize(
    "result", ["7", "{}", '{"type": "errored"}', '{"type": "succeeded", "message": []}']
)
async def test_a_result_that_makes_no_sense_can_be_asked_for_again(result: str) -> None:
    line = f'{{"custom_id": "id-a", "result": {result}}}'.encode()
    async with against(batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a"))
        server.batch_faults += [None, Reply(raw=line)]
        outcomes = await read(provider, batch)
    assert isinstance(outcomes["id-a"], Unavailable)


async def test_an_unknown_batch_is_rejected_without_blaming_the_model() -> None:
    async with against() as (provider, _):
        with pytest.raises(Rejected) as caught:
            await provider.batch_status("msgbatch_none")
    assert (caught.value.reason, caught.value.status) == ("request", 404)


async def test_results_that_are_not_there_yet_can_be_asked_for_again() -> None:
    async with against(batch_polls=9) as (provider, _):
        batch = await provider.submit_batch("run-1", asking("a"))
        with pytest.raises(Unavailable):
            await read(provider, batch)


async def test_results_that_are_cut_are_kept_up_to_there() -> None:
    async with against(batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a", "b"))
        whole = list(await read(provider, batch))
        line = b'{"custom_id":"id-b","result":{"type":"expired"}}\n{"custom_id":"id'
        server.batch_faults += [None, Reply(raw=line)]  # the SDK first asks for their address
        seen: list[str] = []
        with pytest.raises(Unavailable):
            await names_into(seen, provider, batch)
    assert (whole, seen) == (["id-b", "id-a"], ["id-b"])


async def names_into(seen: list[str], provider: Anthropic, batch: str) -> None:
    async for name, _ in provider.batch_results(batch):
        seen.append(name)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
async def test_the_key_is_never_shown(status: int) -> None:
    quoted = Reply.failure(status, f"You sent {KEY}")
    errors: list[ProviderError] = []
    async with against(lambda _: quoted, batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asking("a"))
        errors += [
            e for e in (await read(provider, batch)).values() if isinstance(e, ProviderError)
        ]
        calls = (
            lambda: provider.submit_batch("run-2", asking("b")),
            lambda: provider.batch_status(batch),
            lambda: provider.find_batch("run-2", ["id-b"], lately()),
            lambda: provider.cancel_batch(batch),
            lambda: read(provider, batch),
        )
        for call in calls:
            server.batch_faults.append(quoted)
            with pytest.raises(ProviderError) as caught:
                await call()
            errors.append(caught.value)
        server.batch_faults += [None, quoted]
        with pytest.raises(ProviderError) as caught:
            await read(provider, batch)
        errors.append(caught.value)
    assert len(errors) == 7
    for error in errors:
        shown = "".join(traceback.format_exception(error)) + repr(error)
        assert KEY not in shown
        assert "[redacted]" in shown


async def test_the_default_behaviour_answers_batches_too() -> None:
    async with against(plausible_reply, batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asking(*map(str, range(50))))
        outcomes = await read(provider, batch)
    assert len({o.text for o in outcomes.values() if isinstance(o, Response)}) == 50
    assert server.rows[""].answered == 50
    assert server.calls == 0
