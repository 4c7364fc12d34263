from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.turns import tutor_turns

BELIEF = {"affect": "unsure"}


def dialogue(**more: Any) -> dict[str, Any]:
    said = [("student", "36"), ("tutor", "How so?"), ("student", "8 - 2."), ("tutor", "And then?")]
    turns = [
        {"turn": number, "speaker": speaker, "text": text}
        for number, (speaker, text) in enumerate(said)
    ]
    states = [
        {"turn": 0, "changed": True, "belief": BELIEF},
        {"turn": 2, "changed": True, "belief": {"affect": "engaged"}},
    ]
    metadata = {
        "instruction": "Be a tutor.",
        "question": "What is 62 - 38?",
        "solution": "24",
        "student_persona": {"name": "Noor"},
        "turns": turns,
        "belief_states": states,
    }
    return {"id": "one", "messages": [], "metadata": {**metadata, **more}}


def test_each_tutor_turn_is_a_row_with_what_was_known_before_it(tmp_path: Path) -> None:
    assert tutor_turns([dialogue()], tmp_path / "t.jsonl") == 2
    first, second = (json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines())
    assert (first["instruction"], first["output"]) == ("Be a tutor.", "How so?")
    assert json.loads(first["input"]) == {
        "student_persona": {"name": "Noor"},
        "reasoner_context": {
            "question": "What is 62 - 38?",
            "solution": "24",
            "belief_state": BELIEF,
        },
        "conversation_history": [{"speaker": "student", "text": "36"}],
    }
    known = json.loads(second["input"])
    assert known["reasoner_context"]["belief_state"] == {"affect": "engaged"}
    assert len(known["conversation_history"]) == 3


def test_a_tutor_who_speaks_first_has_no_belief_yet(tmp_path: Path) -> None:
    tutor_turns([dialogue(belief_states=[])], tmp_path / "t.jsonl")
    first = json.loads((tmp_path / "t.jsonl").read_text().splitlines()[0])
    assert json.loads(first["input"])["reasoner_context"]["belief_state"] is None


@pytest.mark.parametrize("metadata", [{}, None, {"instruction": "x", "turns": [{}]}])
def test_what_is_no_dialogue_is_refused_by_name(metadata: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'two' is no dialogue with belief states"):
        tutor_turns([dialogue(), {"id": "two", "metadata": metadata}], tmp_path / "t.jsonl")
    assert list(tmp_path.iterdir()) == []
