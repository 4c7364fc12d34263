"""The fake Fireworks: what of the real gateway's strictness a client meets there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import orjson
import pytest

from synthtutor.testing.fireworks_wire import FireworksServer
from synthtutor.testing.replies import Reply

HEADERS = {"authorization": "Bearer k"}
DATASET = {"datasetId": "d", "dataset": {"userUploaded": {}, "exampleCount": "1"}}
INPUT = "accounts/acct/datasets/d"


def line(custom_id: str = "a", role: str = "user") -> bytes:
    message = {"role": role, "content": "½?"}
    return orjson.dumps({"custom_id": custom_id, "body": {"messages": [message]}}) + b"\n"


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[FireworksServer, httpx2.AsyncClient]]:
    async with FireworksServer(lambda _: Reply("Yes.")) as server:
        base_url = f"{server.root_url}/v1/accounts/acct/"
        async with httpx2.AsyncClient(base_url=base_url, headers=HEADERS) as client:
            yield server, client


async def run(client: httpx2.AsyncClient, content: bytes, looks: int = 2) -> dict[str, Any]:
    """A job of that input, as it stands after some looks."""
    await client.post("datasets", json=DATASET)
    await client.post("datasets/d:upload", files={"file": ("in.jsonl", content)})
    job = {"model": "m", "inputDatasetId": INPUT}
    await client.post("batchInferenceJobs?batchInferenceJobId=j", json=job)
    for _ in range(looks):
        found = await client.get("batchInferenceJobs/j")
    return dict(found.json())


async def test_the_official_client_accepts_its_chat() -> None:
    async with (
        FireworksServer() as server,
        openai.AsyncOpenAI(
            api_key="k", base_url=server.base_url, _strict_response_validation=True
        ) as client,
    ):
        reply = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "½?"}]
        )
    assert reply.choices[0].message.content


async def test_a_job_goes_through_its_states() -> None:
    async with gateway() as (server, client):
        server.polls = 1
        assert (await run(client, line(), looks=1))["state"] == "JOB_STATE_RUNNING"
        job = (await client.get("batchInferenceJobs/j")).json()
        assert job["state"] == "JOB_STATE_COMPLETED"
        assert job["jobProgress"]["totalProcessedRequests"] == 1
        address = f"{job['outputDatasetId'].rpartition('/')[2]}:getDownloadEndpoint"
        urls = (await client.get(f"datasets/{address}")).json()["filenameToSignedUrls"]
        results, errors = urls.values()
        async with httpx2.AsyncClient() as plain:
            answered = orjson.loads((await plain.get(results)).content)
            assert (await plain.get(errors)).content == b""
        assert answered["custom_id"] == "a"
        assert answered["response"]["choices"][0]["message"]["content"] == "Yes."


async def test_a_signed_address_must_not_see_the_key() -> None:
    async with gateway() as (_, client):
        job = await run(client, line())
        address = f"{job['outputDatasetId'].rpartition('/')[2]}:getDownloadEndpoint"
        urls = (await client.get(f"datasets/{address}")).json()["filenameToSignedUrls"]
        assert (await client.get(next(iter(urls.values())))).status_code == 400


@pytest.mark.parametrize("content", [line(role="bananas"), line("a") + line("a")])
async def test_one_bad_line_fails_the_job_and_leaves_no_output(content: bytes) -> None:
    async with gateway() as (server, client):
        job = await run(client, content)
        assert job["state"] == "JOB_STATE_FAILED"
        assert "syntax error" in job["status"]["message"]
        output = job["outputDatasetId"].rpartition("/")[2]
        assert (await client.get(f"datasets/{output}:getDownloadEndpoint")).status_code == 404
    assert server.rows == {}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "datasets", {"datasetId": "d", "dataset": {"userUploaded": {}}}, 400),
        ("POST", "batchInferenceJobs", {"model": "m", "inputDatasetId": INPUT}, 400),
        ("GET", "datasets/none", None, 404),
        ("GET", "batchInferenceJobs/none", None, 404),
        ("GET", "batchInferenceJobs/none", {}, 400),
        ("POST", "batchInferenceJobs/none:cancel", {}, 404),
    ],
)
async def test_what_is_refused(method: str, path: str, body: object, status: int) -> None:
    async with gateway() as (_, client):
        content = None if body is None else orjson.dumps(body)
        assert (await client.request(method, path, content=content)).status_code == status


async def test_names_are_taken_once() -> None:
    async with gateway() as (_, client):
        await run(client, line())
        assert (await client.post("datasets", json=DATASET)).status_code == 409
        again = await client.post("datasets/d:upload", files={"file": ("in.jsonl", line())})
        assert "already uploaded" in again.text
        job = {"model": "m", "inputDatasetId": INPUT}
        second = await client.post("batchInferenceJobs?batchInferenceJobId=j", json=job)
        assert second.status_code == 409


async def test_without_a_key_nothing_is_told() -> None:
    async with FireworksServer() as server, httpx2.AsyncClient() as client:
        url = f"{server.root_url}/v1/accounts/acct/datasets/d"
        assert (await client.get(url)).status_code == 403
