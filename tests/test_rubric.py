"""Criteria, verdicts and the arithmetic of a score."""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import RubricError
from synthtutor.rubric import Criterion, Rubric, Rule, Scoring, Verdict

WEIGHTS = st.sampled_from([5, 3, 1, -1, -2, -5])


def criterion(name: str, weight: int = 5, **fields: Any) -> Criterion:
    return Criterion(id=name, text=f"The reply shows {name}.", weight=weight, **fields)


def rubric(*criteria: Criterion, op: str = ">", value: float = 0.8, least: float = 0.6) -> Rubric:
    rule = Rule.model_validate({"metric": "critical_rate", "op": op, "value": value})
    return Rubric(
        id="test",
        version=1,
        applies_to=("reply",),
        license="MIT",
        scale="binary",
        scoring=Scoring(keep_if=rule, min_weighted=least),
        criteria=criteria,
    )


def answered(asked: Rubric, observed: Mapping[str, bool | None]) -> dict[str, Verdict]:
    return {
        c.id: Verdict(c.id, "missing")
        if (seen := observed.get(c.id)) is None
        else Verdict(c.id, "answered", seen)
        for c in asked.criteria
    }


def passing(asked: Rubric, *failed: str) -> dict[str, Verdict]:
    return answered(asked, {c.id: c.is_fault == (c.id in failed) for c in asked.criteria})


@st.composite
def judged(draw: st.DrawFn) -> tuple[Rubric, dict[str, bool | None]]:
    weights = draw(st.lists(WEIGHTS, min_size=1, max_size=8))
    asked = rubric(
        *(criterion(f"c{number}", weight) for number, weight in enumerate(weights)),
        op=draw(st.sampled_from([">", ">="])),
        value=draw(st.sampled_from([0.0, 0.5, 0.8])),
        least=draw(st.sampled_from([0.0, 0.6, 1.0])),
    )
    states = st.sampled_from([True, False, None])
    return asked, {c.id: draw(states) for c in asked.criteria}


# ── a criterion and its verdict ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weight", "observed", "passed"),
    [(5, True, True), (5, False, False), (-5, True, False), (-5, False, True)],
)
def test_what_is_observed_passes_by_the_sign_of_the_weight(
    weight: int, observed: bool, passed: bool
) -> None:
    assert Verdict("a", "answered", observed).passed(criterion("a", weight)) is passed


@pytest.mark.parametrize("state", ["missing", "failed"])
def test_an_unanswered_verdict_is_neither_passed_nor_failed(state: Any) -> None:
    assert Verdict("a", state).passed(criterion("a", 5)) is None
    assert Verdict("a", state).passed(criterion("a", -5)) is None


def test_a_verdict_cannot_be_missing_and_observed() -> None:
    with pytest.raises(ValueError, match="missing with observed=True"):
        Verdict("a", "missing", True)
    with pytest.raises(ValueError, match="answered with observed=None"):
        Verdict("a", "answered", None)


@pytest.mark.parametrize(
    ("weight", "override", "critical"),
    [
        (5, None, True),
        (-5, None, True),
        (4, None, False),
        (-1, None, False),
        (1, True, True),
        (5, False, False),
    ],
)
def test_five_is_critical_unless_overridden(
    weight: int, override: bool | None, critical: bool
) -> None:
    assert criterion("a", weight, critical=override).is_critical is critical


def test_a_negated_criterion_is_observed_when_its_text_does_not_hold() -> None:
    ban = Criterion(id="a", text="The reply must not shout.", weight=-5, negated=True)
    well_behaved = Verdict("a", "answered", ban.observe(True))
    assert well_behaved.observed is False
    assert well_behaved.passed(ban) is True
    assert criterion("b").observe(True) is True


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 0},
        {"weight": True},
        {"weight": "5"},
        {"id": "Has Spaces"},
        {"id": ""},
        {"text": "   "},
        {"kind": "code"},
        {"check": "longer_than:60"},
        {"kind": "code", "check": "Longer than"},
        {"wieght": 5},
    ],
)
def test_a_malformed_criterion_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Criterion.model_validate({"id": "a", "text": "Says so.", "weight": 1} | fields)


# ── the rule ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("op", "value", "total", "needed"),
    [
        (">", 0.8, 5, 5),
        (">=", 0.8, 5, 4),
        (">", 0.8, 10, 9),
        (">=", 0.8, 10, 8),
        (">", 0.8, 3, 3),
        (">", 0.8, 7, 6),
        (">=", 0.7, 10, 7),
        (">=", 1.0, 4, 4),
        (">", 0.0, 4, 1),
        (">=", 0.0, 4, 0),
        (">", 0.8, 0, 0),
    ],
)
def test_the_rule_says_how_many_of_how_many(op: Any, value: float, total: int, needed: int) -> None:
    assert Rule(metric="critical_rate", op=op, value=value).needed(total) == needed


