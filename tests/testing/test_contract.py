"""The contract itself: a sound provider passes it, and each fault is caught by a case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from synthtutor.errors import ProviderError, Rejected, Unavailable
from synthtutor.messages import Finish, Request, Response, Usage
from synthtutor.provider import (
    Capabilities,
    Endpoint,
    Provider,
    error_for_status,
    rate_limits,
    redact,
)
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.server import FakeServer

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refusal"}


class Plain:
    """The least that satisfies the contract, over httpx2; ``faults`` switches parts of it off."""

    def __init__(self, endpoint: Endpoint, *faults: str) -> None:
        self.faults = faults
        self.endpoint = endpoint
        self.headers = {"authorization": f"Bearer {endpoint.api_key}"}
        self.client = httpx2.AsyncClient(timeout=endpoint.timeout_s, trust_env=False)

    async def complete(self, request: Request) -> Response:
        for attempt in range(2):
            try:
                return await self.once(request)
            except ProviderError:
                if attempt or "retries" not in self.faults:
                    raise
        raise AssertionError("unreachable")

    async def once(self, request: Request) -> Response:
        try:
            reply = await self.client.post(
                f"{self.endpoint.base_url}/chat/completions",
                json=self.body(request),
                headers=self.headers,
            )
            if reply.status_code != 200:
                raise self.error(reply)
            return self.response(reply.json(), reply.headers)
        except httpx2.TransportError as error:
            if "raw errors" in self.faults:
                raise
            raise Unavailable(f"{error!r}") from error
        except (LookupError, TypeError, ValueError) as error:
            raise Unavailable("not a completion") from error

    def body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model_name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        if "one message" in self.faults:
            body["messages"] = body["messages"][-1:]
        if request.schema and "no schema" not in self.faults:
            form = {"name": request.schema.name, "schema": request.schema.definition}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def error(self, reply: httpx2.Response) -> ProviderError:
        try:
            said = reply.json()["error"]
        except ValueError:
            said = {"message": reply.text}
        if "everything rejected" in self.faults:
            return Rejected("no")
        message = said["message"]
        if "shows the key" not in self.faults:
            message = redact(message, self.endpoint.api_key)
        headers = {} if "deaf to headers" in self.faults else reply.headers
        return error_for_status(
            reply.status_code,
            message,
            headers,
            code=said.get("code") or "",
            request_id=reply.headers.get("x-request-id"),
        )

    def response(self, reply: dict[str, Any], headers: Mapping[str, str]) -> Response:
        choice = reply["choices"][0]
        message, reason = choice["message"], choice["finish_reason"]
        refusal = None if "no refusals" in self.faults else message["refusal"]
        finish = FINISHES[reason]
        if "never cut" in self.faults:
            finish = "stop"
        return Response(
            message["content"] or "",
            usage=usage(reply["usage"]),
            finish="refusal" if refusal else finish,
            model=reply["model"],
            request_id=headers.get("x-request-id"),
            detail=refusal or reason,
            rate_limits=None if "deaf to headers" in self.faults else rate_limits(headers),
        )

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities()

    async def aclose(self) -> None:
        if "closes once" in self.faults and self.client.is_closed:
            raise RuntimeError("closed already")
        await self.client.aclose()


def usage(raw: Mapping[str, Any]) -> Usage:
    prompt = raw["prompt_tokens_details"]
    return Usage(
        raw["prompt_tokens"],
        raw["completion_tokens"],
        prompt["cached_tokens"],
        prompt["cache_write_tokens"],
        raw["completion_tokens_details"]["reasoning_tokens"],
    )


class TestPlain(ProviderContract):
    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Plain(endpoint)


@pytest.mark.parametrize(
    ("fault", "case"),
    [
        ("retries", "server_errors"),
        ("raw errors", "connection_refused"),
        ("raw errors", "drop"),
        ("raw errors", "hang"),
        ("one message", "success"),
        ("no schema", "structured_output"),
        ("everything rejected", "rate_limited_with_nothing"),
        ("everything rejected", "unauthorized"),
        ("everything rejected", "unknown_model"),
        ("shows the key", "the_key_is_never_shown"),
        ("deaf to headers", "rate_limits"),
        ("deaf to headers", "rate_limited_with_a_date"),
        ("no refusals", "refusal"),
        ("never cut", "truncated"),
        ("never cut", "content_filter"),
        ("closes once", "aclose_twice"),
    ],
)
async def test_a_fault_is_caught(fault: str, case: str) -> None:
    class Faulty(ProviderContract):
        def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
            return Plain(endpoint, fault)

    with pytest.raises((AssertionError, KeyError, RuntimeError, httpx2.TransportError)):
        await getattr(Faulty(), f"test_{case}")()


class InProcess(ProviderContract):
    cannot = {"hang": "the model runs here"}  # noqa: RUF012  # as a plugin's author would write it


class Terse(ProviderContract):
    cannot = frozenset({"hang"})


@pytest.mark.parametrize(
    ("contract", "reason"), [(InProcess, "the model runs here"), (Terse, "cannot exhibit hang")]
)
def test_what_a_provider_cannot_exhibit_is_skipped_with_the_reason(
    contract: type[ProviderContract], reason: str
) -> None:
    suite = contract()
    with pytest.raises(pytest.skip.Exception, match=reason):
        suite.setup_method(suite.test_hang)
    suite.setup_method(suite.test_drop)


def test_a_case_that_does_not_exist_cannot_be_skipped() -> None:
    class Misspelt(ProviderContract):
        cannot = frozenset({"hangs"})

    with pytest.raises(AssertionError, match="hangs"):
        Misspelt().test_cannot_names_real_cases()


def test_the_cases_of_the_wire_are_real_cases() -> None:
    class OfTheWire(ProviderContract):
        cannot = ProviderContract.of_the_wire

    OfTheWire().test_cannot_names_real_cases()
    assert "hang" in ProviderContract.of_the_wire
    assert "aclose_twice" not in ProviderContract.of_the_wire


def test_the_contract_can_be_imported_without_pytest() -> None:
    code = "import sys, synthtutor.testing.contract; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
