"""A recipe that another distribution declares brings its own prompts, and a user may replace them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
import zipfile
from contextlib import closing
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest

from synthtutor import Message, Sample, Session, recipe, run
from synthtutor.errors import ConfigError
from synthtutor.messages import Request
from synthtutor.prompts import Prompts
from synthtutor.testing import ScriptedProvider
from tests.test_docs import environment

PLUGIN = Path(__file__).parents[1] / "examples" / "recipe_plugin"
ROWS = [{"problem": "1/2 + 1/3 = ?"}]


def installed(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the plugin as pip would have put it there."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in each.items())
        for group, each in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(points))
    return {**environment(), "PYTHONPATH": os.pathsep.join((str(folder), str(PLUGIN)))}


def asked(folder: Path) -> str:
    """The first request that the run made."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        (request,) = journal.execute("SELECT request FROM calls").fetchone()
    return str(json.loads(request)["messages"][0]["content"])


@pytest.mark.slow
def test_an_installed_recipe_is_run_by_name_with_its_own_prompts_or_yours(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS[0]))
    mine = tmp_path / "mine" / "hints" / "hints.md.j2"
    mine.parent.mkdir(parents=True)
    mine.write_text(
        "{% block system %}Be short.{% endblock %}{% block user %}{{ problem }}{% endblock %}"
    )
    told = {}
    for name, more in (("own", ()), ("mine", ("--prompts", str(tmp_path / "mine")))):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "synthtutor", "generate", "hints", "--no-report"),
                *("--rows", "rows.jsonl", "--model", "scripted/any", "--out", f"run-{name}", *more),
            ],
            cwd=tmp_path,
            env=installed(tmp_path / f"site-{name}"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told[name] = asked(tmp_path / f"run-{name}")
    assert told["own"].startswith("You help a student get unstuck on their own.")
    assert told["mine"] == "Be short."


def recipe_with(prompts: Traversable) -> Any:
    @recipe(name="templated", prompts=prompts)
    async def templated(session: Session, row: dict[str, Any]) -> Sample:
        text = await session.generate(str, "own/ask.md.j2", **row)
        return Sample([Message("user", row["problem"]), Message("assistant", text)])

    return templated


def said(prompts: Traversable, out: Path) -> str:
    """What is asked, when the recipe's prompts lie there."""
    provider = ScriptedProvider(lambda request: f"asked: {request.messages[0].content}")
    made = run(
        recipe_with(prompts),
        rows=ROWS,
        models="scripted/m",
        out=out,
        providers={"scripted": provider},
    )
    return str(made.samples()[0]["messages"][-1]["content"])


def test_prompts_lie_beside_the_recipes_module_or_in_an_archive(tmp_path: Path) -> None:
    text = "{% block user %}{% include 'own/part.j2' %}: {{ problem }}{% endblock %}"
    folder = tmp_path / "prompts" / "own"
    folder.mkdir(parents=True)
    (folder / "ask.md.j2").write_text(text)
    (folder / "part.j2").write_text("Solve this")
    with zipfile.ZipFile(tmp_path / "plugin.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"prompts/own/{file.name}")
    archived = zipfile.Path(tmp_path / "plugin.zip", "prompts/")
    places: list[Traversable] = [tmp_path / "prompts", archived]
    for number, prompts in enumerate(places):
        assert said(prompts, tmp_path / str(number)) == "asked: Solve this: 1/2 + 1/3 = ?"


def test_the_lineage_names_the_prompts_text(tmp_path: Path) -> None:
    digests = set()
    for words in ("One", "Two"):
        folder = tmp_path / words / "own"
        folder.mkdir(parents=True)
        (folder / "ask.md.j2").write_text(f"{{% block user %}}{words}{{% endblock %}}")
        digests.add(Prompts(recipe=tmp_path / words).digest("own/ask.md.j2"))
    assert len(digests) == 2


def test_prompts_that_are_not_there_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    def never(_: Request) -> str:
        raise AssertionError("nothing may be asked")

    with pytest.raises(ConfigError, match="the recipe's own prompts"):
        run(
            recipe_with(tmp_path / "missing"),
            rows=ROWS,
            models="scripted/m",
            out=tmp_path / "run",
            providers={"scripted": ScriptedProvider(never)},
        )
