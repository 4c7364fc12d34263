"""Rubrics in TutorBench's JSON. All criteria here are our own."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import RubricError
from synthtutor.rubric import Criterion
from synthtutor.tutorbench import from_tutorbench, to_tutorbench


def item(text: str = "The response draws a number line.", **attributes: Any) -> dict[str, Any]:
    plain = {
        "explicitness": "implicit",
        "objectivity": "objective",
        "severity": "critical",
        "tutoring_skill": "Not applicable",
        "eval_dimension": "truthfulness",
    }
    return {"criteria": text, "attributes": plain | attributes}


def one(**attributes: Any) -> Criterion:
    (read,) = from_tutorbench([item(**attributes)])
    return read


@pytest.mark.parametrize(
    ("severity", "weight"),
    [("critical", 5), ("not_critical", 1), ("critical_negative", -5), (" critical ", 5)],
)
def test_the_weight_follows_from_the_severity(severity: str, weight: int) -> None:
    assert one(severity=severity).weight == weight


def test_deleted_criteria_are_dropped_and_the_others_keep_their_numbers() -> None:
    rubric = [item(), item(severity="deleted"), item("The response ends with a question.")]
    assert [c.id for c in from_tutorbench(rubric, id="Fractions.csv, row 3")] == [
        "fractions-csv-row-3.1",
        "fractions-csv-row-3.3",
    ]


def test_a_ban_becomes_a_fault_that_is_observed_when_the_ban_is_broken() -> None:
    ban = one(text="The response must not state the final sum.", severity="critical_negative")
    assert (ban.weight, ban.negated) == (-5, True)
    assert ban.observe(holds := True) is not holds


def test_a_negative_that_already_names_the_fault_is_taken_literally() -> None:
    fault = one(text="The response states the final sum.", severity="critical_negative")
    assert (fault.weight, fault.negated) == (-5, False)


def test_a_wanted_criterion_is_never_negated() -> None:
    assert one(text="The response does not use calculus.").negated is False


def test_tags_are_stripped_and_comma_lists_split() -> None:
    read = one(
        eval_dimension="truthfulness , student_level_calibration ",
        tutoring_skill="Step by step help/ analysis , Examples",
    )
    assert (read.dimension, read.skill) == ("truthfulness", "Step by step help/ analysis")
    assert read.tags == (
        "dimension:student_level_calibration",
        "skill:Examples",
        "explicitness:implicit",
        "objectivity:objective",
    )


def test_what_is_not_applicable_is_left_empty() -> None:
    read = one(eval_dimension="Not applicable ", tutoring_skill=None, explicitness="not applicable")
    assert (read.dimension, read.skill, read.tags) == ("", None, ("objectivity:objective",))


def test_text_is_read_as_its_list() -> None:
    rubric = [item(), item("The response is short.", severity="not_critical")]
    assert from_tutorbench(orjson.dumps(rubric).decode()) == from_tutorbench(rubric)


@pytest.mark.parametrize(
    ("rubric", "message"),
    [
        ("[{", "sheet: is not JSON"),
        ('{"criteria": 1}', "sheet: must be a list of criteria, not dict"),
        ('"text"', "sheet: must be a list of criteria, not str"),
        (["text"], "sheet: criterion 1: must be an object"),
        ([{"attributes": {}}], "criterion 1: 'criteria' must be the text"),
        ([{"criteria": "Adds up."}], "criterion 1: 'attributes' must be an object"),
        ([item(), item(severity="fatal")], "criterion 2: severity 'fatal' is none of critical, "),
        ([item(text="  ")], "criterion 1: text: is empty"),
        ([item(weight=0)], "criterion 1: weight: must not be 0"),
        ([item(weight="heavy")], "criterion 1: weight: "),
        ([item(tags=3)], "criterion 1: tags: "),
    ],
)
def test_a_malformed_rubric_is_refused_by_criterion_and_field(rubric: Any, message: str) -> None:
    with pytest.raises(RubricError, match=message):
        from_tutorbench(rubric, id="sheet")


def test_what_came_in_goes_out_again() -> None:
    rubric = [
        item(eval_dimension="style_tone, emotional_component", tutoring_skill="guiding questions"),
        item("The response must not mock the student.", severity="critical_negative"),
        item(
            "The response mocks the student.", severity="critical_negative", explicitness="explicit"
        ),
        item("The response is short.", severity="not_critical"),
    ]
    assert to_tutorbench(from_tutorbench(rubric)) == rubric


def test_a_plain_criterion_is_written_in_plain_tutorbench() -> None:
    plain = Criterion(id="a", text="Names the step.", weight=5, dimension="truthfulness")
    assert to_tutorbench([plain]) == [
        {
            "criteria": "Names the step.",
            "attributes": {
                "explicitness": "Not applicable",
                "objectivity": "Not applicable",
                "severity": "critical",
                "tutoring_skill": "Not applicable",
                "eval_dimension": "truthfulness",
            },
        }
    ]


def test_a_minor_fault_keeps_its_weight() -> None:
    minor = Criterion(id="a", text="Contains stock praise.", weight=-1)
    (written,) = to_tutorbench([minor])
    assert written["attributes"]["severity"] == "critical_negative"
    assert written["attributes"]["weight"] == -1
    assert from_tutorbench([written])[0].weight == -1


words = st.text(
    st.characters(whitelist_categories=["Ll"], max_codepoint=0x17F), min_size=1, max_size=8
)
texts = st.sampled_from(
    [
        "The response names {}.",
        "The response must not name {}.",
        "It never names {}.",
        "Why {} is not so.",
    ]
)
tags = st.one_of(
    words,
    st.builds(
        "{}:{}".format,
        st.sampled_from(["dimension", "skill", "explicitness", "objectivity", "mine"]),
        st.one_of(words, st.sampled_from(["a, b", " blank ", "Not applicable", ""])),
    ),
)
criteria = st.builds(
    Criterion,
    id=words.map(lambda word: "c"),
    text=st.builds(str.format, texts, words),
    weight=st.sampled_from([5, 1, -5, -1, 3, -2, 9]),
    dimension=st.one_of(st.just(""), words),
    skill=st.one_of(st.none(), words),
    tags=st.lists(tags, max_size=4, unique=True).map(tuple),
    critical=st.sampled_from([None, True, False]),
    negated=st.booleans(),
)


@given(st.lists(criteria, max_size=4))
def test_any_criteria_survive_the_round_trip(written: list[Criterion]) -> None:
    read = from_tutorbench(orjson.dumps(to_tutorbench(written)).decode())
    kept = ("text", "weight", "dimension", "skill", "critical", "negated")
    assert [[getattr(c, name) for name in kept] for c in read] == [
        [getattr(c, name) for name in kept] for c in written
    ]
    assert [sorted(c.tags) for c in read] == [sorted(c.tags) for c in written]
