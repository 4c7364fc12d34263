from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing, replacing_folder


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(old=st.none() | st.binary(), written=st.binary())
def test_a_failure_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, old: bytes | None, written: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    path.unlink(missing_ok=True)
    if old is not None:
        path.write_bytes(old)

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(written)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (path.read_bytes() if path.exists() else None) == old
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a.jsonl"}


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "a") as temporary:
        temporary.touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "a")}
    assert len(modes) == 1


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old" * 1000)
    with path.open() as reader:
        with replacing(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old" * 1000


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("path", ["missing/a.jsonl", ".", "pipe"])
def test_a_bad_destination_is_named(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(ConfigError, match=str(tmp_path / path)),
        replacing(tmp_path / path) as temporary,
    ):
        temporary.touch()


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(ConfigError, match="/dev/null"), replacing("/dev/null"):
        pass
    assert Path("/dev/null").is_char_device()


def test_a_long_name_still_has_room_for_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.mkdir()
    (path / "state.json").touch()
    (path / "stale").touch()
    with replacing_folder(path, known_by=("state.json",)) as temporary:
        temporary.mkdir()
        (temporary / "state.json").write_text("{}")
    assert [entry.name for entry in path.iterdir()] == ["state.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(ConfigError, match="will not replace"),
        replacing_folder(tmp_path, known_by=("state.json",)),
    ):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.mkdir()
    (path / "state.json").write_text("old")

    def failing() -> None:
        with replacing_folder(path, known_by=("state.json",)) as new:
            new.mkdir()
            (new / "state.json").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert (path / "state.json").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]
