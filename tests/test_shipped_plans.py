"""The plans in examples/plans: to the digit, with prices, and still true of our prompts."""

from __future__ import annotations

import itertools
import json
from io import StringIO
from math import fsum
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from synthtutor.bills import PricedPlan, compare, price_plan
from synthtutor.cli.plans import comparison_json, plan_json, print_comparison
from synthtutor.judge import criteria_shape
from synthtutor.messages import Message, Schema
from synthtutor.plans import Plan
from synthtutor.prices import price_of
from synthtutor.prompts import Prompts
from synthtutor.recipes.bank import bank, golds, own_criteria
from synthtutor.recipes.misconception import Row, Scenario, rows
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.structured import shape_of
from synthtutor.tutoring import MISCONCEPTION_TYPES
from tests.plans import STEP, TIERED, shown, tokens

PLANS = Path(__file__).parents[1] / "examples" / "plans"
SHIPPED = sorted(path.stem for path in PLANS.glob("*.yaml"))


def shipped(name: str) -> PricedPlan:
    return price_plan(Plan.load(PLANS / f"{name}.yaml"))


# ── the report's plan, to the digit ──────────────────────────────────────────────────────────


def test_the_reports_plan_comes_out_to_the_digit() -> None:
    priced = shipped("personalised-education")
    assert {each.step.name: each.tokens.total for each in priced.steps} == {
        "profiles": 293_827_500,
        "questions and answers": 7_760_000,
        "fine-tuning": 20_806_400,
        "inference with the tuned model": 24_200_000,
        "retrieval (RAG)": 39_990_000,
        "scoring": 44_520_000,
    }
    assert priced.subtotal.total == 431_103_900
    assert priced.total == 474_214_290


def test_the_first_profile_sees_no_other_for_the_report_counts_from_0() -> None:
    fields = {"calls": 1000, "input": 2071, "output": 548}
    sums = [
        tokens({**STEP, **fields, "growth": {"input": 583, "first": first}}).total
        for first in (0, 1)
    ]
    assert [f"{total / 1e6:.2f} M" for total in sums] == ["293.83 M", "294.41 M"]


def test_quotas_give_the_same_for_at_most_a_third() -> None:
    report, ours = shipped("personalised-education"), shipped("personalised-education-quotas")
    assert ours.subtotal.total == 140_223_300
    assert ours.total == 154_245_630
    ratio = compare([report, ours]).ratios[1]
    assert ratio is not None
    assert ratio == pytest.approx(0.3253, abs=1e-4)
    assert 3 * ours.subtotal.total <= report.subtotal.total
    profiles = ours.steps[0].tokens.total
    assert profiles == 2_946_900, "the issue's own goal: 3 M for a thousand profiles"
    if_every_second_is_rejected = ours.subtotal.total - profiles + 2_000 * 2_679
    assert 3 * if_every_second_is_rejected <= report.subtotal.total


def test_beside_the_profiles_our_plan_saves_no_token() -> None:
    report, ours = shipped("personalised-education"), shipped("personalised-education-quotas")
    for theirs, own in zip(report.steps[1:], ours.steps[1:], strict=True):
        assert (theirs.calls, theirs.tokens.total) == (own.calls, own.tokens.total)
        assert theirs.step.name == own.step.name


def test_the_pasted_memory_is_priced_in_the_tier_that_each_prompt_falls_into() -> None:
    profiles = Plan.load(PLANS / "personalised-education.yaml").steps[0]
    price = price_of(TIERED)
    one_by_one = fsum(price.cost(profiles.usage(i)) or 0 for i in range(1000))
    bill = next(c for c in shipped("personalised-education").casts if c.name == "middle").bills[0]
    assert bill is not None
    assert bill.live.low == pytest.approx(one_by_one, rel=1e-9)


# ── every shipped plan ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_plan_is_priced_offline_for_two_casts_or_more(name: str) -> None:
    priced = shipped(name)
    assert len(priced.casts) >= 2
    for cast in priced.casts:
        assert not cast.unknown
        assert 0 < cast.total.batch.low < cast.total.live.low
        assert all(price.source.startswith("genai-prices ") for price in cast.prices.values())
        writers = {
            m for s, m in zip(priced.steps, cast.models, strict=True) if s.step.model != "judge"
        }
        judges = {
            m for s, m in zip(priced.steps, cast.models, strict=True) if s.step.model == "judge"
        }
        assert not writers & judges, "the judge is never the writer"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_plan_says_where_its_numbers_come_from(name: str) -> None:
    priced = shipped(name)
    assert priced.plan.sources
    text = (PLANS / f"{name}.yaml").read_text()
    assert "ssumed" in text or "ours" in text.lower()
    assert f"synthtutor estimate --plan examples/plans/{name}.yaml" in text or name.endswith(
        "quotas"
    )


