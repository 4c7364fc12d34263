from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthtutor.export.finetune import finetune
from synthtutor.export.validate import validate


def test_a_line_holds_the_messages_and_nothing_else(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert finetune(samples, tmp_path / "f.jsonl") == 3
    for sample, line in zip(samples, (tmp_path / "f.jsonl").read_text().splitlines(), strict=True):
        assert json.loads(line) == {"messages": sample["messages"]}


def test_the_file_is_one_that_trainers_take(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    many = [
        {**sample, "messages": [*sample["messages"][:-1], {"role": "assistant", "content": str(n)}]}
        for n in range(4)
        for sample in samples
    ]
    finetune(many, tmp_path / "f.jsonl")
    report = validate(tmp_path / "f.jsonl", strict_roles=("system", "user", "assistant"))
    assert report.ok, report.faults
    assert report.lines == 12


def test_weights_are_kept_and_other_keys_are_not(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": "a", "weight": 0, "verdict": "good"}
    finetune([{"id": "1", "messages": [message]}], tmp_path / "f.jsonl")
    assert (tmp_path / "f.jsonl").read_bytes() == (
        b'{"messages":[{"role":"assistant","content":"a","weight":0}]}\n'
    )


def test_no_samples_make_an_empty_file(tmp_path: Path) -> None:
    assert finetune(iter(()), tmp_path / "f.jsonl") == 0
    assert (tmp_path / "f.jsonl").read_bytes() == b""