@given(hundredths=st.integers(0, 99), total=st.integers(1, 60), passed=st.integers(0, 60))
def test_the_rule_compares_fractions_exactly(hundredths: int, total: int, passed: int) -> None:
    passed = min(passed, total)
    above = Rule(metric="critical_rate", op=">", value=hundredths / 100)
    reaches = Rule(metric="critical_rate", op=">=", value=hundredths / 100)
    assert above.allows(passed, total) == (passed * 100 > hundredths * total)
    assert reaches.allows(passed, total) == (passed * 100 >= hundredths * total)
    assert above.allows(passed, total) == (passed >= above.needed(total))


def test_a_rule_that_nothing_can_meet_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is above 1"):
        Rule(metric="critical_rate", op=">", value=1.0)


# ── the score ────────────────────────────────────────────────────────────────────────────────


def test_four_of_five_is_not_above_four_fifths() -> None:
    asked = rubric(*(criterion(f"c{n}") for n in range(5)))
    score = asked.score(passing(asked, "c2"))
    assert (score.outcome, score.critical_rate, score.needed) == ("rejected", 0.8, 5)
    assert score.reasons == (
        "c2 (critical): not met",
        "4 of 5 critical criteria passed; critical_rate > 0.8 needs 5",
    )


def test_four_of_five_reaches_four_fifths() -> None:
    asked = rubric(*(criterion(f"c{n}") for n in range(5)), op=">=")
    score = asked.score(passing(asked, "c2"))
    assert (score.outcome, score.needed, score.weighted) == ("kept", 4, 0.8)
    assert score.kept


def test_an_observed_fault_counts_against_the_text() -> None:
    asked = rubric(criterion("good"), criterion("fine", 1), criterion("bad", -5))
    clean, faulty = asked.score(passing(asked)), asked.score(passing(asked, "bad"))
    assert (clean.weighted, clean.outcome) == (1.0, "kept")
    assert faulty.weighted == faulty.weighted_raw == pytest.approx(1 / 6)
    assert faulty.outcome == "rejected"
    assert faulty.reasons[0] == "bad (critical): fault found"


def test_the_weighted_score_is_clipped_but_the_raw_one_is_kept() -> None:
    asked = rubric(criterion("good", 1), criterion("bad", -5))
    score = asked.score(answered(asked, {"good": False, "bad": True}))
    assert (score.weighted, score.weighted_raw) == (0.0, -5.0)


def test_a_text_that_only_clears_the_critical_rule_is_rejected_for_its_weight() -> None:
    asked = rubric(criterion("good"), *(criterion(f"m{n}", 1) for n in range(5)))
    score = asked.score(passing(asked, *(f"m{n}" for n in range(5))))
    assert score.outcome == "rejected"
    assert score.reasons[-1] == "weighted 0.500 is below 0.6"


def test_the_least_weight_is_reached_exactly() -> None:
    asked = rubric(criterion("a", 3, critical=True), criterion("b", 1), criterion("c", 1))
    assert asked.score(passing(asked, "b", "c")).outcome == "kept"


def test_the_worked_example_of_the_documentation() -> None:
    wanted = (criterion("a"), criterion("b"), criterion("c"), criterion("d", 1))
    asked = rubric(*wanted, criterion("f", -5), criterion("g", -1))
    score = asked.score(passing(asked, "c", "g"))
    assert (score.critical_passed, score.needed, score.weighted) == (3, 4, 0.625)
    assert score.outcome == "rejected"


def test_a_rubric_without_critical_criteria_decides_nothing() -> None:
    asked = rubric(criterion("a", 1))
    score = asked.score(passing(asked))
    assert (score.outcome, score.critical_rate, score.needed) == ("undetermined", None, 0)
    assert score.reasons == ("the rubric has no critical criterion",)


@pytest.mark.parametrize("state", ["missing", "failed"])
def test_an_unjudged_critical_criterion_decides_nothing(state: Any) -> None:
    asked = rubric(criterion("a"), criterion("b"))
    score = asked.score(passing(asked) | {"b": Verdict("b", state)})
    assert (score.outcome, score.critical_judged, score.critical_total) == ("undetermined", 1, 2)
    assert score.critical_rate == 1.0
    assert any(reason.startswith("b (critical)") for reason in score.reasons)


def test_a_verdict_that_is_not_there_is_missing() -> None:
    asked = rubric(criterion("a"))
    assert asked.score({}).outcome == "undetermined"
    assert asked.score({}).weighted is None


def test_only_faults_cannot_reach_a_least_weight() -> None:
    faults = (criterion("a", -5), criterion("b", -1))
    asked = rubric(*faults)
    assert asked.score(passing(asked)).reasons == ("no wanted criterion was judged",)
    free = rubric(*faults, least=0.0)
    assert free.score(passing(free)).outcome == "kept"


def test_a_verdict_on_another_criterion_is_not_taken_for_this_one() -> None:
    asked = rubric(criterion("a"), criterion("b"))
    with pytest.raises(RubricError, match="under a is about b"):
        asked.score({"a": Verdict("b", "answered", True)})


def test_pass_rates_are_given_by_dimension_of_what_was_answered() -> None:
    asked = rubric(
        criterion("a", dimension="truth"),
        criterion("b", -1, dimension="truth"),
        criterion("c", 1, dimension="tone"),
        criterion("d", 1, dimension="level"),
    )
    score = asked.score(answered(asked, {"a": True, "b": True, "c": False}))
    assert score.dimensions == {"truth": 0.5, "tone": 0.0}


