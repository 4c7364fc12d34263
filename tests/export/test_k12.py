from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.k12 import MANIFEST, k12
from tests.export.test_tagged import finished, talk


def sample(name: str, place: Any) -> dict[str, Any]:
    made = finished(talk(("student", "Why?"), conversation_id=name), name)
    made["metadata"]["file"] = place
    return made


def test_each_file_of_the_plan_is_a_file_with_a_line_a_conversation(tmp_path: Path) -> None:
    given = [sample("a", "one/x"), sample("b", "two/y"), sample("c", "one/x")]
    assert k12(iter(given), tmp_path / "tree") == 3
    lines = (tmp_path / "tree" / "one" / "x.jsonl").read_text().splitlines()
    assert [json.loads(line)["conversation_id"] for line in lines] == ["a", "c"]
    assert json.loads(lines[0]) == given[0]["metadata"]["k12"]
    assert json.loads((tmp_path / "tree" / MANIFEST).read_text()) == {
        "files": {"one/x.jsonl": 2, "two/y.jsonl": 1},
        "conversations": 3,
    }


def test_an_earlier_export_is_replaced_and_anything_else_left_alone(tmp_path: Path) -> None:
    k12([sample("a", "one/x")], tmp_path / "tree")
    k12([sample("b", "two/y")], tmp_path / "tree")
    assert not (tmp_path / "tree" / "one").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="will not replace"):
        k12([sample("a", "one/x")], tmp_path / "mine")


@pytest.mark.parametrize(
    "place", ["../up/x", "/etc/x", "one", "one/../x", "One/x", "one/x/y", "", None, 7, "one/x\n"]
)
def test_no_sample_writes_anywhere_else(tmp_path: Path, place: Any) -> None:
    with pytest.raises(ConfigError, match=r"'a': metadata.file must be FOLDER/FILE"):
        k12([sample("a", place)], tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_conversation_of_a_plan_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'two' is no conversation of a data plan"):
        k12([sample("a", "one/x"), {"id": "two", "metadata": {}}], tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []
