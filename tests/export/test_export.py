from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export import FORMATS, export

K12 = {
    **dict.fromkeys(("conversation_id", "scenario", "emotional_outcomes", "academic_outcomes"), ""),
    "academic_context": dict.fromkeys(
        ("grade_level", "learning_objective", "difficulty_level"), ""
    ),
    "emotional_context": {"student_emotion": ""},
    "conversation": [{"speaker": "student", "message": "Why?"}],
    "learning_objectives": [],
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_under_its_own_name(
    name: str, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    if name in ("parquet", "hf-dataset"):
        pytest.importorskip("datasets")
    for number, sample in enumerate(samples):  # what some formats need that not every recipe gives
        turn = {"turn": 1, "speaker": "tutor", "text": "Which part?"}
        sample["metadata"] |= {
            "pair": {"rejected": "Because."},
            "people": {"decision": "accept"},
            "label": number % 2,
            "file": "one/x",
            "k12": K12,
            "grading": {"input": "Q: Why? Student Answer: So.", "group": "why"},
            "instruction": "Be a tutor.",
            "turns": [turn],
            "belief_states": [],
            **dict.fromkeys(("student_persona", "question", "solution"), ""),
        }
    written = export(iter(samples), tmp_path / FORMATS[name].name, format=name)
    assert written == (2 if name == "grading" else 3), "there, as many of each label"
    assert [entry.name for entry in tmp_path.iterdir()] == [FORMATS[name].name]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_a_bad_destination(
    name: str, samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    if name in ("parquet", "hf-dataset"):
        pytest.importorskip("datasets")
    path = tmp_path / "no" / "such" / "folder"
    with pytest.raises(ConfigError, match=str(path)):
        export(samples, path, format=name)


def test_file_names_differ() -> None:
    assert len({known.name for known in FORMATS.values()}) == len(FORMATS)


def test_an_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'csv': choose one of finetune, samples"):
        export([], tmp_path / "a", format="csv")


def test_heavy_libraries_are_imported_only_when_used() -> None:
    code = (
        "import sys, synthtutor.export; print(sorted({'pyarrow', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