# ── the arithmetic, on any rubric ────────────────────────────────────────────────────────────

RANK = ["rejected", "undetermined", "kept"]


@given(judged(), st.data())
def test_passing_one_criterion_more_never_lowers_anything(
    case: tuple[Rubric, dict[str, bool | None]], data: st.DataObject
) -> None:
    asked, observed = case
    failing = [
        c for c in asked.criteria if observed[c.id] is not None and observed[c.id] == c.is_fault
    ]
    if not failing:
        return
    mended = data.draw(st.sampled_from(failing))
    before = asked.score(answered(asked, observed))
    after = asked.score(answered(asked, observed | {mended.id: not mended.is_fault}))
    assert after.critical_passed >= before.critical_passed
    assert (after.critical_rate or 0) >= (before.critical_rate or 0)
    assert after.dimensions[mended.dimension] > before.dimensions[mended.dimension]
    if before.weighted is not None and before.weighted_raw is not None:
        assert after.weighted is not None
        assert after.weighted_raw is not None
        assert after.weighted >= before.weighted
        assert after.weighted_raw > before.weighted_raw
    assert RANK.index(after.outcome) >= RANK.index(before.outcome)


@given(judged())
def test_a_fault_costs_what_its_weight_says(case: tuple[Rubric, dict[str, bool | None]]) -> None:
    asked, observed = case
    wanted = sum(c.weight for c in asked.criteria if not c.is_fault and observed[c.id] is not None)
    earned = sum(c.weight for c in asked.criteria if observed[c.id])
    raw = asked.score(answered(asked, observed)).weighted_raw
    assert raw == (float(Fraction(earned, wanted)) if wanted else None)


@given(judged())
def test_the_critical_count_does_not_ask_for_the_sign(
    case: tuple[Rubric, dict[str, bool | None]],
) -> None:
    asked, observed = case
    turned = rubric(*(c.model_copy(update={"weight": -c.weight}) for c in asked.criteria))
    turned = turned.model_copy(update={"scoring": asked.scoring})
    opposite = {name: None if seen is None else not seen for name, seen in observed.items()}
    one = asked.score(answered(asked, observed))
    other = turned.score(answered(turned, opposite))
    assert one.critical_passed == other.critical_passed
    assert one.critical_rate == other.critical_rate
    assert one.dimensions == other.dimensions


@given(judged(), st.randoms())
def test_the_order_of_verdicts_and_criteria_is_irrelevant(
    case: tuple[Rubric, dict[str, bool | None]], random: Any
) -> None:
    asked, observed = case
    verdicts = list(answered(asked, observed).items())
    criteria = list(asked.criteria)
    random.shuffle(verdicts)
    random.shuffle(criteria)
    shuffled = asked.model_copy(update={"criteria": tuple(criteria)}).score(dict(verdicts))
    score = asked.score(answered(asked, observed))
    same = dataclasses.replace(shuffled, reasons=score.reasons)
    assert same == score
    assert sorted(shuffled.reasons) == sorted(score.reasons)


@given(judged(), st.sampled_from(["missing", "failed"]))
def test_an_unanswered_minor_criterion_counts_as_if_it_were_not_asked(
    case: tuple[Rubric, dict[str, bool | None]], state: Any
) -> None:
    asked, observed = case
    extra = asked.extended([criterion("good", 1), criterion("bad", -1)])
    verdicts = answered(extra, observed)
    verdicts |= {name: Verdict(name, state) for name in ("own.good", "own.bad")}
    with_them, without = extra.score(verdicts), asked.score(answered(asked, observed))
    shared = dataclasses.replace(with_them, reasons=without.reasons)
    assert shared == without


# ── a sample's own criteria ──────────────────────────────────────────────────────────────────


def test_own_criteria_get_a_prefix_of_their_own() -> None:
    asked = rubric(criterion("a"))
    extended = asked.extended([criterion("a", -5), criterion("own.b", 1)])
    assert [c.id for c in extended.criteria] == ["a", "own.a", "own.b"]
    assert (extended.id, extended.scoring) == (asked.id, asked.scoring)
    assert [c.id for c in asked.criteria] == ["a"]


def test_two_own_criteria_of_one_name_are_refused() -> None:
    with pytest.raises(RubricError, match=r"two are called own\.b"):
        rubric(criterion("a")).extended([criterion("b"), criterion("b", 1)])


def test_a_criterion_is_found_by_its_id() -> None:
    asked = rubric(criterion("a"), criterion("b", -1))
    assert asked.criterion("b").weight == -1
    with pytest.raises(RubricError, match="no criterion 'z'"):
        asked.criterion("z")


def test_a_rubric_is_a_value() -> None:
    asked = rubric(criterion("a"))
    assert asked == rubric(criterion("a"))
    assert hash(asked) == hash(rubric(criterion("a")))
    with pytest.raises(ValueError):
        asked.version = 2  # type: ignore[misc]
