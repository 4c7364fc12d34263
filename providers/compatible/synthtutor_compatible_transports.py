"""How bytes travel: one method, with pyreqwest behind it, or httpx2 where that cannot be imported."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from synthtutor.errors import Unavailable, Unreachable
from synthtutor.provider import Endpoint

if TYPE_CHECKING:
    from pyreqwest.http import HeaderMap

__all__ = ["Httpx2Transport", "PyreqwestTransport", "Transport"]

_CONNECT_S = 10.0
_NOBODY = "client error (Connect)"  # reqwest's words


class Transport(Protocol):
    """One method that sends bytes and brings bytes back; header names come back in lower case."""

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body. Raises Unavailable where there is no whole answer in time."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class PyreqwestTransport:
    """reqwest, in Rust: sends, receives and unpacks outside the interpreter lock."""

    def __init__(self, endpoint: Endpoint) -> None:
        from pyreqwest.client import ClientBuilder
        from pyreqwest.exceptions import RequestError

        self._failures = RequestError
        self._timeout_s = endpoint.timeout_s
        self._client = (
            ClientBuilder()
            .timeout(timedelta(seconds=endpoint.timeout_s))
            .connect_timeout(timedelta(seconds=min(_CONNECT_S, endpoint.timeout_s)))
            .follow_redirects(False)
            .user_agent("synthtutor")
            .build()
        )

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body."""
        request = self._client.post(url).headers(headers).body_bytes(body).build()
        try:
            response = await request.send()
            content = await response.bytes()
        except self._failures as error:
            if isinstance(error, TimeoutError):
                raise _late(self._timeout_s) from None
            causes = [cause["message"] for cause in error.details["causes"] or ()]
            kind = Unreachable if _NOBODY in causes else Unavailable
            raise kind(f"no reply: {causes[-1] if causes else error.message}") from None
        return response.status, _headers(response.headers), content.to_bytes()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def _headers(headers: HeaderMap) -> dict[str, str]:
    """Without values that are not ASCII, which pyreqwest cannot hand over."""
    try:
        return dict(headers.items())
    except ValueError:
        found = {}
        for name in headers.keys():  # noqa: SIM118  # its items are what cannot be had
            with suppress(ValueError):
                found[name] = headers[name]
        return found


class Httpx2Transport:
    """httpx2, in Python: some ten times the work per call."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx2

        most = endpoint.max_in_flight
        self._failures = httpx2.RequestError
        self._nobody = (httpx2.ConnectError, httpx2.ConnectTimeout)
        self._timeout_s = endpoint.timeout_s
        self._client = httpx2.AsyncClient(
            headers={"user-agent": "synthtutor"},
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            timeout=httpx2.Timeout(None, connect=min(_CONNECT_S, endpoint.timeout_s)),
        )

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """POST the body."""
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.post(url, content=body, headers=dict(headers))
        except TimeoutError:
            raise _late(self._timeout_s) from None
        except self._failures as error:
            kind = Unreachable if isinstance(error, self._nobody) else Unavailable
            raise kind(f"no reply: {error or type(error).__name__}") from None
        return response.status_code, response.headers, response.content

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _late(timeout_s: float) -> Unavailable:
    return Unavailable(f"no reply within {timeout_s:g} s")
