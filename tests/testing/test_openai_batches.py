"""The fake's files and batches: the official SDK, validating strictly, and what the knobs do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import openai
import pytest
from openai.types import Batch

from synthtutor.testing.replies import Behaviour, Reply, plausible_reply
from synthtutor.testing.server import OpenAIServer, server_process

URL: Final = "/v1/chat/completions"


@asynccontextmanager
async def serving(
    behaviour: Behaviour = plausible_reply, **options: Any
) -> AsyncIterator[tuple[OpenAIServer, openai.AsyncOpenAI]]:
    async with (
        OpenAIServer(behaviour, **options) as server,
        openai.AsyncOpenAI(
            api_key="k", base_url=server.base_url, max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        yield server, client


def echo(body: dict[str, Any]) -> Reply:
    return Reply(body["messages"][-1]["content"])


def by_its_words(body: dict[str, Any]) -> Reply:
    """`hang` hangs, `429` is that status, anything else is said back."""
    said = body["messages"][-1]["content"]
    if said.isdigit():
        return Reply.failure(int(said), "No.", code="no")
    return Reply(said, hang=said == "hang")


def lines(texts: Sequence[str], **changes: Any) -> bytes:
    return b"".join(
        json.dumps(
            {
                "custom_id": f"c{number}",
                "method": "POST",
                "url": URL,
                "body": {"model": "m", "messages": [{"role": "user", "content": text}]},
            }
            | changes
        ).encode()
        + b"\n"
        for number, text in enumerate(texts)
    )


async def submit(client: openai.AsyncOpenAI, content: bytes, label: str = "a") -> Batch:
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename) == (len(content), "in.jsonl")
    return await client.batches.create(
        input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={"label": label}
    )


async def ended(client: openai.AsyncOpenAI, batch: Batch, at_most: int = 9) -> Batch:
    for _ in range(at_most):
        batch = await client.batches.retrieve(batch.id)
        if batch.status not in ("validating", "in_progress", "cancelling"):
            return batch
    raise AssertionError(f"still {batch.status}")


async def outcomes(client: openai.AsyncOpenAI, file: str | None) -> dict[str, Any]:
    assert file
    text = (await client.files.content(file)).text
    return {item["custom_id"]: item for item in map(json.loads, text.splitlines())}


async def test_every_request_is_answered_under_its_id() -> None:
    async with serving(echo) as (_, client):
        batch = await submit(client, lines(["eins", "zwei ✓"]))
        assert batch.status == "validating"
        assert batch.metadata == {"label": "a"}
        done = await ended(client, batch)
        said = await outcomes(client, done.output_file_id)
    assert done.status == "completed"
    assert done.error_file_id is None
    assert done.request_counts
    assert (done.request_counts.total, done.request_counts.completed) == (2, 2)
    texts = {
        name: item["response"]["body"]["choices"][0]["message"]["content"]
        for name, item in said.items()
    }
    assert texts == {"c0": "eins", "c1": "zwei ✓"}


async def test_it_ends_after_as_many_looks_as_it_is_told() -> None:
    async with serving() as (server, client):
        server.batches.polls = 3
        batch = await submit(client, lines(["a"]))
        seen = [(await client.batches.retrieve(batch.id)).status for _ in range(5)]
    assert seen == ["in_progress"] * 3 + ["completed"] * 2


async def test_it_does_not_end_before_its_seconds_have_passed() -> None:
    async with serving() as (server, client):
        server.batches.polls, server.batches.seconds = 0, 3600
        batch = await submit(client, lines(["a"]))
        assert (await client.batches.retrieve(batch.id)).status == "in_progress"


async def test_a_status_goes_to_the_error_file() -> None:
    async with serving(by_its_words) as (_, client):
        done = await ended(client, await submit(client, lines(["fine", "429"])))
        fine = await outcomes(client, done.output_file_id)
        failed = await outcomes(client, done.error_file_id)
    assert (done.status, set(fine), set(failed)) == ("completed", {"c0"}, {"c1"})
    assert failed["c1"]["response"]["status_code"] == 429
    assert failed["c1"]["response"]["body"]["error"]["code"] == "no"


async def test_what_hangs_expires_and_the_rest_can_be_read() -> None:
    async with serving(by_its_words) as (_, client):
        done = await ended(client, await submit(client, lines(["fine", "hang"])))
        assert set(await outcomes(client, done.output_file_id)) == {"c0"}
        failed = await outcomes(client, done.error_file_id)
    assert done.status == "expired"
    assert failed["c1"]["error"]["code"] == "batch_expired"


async def test_half_of_a_cancelled_batch_can_be_read() -> None:
    async with serving(echo) as (server, client):
        batch = await submit(client, lines(["a", "b"]))
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        done = await ended(client, batch)
        assert set(await outcomes(client, done.output_file_id)) == {"c0"}
        assert set(await outcomes(client, done.error_file_id)) == {"c1"}
        with pytest.raises(openai.ConflictError, match="cancelled"):
            await client.batches.cancel(batch.id)
    assert done.status == "cancelled"
    assert server.batches.cancelled == 1


async def test_a_batch_can_fail_as_a_whole() -> None:
    async with serving() as (server, client):
        server.batches.failure = "Enqueued token limit reached."
        batch = await submit(client, lines(["a"]))
        assert batch.errors is None
        done = await ended(client, batch)
    assert done.status == "failed"
    assert done.errors
    assert done.errors.data
    assert done.errors.data[0].message == "Enqueued token limit reached."
    assert done.output_file_id is done.error_file_id is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{\n", "not a request"),
        (lines(["a", "b"], custom_id="same"), "used twice"),
        (lines(["a"], url="/v1/embeddings"), "not a chat request"),
        (lines(["a"], method="GET"), "not a chat request"),
        (lines(["a"]) + lines(["b"], custom_id="x", body={"model": "n", "messages": []}), "model"),
    ],
)
async def test_a_file_that_is_no_batch_fails(content: bytes, message: str) -> None:
    async with serving() as (_, client):
        done = await ended(client, await submit(client, content))
    assert done.status == "failed"
    assert done.errors
    assert done.errors.data
    assert message in str(done.errors.data[0].message)


async def test_batches_are_listed_in_pages_the_newest_first() -> None:
    async with serving() as (_, client):
        made = [(await submit(client, lines(["a"]), label=f"{n}")).id for n in range(5)]
        page = await client.batches.list(limit=2)
        assert [batch.id for batch in page.data] == made[:2:-1]
        assert [batch.id async for batch in page] == made[::-1]


async def test_a_creation_can_go_unconfirmed() -> None:
    async with serving() as (server, client):
        server.batches.unconfirmed = 1
        with pytest.raises(openai.InternalServerError):
            await submit(client, lines(["a"]))
        assert [batch.id async for batch in client.batches.list()] == list(server.batches.batches)
        assert len(server.batches.batches) == 1


async def test_the_requests_of_a_batch_count_as_calls_of_their_row() -> None:
    async with serving(by_its_words, row_pattern=r"(\w+)") as (server, client):
        await submit(client, lines(["a", "a", "hang"]))
    counts = {row: (count.started, count.answered) for row, count in server.rows.items()}
    assert counts == {"a": (2, 2), "hang": (1, 0)}
    assert server.calls == 0, "they are no chat calls"


async def test_what_is_not_there_is_not_found() -> None:
    async with serving() as (_, client):
        with pytest.raises(openai.NotFoundError):
            await client.batches.retrieve("batch_9")
        with pytest.raises(openai.NotFoundError):
            await client.files.content("file-9")
        with pytest.raises(openai.BadRequestError):
            await client.batches.create(
                input_file_id="file-9", endpoint=URL, completion_window="24h"
            )


async def test_a_server_of_its_own_process_has_batches_too() -> None:
    with server_process("--batch-polls", "2") as root:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{root}/v1") as client:
            batch = await submit(client, lines(["a", "b"]))
            seen = [(await client.batches.retrieve(batch.id)).status for _ in range(3)]
            async with httpx2.AsyncClient() as http:
                counts = (await http.get(f"{root}/_batches")).json()
    assert seen == ["in_progress", "in_progress", "completed"]
    assert counts == {"created": 1, "requests": 2, "cancelled": 0, "looks": 3}
