"""The plugin `openai`'s batches, from submission to the last line of both files."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from synthtutor_openai import OpenAI

from synthtutor.errors import (
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from synthtutor.messages import Request, Response, Schema, Usage, user
from synthtutor.provider import BatchProvider, BatchStatus, Endpoint
from synthtutor.testing.replies import Reply, http_answer
from synthtutor.testing.server import Asked, OpenAIServer

KEY = "sk-planted-0123456789abcdef"
SINCE = datetime.now(UTC) - timedelta(minutes=1)
Outcomes = dict[str, Response | ProviderError]


@asynccontextmanager
async def batching(
    server: OpenAIServer, **endpoint: Any
) -> AsyncIterator[tuple[OpenAI, OpenAIServer]]:
    async with server:
        settings = {"base_url": server.base_url, "api_key": KEY, "timeout_s": 30.0, **endpoint}
        provider = OpenAI(Endpoint(**settings))
        try:
            yield provider, server
        finally:
            await provider.aclose()


def requests(*texts: str) -> dict[str, Request]:
    return {
        f"c-{number}": Request("openai/gpt-4o", [user(text)]) for number, text in enumerate(texts)
    }


async def ended(provider: OpenAI, batch: str, at_most: int = 9) -> BatchStatus:
    for _ in range(at_most):
        status = await provider.batch_status(batch)
        if status.done:
            return status
    raise AssertionError("it does not end")


async def outcomes(provider: OpenAI, batch: str) -> Outcomes:
    return {name: outcome async for name, outcome in provider.batch_results(batch)}


async def names_into(seen: list[str], provider: OpenAI, batch: str) -> None:
    async for name, _ in provider.batch_results(batch):
        seen.append(name)


async def batched(replies: Mapping[str, Reply]) -> Outcomes:
    """Each text's outcome, of one batch with a request for each."""
    server = OpenAIServer(lambda body: replies[body["messages"][-1]["content"]])
    async with batching(server) as (provider, _):
        batch = await provider.submit_batch("label", requests(*replies))
        await ended(provider, batch)
        found = await outcomes(provider, batch)
    return dict(zip(replies, (found[name] for name in requests(*replies)), strict=True))


def failed(outcome: Response | ProviderError, kind: type[ProviderError]) -> ProviderError:
    assert type(outcome) is kind
    assert isinstance(outcome, ProviderError)
    return outcome


async def test_a_batch_from_its_submission_to_its_results() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        assert isinstance(provider, BatchProvider)
        server.batches.polls = 2
        schema = Schema("Hint", {"type": "object", "properties": {}}, {})
        asked = {"a": Request("openai/gpt-4o", [user("½?")], schema), **requests("zwei ✓")}
        batch = await provider.submit_batch("run-7/3", asked)
        assert await provider.batch_status(batch) == BatchStatus(False, 0, 2)
        assert await ended(provider, batch) == BatchStatus(True, 2, 2)
        found = await outcomes(provider, batch)
    assert set(found) == set(asked)
    reply = found["a"]
    assert isinstance(reply, Response)
    assert (reply.text, reply.finish, reply.model) == ("{}", "stop", "gpt-4o")
    assert reply.batched
    assert reply.request_id == "req_a"
    assert reply.usage.output_tokens > 0


async def test_a_batched_reply_says_what_the_same_reply_says_at_once() -> None:
    replies = {
        "text": Reply("Compare the “parts” ✓\u2028\n", usage=Usage(9, 8, 7, 6, 5)),
        "refused": Reply(None, refusal="I cannot help with that."),
        "filtered": Reply(None, finish_reason="content_filter"),
        "cut": Reply('{"hint": "Comp', finish_reason="length"),
        "empty": Reply(""),
    }
    found = await batched(replies)
    async with batching(OpenAIServer(lambda body: replies[body["messages"][0]["content"]])) as (
        provider,
        _,
    ):
        for text in replies:
            (request,) = requests(text).values()
            at_once, late = await provider.complete(request), found[text]
            assert isinstance(late, Response)
            assert (late.batched, at_once.batched) == (True, False)
            for name in ("text", "usage", "finish", "detail", "model", "reasoning"):
                assert getattr(late, name) == getattr(at_once, name), name


