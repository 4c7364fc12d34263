"""Fireworks' batches against a fake of their datasets and jobs, from submission to results."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from synthtutor_fireworks import Fireworks
from synthtutor_fireworks_batches import control_url

from synthtutor.errors import (
    ConfigError,
    ProviderError,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from synthtutor.messages import Request, Response, Schema, Settings, user
from synthtutor.provider import BatchProvider, Endpoint
from synthtutor.testing.fireworks_wire import FireworksServer
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply

KEY = "fw_planted_0123456789"
LABEL = "synthtutor-0123456789abcdef"
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
MODEL = "accounts/fireworks/models/llama-v3p1-8b-instruct"


def request(text: str, **settings: Any) -> Request:
    return Request("fireworks/llama-v3p1-8b-instruct", [user(text)], None, Settings(**settings))


def echo(body: dict[str, Any]) -> Reply:
    """`hang` hangs, a number is that status, anything else is said back."""
    said = body["messages"][-1]["content"]
    return (
        Reply.failure(int(said), f"no {KEY}")
        if said.isdigit()
        else Reply(said, hang=said == "hang")
    )


REQUESTS = {name: request(name) for name in ("a-1", "b-2", "c_3")}


@asynccontextmanager
async def at_fireworks(
    behaviour: Behaviour = echo, **options: str
) -> AsyncIterator[tuple[BatchProvider, FireworksServer]]:
    async with FireworksServer(behaviour) as server:
        endpoint = Endpoint(
            base_url=server.base_url, api_key=KEY, options={"account_id": "acct"} | options
        )
        provider = Fireworks(endpoint)
        try:
            yield provider, server
        finally:
            await provider.aclose()


async def finished(provider: BatchProvider, batch: str, looks: int = 9) -> Any:
    for _ in range(looks):
        status = await provider.batch_status(batch)
        if status.done:
            return status
    raise AssertionError("never done")


async def outcomes(provider: BatchProvider, batch: str) -> dict[str, Response | ProviderError]:
    return {name: outcome async for name, outcome in provider.batch_results(batch)}


async def names_into(seen: list[str], provider: BatchProvider, batch: str) -> None:
    async for name, _ in provider.batch_results(batch):
        seen.append(name)


async def test_a_batch_from_submission_to_results() -> None:
    async with at_fireworks() as (provider, server):
        server.polls = 2
        batch = await provider.submit_batch(LABEL, REQUESTS)
        assert not (await provider.batch_status(batch)).done
        status = await finished(provider, batch)
        assert (status.finished, status.total, status.detail) == (3, 3, None)
        found = await outcomes(provider, batch)
    assert set(found) == set(REQUESTS)
    for name, response in found.items():
        assert isinstance(response, Response)
        assert (response.text, response.batched, response.finish) == (name, True, "stop")
        assert response.model == MODEL
        assert response.usage.input_tokens > 0


async def test_what_goes_up() -> None:
    schema = Schema("Count", {"type": "object", "properties": {}}, {})
    plain = request("½?", max_tokens=99, temperature=0.3, seed=7, reasoning_effort="low")
    asked = Request(plain.model, plain.messages, schema, plain.settings)
    async with at_fireworks(lambda _: Reply("{}")) as (provider, server):
        await provider.submit_batch(LABEL, {"only": asked})
    line = orjson.loads(server.uploads[LABEL])
    assert set(line) == {"custom_id", "body"}
    form = line["body"].pop("response_format")
    assert form["json_schema"]["schema"] == schema.definition
    assert line["body"] == {  # without a model: that is the job's
        "messages": [{"role": "user", "content": "½?"}],
        "max_tokens": 99,
        "temperature": 0.3,
        "seed": 7,
        "reasoning_effort": "low",
        "context_length_exceeded_behavior": "error",
    }
    wire = server.jobs[LABEL].wire
    assert wire["model"] == MODEL
    assert wire["inputDatasetId"] == f"accounts/acct/datasets/{LABEL}"
    assert wire["displayName"] == LABEL


async def test_reasoning_in_a_batch_is_kept_apart() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49}
    reply = Reply("<think>3/6 + 2/6</think>\n\nFive sixths.", extra={"usage": usage})
    async with at_fireworks(lambda _: reply) as (provider, _):
        batch = await provider.submit_batch(LABEL, {"a": request("½?")})
        await finished(provider, batch)
        response = (await outcomes(provider, batch))["a"]
    assert isinstance(response, Response)
    assert (response.reasoning, response.text) == ("3/6 + 2/6", "Five sixths.")
    assert response.usage.reasoning_tokens == len("3/6 + 2/6") // 4 + 1


async def test_failed_and_unanswered_requests_do_not_hide_the_others() -> None:
    requests = {"fine": request("fine"), "bad": request("400"), "late": request("429")}
    requests["gone"] = request("hang")
    async with at_fireworks() as (provider, _):
        batch = await provider.submit_batch(LABEL, requests)
        await finished(provider, batch)
        found = await outcomes(provider, batch)
    assert set(found) == {"fine", "bad", "late"}
    assert isinstance(found["fine"], Response)
    assert isinstance(found["bad"], Rejected)
    assert not isinstance(found["late"], Response | Rejected)
    assert KEY not in repr(found) + str(found["bad"])


async def test_an_error_line_without_a_status_is_asked_again() -> None:
    lines = b'{"custom_id": "a-1", "error": "out of capacity"}\n{"error": {}}\n\n'
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        server._outputs[f"out-{LABEL}"] = {"error-data": lines}
        found = await outcomes(provider, batch)
    assert list(found) == ["a-1"]
    assert isinstance(found["a-1"], Unavailable)
    assert "out of capacity" in str(found["a-1"])


async def test_a_line_that_is_no_completion_is_asked_again() -> None:
    lines = b'{"custom_id": "a", "response": {"choices": []}}\n{"custom_id": "b", "response": 7}'
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        server._outputs[f"out-{LABEL}"] = {"BIJOutputSet.jsonl": lines}
        found = await outcomes(provider, batch)
    assert {name: type(outcome) for name, outcome in found.items()} == {
        "a": Unavailable,
        "b": Unavailable,
    }


async def test_a_line_that_is_no_json_is_told_after_all_the_others() -> None:
    lines = b'{"custom_id": "a", "resp\n\n{"custom_id": "b", "response": 7}\n{"no": "request"}'
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        server._outputs[f"out-{LABEL}"] = {"BIJOutputSet.jsonl": lines}
        seen: list[str] = []
        with pytest.raises(Unreadable):
            await names_into(seen, provider, batch)
    assert seen == ["b"]


async def test_a_batch_that_fails_as_a_whole_says_why() -> None:
    async with at_fireworks() as (provider, server):
        server.failure = f"Dataset has a syntax error, said {KEY}"
        batch = await provider.submit_batch(LABEL, REQUESTS)
        status = await finished(provider, batch)
        assert status.detail == "Dataset has a syntax error, said [redacted]"
        assert await outcomes(provider, batch) == {}


# Submitted once, whatever happens on the way


async def test_a_lost_batch_is_found_by_its_label() -> None:
    async with at_fireworks() as (provider, server):
        assert await provider.find_batch(LABEL, REQUESTS, SINCE) is None
        server.unconfirmed = 1
        with pytest.raises(Unavailable):
            await provider.submit_batch(LABEL, REQUESTS)
        batch = await provider.find_batch(LABEL, REQUESTS, SINCE)
        assert batch is not None
        await finished(provider, batch)
        assert set(await outcomes(provider, batch)) == set(REQUESTS)


async def test_submitting_again_makes_no_second_batch() -> None:
    async with at_fireworks() as (provider, server):
        first = await provider.submit_batch(LABEL, REQUESTS)
        assert await provider.submit_batch(LABEL, REQUESTS) == first
        assert len(server.jobs) == 1
        assert [path for _, path in server.told if path.endswith(":upload")] == [
            f"/v1/accounts/acct/datasets/{LABEL}:upload"
        ]


async def test_a_dataset_that_is_not_ready_is_waited_for_by_trying_again() -> None:
    async with at_fireworks() as (provider, server):
        server.preparing = 1
        with pytest.raises(Unavailable, match="not ready"):
            await provider.submit_batch(LABEL, REQUESTS)
        assert server.jobs == {}
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        assert set(await outcomes(provider, batch)) == set(REQUESTS)


async def test_a_label_that_can_name_nothing_there_is_found_all_the_same() -> None:
    label = "Label of 2026 / with everything" * 4
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(label, REQUESTS)
        assert await provider.find_batch(label, REQUESTS, SINCE) == batch
        assert await provider.find_batch(label + "!", REQUESTS, SINCE) is None
        assert server.jobs[batch].wire["displayName"] == label


# The end of a batch


async def test_a_cancelled_batch_is_deleted_and_done() -> None:
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await provider.cancel_batch(batch)
        assert server.deleted == 1
        assert (await provider.batch_status(batch)).done
        assert await outcomes(provider, batch) == {}
        await provider.cancel_batch(batch)
        assert server.deleted == 1


async def test_a_batch_that_has_ended_is_not_deleted() -> None:
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        await provider.cancel_batch(batch)
        assert server.deleted == 0
        assert set(await outcomes(provider, batch)) == set(REQUESTS)


async def test_what_is_gone_is_told_and_is_not_the_models_fault() -> None:
    async with at_fireworks() as (provider, server):
        with pytest.raises(Rejected, match="resource not found") as caught:
            await provider.batch_status("never-was")
        assert caught.value.reason == "request"
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        server._outputs.clear()
        with pytest.raises(Rejected, match="gone"):
            await outcomes(provider, batch)


async def test_a_signed_address_that_has_expired_is_asked_for_again() -> None:
    async with at_fireworks() as (provider, server):
        batch = await provider.submit_batch(LABEL, REQUESTS)
        await finished(provider, batch)
        server.expired = 1
        with pytest.raises(Unavailable, match="403"):
            await outcomes(provider, batch)
        assert set(await outcomes(provider, batch)) == set(REQUESTS)


# Account, address and key


async def test_the_account_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "accounts/acct\n")
    async with at_fireworks(account_id="") as (provider, _):
        assert await provider.submit_batch(LABEL, REQUESTS) == LABEL


async def test_without_an_account_variable_and_option_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FIREWORKS_ACCOUNT_ID", raising=False)
    async with at_fireworks(account_id="") as (provider, server):
        with pytest.raises(ConfigError, match=r"FIREWORKS_ACCOUNT_ID.*account_id"):
            await provider.submit_batch(LABEL, REQUESTS)
        assert server.told == []


async def test_an_account_that_is_none_is_refused() -> None:
    async with at_fireworks(account_id="me/../you") as (provider, _):
        with pytest.raises(ConfigError, match="account"):
            await provider.submit_batch(LABEL, REQUESTS)


@pytest.mark.parametrize(
    ("chat", "control"),
    [
        ("https://api.fireworks.ai/inference/v1", "https://api.fireworks.ai/v1"),
        ("https://api.fireworks.ai/inference", "https://api.fireworks.ai/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("https://proxy.test/fw/inference/v1?x=1", "https://proxy.test/fw/v1"),
    ],
)
def test_where_datasets_and_jobs_are(chat: str, control: str) -> None:
    assert control_url(chat) == control


async def test_an_account_that_does_not_exist_is_told_without_the_key() -> None:
    async with at_fireworks(account_id="somebody-else") as (provider, _):
        with pytest.raises(Rejected) as caught:
            await provider.submit_batch(LABEL, REQUESTS)
        assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_gateway_error_is_told_without_the_key() -> None:
    refusing = FireworksServer(plausible_reply)
    refusing.other = lambda *_: Reply.failure(403, f"bad {KEY}").wire({})  # type: ignore[method-assign]
    async with refusing as server:
        options = {"account_id": "acct"}
        provider = Fireworks(Endpoint(base_url=server.base_url, api_key=KEY, options=options))
        with pytest.raises(Unauthorized, match="bad") as caught:
            await provider.submit_batch(LABEL, REQUESTS)
        assert KEY not in "".join(traceback.format_exception(caught.value))
        await server.stop()
        with pytest.raises(Unavailable) as gone:
            await provider.batch_status(LABEL)
        assert KEY not in "".join(traceback.format_exception(gone.value))
        await provider.aclose()


async def test_limits_leave_room_under_the_150_megabytes_of_one_upload() -> None:
    async with at_fireworks() as (provider, _):
        assert provider.batch_limits().megabytes < 150
