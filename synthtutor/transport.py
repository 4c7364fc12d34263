"""The HTTP client that the vendors' SDKs are given, so that they ride on the fast transport.

An SDK's own client does its HTTP in Python; with hundreds of calls in flight that is most of a
call's work. httpx2, which the SDKs take, lets its transport be exchanged: where pyreqwest can be
imported, requests go through that, and httpx2 does it all where it cannot.

Both take proxies from the environment: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthtutor.provider import Endpoint

if TYPE_CHECKING:
    import httpx2

__all__ = ["http_client"]

_CONNECT_S = 10.0


def http_client(endpoint: Endpoint, *, fast: bool | None = None) -> httpx2.AsyncClient:
    """A client with the endpoint's timeouts and room for all its calls in flight.

    ``fast`` True insists on pyreqwest, False does without, None takes it where it is installed.
    Needs httpx2, which every SDK of ours that takes a client brings along.
    """
    import httpx2

    most = endpoint.max_in_flight  # the SDKs' own limit of 1000 would hold further calls back
    timeout = httpx2.Timeout(endpoint.timeout_s, connect=min(_CONNECT_S, endpoint.timeout_s))
    if fast is not False:
        try:
            from synthtutor.fast_http import FastClient, FastTransport
        except ImportError:
            if fast:
                raise
        else:
            return FastClient(FastTransport(max_idle=most), timeout=timeout)
    return httpx2.AsyncClient(
        limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
        timeout=timeout,
        follow_redirects=True,
    )