async def test_items_that_failed_are_errors_of_their_status() -> None:
    found = await batched(
        {
            "fine": Reply("Yes."),
            "429": Reply.failure(429, "Too many."),
            "500": Reply.failure(500, "Oops."),
            "401": Reply.failure(401, f"Incorrect API key: {KEY}."),
            "400": Reply.failure(400, "Unknown parameter: 'x'."),
            "long": Reply.failure(400, "Too long.", code="context_length_exceeded"),
            "no completion": Reply(raw=b'{"choices": []}'),
            "no JSON": Reply(raw=b"<html>"),
            "no error": Reply(status=502, raw=b"[]"),
        }
    )
    assert isinstance(found["fine"], Response)
    assert failed(found["429"], RateLimited).status == 429
    assert failed(found["500"], Unavailable).status == 500
    assert KEY not in str(failed(found["401"], Unauthorized))
    assert "Unknown parameter" in str(failed(found["400"], Rejected))
    assert failed(found["400"], Rejected).request_id == "req_c-4"
    long = failed(found["long"], Rejected)
    assert isinstance(long, Rejected)
    assert long.reason == "context"
    for broken in ("no completion", "no JSON", "no error"):
        failed(found[broken], Unavailable)


async def test_what_expired_can_be_asked_again_and_what_was_answered_is_kept() -> None:
    found = await batched({"fine": Reply("Yes."), "late": Reply(hang=True)})
    assert isinstance(found["fine"], Response)
    assert "batch_expired" in str(failed(found["late"], Unavailable))


async def test_an_expired_batch_has_ended_without_having_failed() -> None:
    async with batching(OpenAIServer(lambda _: Reply(hang=True))) as (provider, _):
        batch = await provider.submit_batch("label", requests("a", "b"))
        assert await ended(provider, batch) == BatchStatus(True, finished=2, total=2)


async def test_a_cancelled_batch_keeps_what_was_answered() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        server.batches.polls = 1000
        batch = await provider.submit_batch("label", requests("a", "b"))
        await provider.cancel_batch(batch)
        assert (await ended(provider, batch)).detail is None
        found = await outcomes(provider, batch)
        await provider.cancel_batch(batch)
    assert isinstance(found["c-0"], Response)
    failed(found["c-1"], Unavailable)
    assert server.batches.cancelled == 1


async def test_a_batch_that_is_not_there_cannot_be_cancelled() -> None:
    async with batching(OpenAIServer()) as (provider, _):
        with pytest.raises(Rejected, match="No such"):
            await provider.cancel_batch("batch_9")


async def test_a_batch_that_failed_says_why() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        server.batches.failure = f"Enqueued token limit reached for {KEY}."
        batch = await provider.submit_batch("label", requests("a"))
        status = await ended(provider, batch)
        assert await outcomes(provider, batch) == {}
    assert status.detail == "invalid_request: Enqueued token limit reached for [redacted]."


async def test_of_many_reasons_the_first_are_said() -> None:
    async with batching(OpenAIServer()) as (provider, _):
        file = await provider.client.files.create(file=("x.jsonl", b"{\n" * 5), purpose="batch")
        batch = await provider.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        detail = (await ended(provider, batch.id)).detail or ""
    assert detail.count("not a request") == 3
    assert "(line 1)" in detail
    assert detail.endswith("and 2 more")


# A batch whose id was lost


async def test_a_batch_is_found_by_its_label_after_its_creation_went_unconfirmed() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        server.batches.unconfirmed = 1
        with pytest.raises(Unavailable):
            await provider.submit_batch("run-7/1", requests("a"))
        found = await provider.find_batch("run-7/1", ["c-0"], SINCE)
        assert found == "batch_1"
        assert (await ended(provider, found)).total == 1
        assert await provider.find_batch("run-7/2", ["c-0"], SINCE) is None


async def test_a_label_is_looked_for_behind_hundreds_of_other_batches() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        first = await provider.submit_batch("wanted", requests("a"))
        for number in range(230):
            wire = server.batches.batches[first].wire | {"id": f"other-{number}", "metadata": None}
            other = type(server.batches.batches[first])(wire, "completed", 0, 0.0)
            server.batches.batches[f"other-{number}"] = other
        assert await provider.find_batch("wanted", [], SINCE) == first


async def test_a_label_is_not_looked_for_among_batches_of_long_ago() -> None:
    pages = 0

    class Counting(OpenAIServer):
        def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
            nonlocal pages
            pages += asked.path.startswith("/v1/batches?")
            return super().other(method, asked, content)

    async with batching(Counting()) as (provider, server):
        first = await provider.submit_batch("other", requests("a"))
        for number in range(230):
            wire = server.batches.batches[first].wire | {"id": f"b{number}", "created_at": 1}
            old = type(server.batches.batches[first])(wire, "completed", 0, 0.0)
            server.batches.batches[f"b{number}"] = old
        assert await provider.find_batch("wanted", [], SINCE) is None
    assert pages == 1


