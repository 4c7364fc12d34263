from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.instruction import instruction


def test_a_system_message_is_the_instruction(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    instruction(samples[:1], tmp_path / "i.jsonl")
    assert json.loads((tmp_path / "i.jsonl").read_bytes()) == {
        "instruction": "You are a tutor.",
        "input": "Why is 0 even? Ça?",
        "output": "Divide it by 2.\nWhat is left? 🙂",
    }


def test_without_one_the_question_is(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    instruction([{"id": "1", "messages": samples[0]["messages"][1:]}], tmp_path / "i.jsonl")
    row = json.loads((tmp_path / "i.jsonl").read_bytes())
    assert (row["instruction"], row["input"]) == ("Why is 0 even? Ça?", "")


def test_a_dialogue_is_refused_by_name(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    longer = {"id": "long", "messages": samples[0]["messages"] + samples[1]["messages"][1:]}
    with pytest.raises(ConfigError, match="'long' is not one question and one answer"):
        instruction([*samples, longer], tmp_path / "i.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == []
