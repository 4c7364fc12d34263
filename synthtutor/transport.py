"""The HTTP client that the vendors' SDKs are given, so that they ride on the fast transport.

An SDK's own client does its HTTP in Python; with hundreds of calls in flight that is most of a
call's work. httpx2, which the SDKs take, lets its transport be exchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthtutor.provider import Endpoint

if TYPE_CHECKING:
    import httpx2

__all__ = ["http_client"]

_CONNECT_S = 10.0


def http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """A client with the endpoint's timeout and room for all its calls in flight.

    Needs httpx2, which every SDK of ours that takes a client brings along.
    """
    import httpx2

    most = endpoint.max_in_flight  # the SDKs' own limit of 1000 would hold further calls back
    return httpx2.AsyncClient(
        limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
        timeout=httpx2.Timeout(endpoint.timeout_s, connect=min(_CONNECT_S, endpoint.timeout_s)),
        follow_redirects=True,
    )