def test_the_classic_runs_are_there() -> None:
    assert shipped("misconception-1000").calls == 3 * 1000 + 8 * 2
    mathdial = shipped("mathdial-reasoner")
    assert [each.calls for each in mathdial.steps] == [6 * 2861, 6 * 2861, 2861]
    assert mathdial.subtotal.reasoning == 700 * 6 * 2861
    assert mathdial.steps[0].tokens.input == 2861 * sum(628 + 78 * i for i in range(6))


def test_the_prompt_sizes_on_paper_are_those_of_our_prompts() -> None:
    on_paper = {each.step.name: each.step.input for each in shipped("misconception-1000").steps}
    for name, (size, bytes_per_token) in rendered(100).items():
        assert on_paper[name] == pytest.approx(size / bytes_per_token, rel=0.04), (
            f"the prompts of {name} have changed: count them again and write it into the plan"
        )


def rendered(count: int) -> dict[str, tuple[float, float]]:
    """Mean UTF-8 bytes of each stage's prompts, and the bytes that a token had when counted."""
    prompts, seeds, pack = Prompts(), bank(), load_rubric("misconception-repair")
    sizes: dict[str, list[int]] = {"scenario": [], "reply": [], "judge": []}
    for number, row in enumerate(itertools.islice(rows(RowOptions()).rows, count)):
        assert isinstance(row, Row)
        case, (example, gold) = seeds[number * 7 % len(seeds)], golds()[number % 28]
        scenario = prompts.render(
            "misconception/scenario.md.j2",
            {
                "subject": row.subject,
                "misconception_type": row.misconception_type,
                "description": MISCONCEPTION_TYPES[row.misconception_type],
                "seed": row.seed,
            },
        )
        reply = prompts.render(
            "misconception/reply.md.j2",
            {"case": case, "example": example, "gold": gold, "rubric": ()},
        )
        rubric = pack.extended(own_criteria(case.rubric))
        student = prompts.render("misconception/student.md.j2", {"case": case})[0].content
        judged = [criterion for criterion in rubric.criteria if criterion.kind == "judged"]
        verdicts = prompts.render(
            "judge.md.j2", {"context": student, "text": gold.reply, "criteria": judged}
        )
        sizes["scenario"].append(size(scenario, shape_of(Scenario).schema))
        sizes["reply"].append(size(reply, None))
        sizes["judge"].append(size(verdicts, criteria_shape(rubric).schema))
    ratios = {"scenario": 4.186, "reply": 4.091, "judge": 4.117}
    return {name: (sum(each) / len(each), ratios[name]) for name, each in sizes.items()}


def size(messages: Any, schema: Schema | None) -> int:
    asked = "".join(message.content for message in messages if isinstance(message, Message))
    form = json.dumps(schema.definition, separators=(",", ":")) if schema else ""
    return len((asked + form).encode())


# ── what is shown of them ────────────────────────────────────────────────────────────────────


def test_the_reports_plan_is_shown_as_the_report_writes_it() -> None:
    lines = {
        " ".join(line.split()) for line in shown(shipped("personalised-education")).splitlines()
    }
    assert lines >= {
        "profiles 1,000 × (2,071 + 583·i input + 548 output), i = 0 … 999 293.83 M",
        "questions and answers 5,000 × 1,552 7.76 M",
        "fine-tuning 104,032 × 20 batches × 10 epochs 20.81 M",
        "inference with the tuned model 40,000 × 605 24.20 M",
        "retrieval (RAG) 10,000 × 3,999 39.99 M",
        "scoring 10,000 × 2,226 × 2 systems 44.52 M",
        "subtotal 76,200 calls 431.10 M",
        "with 10 % more 474.21 M",
        "without a model, and so without a price: 45.01 M tokens",
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_as_json_a_plan_is_plain_values_with_exact_tokens(name: str) -> None:
    priced = shipped(name)
    value = json.loads(json.dumps(plan_json(priced)))
    assert (
        value["tokens"] == priced.subtotal.total == sum(each["tokens"] for each in value["steps"])
    )
    assert value["tokens_with_margin"] == priced.total
    for cast in value["casts"]:
        low, high = cast["cost_usd"]["live"]["low"], cast["cost_usd"]["live"]["high"]
        assert 0 < low <= high
        assert {"source", "match"} == set(next(iter(cast["prices"].values())))


def test_a_comparison_is_shown_and_is_json() -> None:
    comparison = compare(
        [shipped("personalised-education"), shipped("personalised-education-quotas")]
    )
    out = StringIO()
    print_comparison(Console(file=out, width=40), comparison)
    assert "154.25 M         32.5%" in out.getvalue()
    value = json.loads(json.dumps(comparison_json(comparison)))
    assert value["tokens_ratios"][1] == pytest.approx(0.32527, abs=1e-5)
    assert [cast["name"] for cast in value["casts"]] == ["large", "middle", "small"]
