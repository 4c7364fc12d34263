"""What a run has cost, and for what: a fold over its journal.

Every paid reply is a row there, with its tokens and its price at the time, so the account has no
books of its own that could disagree with it. Sums of dollars are of whole picodollars, since a sum
of floats depends on its order and calls land in any order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthtutor.journal import BatchRecord
from synthtutor.messages import Request, Usage
from synthtutor.meter import Meter, Reservation, worst_case
from synthtutor.prices import Price, price_of

__all__ = [
    "Expectation",
    "Left",
    "Resumes",
    "carry_over",
    "cost_per_kept",
    "entries",
    "expectation",
    "folded",
    "left",
    "resumes",
    "totals",
]

_DOLLARS = "coalesce(sum(CAST(round(cost_usd * 1e12) AS INTEGER)), 0) / 1e12"
_PLACE = ("kind", "role", "model", "stage", "outcome")
_FINISHED = ("kept", "rejected", "undetermined", "failed")
# A sample of an earlier complete pass that later rows do not have is in no file any more.
_OUTCOME = (
    "CASE WHEN calls.kind = 'control' THEN 'control' WHEN samples.sample IS NULL THEN 'unfinished' "
    "WHEN samples.pass < ? THEN 'outdated' ELSE samples.outcome END"
)
_ENTRIES = f"""
SELECT calls.kind AS kind, role, model, stage, {_OUTCOME} AS outcome, count(*) AS calls,
    sum(input_tokens) AS input_tokens, sum(cache_read_tokens) AS cache_read_tokens,
    sum(cache_write_tokens) AS cache_write_tokens, sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens, {_DOLLARS} AS cost_usd,
    sum(cost_usd IS NULL) AS unpriced, sum(finish = 'refusal') AS refused,
    sum((finish = 'refusal') * (input_tokens + output_tokens)) AS refused_tokens,
    sum(finish = 'length') AS truncated, sum(batched) AS batched,
    sum(attempt = 1) AS asked_again, sum(attempt > 0) AS asked_again_calls,
    sum((attempt > 0) * (input_tokens + output_tokens)) AS asked_again_tokens,
    total(seconds) AS seconds
FROM calls LEFT JOIN samples ON samples.sample = calls.sample
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""  # noqa: S608  # constants are put in
_TOTALS = f"""
SELECT count(*), total(input_tokens), total(output_tokens), total(cache_read_tokens),
    total(cache_write_tokens), total(reasoning_tokens), {_DOLLARS}, total(cost_usd IS NULL)
FROM calls
"""  # noqa: S608  # a constant is put in


@dataclass(frozen=True, slots=True)
class Resumes:
    """What resuming took from the journal instead of paying for it again.

    Counted are the passes that paid for something too: running a finished command once more pays
    for nothing, and so saves nothing. A pass that was killed could not write down what it took.
    """

    passes: int = 0
    calls: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """The estimate shown before the run, in US dollars, beside the bill.

    ``ratio`` is billed to expected, once the run is complete; None before, or where calls of
    unknown price are in the bill.
    """

    low_usd: float
    expected_usd: float
    high_usd: float
    billed_usd: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Left:
    """Rows that have no sample yet, and what they would cost as the finished ones did.

    Those that finish first are the shorter ones, which is allowed for. What unfinished rows have
    cost already is taken off. ``usd`` is None where there is nothing to go by: no finished row, or
    calls of unknown price.
    """

    rows: int
    usd: float | None


