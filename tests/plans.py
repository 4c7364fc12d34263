"""Plans on paper for tests: one plain step, and what is shown of a plan."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from synthtutor.bills import PricedPlan, Tokens, price_plan
from synthtutor.cli.plans import print_plan
from synthtutor.plans import Plan

STEP: dict[str, Any] = {"name": "a", "model": "x/y", "calls": 10, "input": 100, "output": 20}
TIERED = "openai/gpt-6.1-sol"


def planned(*steps: dict[str, Any], **fields: Any) -> PricedPlan:
    return price_plan(Plan.checked({"title": "t", "steps": list(steps), **fields}))


def tokens(*steps: dict[str, Any], **fields: Any) -> Tokens:
    return planned(*steps, **fields).subtotal


def shown(priced: PricedPlan) -> str:
    out = StringIO()
    print_plan(Console(file=out, width=40), priced)
    return out.getvalue()
