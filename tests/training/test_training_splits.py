from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.evaluation.conversations import Conversation, conversations
from synthtutor.training.data import Example, read_examples, value_at
from synthtutor.training.settings import Settings
from synthtutor.training.splits import SIDES, Division, divide, repeated, write_division
from tests.training.rows import conversation, grade


def examples(metadata: list[dict[str, Any]]) -> list[Example]:
    return [Example(conversation(n), f"rows, line {n}", m) for n, m in enumerate(metadata)]


def sides_of(division: Division, field: str) -> list[set[str]]:
    return [
        {json.dumps(value_at(e, field)) for e in getattr(division, side)} - {"null"}
        for side in SIDES
    ]


def share_nothing(sides: list[set[str]]) -> bool:
    return sum(map(len, sides)) == len(set().union(*sides))


@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=40, max_size=80),
    st.integers(0, 5),
)
def test_no_problem_persona_or_prompt_is_on_two_sides(
    drawn: list[tuple[int, int]], seed: int
) -> None:
    rows = examples(
        [{"problem_id": p, "persona": {"name": f"pupil {w}"} if w < 6 else None} for p, w in drawn]
    )
    try:
        division = divide(rows, Settings(seed=seed))
    except ConfigError as error:
        assert "hang together" in str(error)  # noqa: PT017  # chance made one group of nearly all
        return
    for field in ("problem_id", "persona", "prompt"):
        assert share_nothing(sides_of(division, field)), field
    assert sum(division.record["rows"].values()) == len(rows)


def test_a_division_by_rows_alone_would_put_problems_on_two_sides() -> None:
    rows = examples([{"problem_id": n // 4} for n in range(80)])
    by_row = divide(rows, Settings(group=("prompt",)))
    assert not share_nothing(sides_of(by_row, "problem_id"))
    assert share_nothing(sides_of(divide(rows, Settings()), "problem_id"))


def test_the_sides_are_80_10_10_and_alike_in_grade() -> None:
    rows = examples([{"problem_id": n // 2, "grade": (n // 2) % 4} for n in range(400)])
    division = divide(rows, Settings())
    assert division.record["rows"] == {"train": 320, "validation": 40, "test": 40}
    for side in SIDES:
        grades = Counter(value_at(e, "grade") for e in getattr(division, side))
        assert set(grades) == {0, 1, 2, 3}
        assert max(grades.values()) - min(grades.values()) <= 2
    assert division.record["stratum"] == "grade"


def test_labels_are_alike_on_all_sides() -> None:
    rows = [Example(grade(n, 6), "") for n in range(300)]
    division = divide(rows, Settings())
    assert division.record["stratum"] == "label"
    assert {e.row["label"] for e in division.test} == set(range(6))


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = examples([{"problem_id": n // 3} for n in range(60)])
    one, other = divide(rows, Settings()), divide(rows[::-1], Settings())
    assert sides_of(one, "problem_id") == sides_of(other, "problem_id")
    assert sides_of(one, "problem_id") != sides_of(divide(rows, Settings(seed=1)), "problem_id")


def test_rows_that_all_hang_together_are_told() -> None:
    rows = examples([{"problem_id": 1} for _ in range(20)])
    with pytest.raises(ConfigError, match="no rows are left for validation: 20 rows hang together"):
        divide(rows, Settings())
    assert len(divide(rows, Settings(split=(1, 0, 0))).train) == 20
    assert len(divide(rows, Settings(group=("prompt",))).test) == 2


def test_a_field_that_no_row_has_is_told() -> None:
    with pytest.raises(ConfigError, match="no row has a field 'clas'"):
        divide(examples([{}] * 20), Settings(stratify="clas"))


LONG = (
    "A farmer has seventeen sheep and sells nine of them before buying four more on the next day."
)


def test_a_row_that_shares_a_run_of_words_with_the_evaluation_is_found() -> None:
    held = [Example({"messages": [{"role": "user", "content": LONG}]}, "eval, line 1")]
    row = conversation(1)
    row["messages"][1]["content"] = f"Please help. {LONG} How many?"
    found = repeated([Example(conversation(2), "line 1"), Example(row, "line 2")], held)
    assert [where for where, _ in found] == ["line 2"]
    assert "seventeen sheep" in found[0][1]


def test_short_rows_that_say_the_same_are_found_and_system_messages_are_not_compared() -> None:
    held = [Example(conversation(1), "")]
    assert repeated([Example(conversation(1), "a"), Example(conversation(2), "b")], held) == [
        ("a", repeated([Example(conversation(1), "a")], held)[0][1])
    ]


def test_what_is_known_of_a_sample_stands_with_its_row_for_the_evaluation(tmp_path: Path) -> None:
    known = {"grade": 5, "answer": "42", "verdicts": [{"passed": True}], "lineage": {"cost_usd": 1}}
    examples = [Example(conversation(n), "", {"problem_id": n, **known}) for n in range(30)]
    write_division(divide(examples, Settings()), tmp_path)
    (found, *_) = conversations(tmp_path / "splits" / "test.jsonl")
    assert isinstance(found, Conversation)
    assert (found.grade, found.answer) == (5, "42")
    assert b"verdicts" not in (tmp_path / "splits" / "test.jsonl").read_bytes()
    again = read_examples(tmp_path / "splits" / "test.jsonl", "sft")
    assert set(again[0].row) == {"messages"}  # and is not trained on


def test_what_was_divided_is_written_down(tmp_path: Path) -> None:
    rows = examples([{"problem_id": n} for n in range(20)])
    division = divide(rows, Settings())
    write_division(division, tmp_path)
    record = json.loads((tmp_path / "splits.json").read_bytes())
    assert record["rows"] == {"train": 16, "validation": 2, "test": 2}
    assert record["groups"] == ["problem_id", "prompt"]
    written = (tmp_path / "splits" / "test.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == [
        {**e.row, "metadata": e.metadata} for e in division.test
    ]
