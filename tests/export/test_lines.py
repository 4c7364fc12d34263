from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.export.lines import encode, write_lines

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), _json, max_size=3))
def test_a_line_is_the_row_and_one_newline(row: dict[str, object]) -> None:
    line = encode(row, name="a")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert orjson.loads(line) == row


@given(st.text(st.characters(codec=None, categories=("Cs", "Lu", "So"))))
def test_half_a_surrogate_pair_does_not_cost_the_export(text: str) -> None:
    line = encode({"content": [text]}, name="a")
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert orjson.loads(line)["content"] == [expected]


def test_keys_are_sorted_when_asked() -> None:
    assert encode({"b": {"d": 1, "c": 2}, "a": 3}, name="x", sort=True) == (
        b'{"a":3,"b":{"c":2,"d":1}}\n'
    )


def test_a_row_that_is_no_json_names_its_sample() -> None:
    with pytest.raises(ConfigError, match="'row-7'"):
        encode({"a": object()}, name="row-7")


def test_an_error_of_the_samples_is_not_called_an_error_of_the_file(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"{}\n"
        raise OSError("the journal's disk is gone")

    with pytest.raises(OSError, match="journal"):
        write_lines(failing(), tmp_path / "a.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == []


@pytest.mark.parametrize("size", [10_001, 1_000_000])
def test_a_disk_without_room_names_the_path_and_keeps_the_old_file(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    # In a process of its own: the limit would hold for this one's log, too.
    code = (
        "import resource, sys\n"
        "from synthtutor.errors import ConfigError\n"
        "from synthtutor.export.lines import write_lines\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        f"try: write_lines([b'x' * {size}], {str(path)!r})\n"
        "except ConfigError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"cannot write {path}: File too large" in done.stderr
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl"]
