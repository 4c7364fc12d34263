"""What a wheel holds: the data files without which nothing runs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        return set(archive.namelist())


def expected(folder: str, pattern: str) -> set[str]:
    found = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob(pattern)}
    assert found, f"no {pattern} under {folder}"
    return found


def test_a_wheel_holds_every_rubric_pack(wheel: set[str]) -> None:
    packs = {f"synthtutor/{name}" for name in expected("rubrics", "*.yaml")}
    assert {name for name in wheel if name.startswith("synthtutor/rubrics/")} == packs


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("synthtutor/recipes/seeds", "*.yaml"),
        ("synthtutor/recipes/prompts", "*.j2"),
        ("synthtutor/report/templates", "*"),
        ("synthtutor/viewer/templates", "*"),
        ("synthtutor", "*.py"),
        ("synthtutor", "py.typed"),
    ],
)
def test_a_wheel_holds_the_data_beside_the_code(wheel: set[str], folder: str, pattern: str) -> None:
    assert expected(folder, pattern) <= wheel


def test_a_wheel_holds_nothing_else(wheel: set[str]) -> None:
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"synthtutor"}
