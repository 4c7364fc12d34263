from __future__ import annotations

from pathlib import Path

import pytest

MISTAKES = Path(__file__).parent / "typing" / "mistakes.py.txt"
CONFIG = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.slow
def test_a_type_checker_finds_a_recipes_mistakes(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "mistakes.py"
    file.write_text(MISTAKES.read_text())
    found, problems, _ = api.run(["--config-file", str(CONFIG), str(file)])
    assert not problems
    assert 'Revealed type is "mistakes.Persona"' in found
    told = {int(line.split(":")[1]) for line in found.splitlines() if ": error: " in line}
    source = file.read_text().splitlines()
    assert told == {number for number, line in enumerate(source, 1) if "# " in line}, found


@pytest.mark.slow
def test_a_configuration_needs_no_plugin_of_a_type_checker(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "mine.py"
    file.write_text(
        "from synthtutor.config import RoleSettings, RunConfig\n"
        "RunConfig(recipe='r', models={'default': 'a/b'}, settings={'judge': RoleSettings()})\n"
    )
    found, problems, status = api.run(["--strict", "--config-file", "", str(file)])
    assert (status, problems) == (0, ""), found
