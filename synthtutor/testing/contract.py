"""What every provider must do, as tests: its own suite subclasses `ProviderContract`.

    class TestOpenAI(ProviderContract):
        model = "openai/test-model"

        def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
            return OpenAI(endpoint)

Each ``test_…`` method is a case. A provider that cannot exhibit one (an in-process model has no
HTTP statuses) lists it in ``cannot``, best with the reason; pytest then reports it as skipped.
``cannot = dict.fromkeys(ProviderContract.of_the_wire, "the model runs in this process")`` leaves
what holds without a server. A provider with a wire of its own overrides ``serve`` and the
``sent_…`` methods.

Needs pytest with pytest-asyncio (``asyncio_mode = "auto"``) to run, but not to be imported.
"""

# ruff: noqa: D102, S101  (these are tests, although they ship)

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar, TypeVar

from synthtutor.errors import ProviderError, RateLimited, Rejected, Unauthorized, Unavailable
from synthtutor.messages import Message, Request, Response, Schema, Settings, Usage, system, user
from synthtutor.provider import Capabilities, Endpoint, Provider
from synthtutor.testing.replies import Behaviour, Reply, plausible_reply
from synthtutor.testing.server import FakeServer, OpenAIServer

__all__ = ["ProviderContract"]

_Error = TypeVar("_Error", bound=ProviderError)

# Only a test's deadline against hanging for ever: nothing is decided by how long a call takes.
_PATIENCE_S = 60.0


