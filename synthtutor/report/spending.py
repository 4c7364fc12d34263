"""What a run cost, beside what was expected, and how fast it went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from synthtutor.accounts import Expectation, folded
from synthtutor.counts import money
from synthtutor.report import charts
from synthtutor.report.facts import Facts
from synthtutor.report.figures import Figure, count, spoken, table
from synthtutor.report.timeline import Timeline

__all__ = ["moment", "pace", "spending"]

_CHARTED = 20
_MINUTE, _HOUR = 60.0, 3600.0


def spending(facts: Facts) -> list[Figure]:
    """Dollars and tokens by stage and model, by what became of the sample, and the estimate."""
    entries = folded(facts.summary.account, "kind", "role", "model", "stage")
    figures = [_by_stage(entries), _by_outcome(facts.summary.account)]
    expected = facts.summary.expected
    if expected is not None:
        figures.append(_estimate(expected, facts.summary.unpriced_calls))
    return figures


def _by_stage(entries: list[dict[str, Any]]) -> Figure:
    paid = any(entry["cost_usd"] for entry in entries)
    dearest = sorted(entries, key=lambda e: (-(e["cost_usd"] if paid else _tokens(e)), _place(e)))
    rows = [
        (_place(e), e["model"], count(e["calls"]), count(e["input_tokens"]),
         count(e["cache_read_tokens"]), count(e["output_tokens"]),
         money(e["cost_usd"], e["unpriced"]))
        for e in dearest
    ]  # fmt: skip
    charted = [
        (f"{_place(e)} · {e['model']}", e["cost_usd"], money(e["cost_usd"]))
        if paid
        else (f"{_place(e)} · {e['model']}", _tokens(e), count(_tokens(e)))
        for e in dearest[:_CHARTED]
    ]
    unit = "US dollars" if paid else "tokens"
    note = (
        "" if paid else "No model called has a known price above zero, so the chart shows tokens."
    )
    headings = ("stage", "model", "calls", "input", "of it cached", "output", "cost")
    chart = charts.bars(charted, unit) if charted else None
    return Figure(f"{unit[0].upper()}{unit[1:]} by stage and model", note, chart, table(headings, rows))  # fmt: skip


def _by_outcome(account: Any) -> Figure:
    entries = folded(account, "outcome")
    rows = [
        (spoken(e["outcome"]), count(e["calls"]), count(_tokens(e)), money(e["cost_usd"], e["unpriced"]))
        for e in entries
    ]  # fmt: skip
    note = "By the outcome of the sample that the calls were made for; control: planted defects."
    return Figure("Cost by outcome", note, None, table(("outcome", "calls", "tokens", "cost"), rows))  # fmt: skip


def _estimate(expected: Expectation, unpriced: int) -> Figure:
    rows = [
        ("estimate, low", money(expected.low_usd)),
        ("estimate, expected", money(expected.expected_usd)),
        ("estimate, high", money(expected.high_usd)),
        ("billed", money(expected.billed_usd, unpriced)),
    ]
    values = (expected.low_usd, expected.expected_usd, expected.high_usd, expected.billed_usd)
    chart = charts.bars(
        [(name, value, money(value)) for (name, _), value in zip(rows, values, strict=True)],
        "US dollars",
    )
    inside = expected.low_usd <= expected.billed_usd <= expected.high_usd
    if expected.ratio is None:
        note = "Cannot be compared yet: the run is not complete, or some calls have no known price."
    else:
        note = (
            f"The bill is {expected.ratio:.0%} of the expected cost, "
            f"{'inside' if inside else 'outside'} the range estimated before the run."
        )
    return Figure("Estimated and billed", note, chart, table(("amount", "US dollars"), rows))


def pace(facts: Facts) -> list[Figure]:
    """Calls and calls in flight over the time of work, and each session with its 429s."""
    found = facts.timeline
    figures = [_over_time(found), _in_flight(found)] if found.calls else []
    if found.sessions:
        figures.append(_sessions(found))
    return figures


def _over_time(found: Timeline) -> Figure:
    scale, unit = _unit(found)
    per_minute = [round(calls * _MINUTE / found.width_s, 2) for calls in found.calls]
    rows = [
        (_span(nth, found, scale, unit), count(calls), f"{rate:,.1f}", count(tokens))
        for nth, (calls, rate, tokens) in enumerate(
            zip(found.calls, per_minute, found.tokens, strict=True)
        )
    ]
    chart = charts.line(per_minute, found.width_s / scale, "calls per minute", unit)
    headings = ("time", "calls", "per minute", "tokens")
    return Figure("Calls per minute", _NOTE, chart, table(headings, rows))


def _in_flight(found: Timeline) -> Figure:
    scale, unit = _unit(found)
    rows = [
        (_span(nth, found, scale, unit), f"{mean:,.1f}") for nth, mean in enumerate(found.in_flight)
    ]
    note = (
        "Concurrency: how many calls were waiting for a reply at the same time, on average "
        f"(at most {found.busiest:,.1f}). Calls that got no reply are not counted."
    )
    chart = charts.line(found.in_flight, found.width_s / scale, "calls in flight", unit)
    return Figure("Calls in flight", note, chart, table(("time", "in flight"), rows))


_NOTE = "Replies received. Pauses between sessions and batched calls are left out."


def _sessions(found: Timeline) -> Figure:
    rows = [
        (str(s.number), moment(s.begun), _length(s.seconds), count(s.calls), count(s.batched),
         count(s.retries), count(s.rate_limited), "complete" if s.complete else "ended early")
        for s in found.sessions
    ]  # fmt: skip
    limited = sum(session.rate_limited for session in found.sessions)
    retries = sum(session.retries for session in found.sessions)
    note = (
        f"{'No' if not retries else count(retries)} {'retry' if retries == 1 else 'retries'}, "
        f"{count(limited)} of them after a 429 (too many requests). These are counted per session; a "
        "session that was killed recorded none."
    )
    headings = (
        "session",
        "started (UTC)",
        "length",
        "calls",
        "batched",
        "retries",
        "429s",
        "ended",
    )
    return Figure("Sessions, retries and 429s", note, None, table(headings, rows))


def moment(seconds: float) -> str:
    """A time in seconds since 1970, as people write it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _place(entry: Mapping[str, Any]) -> str:
    kind = "" if entry["kind"] == "sample" else f" ({entry['kind']})"
    stage = str(entry["stage"]).rpartition("/")[2].removesuffix(".md.j2")
    return f"{entry['role']}{kind}: {stage}"


def _tokens(entry: Mapping[str, Any]) -> int:
    return int(entry["input_tokens"]) + int(entry["output_tokens"])


def _unit(found: Timeline) -> tuple[float, str]:
    length = found.width_s * len(found.calls)
    if length >= 2 * _HOUR:
        return _HOUR, "hours"
    return (_MINUTE, "minutes") if length >= 2 * _MINUTE else (1.0, "seconds")


def _span(nth: int, found: Timeline, scale: float, unit: str) -> str:
    width = found.width_s / scale
    return f"{nth * width:.2f} to {(nth + 1) * width:.2f} {unit}"


def _length(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
