from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from synthtutor.errors import ConfigError
from synthtutor.sources import BadRow, Occurrences, canonical, limited, read_rows

cells = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = st.lists(st.text("abcdefg ", min_size=1, max_size=6), min_size=1, max_size=4, unique=True)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
records = st.dictionaries(
    st.text(max_size=8), scalars | st.lists(scalars, max_size=3), min_size=1, max_size=4
)
suffixes = st.sampled_from([".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


def rows_of(folder: Path, name: str, data: bytes | str) -> list[dict[str, Any] | BadRow]:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read_rows(path))


# ── round trips ──────────────────────────────────────────────────────────────────────────────


@given(data=st.data(), columns=names, suffix=st.sampled_from([".csv", ".tsv"]))
def test_csv_comes_back_as_it_was_written(
    folder: Path, data: st.DataObject, columns: list[str], suffix: str
) -> None:
    row = st.lists(cells, min_size=len(columns), max_size=len(columns))
    written = data.draw(st.lists(row.filter(any), min_size=1, max_size=5))
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL)
    writer.writerows([columns, *written])
    assert rows_of(folder, f"r{suffix}", file.getvalue()) == [
        dict(zip(columns, row, strict=True)) for row in written
    ]


@given(st.lists(records, min_size=1, max_size=5), st.sampled_from([".jsonl", ".ndjson"]))
def test_jsonl_comes_back_as_it_was_written(
    folder: Path, written: list[dict[str, Any]], suffix: str
) -> None:
    lines = b"\n".join(orjson.dumps(record) for record in written)
    assert rows_of(folder, f"r{suffix}", lines) == written
    assert rows_of(folder, f"r{suffix}", lines.replace(b"\n", b"\r\n\r\n")) == written


@given(st.lists(records, min_size=1, max_size=5))
def test_a_json_list_comes_back_as_it_was_written(
    folder: Path, written: list[dict[str, Any]]
) -> None:
    assert rows_of(folder, "r.json", orjson.dumps(written)) == written


def test_parquet_comes_back_as_it_was_written(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    written = [{"question": f"q{n}", "n": n, "tags": ["a", "b"]} for n in range(600)]
    write_table(arrow.Table.from_pylist(written), tmp_path / "r.parquet")
    assert list(read_rows(tmp_path / "r.parquet")) == written


# ── what cannot be read ──────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=200) | st.text(alphabet='",\n\r\ta{}[]:1').map(str.encode), suffixes)
def test_no_file_is_too_odd_to_read(folder: Path, data: bytes, suffix: str) -> None:
    try:
        rows = rows_of(folder, f"odd{suffix}", data)
    except ConfigError as error:
        assert f"odd{suffix}" in str(error)  # noqa: PT017  # any other error fails the test
    else:
        for row in rows:
            assert isinstance(row, dict | BadRow)
            canonical(row)


def test_a_bad_line_says_where_it_stands_and_reading_goes_on(tmp_path: Path) -> None:
    first, bad, not_an_object, last = rows_of(
        tmp_path, "r.jsonl", '{"a": 1}\n{"a": \n[1]\n\n{"a": 2}\n'
    )
    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(bad, BadRow)
    assert bad.where.endswith("r.jsonl, line 2")
    assert isinstance(not_an_object, BadRow)
    assert not_an_object.reason == "not a JSON object"


def test_a_csv_row_of_another_length_is_bad(tmp_path: Path) -> None:
    long, short, good = rows_of(tmp_path, "r.csv", "a,b\n1,2,3\n1\n1,2\n")
    assert isinstance(long, BadRow)
    assert "1 more fields than columns" in long.reason
    assert isinstance(short, BadRow)
    assert short.reason == "no value for column 'b'"
    assert good == {"a": "1", "b": "2"}


def test_a_quote_that_is_not_closed_is_bad_and_not_the_rest_of_the_file(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "r.csv", 'a,b\n1,2\n"3,4\n')
    assert rows[0] == {"a": "1", "b": "2"}
    assert isinstance(rows[1], BadRow)
    assert "not CSV" in rows[1].reason


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert rows_of(tmp_path, "r.csv", mark + b"a\n1\n") == [{"a": "1"}]
    assert rows_of(tmp_path, "r.jsonl", mark + b'{"a": 1}') == [{"a": 1}]
    assert rows_of(tmp_path, "r.json", mark + b'[{"a": 1}]') == [{"a": 1}]


def test_a_field_may_be_longer_than_a_chapter(tmp_path: Path) -> None:
    text = "x" * 300_000
    assert rows_of(tmp_path, "r.csv", f"a\n{text}\n") == [{"a": text}]


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.csv.gz"])
def test_another_kind_of_file_is_refused_at_once_with_the_kinds_there_are(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match=r"\.jsonl"):
        read_rows(tmp_path / name)


def test_a_missing_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_rows(tmp_path / "missing.csv")


def test_an_empty_csv_and_a_json_that_is_no_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the columns"):
        rows_of(tmp_path, "r.csv", "")
    with pytest.raises(ConfigError, match="must be a list"):
        rows_of(tmp_path, "r.json", '{"a": 1}')


def test_a_file_is_read_as_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n' * 3)
    rows = read_rows(path)
    next(rows)
    path.unlink()
    assert len(list(rows)) == 2, "nothing is opened a second time"


# ── names of contents ────────────────────────────────────────────────────────────────────────


@dataclass
class Pair:
    a: int
    b: str


class Model(BaseModel):
    a: int
    b: str


@given(records)
def test_the_order_of_fields_does_not_matter(record: dict[str, Any]) -> None:
    assert canonical(record) == canonical(dict(reversed(record.items())))


@given(records, st.data())
def test_any_change_of_a_field_changes_the_name(
    record: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(record)))
    assert canonical({**record, name: f"{record[name]}, changed"}) != canonical(record)
    assert canonical({**record, f"{name} too": record[name]}) != canonical(record)
    assert canonical({key: value for key, value in record.items() if key != name}) != canonical(
        record
    )


def test_a_dataclass_and_a_model_are_their_fields() -> None:
    assert canonical(Pair(1, "x")) == canonical(Model(a=1, b="x")) == b'{"a":1,"b":"x"}'
    assert canonical([Model(a=1, b="x")]) == b'[{"a":1,"b":"x"}]'


@pytest.mark.parametrize("row", [object(), {"a": object()}, {1: 2}, {"a": {1, 2}}, Pair])
def test_a_row_that_is_no_json_is_refused(row: object) -> None:
    with pytest.raises(ConfigError, match="a row must be"):
        canonical(row)


@given(st.lists(st.sampled_from([b"a", b"b", b"\0", b""]), max_size=30))
def test_occurrences_count_each_content_from_zero(contents: list[bytes]) -> None:
    with Occurrences() as occurrences:
        counted = [occurrences.count(content) for content in contents]
    expected = [contents[:index].count(content) for index, content in enumerate(contents)]
    assert counted == expected


def test_limiting_takes_no_more_rows_than_it_gives() -> None:
    endless = iter(int, 1)
    assert list(limited(endless, 3)) == [0, 0, 0]
    assert list(limited([1, 2], None)) == [1, 2]
    assert list(limited([1, 2], 0)) == []
    few = iter([1, 2, 3])
    assert list(limited(few, 2)) == [1, 2]
    assert list(few) == [3]
