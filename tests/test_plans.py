from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.plans import Plan
from tests.plans import STEP, planned

# ── wrong files ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inptu": 3}, "steps.0 (a).inptu: there is no such field; did you mean input?"),
        ({"zzz": 3}, "steps.0 (a).zzz: there is no such field; there are name, model, calls"),
        (
            {"growth": {"inputs": 3, "first": 0}},
            "growth.inputs: there is no such field; did you mean input?",
        ),
        ({"growth": {"input": 3}}, "steps.0 (a).growth.first: is missing"),
        ({"growth": {"input": 3, "first": 2}}, "growth.first: must be 0 or 1"),
        ({"calls": 0}, "steps.0 (a).calls: must be 1 or more"),
        ({"calls": "1,000"}, "calls: write a whole number, such as 1000 or 1_000, not '1,000'"),
        ({"calls": True}, "calls: write a whole number"),
        ({"input": 1.5}, "input: write a whole number"),
        ({"input": -1}, "input: "),
        ({"input": float("nan")}, "input: write a whole number"),
        ({"output": "1e999"}, "output: write a whole number"),
        ({"output": None}, "give input and output, or total where only their sum was measured"),
        ({"total": 5}, "give input and output, or total alone, not both"),
        ({"cached": 101}, "cached is part of the input"),
        ({"growth": {"input": 1, "cached": 20, "first": 0}}, "cached is part of the input"),
        ({"reasoning": 21}, "reasoning is part of the output"),
        ({"margin": -1}, "margin: "),
        ({"margin": "lots"}, "margin: "),
        ({"margin": float("inf")}, "margin: "),
        ({"times": 2}, "times: must be names and values"),
        ({"model": "writer"}, "casts: say which model plays writer"),
        ({"name": ""}, "name: "),
    ],
)
def test_a_wrong_field_of_a_step_is_named_with_the_fix(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Plan.checked({"title": "t", "steps": [{**STEP, **fields}]}, "plan.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("plan.yaml: ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"titel": "x"}, "titel: there is no such field; did you mean title?"),
        ({"steps": []}, "steps: "),
        ({"steps": [3]}, "steps.0: "),
        ({"steps": "none"}, "steps: "),
        ({"steps": [STEP, STEP]}, "two are called a"),
        ({"steps": [{"model": "x/y"}]}, "steps.0.name: is missing"),
        ({"prices": {"x/y": [1]}}, "prices.x/y"),
        ({"prices": {"x/y": [-1, 2]}}, "prices.x/y.0: "),
        ({"casts": {"one": {"jduge": "a/b"}}}, "casts.one: no step has the role jduge"),
        ({1: 2}, "1: is no field's name"),
    ],
)
def test_a_wrong_field_of_a_plan_is_named_with_the_fix(fields: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plan.checked({"title": "t", "steps": [STEP], **fields})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("cast", "message"),
    [
        ({}, "casts.one: no model for writer"),
        ({"writer": "gpt-5"}, "casts.one.writer: write provider/model, not 'gpt-5'"),
        ({"writer": "a/b", "wrtier": "a/b"}, "no step has the role wrtier; did you mean writer?"),
    ],
)
def test_a_wrong_cast_is_named_with_the_fix(cast: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned({**STEP, "model": "writer"}, casts={"one": cast})
    assert message in str(caught.value)


def test_each_wrong_field_has_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        Plan.checked({"steps": [{**STEP, "calls": 0, "input": -1}]}, "p")
    assert [line[:2] for line in str(caught.value).splitlines()] == ["p:"] * 3


TEXT = """\
title: Größe
steps:
  - {name: é, model: none, calls: 1_000, input: "2_071", output: 5e2, margin: 10 %}
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_in_any_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(TEXT.encode(encoding))
    plan = Plan.load(path)
    assert plan.title == "Größe"
    (only,) = plan.steps
    assert (only.calls, only.input, only.output) == (1000, 2071, 500)
    assert only.margin == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("latin-1"), "line 1 is not utf-8: save it as UTF-8"),
        (b"a: [", "line 1"),
        (b"title: a\ntitle: b\n", "line 2: 'title' is given twice"),
        (b"- a\n- b\n", "must be fields and values"),
        (b"", "must be fields and values"),
        (b"title: t\n", "steps: is missing"),
    ],
)
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Plan.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Plan.load(tmp_path / "plan.yaml")
