"""Against llmock, which judges its clients: what it has to say about a run of ours."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.mocks import asked, llmock
from tests.faults.running import Happened, Scene, keys, ran, said_back
from tests.faults.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow

_OFFENCES = {
    "retry_after_ignored",
    "retried_non_retryable",
    "retry_storm",
    "no_backoff",
    "gave_up",
}
# Only the first two say nothing about a wait, so no call meets two of these: full jitter may well
# wait less the second time, which two waits are too few to tell from no backoff.
_SCENARIO: list[dict[str, Any]] = [
    {"type": "fail", "status": 500, "times": 2},
    {"type": "fail", "status": 429, "retry_after": 2, "times": 5},
    {"type": "fail", "status": 503, "retry_after": 0.3, "times": 2},
    {"type": "fail", "status": 529, "retry_after": 0.2, "times": 2},
    {"type": "fail", "status": 422, "times": 1},
    {"type": "delay", "seconds": 0.5, "times": 3},
]
_FAULTS = 12
_ROWS = 40


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_llmock_finds_nothing_wrong_with_how_a_run_meets_faults(
    vendor: Vendor, tmp_path: Path
) -> None:
    with llmock() as url:
        asked(f"{url}/_llmock/scenario", {"behaviors": _SCENARIO})
        happened = _ran(vendor, tmp_path, url, rows=_ROWS, concurrency=8)
        verdict = asked(f"{url}/_llmock/verdict")
        pending = asked(f"{url}/_llmock/scenario")["pending"]

    assert _findings(verdict) == set()
    assert pending == [], "every fault was met"
    assert verdict["attempts"] == _ROWS + _FAULTS - 1, "one fault, one more call; a 422 is no use"
    failed = [reason for reason in happened.reasons.values() if reason]
    assert len(failed) == 1
    assert failed[0].startswith("rejected (request): HTTP 422")
    assert happened.calls == _ROWS - 1


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_llmock_sees_a_call_back_off_from_an_outage(vendor: Vendor, tmp_path: Path) -> None:
    with llmock() as url:
        outage = {"type": "fail", "status": 503, "times": 5}
        asked(f"{url}/_llmock/scenario", {"behaviors": [outage]})
        happened = _ran(vendor, tmp_path, url, rows=1)
        verdict = asked(f"{url}/_llmock/verdict")
    assert _findings(verdict) == set()
    assert (verdict["calls"], verdict["attempts"]) == (1, 6)
    assert happened.outcomes == {0: "kept"}


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_llmock_finds_nothing_wrong_with_how_a_run_keeps_a_quota(
    vendor: Vendor, tmp_path: Path
) -> None:
    rows = 130
    with llmock("--rpm", "120") as url:
        happened = _ran(vendor, tmp_path, url, rows=rows, concurrency=20)
        verdict = asked(f"{url}/_llmock/verdict")
    assert _findings(verdict) == set()
    assert happened.outcomes == dict.fromkeys(range(rows), "kept")
    assert happened.calls == rows
    assert verdict["attempts"] <= rows + 20, "a 429 costs each call in flight once, at most"


@pytest.mark.parametrize(
    ("status", "retry_after", "times", "offence"),
    [
        (429, 5, 3, "retry_after_ignored"),
        (500, None, 12, "retry_storm"),
        (500, None, 3, "no_backoff"),
        (400, None, 1, "retried_non_retryable"),
    ],
)
def test_llmock_does_find_what_is_wrong_with_a_bad_client(
    status: int, retry_after: int | None, times: int, offence: str
) -> None:
    fault = {"type": "fail", "status": status, "retry_after": retry_after, "times": times}
    with llmock() as url:
        asked(f"{url}/_llmock/scenario", {"behaviors": [fault]})
        for _ in range(times + 1):
            _asked_at_once(url)
        verdict = asked(f"{url}/_llmock/verdict")
    assert offence in _findings(verdict)


def _ran(vendor: Vendor, folder: Path, url: str, **options: Any) -> Happened:
    scene = Scene(lambda row, nth: pytest.fail("the mock answers"))
    base_url = url + vendor.at_llmock
    with keys():
        return asyncio.run(ran(vendor, folder, scene, base_url, chosen=said_back, **options))


def _findings(verdict: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in verdict["findings"]} & _OFFENCES


def _asked_at_once(url: str) -> None:
    """A client without any patience."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "now!"}]})
    try:
        connection.request(
            "POST", "/v1/chat/completions", body, {"content-type": "application/json"}
        )
        connection.getresponse().read()
    finally:
        connection.close()
