"""A pack's YAML: what is read, and how a mistake in it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import RubricError
from synthtutor.rubric import parse_rubric

PACK = """
pack: {id: mine, version: 1, applies_to: [reply], license: MIT}
scale: binary
scoring: {keep_if: {metric: critical_rate, op: ">", value: 0.80}, min_weighted: 0.60}
criteria:
  - {id: m.good, text: The reply names the error., weight: 5, dimension: diagnosis}
  - {id: m.bad, text: The reply states something untrue., weight: -5, dimension: truth}
controls:
  - {mutate: false_content, must_flip: [m.bad]}
"""


def test_a_pack_is_read() -> None:
    asked = parse_rubric(PACK)
    assert (asked.id, asked.version, asked.applies_to) == ("mine", 1, ("reply",))
    assert [c.id for c in asked.criteria] == ["m.good", "m.bad"]
    assert asked.controls[0].must_flip == ("m.bad",)
    assert asked.scoring.keep_if.needed(2) == 2


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("weight: -5", "weight: 0", r"mine\.yaml: criteria\[1\] \(m\.bad\)\.weight: must not be 0"),
        (
            "dimension: truth",
            "dimention: truth",
            r"\(m\.bad\)\.dimention: is unknown; did you mean 'dimension'\?",
        ),
        ("m.bad, text", "m.good, text", r"criteria: two are called m\.good; rename one"),
        ("[m.bad]", "[m.worse]", r"false_content must flip m\.worse, which no criterion is called"),
        (
            "false_content",
            "magic",
            r"controls\[0\]\.mutate: no defect 'magic'; there are leak_answer",
        ),
        ("scale: binary\n", "", r"mine\.yaml: scale: is missing; add it"),
        ("license: MIT", "licence: MIT", r"pack\.license: is missing"),
        ('op: ">"', 'op: "<"', r"scoring\.keep_if\.op: must be '>' or '>='"),
        ("value: 0.80", "value: 1.8", r"scoring\.keep_if\.value: must be 1 or less"),
        ("pack: {", "packet: {", r"a pack begins with 'pack: \{\.\.\.\}'"),
        ("scale: binary", "scale: binary\nid: other", r"id: belongs under 'pack'"),
        ("scale: binary", "scale: [", r"mine\.yaml: line \d+:"),
        ("scale: binary", "scale: binary\nscale: binary", r"line 4: 'scale' is given twice"),
        ("criteria:", "criteria: 7\nrest:", r"mine\.yaml: criteria: must be a list"),
        ("license: MIT", "license: 3", r"pack\.license: must be text"),
        (
            "must_flip: [m.bad]",
            "must_flip: []",
            r"controls\[0\]\.must_flip: is empty; give at least one",
        ),
        ("version: 1", "version: 1, 2: 3", r"mine\.yaml: \[2\]: is no field's name"),
    ],
)
def test_a_malformed_pack_is_refused_by_file_and_field(
    written: str, instead: str, message: str
) -> None:
    broken = PACK.replace(written, instead, 1)
    assert broken != PACK
    with pytest.raises(RubricError, match=message):
        parse_rubric(broken, "mine.yaml")


@pytest.mark.parametrize("text", ["", "[]", "just text", "pack: 3"])
def test_what_is_no_pack_at_all_says_how_one_begins(text: str) -> None:
    with pytest.raises(RubricError, match="a pack begins with"):
        parse_rubric(text)


@pytest.mark.parametrize("entries", ["[3]", "[null, x]", "!!set {a, b}", "[{1: 2}]"])
def test_criteria_that_are_none_are_told_one_by_one(entries: str) -> None:
    with pytest.raises(RubricError) as caught:
        parse_rubric(PACK[: PACK.index("criteria:")] + f"criteria: {entries}")
    assert all("criteria[" in line for line in str(caught.value).splitlines())
    assert "is empty" not in str(caught.value)


def test_a_pack_without_criteria_is_refused() -> None:
    with pytest.raises(RubricError, match="criteria: is empty; give at least one"):
        parse_rubric(PACK[: PACK.index("criteria:")] + "criteria: []")


def test_every_fault_of_a_pack_is_told_at_once() -> None:
    broken = PACK.replace("weight: 5", "weight: 0").replace("scale: binary", "scale: five")
    with pytest.raises(RubricError) as caught:
        parse_rubric(broken, "mine.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("mine.yaml: ") for line in lines)


@given(st.text(max_size=80))
def test_any_text_is_a_pack_or_a_rubric_error(text: str) -> None:
    with pytest.raises(RubricError):
        parse_rubric(text)


@pytest.mark.parametrize(
    "text", ["a: 2020-13-45", "? [a, b]\n: 1", "a: &x [*x]", "[" * 4000, "a: \x00"]
)
def test_what_trips_a_yaml_reader_is_a_rubric_error_too(text: str) -> None:
    with pytest.raises(RubricError):
        parse_rubric(text)