# What goes wrong on the way


class Broken(OpenAIServer):
    """Answers with ``wire`` whatever ``where`` is true of, once the batch has been made."""

    def __init__(self, where: Callable[[str, str], bool], wire: bytes, **options: Any) -> None:
        super().__init__(**options)
        self._where, self._wire = where, wire

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        if self._where(method, asked.path):
            return self._wire
        return super().other(method, asked, content)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"<html>", b'{"data": null}'])
async def test_an_answer_that_is_none_is_unavailable(body: bytes) -> None:
    async with batching(Broken(lambda *_: True, http_answer(200, body))) as (provider, _):
        with pytest.raises(Unavailable):
            await provider.submit_batch("label", requests("a"))
        with pytest.raises(Unavailable):
            await provider.find_batch("label", [], SINCE)
        with pytest.raises(Unavailable):
            await provider.batch_status("batch_1")
        with pytest.raises(Unavailable):
            await outcomes(provider, "batch_1")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_the_key_is_in_no_error(status: int) -> None:
    wire = Reply.failure(status, f"You sent {KEY}.").wire({})
    async with batching(Broken(lambda *_: True, wire)) as (provider, _):
        calls = (
            provider.submit_batch("label", requests("a")),
            provider.find_batch("label", [], SINCE),
            provider.batch_status("batch_1"),
            provider.cancel_batch("batch_1"),
            outcomes(provider, "batch_1"),
        )
        for call in calls:
            with pytest.raises(ProviderError) as caught:
                await call
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert caught.value.status == status
            assert KEY not in shown


async def test_results_come_while_the_file_arrives_and_one_that_breaks_off_is_unavailable() -> None:
    async with batching(OpenAIServer()) as (provider, server):
        batch = await provider.submit_batch("label", requests("a"))
        await ended(provider, batch)
        server.batches.files["file-2"] *= 40_000  # more than the sockets hold
        results = provider.batch_results(batch)
        assert (await anext(results))[0] == "c-0"
        await server.stop()
        with pytest.raises(Unavailable):
            async for _ in results:
                pass


async def test_results_can_be_left_in_the_middle() -> None:
    async with batching(OpenAIServer()) as (provider, _):
        batch = await provider.submit_batch("label", requests(*"abc"))
        await ended(provider, batch)
        async for _ in provider.batch_results(batch):
            break
        assert len(await outcomes(provider, batch)) == 3


async def test_lines_end_where_json_lines_end_and_nowhere_else() -> None:
    said = "one\u2028two\u0085three\x0cfour"
    async with batching(OpenAIServer(lambda _: Reply(said))) as (provider, server):
        batch = await provider.submit_batch("label", requests("a", "b"))
        await ended(provider, batch)
        name, content = list(server.batches.files.items())[-1]
        assert "\u2028".encode() in content
        server.batches.files[name] = b"\n" + content.replace(b"\n", b"\r\n\n").rstrip()
        found = await outcomes(provider, batch)
    assert {outcome.text for outcome in found.values() if isinstance(outcome, Response)} == {said}
    assert len(found) == 2


@pytest.mark.parametrize(
    "line", [b"nonsense", b"{}", b"[]", b'{"custom_id": "a", "response": "?"}']
)
async def test_a_line_that_makes_no_sense_is_told_after_all_the_others(line: bytes) -> None:
    async with batching(OpenAIServer()) as (provider, server):
        batch = await provider.submit_batch("label", requests("a"))
        await ended(provider, batch)
        server.batches.files["file-2"] = line + b"\n" + server.batches.files["file-2"]
        seen: list[str] = []
        with pytest.raises(Unreadable, match="no sense"):
            await names_into(seen, provider, batch)
    assert seen == ["c-0"]


async def test_the_limits_leave_room_for_what_surrounds_a_request() -> None:
    provider = OpenAI(Endpoint(api_key=KEY))
    limits = provider.batch_limits()
    around = len(
        orjson.dumps({"custom_id": "i" * 64, "method": "POST", "url": "/v1/chat/completions"})
    )
    assert limits.megabytes * 1e6 + limits.requests * (around + 12) <= 200e6
