"""docs/training.md does what it says: a small real model, from generated rows to a tutor that answers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "training.md"

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def commands() -> list[str]:
    """The lines of the page's block that is to be run."""
    _, _, block = PAGE.read_text(encoding="utf-8").partition("```bash train\n")
    return block.partition("```")[0].splitlines()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all commands of the page were run."""
    if find_spec("synthtutor_local") is None:
        pytest.skip("needs synthtutor-local")
    folder = tmp_path_factory.mktemp("page")
    (folder / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    for command in commands():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    return folder


def told(followed: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((followed / "tutors/lesson/metrics.json").read_bytes())
    return found


def test_there_are_ten_commands() -> None:
    assert len(commands()) == 10


def test_the_loss_on_held_out_tutor_tokens_falls_by_half_a_nat(followed: Path) -> None:
    loss = told(followed)["held_out_loss"]
    assert loss["best"] < loss["before"] - 0.5
    assert told(followed)["test"]["loss"] < loss["before"] - 0.3


def test_the_card_tells_where_the_rows_came_from(followed: Path) -> None:
    card = (followed / "tutors/lesson/README.md").read_text()
    for said in ("misconception", "judge: scripted/any", "short-reply@1", "Not for use:"):
        assert said in card
    assert "no two sides share a seed_id or prompt" in card


def test_the_tutor_answers_by_llama_cpp(followed: Path) -> None:
    rows = [orjson.loads(line) for line in (followed / "replies.jsonl").read_bytes().splitlines()]
    assert rows
    assert {row["model"] for row in rows} == {"local/tutors/lesson.gguf"}
    # After so little training it may go on until it is cut: the journal has what it said then, too.
    (journal,) = (followed / "runs").glob("predict-*/journal.sqlite")
    with closing(sqlite3.connect(journal)) as opened:
        found = opened.execute("SELECT response FROM calls").fetchall()
    said = [orjson.loads(response)["text"].lower().split() for (response,) in found]
    # What the scripted writer says is made of these; the model as it was begins otherwise.
    learned = {"student", "denominators", "part", "parts", "rule", "numerators", "drawing", "adds"}
    assert len(learned.intersection(word for words in said for word in words)) >= 2
    assert (followed / "runs/evaluation/evaluation.html").is_file()


def test_the_merged_model_says_what_the_adapter_says(followed: Path) -> None:
    from transformers import AutoModelForCausalLM

    from synthtutor.training.merge import adapted
    from synthtutor.training.quiet import quiet

    with quiet(), torch.no_grad():
        model, tokenizer = adapted(followed / "tutors/lesson")
        ids = tokenizer("What is 27 + 35?", return_tensors="pt")["input_ids"]
        one = model.eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(followed / "tutors/merged")
        other = merged.eval()(ids).logits
    assert torch.allclose(one, other, atol=1e-2)


def test_numbers_are_taken_digit_by_digit_as_llama_cpp_does(followed: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(followed / "tutors/merged")
    assert tokenizer.tokenize("1234 + 56") == ["1", "2", "3", "4", "Ġ+", "Ġ", "5", "6"]
    assert tokenizer.pad_token != tokenizer.eos_token
    assert "generation %}" not in tokenizer.chat_template.replace("add_generation", "")