class ProviderContract:
    """The conformance tests. Subclass it as ``Test…`` and implement ``make``."""

    model: ClassVar[str] = "provider/test-model"
    api_key: ClassVar[str] = "sk-contract-0123456789abcdef"
    settings: ClassVar[Settings] = Settings(max_tokens=256)
    cannot: ClassVar[Set[str] | Mapping[str, str]] = frozenset()
    of_the_wire: ClassVar[Set[str]]  # the cases that need the server, filled in below

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        """The provider under test. ``endpoint`` has the server's base URL, a key and a timeout."""
        raise NotImplementedError

    def serve(self, behaviour: Behaviour) -> FakeServer:
        """The fake that speaks the provider's wire, not yet started."""
        return OpenAIServer(behaviour)

    def sent_schema(self, body: Mapping[str, Any]) -> object:
        """The JSON schema in a request body, where the wire puts it."""
        return body["response_format"]["json_schema"]["schema"]

    def sent_messages(self, body: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The (role, text) pairs in a request body, where the wire puts them."""
        return [(message["role"], message["content"]) for message in body["messages"]]

    def setup_method(self, method: Callable[..., object]) -> None:
        """Skip what the provider says it cannot exhibit (pytest calls this before each test)."""
        import pytest

        case = method.__name__.removeprefix("test_")
        if case in self.cannot:
            reasons = self.cannot if isinstance(self.cannot, Mapping) else {}
            pytest.skip(f"{type(self).__name__}: {reasons.get(case, f'cannot exhibit {case}')}")

    @asynccontextmanager
    async def against(
        self, behaviour: Behaviour | Reply = plausible_reply, **settings: Any
    ) -> AsyncIterator[tuple[Provider, FakeServer]]:
        """A provider and the server it talks to, both closed at the end; ``settings`` of the endpoint."""
        if isinstance(behaviour, Reply):
            always = behaviour

            def behaviour(_: dict[str, Any]) -> Reply:
                return always

        async with self.serve(behaviour) as server:
            endpoint = Endpoint(base_url=server.base_url, api_key=self.api_key, timeout_s=30.0)
            provider = self.make(server, replace(endpoint, **settings))
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    yield provider, server
            finally:
                await provider.aclose()

    def request(self, *texts: str, schema: Schema | None = None) -> Request:
        """A request to the model under test."""
        messages = [user(text) for text in texts or ("What is 1/2 + 1/3?",)]
        return Request(self.model, messages, schema, self.settings)

    async def answer(self, behaviour: Behaviour | Reply, **settings: Any) -> Response:
        """One call's response."""
        async with self.against(behaviour, **settings) as (provider, _):
            return await provider.complete(self.request())

    async def error(self, kind: type[_Error], reply: Reply, **settings: Any) -> _Error:
        """The error of one call; fails when there is none, another, or more than one request."""
        async with self.against(reply, **settings) as (provider, server):
            outcome = await _outcome(provider, self.request())
            assert isinstance(outcome, kind), f"expected {kind.__name__}, got {outcome!r}"
            assert server.calls <= 1, "a provider never retries: synthtutor does"
            return outcome

    # The class and its declarations

    def test_cannot_names_real_cases(self) -> None:
        cases = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        assert set(self.cannot) <= cases, f"unknown: {set(self.cannot) - cases}"

    async def test_it_is_a_provider_with_capabilities(self) -> None:
        async with self.against() as (provider, server):
            assert isinstance(provider, Provider)
            name = self.request().model_name
            assert isinstance(provider.capabilities(name), Capabilities)
            assert isinstance(provider.capabilities("a-model-nobody-heard-of"), Capabilities)
            assert server.connections == 0, "capabilities() must not use the network"

    # What comes back

    async def test_success(self) -> None:
        messages = [system("Be a tutor."), user("½ + ⅓?"), Message("assistant", "Hm."), user("?")]
        async with self.against(Reply("Compare the “parts” ✓\n")) as (provider, server):
            request = replace(self.request(), messages=messages)
            response = await provider.complete(request)
        assert response.text == "Compare the “parts” ✓\n"
        assert response.finish == "stop"
        assert response.model == request.model_name
        assert response.reasoning == ""
        sent = self.sent_messages(server.asked[0].body)
        assert sent == [(message.role, message.content) for message in messages]

    async def test_request_id(self) -> None:
        response = await self.answer(Reply("Yes.", headers={"X-Request-Id": "req-42"}))
        assert response.request_id == "req-42"

    async def test_structured_output(self) -> None:
        definition = {
            "type": "object",
            "properties": {"hint": {"type": "string"}, "level": {"enum": ["easy", "hard"]}},
            "required": ["hint", "level"],
            "additionalProperties": False,
        }
        schema = Schema("TutorReply", definition, definition)
        async with self.against() as (provider, server):
            response = await provider.complete(self.request(schema=schema))
            for asked in server.asked:
                assert self.sent_schema(asked.body) == definition
        value = json.loads(response.text)
        assert set(value) == {"hint", "level"}
        assert value["level"] in ("easy", "hard")

    async def test_usage(self) -> None:
        usage = Usage(120, 45, cache_read_tokens=80, cache_write_tokens=7, reasoning_tokens=30)
        response = await self.answer(Reply("Yes.", usage=usage))
        assert response.usage == usage

    async def test_empty_content(self) -> None:
        response = await self.answer(Reply("", usage=Usage(9, 0)))
        assert response.text == ""
        assert response.usage.input_tokens == 9

    async def test_truncated(self) -> None:
        response = await self.answer(Reply('{"hint": "Comp', finish_reason="length"))
        assert response.finish == "length"
        assert response.text == '{"hint": "Comp'
        assert response.usage.output_tokens > 0

    async def test_refusal(self) -> None:
        response = await self.answer(Reply(None, refusal="I cannot help with that."))
        assert response.finish == "refusal"
        assert "I cannot help" in (response.detail or "")
        assert response.usage.output_tokens > 0, "a refusal is paid for"

    async def test_content_filter(self) -> None:
        response = await self.answer(Reply(None, finish_reason="content_filter"))
        assert response.finish == "refusal"
        assert response.detail

    async def test_rate_limits(self) -> None:
        headers = {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-tokens": "29000",
            "x-ratelimit-reset-tokens": "6m0s",
        }
        limits = (await self.answer(Reply("Yes.", headers=headers))).rate_limits
        assert limits is not None
        assert (limits.requests_limit, limits.requests_remaining) == (500, 499)
        assert (limits.tokens_limit, limits.tokens_remaining) == (30000, 29000)
        assert (limits.requests_reset_s, limits.tokens_reset_s) == (0.12, 360.0)

    async def test_no_rate_limits(self) -> None:
        assert (await self.answer(Reply("Yes."))).rate_limits is None

    # Too fast

    async def test_rate_limited_with_seconds(self) -> None:
        assert await self._wait_after({"retry-after": "7"}) == 7.0

    async def test_rate_limited_with_milliseconds(self) -> None:
        assert await self._wait_after({"retry-after-ms": "1250", "retry-after": "2"}) == 1.25

    async def test_rate_limited_with_a_date(self) -> None:
        then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        wait = await self._wait_after({"Retry-After": then})
        assert wait is not None
        assert 3000 < wait <= 3600

    async def test_rate_limited_with_resets_only(self) -> None:
        headers = {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m2s",
            "x-ratelimit-remaining-tokens": "900",
            "x-ratelimit-reset-tokens": "6m0s",
        }
        assert await self._wait_after(headers) == 62.0

    async def test_rate_limited_with_nothing(self) -> None:
        assert await self._wait_after({}) is None

    async def _wait_after(self, headers: Mapping[str, str]) -> float | None:
        reply = Reply.failure(429, "Too many.", code="rate_limit_exceeded", headers=headers)
        error = await self.error(RateLimited, reply)
        assert error.status == 429
        return error.retry_after_s

    # Not there, or broken

    async def test_server_errors(self) -> None:
        for status in (500, 502, 503, 504, 529):
            error = await self.error(Unavailable, Reply.failure(status, "Overloaded."))
            assert error.status == status

    async def test_server_error_that_is_not_json(self) -> None:
        page = Reply(
            status=502, raw=b"<html>Bad gateway</html>", headers={"content-type": "text/html"}
        )
        assert (await self.error(Unavailable, page)).status == 502

    async def test_server_error_with_retry_after(self) -> None:
        reply = Reply.failure(503, "Later.", headers={"retry-after": "3"})
        assert (await self.error(Unavailable, reply)).retry_after_s == 3.0

    async def test_hang(self) -> None:
        await self.error(Unavailable, Reply(hang=True), timeout_s=0.5)

    async def test_drop(self) -> None:
        await self.error(Unavailable, Reply("Half an answer is none.", drop=True))

    async def test_malformed_json(self) -> None:
        await self.error(Unavailable, Reply(raw=b'{"choices": [{"mess'))

    async def test_json_that_is_no_completion(self) -> None:
        for raw in (b"{}", b"[]", b"null", b'{"choices": []}', b'{"choices": [{"index": 0}]}'):
            await self.error(Unavailable, Reply(raw=raw))

    async def test_a_page_instead_of_json(self) -> None:
        html = {"content-type": "text/html"}
        await self.error(Unavailable, Reply(raw=b"<html>Please log in</html>", headers=html))

    async def test_connection_refused(self) -> None:
        async with self.against() as (provider, server):
            await server.stop()
            assert isinstance(await _outcome(provider, self.request()), Unavailable)

    # Never again

    async def test_unauthorized(self) -> None:
        quoted = Reply.failure(401, f"Incorrect API key: {self.api_key}.", code="invalid_api_key")
        error = await self.error(Unauthorized, quoted)
        assert error.status == 401
        assert "Incorrect API key" in str(error)

    async def test_the_key_is_never_shown(self) -> None:
        echo = f"You sent {self.api_key}, twice: {self.api_key}"
        for status in (400, 401, 403, 404, 429, 500):
            reply = Reply.failure(status, echo, headers={"x-request-id": "r"})
            error = await self.error(ProviderError, reply)
            shown = "".join(traceback.format_exception(error)) + repr(error)
            assert self.api_key not in shown

    async def test_no_money(self) -> None:
        reply = Reply.failure(429, "You exceeded your current quota.", code="insufficient_quota")
        await self.error(Unauthorized, reply)

    async def test_unknown_model(self) -> None:
        reply = Reply.failure(404, "The model `x` does not exist.", code="model_not_found")
        assert (await self.error(Rejected, reply)).reason == "model"

    async def test_context_overflow(self) -> None:
        message = "This model's maximum context length is 8192 tokens."
        reply = Reply.failure(400, message, code="context_length_exceeded")
        assert (await self.error(Rejected, reply)).reason == "context"

    async def test_bad_request(self) -> None:
        reply = Reply.failure(400, "Unknown parameter: 'x'.", headers={"x-request-id": "req-9"})
        error = await self.error(Rejected, reply)
        assert error.reason == "request"
        assert error.request_id == "req-9"
        assert "Unknown parameter" in str(error)

    # Many at once, and the end

    async def test_cancellation_leaves_it_usable(self) -> None:
        arrived = asyncio.Event()

        def first_hangs(body: dict[str, Any]) -> Reply:
            arrived.set()
            return Reply("Here.", hang="hang" in str(body))

        async with self.against(first_hangs) as (provider, _):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(provider.complete(self.request("hang")))
                await arrived.wait()
                task.cancel()
            assert task.cancelled()
            assert (await provider.complete(self.request("again"))).text == "Here."

    async def test_fifty_at_once(self) -> None:
        def echo(body: dict[str, Any]) -> Reply:
            return Reply(body["messages"][-1]["content"])

        async with self.against(echo, max_in_flight=50) as (provider, server):
            server.together = 50
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(provider.complete(self.request(f"number {number}.")))
                    for number in range(50)
                ]
            assert [task.result().text for task in tasks] == [f"number {n}." for n in range(50)]
            assert server.max_in_flight == server.calls == 50

    async def test_aclose_twice(self) -> None:
        async with self.against() as (provider, _):
            await provider.complete(self.request())
            await provider.aclose()
            await provider.aclose()

    async def test_aclose_unused(self) -> None:
        async with self.against() as (provider, _):
            await provider.aclose()


async def _outcome(provider: Provider, request: Request) -> Response | ProviderError:
    try:
        return await provider.complete(request)
    except ProviderError as error:
        return error


ProviderContract.of_the_wire = frozenset(
    name.removeprefix("test_") for name in vars(ProviderContract) if name.startswith("test_")
) - {
    "aclose_twice",
    "aclose_unused",
    "cannot_names_real_cases",
    "it_is_a_provider_with_capabilities",
    "structured_output",
}
