"""The provider that never leaves the process, under the contract and beyond it."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from synthtutor.errors import RateLimited
from synthtutor.messages import Request, Response, Schema, user
from synthtutor.provider import Capabilities, Endpoint, Provider
from synthtutor.testing import Scripted, ScriptedProvider
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.scripted import plausible
from synthtutor.testing.server import FakeServer

QUESTION = Request("scripted/m", [user("What is 1/2 + 1/3?")])


class TestScripted(ProviderContract):
    model = "scripted/m"
    cannot = dict.fromkeys(ProviderContract.of_the_wire, "nothing leaves the process")

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Scripted(endpoint)


class Turn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    speaker: Literal["student", "tutor"]
    words: str = Field(max_length=40)


class Dialogue(BaseModel):
    model_config = ConfigDict(extra="forbid")
    turns: list[Turn] = Field(min_length=3)
    correct: bool
    score: int = Field(ge=1, le=5)
    confidence: float = Field(ge=0.5, le=0.75)
    note: str | None
    kind: Literal["dialogue"]


def dialogue(text: str) -> Request:
    definition = Dialogue.model_json_schema()
    return Request("scripted/m", [user(text)], Schema("Dialogue", definition, definition))


@pytest.mark.parametrize("number", range(20))
def test_plausible_text_fits_the_whole_schema(number: int) -> None:
    value = Dialogue.model_validate_json(plausible(dialogue(f"row {number}")))
    assert len(value.turns) >= 3


def test_plausible_text_is_decided_by_the_request() -> None:
    assert plausible(QUESTION) == plausible(QUESTION)
    several = {plausible(dialogue(f"row {number}")) for number in range(10)}
    assert len(several) == 10


async def test_a_script_may_answer_with_text() -> None:
    response = await ScriptedProvider(lambda request: request.messages[0].content).complete(
        QUESTION
    )
    assert response.text == "What is 1/2 + 1/3?"
    assert response.model == "m"
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens > 0


async def test_a_script_may_answer_with_a_whole_response() -> None:
    refusal = Response("", finish="refusal", detail="no")
    assert await ScriptedProvider(lambda _: refusal).complete(QUESTION) is refusal


async def test_a_script_may_raise() -> None:
    provider = ScriptedProvider(lambda _: RateLimited("slow down", retry_after_s=1.5))
    with pytest.raises(RateLimited) as caught:
        await provider.complete(QUESTION)
    assert caught.value.retry_after_s == 1.5


async def test_requests_are_kept_in_order_unless_told_otherwise() -> None:
    keeping, counting = ScriptedProvider(), ScriptedProvider(keep=False)
    for provider in (keeping, counting):
        await provider.complete(QUESTION)
        await provider.complete(dialogue("row 1"))
    assert keeping.requests == [QUESTION, dialogue("row 1")]
    assert (counting.requests, counting.calls) == ([], 2)


async def test_a_delay_lets_calls_overlap() -> None:
    started: list[int] = []
    finished_after: list[int] = []
    provider = ScriptedProvider(delay_s=0.05)

    async def call(number: int) -> None:
        started.append(number)
        await provider.complete(QUESTION)
        finished_after.append(len(started))

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(call(number))
    assert finished_after == [4, 4, 4, 4]


def test_capabilities_are_as_given() -> None:
    limited = Capabilities(structured_output="none", seed=False)
    assert ScriptedProvider(capabilities=limited).capabilities("any") is limited
    assert Scripted(Endpoint()).capabilities("any").demonstration_only


async def test_the_plugin_takes_its_delay_from_the_options() -> None:
    provider = Scripted(Endpoint(options={"delay_s": "60"}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await provider.complete(QUESTION)
