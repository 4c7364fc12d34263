from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.columns import Columns, batches, library


def _columns(folder: Path, *metadata: dict[str, Any]) -> Columns:
    said = [{"role": "user", "content": "Why?"}]
    return Columns(
        [{"id": str(n), "messages": said, "metadata": m} for n, m in enumerate(metadata)],
        folder / "spool",
    )


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, None, 2], "int64", [1, None, 2]),
        ([1, 0.5], "double", [1.0, 0.5]),
        ([True, None], "bool", [True, None]),
        (["a", None], "string", ["a", None]),
        ([1, "a", True], "string", ["1", "a", "true"]),
        ([2**63], "string", ["9223372036854775808"]),
    ],
)
def test_a_field_gets_the_type_that_all_its_values_fit(
    tmp_path: Path, values: list[Any], kind: str, stored: list[Any]
) -> None:
    columns = _columns(tmp_path, *({"x": value} for value in values))
    assert str(columns.schema().field("x").type) == kind
    assert [row["x"] for row in columns.rows()] == stored


@pytest.mark.parametrize("values", [[[1]], [1, [1]], [{"a": 1}, 1], [None]])
def test_a_field_that_is_ever_nested_or_always_null_is_no_column(
    tmp_path: Path, values: list[Any]
) -> None:
    assert _columns(tmp_path, *({"x": value} for value in values)).names == []


def test_a_field_of_the_last_row_is_a_column_too(tmp_path: Path) -> None:
    columns = _columns(tmp_path, *[{}] * 50, {"late": 1})
    assert [row["late"] for row in columns.rows()] == [None] * 50 + [1]


def test_metadata_cannot_shadow_the_table_s_own_columns(tmp_path: Path) -> None:
    columns = _columns(tmp_path, {"id": "other", "metadata": "x", "messages": 1})
    assert columns.names == []
    assert [row["id"] for row in columns.rows()] == ["0"]


def test_batches_are_full_but_for_the_last() -> None:
    rows: Iterator[dict[str, Any]] = iter([{"n": n} for n in range(5)])
    assert [len(batch) for batch in batches(rows, 2)] == [2, 2, 1]


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r'needs pyarrow: pip install "synthtutor\[data\]"'):
        library("pyarrow")
