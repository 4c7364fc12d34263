"""Graded packs: what they say, and what a judge's answer becomes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from synthtutor.errors import RubricError
from synthtutor.evaluation.scales import answer_form, graded_packs, levels_of, load_graded
from synthtutor.evaluation.scores import share
from synthtutor.packs import builtin_packs
from synthtutor.structured import shape_of

PACK = """
pack: {id: own, version: 2, applies_to: [reply], license: MIT}
scale: graded
scales:
  - {id: warmth, name: Warmth, asks: "How warm?", levels: {1: cold, 4: warm}, meets: 3}
"""


def test_the_packs_ask_what_published_evaluations_ask_on_their_scales() -> None:
    ends = {
        scale.id: (scale.low, scale.high)
        for name in graded_packs()
        for scale in load_graded(name).scales
    }
    assert ends == {
        "grade_level": (1, 5),
        "subject_teaching": (1, 5),
        "emotional_support": (1, 4),
        "academic_accuracy": (1, 10),
        "engagement": (1, 10),
        "confidence_building": (1, 10),
        "socratic_quality": (1, 10),
        "personalization": (1, 10),
        "relevance": (1, 10),
    }


def test_a_graded_pack_is_no_binary_one() -> None:
    assert not {*graded_packs()} & {*builtin_packs()}
    with pytest.raises(RubricError, match="no graded pack 'socratic-turn'; there are personaliz"):
        load_graded("socratic-turn")


def test_a_pack_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(PACK)
    assert load_graded(str(tmp_path / "own.yaml")).label == "own@2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("meets: 3", "meets: 1"), "own.yaml: scales.0: meets must be above 1 and at most 4"),
        (("scale: graded", "scale: binary"), "scale: must be 'graded'"),
        (("1: cold, ", ""), "own.yaml: scales.0.levels"),
        (("license: MIT", "licence: MIT"), "own.yaml: licen"),
    ],
)
def test_a_pack_that_cannot_be_used_is_named_with_its_field(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    (tmp_path / "own.yaml").write_text(PACK.replace(*change))
    with pytest.raises(RubricError) as error:
        load_graded(str(tmp_path / "own.yaml"))
    assert message in str(error.value)


def test_the_form_asks_for_a_reason_before_each_level_and_refuses_levels_beyond_the_scale() -> None:
    form = answer_form((("warmth", 1, 4),))
    schema = shape_of(form).schema
    assert schema is not None
    (entry,) = schema.definition["$defs"].values()
    assert list(entry["properties"]) == ["reason", "level"]
    form.model_validate({"warmth": {"reason": "", "level": 4}})
    with pytest.raises(ValidationError):
        form.model_validate({"warmth": {"reason": "", "level": 5}})


def test_what_is_no_level_of_the_scale_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(PACK)
    scales = load_graded(str(tmp_path / "own.yaml")).scales
    for said, level in [
        ({"level": 3}, 3),
        ({"level": "3"}, 3),
        (4, 4),
        ({"level": 0}, None),
        ({"level": 2.5}, None),
        ({"level": True}, None),
        ({"level": math.nan}, None),
        ({"level": math.inf}, None),
        ({"level": "²"}, None),
        ({}, None),
        ("warm", None),
    ]:
        assert levels_of(scales, {"warmth": said}) == {"warmth": level}
    assert levels_of(scales, {}) == {"warmth": None}


@pytest.mark.parametrize("holds", [True, False])
def test_what_all_students_agree_in_is_not_certain_all_the_same(holds: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = share([(f"s{n % 12}", holds) for n in range(24)], resamples=50, seed=0)
    exact = stats.binomtest(12 * holds, 12).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-4)
    few = share([("a", holds), ("b", holds)], resamples=50, seed=0)
    assert (few.low, few.high) == (None, None)
