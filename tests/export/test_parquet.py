from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthtutor.export.parquet import parquet

pq = pytest.importorskip("pyarrow.parquet")


def test_rows_come_back_with_scalars_as_columns(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert parquet(samples, tmp_path / "s.parquet") == 3
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert [row["messages"] for row in rows] == [sample["messages"] for sample in samples]
    assert [json.loads(row["metadata"]) for row in rows] == [s["metadata"] for s in samples]
    assert [row["cost"] for row in rows] == [None, 0.25, 1.0]
    assert list(rows[0]) == ["id", "messages", "cost", "revised", "seed", "subject", "metadata"]


def test_the_same_samples_make_the_same_bytes(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    parquet(samples, tmp_path / "one")
    parquet(iter(samples), tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_rows_are_written_in_groups(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    def many() -> Iterator[dict[str, Any]]:
        for _ in range(700):
            yield from samples

    parquet(many(), tmp_path / "s.parquet")
    groups = pq.ParquetFile(tmp_path / "s.parquet").metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [1000, 1000, 100]
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.parquet"]


def test_weights_are_kept(tmp_path: Path) -> None:
    said = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "So.", "weight": 0},
    ]
    parquet([{"id": "1", "messages": said, "metadata": {}}], tmp_path / "s.parquet")
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert [message["weight"] for message in row["messages"]] == [None, 0]


def test_no_samples_make_an_empty_table(tmp_path: Path) -> None:
    assert parquet([], tmp_path / "s.parquet") == 0
    assert pq.read_table(tmp_path / "s.parquet").column_names == ["id", "messages", "metadata"]
