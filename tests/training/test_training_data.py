from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.data import messages_of, read_examples, said_in, value_at
from synthtutor.training.settings import Task
from tests.training.rows import conversation, grade, pair, write_rows


def test_the_three_forms_of_a_tutors_row_are_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        conversation(1),
        {"instruction": "Be kind.", "input": "Why?", "output": "What do you think?"},
        {"text": "Student: Why?\n\nTutor Response:\n…"},
    ]
    found = read_examples(write_rows(tmp_path / "rows.jsonl", rows), "sft")
    assert [example.row for example in found] == rows
    assert found[1].where.endswith("rows.jsonl, line 2")


def test_an_instruction_row_is_a_conversation(tmp_path: Path) -> None:
    row = {"instruction": "Be kind.", "input": "Why?", "output": "What do you think?"}
    assert [(m["role"], m["content"]) for m in messages_of(row)] == [
        ("system", "Be kind."),
        ("user", "Why?"),
        ("assistant", "What do you think?"),
    ]
    assert [m["role"] for m in messages_of({**row, "input": ""})] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ("sft", {"question": "x"}, "messages: is missing"),
        ("sft", {"messages": []}, "messages: must be a list"),
        ("sft", {"messages": [{"role": "tutor", "content": "x"}]}, "messages[0]: needs a role"),
        ("sft", {"messages": [{"role": "user", "content": "x"}]}, "no tutor's turn"),
        ("sft", {"messages": [{"role": "assistant", "content": "x"}]}, "the student speaks first"),
        (
            "sft",
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": " "}]},
            "messages[1].content: is empty",
        ),
        ("sft", {"conversations": [{"from": "x", "value": "y"}]}, "messages[0]: needs a role"),
        ("sft", {"instruction": "a", "input": "", "output": " "}, "output: is empty"),
        ("classify", {"input": " ", "label": 1}, "input: must be a text"),
        ("classify", {"input": "x"}, "label: must be"),
        ("prefer", {"prompt": "x", "chosen": "y"}, "rejected: must be a text"),
        ("prefer", {"prompt": "x", "chosen": "y", "rejected": [{}]}, "rejected: must be a text or"),
        ("prefer", {**pair(1), "chosen": "y"}, "chosen: must have the form of prompt"),
    ],
)
def test_a_wrong_row_is_told_with_file_line_and_field(
    task: Task, row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    sound: dict[str, Any] = {"sft": conversation(1), "classify": grade(1), "prefer": pair(1)}[task]
    path = write_rows(tmp_path / "rows.jsonl", [sound, row])
    with pytest.raises(ConfigError) as raised:
        read_examples(path, task)
    assert "rows.jsonl, line 2: " in str(raised.value)
    assert said in str(raised.value)


def test_the_export_sharegpt_is_read_as_messages(tmp_path: Path) -> None:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    said = conversation(1)["messages"]
    turns = [{"from": names[m["role"]], "value": m["content"]} for m in said]
    path = write_rows(tmp_path / "rows.jsonl", [{"conversations": turns}])
    assert read_examples(path, "sft")[0].row == {"messages": said}


def test_a_turn_of_weight_0_alone_teaches_nothing(tmp_path: Path) -> None:
    row = conversation(1)
    for message in row["messages"]:
        message.update({"weight": 0} if message["role"] == "assistant" else {})
    with pytest.raises(ConfigError, match="no tutor's turn"):
        read_examples(write_rows(tmp_path / "rows.jsonl", [row]), "sft")


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no rows|is empty"):
        read_examples(write_rows(tmp_path / "rows.jsonl", []), "sft")


def test_what_is_known_of_a_sample_is_found_beside_the_file(tmp_path: Path) -> None:
    samples = [
        {"id": str(n), **conversation(n), "metadata": {"problem_id": n // 2, "grade": 5}}
        for n in range(4)
    ]
    write_rows(tmp_path / "samples.jsonl", samples)
    bare = write_rows(tmp_path / "finetune.jsonl", [conversation(n) for n in range(4)])
    for source in (bare, tmp_path):  # the file, and the run's folder itself
        found = read_examples(source, "sft")
        assert [value_at(example, "problem_id") for example in found] == [0, 0, 1, 1]
        assert value_at(found[0], "metadata.grade") == 5


def test_a_pair_knows_its_sample_too(tmp_path: Path) -> None:
    row = pair(1)
    sample = {"messages": [*row["prompt"], *row["chosen"]], "metadata": {"seed_id": "s"}}
    write_rows(tmp_path / "samples.jsonl", [sample])
    (found,) = read_examples(write_rows(tmp_path / "preference.jsonl", [row]), "prefer")
    assert value_at(found, "seed_id") == "s"


def test_a_run_without_the_export_that_a_task_needs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no preference\.jsonl"):
        read_examples(tmp_path, "prefer")


def test_a_prompt_is_what_the_student_says_first() -> None:
    from synthtutor.training.data import Example

    assert value_at(Example(conversation(3), ""), "prompt").startswith("Problem 3.")
    assert value_at(Example(pair(3), ""), "prompt").startswith("Problem 3.")
    assert value_at(Example(grade(3), ""), "prompt") == grade(3)["input"]


def test_system_messages_are_not_what_a_row_says_itself() -> None:
    assert all("You are a tutor" not in text for text in said_in(conversation(1)))
    assert json.dumps(said_in(pair(1))).count("Problem 1") == 1
