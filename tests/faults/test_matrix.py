"""The fault matrix: every fault, through the real run, over every provider's own wire.

All cases run once, beside each other; each test then asks its four questions of one. The table
itself is in `cases`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest

from synthtutor.testing.server import Reply
from tests.faults.cases import GOOD, LASTING, PASSING, Case, said
from tests.faults.running import Happened, Scene, keys, played, ran
from tests.faults.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow

# In one worker each, which plays the cases once for all of their tests.
MATRIX = pytest.mark.xdist_group("fault matrix")
NOBODY = pytest.mark.xdist_group("nobody answers")

_CALL_USD = 100 / 1e6 * 1.0 + 10 / 1e6 * 2.0
_STOPPING = [case for case in PASSING if case.stops]

Matrix = Mapping[tuple[str, str], Happened]


def _scene(case: Case, vendor: Vendor) -> Scene:
    def reply(row: int, nth: int) -> Reply:  # a fault is made when it is sent: it may hold a date
        return case.fault(vendor) if row == 1 and nth <= case.times else said()

    return Scene(reply)


@pytest.fixture(scope="module")
def matrix(scratch: Path) -> Matrix:
    """What happened to each provider in each case. It is mostly waiting, so all are played at once."""
    happened: dict[tuple[str, str], Happened] = {}

    async def one(vendor: Vendor, number: int, case: Case) -> None:
        happened[vendor.name, case.name] = await played(
            vendor,
            scratch / f"{vendor}-{number}",
            _scene(case, vendor),
            timeout_s=case.timeout_s,
        )

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for vendor in VENDORS:
                for number, case in enumerate((*PASSING, *LASTING)):
                    group.create_task(one(vendor, number, case))

    with keys():
        asyncio.run(all_of_them())
    return happened


def _check(case: Case, happened: Happened) -> None:
    others = {0: "kept", 2: "kept"}

    # What does the row get?
    expected = {0: "kept"} if case.stops else {**others, 1: case.row}
    assert happened.outcomes == expected, happened.reasons
    assert happened.reasons.get(1, "").startswith(case.reason)

    # What does the run do?
    asked = happened.asked[1]
    if case.stops is None:
        assert happened.error is None
        assert happened.result is not None
        assert happened.result.complete
    else:
        assert type(happened.error) is case.stops
        assert 2 not in happened.asked, "a stopped run asks nothing more"
    assert len(asked) == case.asked or (case.timeout_s and len(asked) > case.asked)
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert all(gap >= case.waits_s for gap in gaps[: case.times])

    # What does the journal hold?
    assert happened.replies.get(1, []) == list(case.journal)
    if case.row == "failed" and case.journal:
        assert happened.texts[1] == case.journal[-1][1], "the failing reply's text is kept"

    # What is paid?
    paid = len(case.journal) + len(expected.keys() & others.keys())
    assert happened.calls == paid
    assert happened.dollars == pytest.approx(paid * _CALL_USD)
    if happened.result is not None:
        summary = happened.result.summary
        assert summary.calls == paid
        assert summary.cost_usd == pytest.approx(paid * _CALL_USD)


@MATRIX
@pytest.mark.parametrize("case", PASSING, ids=str)
@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_what_a_fault_does(vendor: Vendor, case: Case, matrix: Matrix) -> None:
    _check(case, matrix[vendor.name, case.name])


@MATRIX
@pytest.mark.parametrize("case", LASTING, ids=str)
@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_what_a_fault_does_that_lasts(vendor: Vendor, case: Case, matrix: Matrix) -> None:
    _check(case, matrix[vendor.name, case.name])


@pytest.mark.parametrize("case", _STOPPING, ids=str)
@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_a_stopped_run_goes_on_when_its_cause_is_mended(
    vendor: Vendor, case: Case, tmp_path: Path
) -> None:
    with keys():
        await played(vendor, tmp_path, _scene(case, vendor))
        again = await played(vendor, tmp_path, Scene(lambda row, nth: said()))
    assert again.outcomes == {0: "kept", 1: "kept", 2: "kept"}
    assert sorted(again.asked) == [1, 2], "what was paid is not asked again"
    assert again.calls == 3


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_a_server_that_restarts_in_mid_run_costs_nothing(
    vendor: Vendor, tmp_path: Path
) -> None:
    down = asyncio.Event()

    def reply(row: int, nth: int) -> Reply:
        if row == 1 and nth == 1:
            down.set()
            return said(hang=True)
        return said()

    scene = Scene(reply)
    with keys():
        async with vendor.server(scene) as server, asyncio.TaskGroup() as group:
            run = group.create_task(ran(vendor, tmp_path, scene, server.base_url))
            await down.wait()
            await server.stop()  # what is in flight is reset, what comes now is refused
            await asyncio.sleep(0.2)
            await server.__aenter__()
    happened = run.result()
    assert happened.outcomes == {0: "kept", 1: "kept", 2: "kept"}
    assert happened.replies[1] == [("stop", GOOD)]
    assert happened.calls == 3


_NOBODY = {"connection refused": "http://127.0.0.1:1", "DNS failure": "http://nowhere.invalid"}


@pytest.fixture(scope="module")
def unanswered(scratch: Path) -> Matrix:
    """What happened to twelve rows where there is no server, all of it beside each other."""
    happened: dict[tuple[str, str], Happened] = {}

    async def one(vendor: Vendor, why: str, root_url: str) -> None:
        scene = Scene(lambda row, nth: said())
        server = vendor.server(scene)
        url = root_url + server.base_url.removeprefix(server.root_url)
        happened[vendor.name, why] = await ran(
            vendor, scratch / f"{vendor} {why}", scene, url, rows=12, concurrency=8, timeout_s=5
        )

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for vendor in VENDORS:
                for why, root_url in _NOBODY.items():
                    group.create_task(one(vendor, why, root_url))

    with keys():
        asyncio.run(all_of_them())
    return happened


@NOBODY
@pytest.mark.parametrize("why", _NOBODY)
@pytest.mark.parametrize("vendor", VENDORS, ids=str)
def test_where_nobody_answers_a_few_rows_fail_and_the_run_stops(
    vendor: Vendor, why: str, unanswered: Matrix
) -> None:
    happened = unanswered[vendor.name, why]
    assert set(happened.outcomes.values()) == {"failed"}
    assert all(reason.startswith("unavailable: ") for reason in happened.reasons.values())
    assert happened.result is not None
    assert not happened.result.complete, "five of five rows failed: no row is to blame for that"
    assert (happened.calls, happened.dollars) == (0, 0)
