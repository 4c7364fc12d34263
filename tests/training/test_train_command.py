"""What ``synthtutor train`` says where it cannot train; none of this needs torch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from synthtutor.cli.app import run
from tests.training.rows import conversation, write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(30)])


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("synthtutor: ")
    assert err.count("\n") == 1
    return err


def test_the_presets_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "presets"]) == 0
    assert "tara-edu-7b" in capsys.readouterr().out
    assert run(["train", "presets", "gemma3n-math-judge", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["task"], shown["settings"]["lora_rank"]) == ("classify", 8)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "which model to start from"),
        (["--preset", "tara"], "no preset 'tara'"),
        (["--preset", "gemma3n-math-judge"], "is for train classify"),
        (["--model", "m", "--set", "lora_rank"], "write NAME=VALUE"),
        (["--model", "m", "--set", "lora_rnk=3"], "no setting 'lora_rnk'"),
        (["--model", "m", "--split", "much"], "write three shares"),
        (["--model", "m", "--learning-rate", "-1"], "learning_rate: "),
    ],
)
def test_wrong_use_is_told_in_a_line(
    more: list[str], said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert said in failure(["sft", str(data), "--out", str(out), *more], capsys)
    assert not out.exists()


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed here")
@pytest.mark.parametrize("command", ["sft", "merge", "gguf", "convert"])
def test_without_torch_it_says_what_to_install(
    command: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "m"] if command == "sft" else []
    said = failure([command, str(data), "--out", str(tmp_path / "out"), *model], capsys)
    assert 'pip install "synthtutor[training]"' in said


def test_the_command_line_does_not_import_torch() -> None:
    program = (
        "import sys; from synthtutor.cli.app import run; run(['train', 'presets']); "
        "sys.exit(bool({'torch', 'transformers', 'peft', 'trl', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