def entries(connection: sqlite3.Connection, floor: int) -> list[dict[str, Any]]:
    """Calls, tokens, dollars and seconds by kind, role, model, stage and outcome of the sample.

    ``outcome`` is kept, rejected, undetermined, failed, ``unfinished``, ``control``, or
    ``outdated`` for samples of passes before ``floor``. ``cost_usd`` sums the priced calls;
    ``unpriced`` counts the others; ``batched`` calls cost half. ``asked_again`` first replies
    could not be used, which took ``asked_again_calls`` further ones of ``asked_again_tokens``.
    """
    cursor = connection.execute(_ENTRIES, (floor,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def folded(found: Iterable[Mapping[str, Any]], *by: str) -> list[dict[str, Any]]:
    """The entries summed over every part of their place (kind, role, model, …) not named in ``by``."""
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in found:
        figures = {name: value for name, value in entry.items() if name not in _PLACE}
        place = tuple(entry[name] for name in by)
        before = sums.get(place)
        if before is None:
            sums[place] = dict(zip(by, place, strict=True)) | figures
        else:
            before.update({name: before[name] + value for name, value in figures.items()})
    return [sums[place] for place in sorted(sums)]


def totals(connection: sqlite3.Connection) -> tuple[int, Usage, float, int]:
    """Everything ever paid: calls, usage, US dollars, calls without a known price."""
    row = connection.execute(_TOTALS).fetchone()
    return int(row[0]), Usage(*map(int, row[1:6])), float(row[6]), int(row[7])


def cost_per_kept(cost_usd: float, unpriced_calls: int, kept: int) -> float | None:
    """All dollars by the kept samples; None where none is kept, or prices are unknown."""
    return None if unpriced_calls or not kept else cost_usd / kept


def resumes(connection: sqlite3.Connection) -> Resumes:
    """What was taken from the journal by passes that went on paying."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(replayed_calls), 0), total(replayed_usd) FROM passes "
        "WHERE replayed_calls AND pass IN (SELECT pass FROM calls)"
    ).fetchone()
    return Resumes(int(row[0]), int(row[1]), round(float(row[2]), 9))


def expectation(
    noted: Mapping[str, Any] | None, cost_usd: float, unpriced_calls: int, *, complete: bool
) -> Expectation | None:
    """Beside the bill, an estimate as it was noted: ``low_usd``, ``expected_usd``, ``high_usd``."""
    if not noted or "expected_usd" not in noted:
        return None
    expected = float(noted["expected_usd"])
    comparable = complete and expected > 0 and not unpriced_calls
    return Expectation(
        float(noted.get("low_usd", expected)),
        expected,
        float(noted.get("high_usd", expected)),
        cost_usd,
        round(cost_usd / expected, 4) if comparable else None,
    )


def left(
    found: Sequence[Mapping[str, Any]], rows: int | None, made: int, longer: float = 1.0
) -> Left | None:
    """What remains of ``rows`` where ``made`` have a sample; None where there is no end, or no rest.

    Of the rows begun, the average one will take ``longer`` times what a finished one took.
    """
    if rows is None or rows <= made:
        return None
    finished = unfinished = 0.0
    for entry in found:
        if entry["kind"] == "sample":
            finished += entry["cost_usd"] * (entry["outcome"] in _FINISHED)
            unfinished += entry["cost_usd"] * (entry["outcome"] == "unfinished")
    if not made or any(entry["unpriced"] for entry in found):
        return Left(rows - made, None)
    whole = finished / made * longer * rows
    return Left(rows - made, max(0.0, whole - finished - unfinished))


def carry_over(
    meter: Meter,
    batches: Iterable[BatchRecord],
    billed: Iterable[tuple[str, bytes, Usage]],
    prices: Mapping[str, Price],
    *,
    batch: bool,
) -> None:
    """Give a meter with a budget what earlier processes knew: bills, and calls left in batches.

    Without ``batch`` a call whose batch turns out lost is asked live, so the full price is held.
    ``prices`` are those of the run's models; others are looked up.
    """
    if not meter.bounded:
        return
    for model, request, usage in billed:
        meter.learn(model, worst_case(Request.from_json(request)), usage)
    for left_there in batches:
        price = price_of(left_there.model, given=prices)
        for item, most in zip(left_there.items, left_there.worst, strict=False):
            digest, (into, out) = item.partition("-")[0], most
            if out:  # else nothing is owed: it was asked for, and not answered
                meter.hold(digest, Reservation(left_there.model, price, batch, (into, out)))
