"""What a training is made of before torch comes into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.card import lineage, write_card
from synthtutor.training.job import prepare
from synthtutor.training.settings import Settings
from tests.training.rows import conversation, write_rows

LONG = (
    "A farmer has seventeen sheep and sells nine of them before buying four more on the next day."
)
RESULT = {
    "steps": 1,
    "seconds": 1.0,
    "held_out_loss": {"before": 2.0, "best": 1.5},
    "test": {"loss": 1.6},
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Rows to train on, the last of which repeats one of those to validate with."""
    row, held = conversation(1), conversation(100)
    row["messages"][1]["content"] = f"Help me. {LONG}"
    held["messages"][1:3] = [{"role": "user", "content": f"{LONG} How many has he?"}]
    held["messages"][2:] = [{"role": "assistant", "content": "What happens first?"}]
    data = write_rows(tmp_path / "rows.jsonl", [*(conversation(n) for n in range(2, 8)), row])
    return data, write_rows(tmp_path / "held.jsonl", [held])


def test_rows_that_repeat_the_evaluation_are_refused(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, held = files
    with pytest.raises(
        ConfigError, match=r"1 of 7 training rows repeat .*rows\.jsonl, line 7"
    ) as told:
        prepare("sft", data, "m", tmp_path / "out", Settings(), evaluation=held)
    assert "seventeen sheep" in str(told.value)
    assert "--allow-contamination" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_by_permission_they_are_recorded_and_on_the_card(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, held = files
    job = prepare(
        *("sft", data, "m", tmp_path / "out", Settings()),
        evaluation=held,
        allow_contamination=True,
    )
    assert (len(job.division.train), len(job.division.validation)) == (7, 1)
    record = json.loads((tmp_path / "out" / "splits.json").read_bytes())
    assert [where.rpartition(", ")[2] for where in record["contaminated_rows"]] == ["line 7"]
    write_card(job, RESULT)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "1 training rows repeat them, by permission" in card


def test_the_card_says_which_run_judge_and_rubric_the_rows_are_of(tmp_path: Path) -> None:
    calls = [{"role": "judge", "model": "a/strict"}, {"role": "writer", "model": "b/fluent"}]
    known = {"rubric": "mild@2", "lineage": {"recipe": "own", "calls": calls}}
    rows = [{**conversation(n), "metadata": {**known, "problem_id": n}} for n in range(20)]
    run = tmp_path / "lesson"
    run.mkdir()
    write_rows(run / "samples.jsonl", rows)
    (run / "run.yaml").write_text("recipe: own\nseed: 5\nmodels: {judge: a/strict}\n")
    job = prepare("sft", run, "base/model", tmp_path / "out", Settings())
    found = lineage(job)
    assert (found["run"], found["recipe"], found["seed"]) == ("lesson", "own", 5)
    assert found["rubrics"] == {"mild@2": 20}
    assert found["models_by_role"] == {"judge: a/strict": 20, "writer: b/fluent": 20}
    write_card(job, RESULT)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nbase_model: base/model\n")
    assert "16 train, 2 validation, 2 test (no two sides share a problem_id or prompt" in card
    assert "2.000 before, 1.500 at its best" in card
    assert "Not for use" not in card


def test_of_data_without_a_run_nothing_is_made_up(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(20)])
    job = prepare("sft", data, "m", tmp_path / "out", Settings())
    assert lineage(job).keys() == {"data", "digests", "demonstration_only_rows"}


def test_without_a_token_the_hub_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training's own environment: make test-training")
    from synthtutor.cli.app import run

    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    data = write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(20)])
    given = ["--model", "m", "--out", str(tmp_path / "out"), "--push-to-hub", "me/tutor"]
    assert run(["train", "sft", str(data), *given]) == 2
    assert "push-to-hub: no token" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_second_process_takes_the_folder_as_the_first_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(20)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".training.json.tmp").touch()  # being written by the first at this moment
    monkeypatch.setenv("RANK", "1")
    prepare("sft", data, "m", tmp_path / "out", Settings())
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".training.json.tmp"]
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="is not empty"):
        prepare("sft", data, "m", tmp_path / "out", Settings())
