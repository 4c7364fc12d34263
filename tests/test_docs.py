"""The README and the pages of docs/ do what they say.

A fenced block may carry words after its language: ``run`` runs it (bash or Python, in the page's own
folder, in order; ``exit=N`` is the exit code to expect), ``file=NAME`` writes it there. Other bash
and Python blocks need a key or are fragments: their options and imports must exist.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from synthtutor.cli.app import app
from synthtutor.config import RunConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its words, and the line it begins at."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    def word(self, name: str) -> str | None:
        """The value of ``name=value`` among the words."""
        return next(
            (word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None
        )


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split()
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, tuple(words), match["text"], line))
    return found


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# ── what is run ──────────────────────────────────────────────────────────────────────────────


def environment() -> dict[str, str]:
    """This one's without keys, and with the commands of this interpreter's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "PYTHONWARNINGS": "error", "COLUMNS": "120"}


def do(block: Block, folder: Path) -> None:
    if name := block.word("file"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block.text, encoding="utf-8")
    if "run" not in block.words:
        return
    command = {
        "bash": ["bash", "-euo", "pipefail", "-c", block.text],
        "python": [sys.executable, "-c", block.text],
    }[block.language]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    expected = int(block.word("exit") or 0)
    assert done.returncode == expected, f"line {block.line}:\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, f"line {block.line}:\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("run" in b.words for b in blocks(page))], ids=named
)
def test_what_a_page_says_to_run_runs(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for block in blocks(page):
        do(block, tmp_path)


def test_the_pages_a_newcomer_follows_are_run() -> None:
    followed = ["quickstart", "resuming", "writing-a-recipe", "writing-a-provider", "exports"]
    for page in [ROOT / "README.md", *(DOCS / f"{name}.md" for name in followed)]:
        assert any("run" in block.words for block in blocks(page)), page.name


# ── what is only read ────────────────────────────────────────────────────────────────────────


def commands(block: Block) -> Iterator[list[str]]:
    """The words of every ``synthtutor …`` line of a shell block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words and words[0] == "synthtutor":
            yield words[1:]


@cache
def command_line() -> Any:
    """All commands and their options."""
    return typer.main.get_command(app)


def fault_of(words: list[str]) -> str | None:
    """What is wrong with a command line: a command or an option that there is not."""
    command = command_line()
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    known = {opt for parameter in command.params for opt in parameter.opts} | {"--help"}
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [option for option in given if option not in known]
    return f"no option {unknown[0]!r} in {command.name!r}" if unknown else None


SHELL = [
    pytest.param(block, id=f"{named(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language in ("bash", "console") and list(commands(block))
]
PYTHON = [
    pytest.param(block, id=f"{named(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "python" and "run" not in block.words
]


@pytest.mark.parametrize("block", SHELL)
def test_commands_and_options_exist(block: Block) -> None:
    faults = [fault for words in commands(block) if (fault := fault_of(words))]
    assert not faults


def test_a_command_or_option_that_there_is_not_is_found() -> None:
    assert fault_of(["generate", "misconception", "--modle", "x"])
    assert fault_of(["rubrics", "lynt", "x"])
    assert fault_of(["rubrics", "lint", "x", "--json"]) is None


@pytest.mark.parametrize("block", PYTHON)
def test_programs_parse_and_import_what_there_is(block: Block) -> None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree: ast.Module = compile(block.text, f"line {block.line}", "exec", flags, dont_inherit=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


# ── what must be told ────────────────────────────────────────────────────────────────────────


def leaves(command: Any) -> Iterator[Any]:
    if hasattr(command, "commands"):
        for child in command.commands.values():
            yield from leaves(child)
    else:
        yield command


def test_the_command_line_page_names_every_command_and_option() -> None:
    told = set(re.findall(r"`(--?[a-z][a-z-]*)`", (DOCS / "command-line.md").read_text()))
    root = command_line()
    options = {
        opt
        for command in [root, *leaves(root)]
        for parameter in command.params
        for opt in parameter.opts
        if opt.startswith("-") and opt != "--help"
    }
    assert options <= told | {"--install-completion", "--show-completion"}
    text = (DOCS / "command-line.md").read_text()
    assert not [name for name in root.commands if f"## {name}" not in text and name not in _LISTS]


_LISTS = ("recipes", "providers", "rubrics")  # under one heading


def test_the_command_line_page_names_every_field_of_a_configuration() -> None:
    told = set(re.findall(r"`([a-z_]+)`", (DOCS / "command-line.md").read_text()))
    assert set(RunConfig.model_fields) <= told


def test_the_index_lists_every_page() -> None:
    listed = {target for target, _ in _LINK.findall((DOCS / "index.md").read_text())}
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert pages - {"index.md"} <= listed


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            assert anchor in slugs, f"{target}#{anchor}"


def test_the_readme_shows_the_source_as_it_is() -> None:
    (tree,) = [block for block in blocks(ROOT / "README.md") if "session.py" in block.text]
    names = re.findall(r"[\w-]+(?:\.py|/)", tree.text)
    places = [ROOT, ROOT / "synthtutor"]
    assert not [name for name in names if not any((place / name).exists() for place in places)]
    modules = {path.name for path in (ROOT / "synthtutor").glob("[!_]*.py")}
    folders = {path.parent.name + "/" for path in (ROOT / "synthtutor").glob("*/__init__.py")}
    assert modules | folders <= set(names)


def test_the_plugin_is_shown_whole() -> None:
    page, plugin = (DOCS / "writing-a-provider.md").read_text(), ROOT / "examples" / "plugin"
    for name in ("synthtutor_example_echo.py", "pyproject.toml", "tests/test_echo.py"):
        assert (plugin / name).read_text().strip() in page, name
