"""The client that SDKs are given, in its two forms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from synthtutor.provider import Endpoint
from synthtutor.transport import http_client


@pytest.fixture(params=[True, False], ids=["pyreqwest", "httpx2"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def client(fast: bool) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(Endpoint(timeout_s=60), fast=fast) as opened:
        yield opened
