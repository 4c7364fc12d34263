from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.huggingface import hf_dataset

datasets = pytest.importorskip("datasets")


def test_the_folder_loads_from_disk(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    assert hf_dataset(samples, tmp_path / "set") == 3
    loaded = datasets.load_from_disk(str(tmp_path / "set"))
    assert [row["messages"] for row in loaded] == [sample["messages"] for sample in samples]
    assert loaded["seed"][:] == [0, 1, 2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_the_same_samples_make_the_same_bytes(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    hf_dataset(samples, tmp_path / "one")
    hf_dataset(iter(samples), tmp_path / "other")
    one, other = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "other")
    )
    assert one == other


def test_an_earlier_export_is_replaced_and_anything_else_is_not(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    hf_dataset(samples, tmp_path / "set")
    hf_dataset(samples[:1], tmp_path / "set")
    assert len(datasets.load_from_disk(str(tmp_path / "set"))) == 1
    with pytest.raises(ConfigError, match="will not replace"):
        hf_dataset(samples, tmp_path)


def test_no_samples_make_an_empty_set(tmp_path: Path) -> None:
    assert hf_dataset([], tmp_path / "set") == 0
    assert len(datasets.load_from_disk(str(tmp_path / "set"))) == 0


def test_an_error_of_the_samples_comes_through(
    samples: list[dict[str, Any]], tmp_path: Path
) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield from samples
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hf_dataset(failing(), tmp_path / "set")
    assert [entry.name for entry in tmp_path.iterdir()] == []


_ALONE = """
import socket, sys
def refuse(*args, **kwargs):
    raise SystemExit("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
from synthtutor.export.huggingface import hf_dataset
said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
hf_dataset([{"id": "1", "messages": said, "metadata": {"a": 1}}], sys.argv[1])
"""


@pytest.mark.slow
def test_nothing_is_looked_up_and_nothing_is_left_at_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, tmp_path / "set"],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [file for file in home.rglob("*") if file.is_file()] == []
    assert "%" not in done.stderr, "a progress bar was drawn"
