from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synthtutor.cli.app import run
from synthtutor.cli.configuration import configured
from synthtutor.errors import ConfigError

EXAMPLES = Path(__file__).parents[1] / "examples"

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> tuple[int, str, str]:
        code = run(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return said


@pytest.mark.parametrize("recipe", ["math-grading", "essay-grading"])
def test_label_is_short_for_the_option_of_that_name(recipe: str) -> None:
    short = configured(recipe, {"label": "cosine", "model": ["scripted/m"]})
    long = configured(recipe, {"option": ["label=cosine"], "model": ["scripted/m"]})
    assert short == long
    assert short.options == {"label": "cosine"}


def test_label_wins_over_what_a_run_yaml_says() -> None:
    recipe = str(EXAMPLES / "math_grading.yaml")
    assert configured(recipe, {}).options["label"] == "trusted"
    assert configured(recipe, {"label": "cosine"}).options["label"] == "cosine"


def test_two_labels_that_differ_are_refused() -> None:
    with pytest.raises(ConfigError, match="--label cosine and --option label=trusted: give one"):
        configured("math-grading", {"label": "cosine", "option": ["label=trusted"]})


@pytest.mark.parametrize("command", ["generate", "estimate"])
@pytest.mark.parametrize(
    ("recipe", "label", "told"),
    [
        ("misconception", "cosine", "misconception has no option 'label'"),
        ("math-grading", "verified", "label='verified': choose trusted or cosine"),
    ],
)
def test_a_label_that_cannot_be_used_is_told_in_one_line(
    say: Say, command: str, recipe: str, label: str, told: str
) -> None:
    rows = ["--rows", str(EXAMPLES / "mathx_style.jsonl")] if recipe == "math-grading" else []
    code, _, err = say(command, recipe, "-m", "scripted/m", "-n", "2", "--label", label, *rows)
    assert (code, err.count("\n")) == (2, 1)
    assert told in err


@pytest.mark.slow
def test_a_run_by_the_old_labels_says_so_in_its_samples(say: Say, tmp_path: Path) -> None:
    rows = str(EXAMPLES / "mathx_style.jsonl")
    words = ("math-grading", "-m", "scripted/m", "-n", "2", "--rows", rows, "--label", "cosine")
    code, out, err = say("estimate", *words, "--json")
    assert (code, err) == (0, "")
    assert '"rows":2' in out.replace(" ", "")
    say("generate", *words, "--max-failed", "1", "--out", str(tmp_path / "run"))
    assert "label: cosine" in (tmp_path / "run" / "run.yaml").read_text(encoding="utf-8")
