"""Counting a prompt's tokens at Google, before it is sent."""

from __future__ import annotations

import pytest
from synthtutor_google import Google

from synthtutor.errors import Rejected, Unauthorized, Unavailable
from synthtutor.messages import Message, Request, Schema, Settings, system, user
from synthtutor.provider import CountingProvider, Endpoint
from synthtutor.testing.google_wire import GoogleServer
from synthtutor.testing.replies import Reply
from synthtutor.testing.serving import Asked

KEY = "AIza-test-0123456789"
SCHEMA = Schema("Grade", {"type": "object", "properties": {}, "additionalProperties": False}, {})
TALK = (system("You are a tutor."), user("Why?"), Message("assistant", "Look."), user("At what?"))


class Failing(GoogleServer):
    """Answers whatever is no generateContent with one reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.answer = reply

    def other(self, method: str, asked: Asked, content: bytes) -> bytes | None:
        return self.render(self.answer, asked)


def provider(server: GoogleServer) -> Google:
    return Google(Endpoint(base_url=server.base_url, api_key=KEY))


async def test_the_count_is_what_is_billed_and_nothing_is_generated() -> None:
    async with GoogleServer() as server:
        google = provider(server)
        assert isinstance(google, CountingProvider)
        asked = Request("google/gemini-2.5-flash", TALK, SCHEMA)
        counted = await google.count_tokens(asked)
        assert server.calls == 0
        assert counted == (await google.complete(asked)).usage.input_tokens
        await google.aclose()


async def test_the_whole_request_is_counted_as_it_is_sent() -> None:
    asked = Request(
        "google/gemini-2.5-flash", TALK, SCHEMA, Settings(temperature=0.5, reasoning_effort="low")
    )
    async with GoogleServer() as server:
        google = provider(server)
        await google.count_tokens(asked)
        await google.complete(asked)
        await google.aclose()
    counted, sent = (request.body for request in server.asked)
    whole = counted["generateContentRequest"]
    assert counted.keys() == {"generateContentRequest"}
    assert whole["model"] == "models/gemini-2.5-flash"
    assert whole["contents"] == sent["contents"]
    assert whole["systemInstruction"] == sent["systemInstruction"]
    assert whole["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": sent["generationConfig"]["responseJsonSchema"],
    }


async def test_a_model_without_a_system_instruction_is_counted_too() -> None:
    async with GoogleServer() as server:
        google = provider(server)
        assert await google.count_tokens(Request("google/models/gemma-3-27b-it", TALK)) > 1
        await google.aclose()
    whole = server.asked[0].body["generateContentRequest"]
    assert "systemInstruction" not in whole
    assert len(whole["contents"]) == 4


async def test_an_error_means_what_it_means_elsewhere() -> None:
    async with Failing(Reply.failure(401, f"API key not valid: {KEY}")) as server:
        google = provider(server)
        with pytest.raises(Unauthorized) as caught:
            await google.count_tokens(Request("google/gemini-2.5-flash", TALK))
        await google.aclose()
    assert KEY not in str(caught.value)


async def test_an_unknown_model_is_said_to_be_one() -> None:
    async with Failing(Reply.failure(404, "models/gemini-0 is not found")) as server:
        google = provider(server)
        with pytest.raises(Rejected) as caught:
            await google.count_tokens(Request("google/gemini-0", TALK))
        await google.aclose()
    assert caught.value.reason == "model"


async def test_a_reply_without_a_count_is_not_taken_for_zero() -> None:
    async with Failing(Reply(raw=b"{}")) as server:
        google = provider(server)
        with pytest.raises(Unavailable, match="not a count"):
            await google.count_tokens(Request("google/gemini-2.5-flash", TALK))
        await google.aclose()
