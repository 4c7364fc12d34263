"""Gemini's batches end to end: submitted, found again, read, cancelled; whatever becomes of them."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import synthtutor_google_batches as wire
from synthtutor_google import Google

from synthtutor.errors import ProviderError, RateLimited, Rejected, Unauthorized, Unavailable
from synthtutor.messages import Message, Request, Response, Schema, Settings, Usage, system, user
from synthtutor.provider import BatchProvider, Endpoint
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply

KEY = "AIza-test-0123456789"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "google/gemini-2.5-flash"


@asynccontextmanager
async def batching(
    behaviour: Behaviour = plausible_reply, **options: Any
) -> AsyncIterator[tuple[Google, GoogleServer]]:
    async with GoogleServer(behaviour, **options) as server:
        provider = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        try:
            yield provider, server
        finally:
            await provider.aclose()


def echo(body: dict[str, Any]) -> Reply:
    return Reply(body["messages"][-1]["content"], usage=Usage(10, 5, 3, 0, 2))


def asked(*texts: str) -> dict[str, Request]:
    return {f"id-{text}": Request(MODEL, [user(text)]) for text in texts}


async def results(provider: Google, batch: str) -> dict[str, Response | ProviderError]:
    return {key: outcome async for key, outcome in provider.batch_results(batch)}


async def finished(provider: Google, batch: str) -> None:
    while not (await provider.batch_status(batch)).done:
        pass


async def test_it_is_a_batch_provider_with_limits() -> None:
    async with batching() as (provider, _):
        assert isinstance(provider, BatchProvider)
        limits = provider.batch_limits()
    assert limits.requests > 0
    assert limits.megabytes < 20


async def test_a_batch_end_to_end() -> None:
    async with batching(echo, batch_polls=2) as (provider, _):
        batch = await provider.submit_batch("run-1", asked("a", "b"))
        assert batch.startswith("batches/")
        statuses = [await provider.batch_status(batch) for _ in range(3)]
        found = await results(provider, batch)
    assert [(s.done, s.finished, s.total, s.detail) for s in statuses] == [
        (False, 0, 2, None),
        (False, 0, 2, None),
        (True, 2, 2, None),
    ]
    assert set(found) == {"id-a", "id-b"}
    for key, response in found.items():
        assert isinstance(response, Response)
        assert response.text == key.removeprefix("id-")
        assert response.usage == Usage(10, 5, 3, 0, 2)
        assert response.batched
        assert (response.finish, response.model) == ("stop", "gemini-2.5-flash")


async def test_a_batched_request_is_the_same_request_as_one_that_is_not() -> None:
    schema = {"type": "object", "properties": {"my_hint": {"type": "string"}}}
    talk = [system("Be kind."), user("½?"), Message("assistant", "Hm."), user("And now?")]
    settings = Settings(temperature=0.5, seed=3, stop=["END"], reasoning_effort="low")
    request = Request(MODEL, talk, Schema("Hint", schema, schema), settings)
    async with batching() as (provider, server):
        alone = await provider.complete(request)
        batch = await provider.submit_batch("run-1", {"one": request})
        await finished(provider, batch)
        together = (await results(provider, batch))["one"]
    single, batched = (one.body for one in server.asked)
    inlined = batched["batch"]["inputConfig"]["requests"]["requests"]
    assert inlined == [{"request": single, "metadata": {"key": "one"}}]
    assert batched["batch"]["displayName"] == "run-1"
    assert isinstance(together, Response)
    assert together.text == alone.text


async def test_results_are_matched_by_id_in_any_order() -> None:
    outcomes = [{"metadata": {"key": "b"}}, {"metadata": {"key": "a"}}]
    assert [key for key, _ in wire.named(outcomes, ("a", "b"))] == ["b", "a"]


async def test_results_without_ids_are_matched_by_their_places() -> None:
    outcomes: list[dict[str, Any]] = [{"response": {}}, {"error": {}}]
    assert [key for key, _ in wire.named(outcomes, ("a", "b"))] == ["a", "b"]
    assert not list(wire.named(outcomes, ("a", "b", "c"))), "a place says nothing where one is gone"
    assert not list(wire.named(outcomes, ()))


async def test_each_request_has_its_own_outcome() -> None:
    replies = {
        "fine": Reply("Yes."),
        "refused": Reply(None, refusal="No."),
        "blocked": Reply(None, finish_reason="content_filter"),
        "limited": Reply.failure(429, "Slow down."),
        "broken": Reply.failure(500, f"Internal, {KEY}"),
        "expired": Reply.failure(504, "Deadline exceeded."),
        "wrong": Reply.failure(400, "Invalid."),
        "denied": Reply.failure(403, "Denied."),
        "cancelled": Reply.failure(499, "Cancelled."),
        "detailed": Reply(status=503, error={"message": "x", "details": [{"retryDelay": "3s"}]}),
        "garbled": Reply("", extra={"candidates": "x"}),
        "missing": Reply("Never.", hang=True),
    }

    def behaviour(body: dict[str, Any]) -> Reply:
        return replies[body["messages"][-1]["content"]]

    async with batching(behaviour) as (provider, _):
        batch = await provider.submit_batch("run-1", asked(*replies))
        await finished(provider, batch)
        status = await provider.batch_status(batch)
        found = await results(provider, batch)
    assert {key.removeprefix("id-"): type(outcome) for key, outcome in found.items()} == {
        "fine": Response,
        "refused": Response,
        "blocked": Response,
        "limited": RateLimited,
        "broken": Unavailable,
        "expired": Unavailable,
        "wrong": Rejected,
        "denied": Unauthorized,
        "cancelled": Unavailable,
        "detailed": Unavailable,
        "garbled": Unavailable,
    }
    assert (status.finished, status.total) == (11, 12)
    refused, blocked = found["id-refused"], found["id-blocked"]
    assert isinstance(refused, Response)
    assert isinstance(blocked, Response)
    assert (refused.finish, blocked.finish) == ("refusal", "refusal")
    detailed = found["id-detailed"]
    assert isinstance(detailed, Unavailable)
    assert detailed.retry_after_s == 3.0
    assert KEY not in str(found["id-broken"])


@pytest.mark.parametrize(("end", "word"), [("EXPIRED", "expired"), ("FAILED", "as a whole")])
async def test_a_batch_that_came_to_nothing_says_why(end: str, word: str) -> None:
    async with batching(batch_ends=end) as (provider, _):
        batch = await provider.submit_batch("run-1", asked("a"))
        await finished(provider, batch)
        status = await provider.batch_status(batch)
        assert await results(provider, batch) == {}
    assert status.done
    assert word in (status.detail or "")


async def test_a_cancelled_batch_is_done() -> None:
    async with batching(batch_polls=9) as (provider, _):
        batch = await provider.submit_batch("run-1", asked("a"))
        await provider.cancel_batch(batch)
        status = await provider.batch_status(batch)
        assert await results(provider, batch) == {}
    assert status.done
    assert "cancelled" in (status.detail or "")


async def test_results_can_be_read_by_another_process() -> None:
    async with batching(echo, batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asked("a", "b"))
        again = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        assert (await again.batch_status(batch)).done
        assert set(await results(again, batch)) == {"id-a", "id-b"}
        await again.aclose()


async def test_a_lost_batch_is_found_by_its_label_on_whatever_page() -> None:
    async with batching() as (provider, server):
        names = {
            label: await provider.submit_batch(label, asked("a"))
            for label in (f"run-{number}" for number in range(45))
        }
        again = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        for label in ("run-44", "run-20", "run-0"):
            assert await again.find_batch(label, ["id-a"], THEN) == names[label]
        assert await again.find_batch("run-45", ["id-a"], THEN) is None
        await again.aclose()


async def test_a_label_is_found_whatever_became_of_the_other_batches() -> None:
    def fails(body: dict[str, Any]) -> Reply:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]
        return Reply(status=503, error={"message": "Later.", "details": details})

    async with batching(fails, batch_polls=0) as (provider, _):
        mine = await provider.submit_batch("mine", asked("a"))
        other = await provider.submit_batch("other", asked("b"))
        await finished(provider, other)
        assert await provider.find_batch("mine", ["id-a"], THEN) == mine


async def test_a_batch_that_is_not_there_is_not_a_missing_model() -> None:
    async with batching() as (provider, _):
        with pytest.raises(Rejected) as caught:
            await provider.batch_status("batches/none")
        assert caught.value.reason == "request"
        with pytest.raises(Rejected):
            await provider.cancel_batch("batches/none")


async def test_a_batch_of_the_largest_size_is_accepted_in_any_script() -> None:
    async with batching() as (provider, _):
        size = int(provider.batch_limits().megabytes * 1e6)
        text = "я" * (size // 2)  # two bytes in UTF-8, six as the SDK writes it
        assert await provider.submit_batch("run-1", asked(text[:20_000]))
        requests = {"id": Request(MODEL, [user(text)])}
        assert await provider.submit_batch("run-2", requests)


class Failing(GoogleServer):
    """Answers whatever is about batches with one reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply_always = reply

    def other(self, method: str, asked: Any, content: bytes) -> bytes | None:
        return self.render(self.reply_always, asked)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply.failure(429, "Slow down."), RateLimited),
        (Reply.failure(503, f"Overloaded, {KEY}"), Unavailable),
        (Reply.failure(401, f"You sent {KEY}"), Unauthorized),
        (Reply.failure(400, f"You sent {KEY}"), Rejected),
        (Reply(raw=b"<html>Log in</html>"), Unavailable),
        (Reply(raw=b'{"name": '), Unavailable),
        (Reply(raw=b"[]"), Unavailable),
    ],
)
async def test_every_method_raises_what_complete_raises_and_never_shows_the_key(
    reply: Reply, kind: type[ProviderError]
) -> None:
    async with Failing(reply) as server:
        provider = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "submit": lambda: provider.submit_batch("run-1", asked("a")),
            "find": lambda: provider.find_batch("run-1", ["id-a"], THEN),
            "status": lambda: provider.batch_status("batches/1"),
            "results": lambda: results(provider, "batches/1"),
            "cancel": lambda: provider.cancel_batch("batches/1"),
        }
        for name, call in calls.items():
            if name == "cancel" and reply.status == 200:
                continue  # its answer says nothing and is not read
            with pytest.raises(kind) as caught:
                await call()
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert KEY not in shown, name
        await provider.aclose()


async def test_a_server_that_is_gone_is_unavailable() -> None:
    async with batching() as (provider, server):
        await server.stop()
        with pytest.raises(Unavailable):
            await provider.submit_batch("run-1", asked("a"))
        with pytest.raises(Unavailable):
            await provider.batch_status("batches/1")


async def test_the_sdk_itself_reads_what_the_fake_says_of_a_batch() -> None:
    from google import genai
    from google.genai import types

    async with batching(echo, batch_polls=0) as (provider, server):
        batch = await provider.submit_batch("run-1", asked("a"))
        http = httpx2.AsyncClient(trust_env=False)
        options = types.HttpOptions(
            base_url=server.base_url, api_version="v1beta", httpx_async_client=http
        )
        client = genai.Client(enterprise=False, api_key=KEY, http_options=options)
        job = await client.aio.batches.get(name=batch)
        client.close()
        await http.aclose()
    assert (job.display_name, job.state) == ("run-1", types.JobState.JOB_STATE_SUCCEEDED)
    assert job.dest is not None
    assert job.dest.inlined_responses is not None
    response = job.dest.inlined_responses[0].response
    assert response is not None
    assert response.text == "a"
