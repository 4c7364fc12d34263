"""What the tests of estimates share: samples made of figures, and a forecast with everything set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthtutor.estimates import Estimate, Evidence, estimated
from synthtutor.limits import Limits
from synthtutor.prices import Price
from synthtutor.samplings import Figures, PerSample, Site

WRITER = Site("writer", "reply.j2", "x/m")
JUDGE = Site("judge", "judge.j2", "x/judge")
DEAR = Price("given", per_million=(1.0, 4.0))
PRICES = {"x/m": DEAR, "x/judge": DEAR}


def of(figures: Sequence[Figures], site: Site = WRITER, first: int = 0) -> PerSample:
    """A sample for each, numbered from ``first``."""
    numbered = enumerate(figures, first)
    return PerSample({n.to_bytes(4, "big"): {site: each} for n, each in numbered}, len(figures))


def forecast(rows: int, rehearsed: PerSample, **more: Any) -> Estimate:
    known: dict[str, Any] = {
        "all_rows": rows,
        "also_rehearsed": PerSample(),
        "controls": PerSample(),
        "evidence": None,
        "prices": PRICES,
        "spread": {},
        "limits": Limits(),
    }
    return estimated(rows=rows, rehearsed=rehearsed, **(known | more))


def own(samples: PerSample) -> Evidence:
    return Evidence(samples, "this run", own=True)


def dollars(calls: float, into: float, out: float) -> float:
    return calls * (into * 1.0 + out * 4.0) / 1e6
