"""Each lint rule, broken alone."""

from typing import Any

import pytest

from synthtutor.lint import lint
from synthtutor.rubric import Rubric, parse_rubric
from synthtutor.wording import joined_claims, negates

CLEAN = """
pack: {id: clean, version: 1, applies_to: [reply], license: MIT}
scale: binary
scoring: {keep_if: {metric: critical_rate, op: ">", value: 0.80}, min_weighted: 0.60}
criteria:
  - {id: c.names, text: The reply names what went wrong., weight: 5, dimension: diagnosis}
  - {id: c.asks, text: A question ends the message., weight: 1, dimension: scaffolding}
  - {id: c.wrong, text: Something in it is untrue., weight: -5, dimension: truth}
  - {id: c.stale, text: Praise without an object occurs., weight: -1, dimension: tone}
controls:
  - {mutate: drop_diagnosis, must_flip: [c.names]}
  - {mutate: false_content, must_flip: [c.wrong]}
"""


def clean() -> Rubric:
    return parse_rubric(CLEAN)


def with_text(name: str, **fields: Any) -> Rubric:
    pack = clean()
    criteria = tuple(c.model_copy(update=fields) if c.id == name else c for c in pack.criteria)
    return pack.model_copy(update={"criteria": criteria})


def found(pack: Rubric) -> list[tuple[str, str]]:
    return [(fault.rule, fault.where) for fault in lint(pack)]


def test_a_clean_pack_has_no_faults() -> None:
    assert lint(clean()) == []


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("c.wrong", {"text": "The reply does not name the error."}, "double-negative"),
        ("c.wrong", {"text": "The reply contains no example."}, "double-negative"),
        ("c.wrong", {"text": "The reply fails to name the error."}, "double-negative"),
        ("c.asks", {"text": "The reply avoids jargon."}, "negated-merit"),
        ("c.asks", {"text": "The reply doesn't give the answer."}, "negated-merit"),
        ("c.names", {"text": "The reply says why it is not never true."}, "double-negative"),
        ("c.names", {"text": "The reply names the error and gives an example."}, "one-claim"),
        ("c.names", {"text": "The reply names the error; it is short."}, "one-claim"),
        ("c.names", {"text": "The reply names the error. It is short."}, "one-claim"),
        ("c.names", {"text": "The error is named as well as its cause."}, "one-claim"),
        ("c.names", {"text": " ".join(["word"] * 31)}, "too-long"),
        ("c.names", {"dimension": ""}, "no-dimension"),
        ("c.asks", {"text": "The reply names what went so wrong."}, "near-identical"),
    ],
)
def test_a_badly_worded_criterion_is_found(name: str, fields: dict[str, Any], rule: str) -> None:
    assert found(with_text(name, **fields)) == [(rule, name)]


@pytest.mark.parametrize(
    "text",
    [
        "The reply says why the rule does not hold for negative numbers.",
        'The reply asks what "no solution" means.',
        "If the student did not answer, the reply asks again.",
        "The reply compares length and width.",
        "The reply asks for the sum and the difference of both numbers.",
    ],
)
def test_sound_wording_is_left_alone(text: str) -> None:
    assert found(with_text("c.names", text=text)) == []


def test_a_negated_import_may_be_worded_as_a_ban() -> None:
    assert found(with_text("c.wrong", text="The reply must not lie.", negated=True)) == []


def test_a_pack_without_faults_is_found() -> None:
    pack = with_text("c.wrong", weight=5)
    pack = pack.model_copy(update={"criteria": pack.criteria[:3]})
    assert ("no-fault", "pack") in found(pack)


@pytest.mark.parametrize(
    ("weights", "clean_share"),
    [((1, 1, -1, -1), False), ((5, 5, -5, -5), False), ((5, 1, -5, -1), True)],
)
def test_the_share_of_critical_criteria_is_bounded(
    weights: tuple[int, ...], clean_share: bool
) -> None:
    pack = clean()
    criteria = tuple(
        c.model_copy(update={"weight": weight})
        for c, weight in zip(pack.criteria, weights, strict=True)
    )
    rules = found(pack.model_copy(update={"criteria": criteria}))
    assert (("critical-share", "pack") not in rules) == clean_share


@pytest.mark.parametrize("kept", [0, 1])
def test_controls_on_one_polarity_alone_are_found(kept: int) -> None:
    pack = clean()
    assert found(pack.model_copy(update={"controls": pack.controls[kept : kept + 1]})) == [
        ("controls", "pack")
    ]


def test_a_control_that_cannot_flip_its_criterion_is_found() -> None:
    pack = parse_rubric(CLEAN.replace("drop_diagnosis", "boilerplate_praise"))
    assert found(pack) == [("controls", "c.names")]
    pack = parse_rubric(CLEAN.replace("false_content", "drop_check_question"))
    assert found(pack) == [("controls", "c.wrong")]


def test_a_fault_reads_as_one_line() -> None:
    fault = lint(with_text("c.names", dimension=""))[0]
    assert str(fault) == "c.names: has no dimension, so no report can group it (no-dimension)"


def test_only_the_main_clause_is_asked_for_a_negation() -> None:
    assert negates("The tutor must not give the answer away.")
    assert negates("When the student is stuck, the tutor should never give the answer.")
    assert not negates("The tutor explains why the series does not converge.")


def test_what_joins_two_claims_is_named() -> None:
    assert joined_claims("It names the step and explains it.") == "and explains"
    assert joined_claims("It names the step and the rule.") is None
