from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.export.samples import rejected
from synthtutor.export.samples import samples as write


def test_everything_is_written(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    assert write(samples, tmp_path / "s.jsonl") == 3
    assert list(map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())) == samples


def test_the_order_of_keys_in_memory_makes_no_difference(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    write(samples, tmp_path / "one")
    write([dict(reversed(sample.items())) for sample in samples], tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    ("metadata", "reasons"),
    [
        ({"reasons": ["leak", "length"]}, ["leak", "length"]),
        ({"reasons": "leak"}, ["leak"]),
        ({}, []),
        (None, []),
    ],
)
def test_a_rejected_sample_lists_its_reasons(
    metadata: dict[str, Any] | None, reasons: list[str], tmp_path: Path
) -> None:
    rejected([{"id": "1", "messages": [], "metadata": metadata}], tmp_path / "r.jsonl")
    assert json.loads((tmp_path / "r.jsonl").read_bytes())["metadata"]["reasons"] == reasons
