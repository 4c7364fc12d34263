"""Killed without warning and resumed, a training ends where an undisturbed one does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.disk import full_disk_told
from synthtutor.training.job import last_checkpoint
from tests.training.jobs import SMALL, job, losses, train
from tests.training.rows import conversation, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
pytestmark = pytest.mark.slow

PATIENCE_S = 200.0
LONG: dict[str, Any] = {"max_steps": 150, "eval_every": 10, "save_every": 10, "lora_dropout": 0.1}


def started(data: Path, model: Path, out: Path) -> subprocess.Popen[bytes]:
    settings = {**SMALL, **LONG}
    given = [f"--set={name}={value}" for name, value in settings.items()]
    command = ["train", "sft", str(data), "--model", str(model), "--out", str(out), *given]
    return subprocess.Popen(
        [sys.executable, "-m", "synthtutor", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
@pytest.mark.timeout(600)
def test_after_kill_9_the_losses_are_those_of_an_undisturbed_training(
    tiny: Path, tmp_path: Path
) -> None:
    whole = train(job("sft", tiny, tmp_path, out="whole", **LONG))
    process = started(tmp_path / "sft.jsonl", tiny, tmp_path / "killed")
    end = time.monotonic() + PATIENCE_S
    try:
        while not (found := last_checkpoint(tmp_path / "killed")):
            assert process.poll() is None, "it ended before its first checkpoint"
            assert time.monotonic() < end, "no checkpoint came"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert not (tmp_path / "killed" / "metrics.json").exists()
    resumed = train(job("sft", tiny, tmp_path, out="killed", resume=True, **LONG))
    assert int(found.name.rpartition("-")[2]) < resumed["steps"] == 150
    for name in ("loss", "eval_loss"):
        one, other = losses(whole, name), losses(resumed, name)
        assert [step for step, _ in one] == [step for step, _ in other]
        assert [loss for _, loss in one] == pytest.approx([loss for _, loss in other], rel=1e-4)
    assert resumed["test"]["loss"] == pytest.approx(whole["test"]["loss"], rel=1e-4)


def test_a_checkpoint_that_was_being_written_is_not_resumed_from(
    tiny: Path, tmp_path: Path
) -> None:
    looks: dict[str, Any] = {"eval_every": 4, "save_every": 4, "max_steps": 8}
    whole = train(job("sft", tiny, tmp_path, **looks))
    half = tmp_path / "out" / "checkpoints" / "checkpoint-8"
    (half / "trainer_state.json").write_bytes(b'{"glob')
    assert last_checkpoint(tmp_path / "out") == half.with_name("checkpoint-4")
    resumed = train(job("sft", tiny, tmp_path, resume=True, **looks))
    assert losses(resumed)[-1][1] == pytest.approx(losses(whole)[-1][1], rel=1e-4)


def test_patience_that_was_used_up_is_not_given_anew(tiny: Path, tmp_path: Path) -> None:
    # Rows that are the worse foretold, the better the others are learned.
    rows = [conversation(n) for n in range(100, 104)]
    for row in rows:
        row["messages"][2]["content"] = row["messages"][4]["content"] = "zqx vjk wpf " * 6
    unlike = write_rows(tmp_path / "unlike.jsonl", rows)
    looks: dict[str, Any] = {"eval_every": 2, "save_every": 2, "keep": 100, "patience": 3}

    def trained(*, resume: bool) -> Any:
        return train(
            job("sft", tiny, tmp_path, resume=resume, evaluation=unlike, max_steps=60, **looks)
        )

    whole = trained(resume=False)
    assert whole["steps"] < 60
    last = tmp_path / "out" / "checkpoints" / f"checkpoint-{whole['steps']}"
    (last / "trainer_state.json").unlink()  # killed after the last look but one
    (tmp_path / "out" / "metrics.json").unlink()
    resumed = trained(resume=True)
    assert [step for step, _ in losses(resumed, "eval_loss")] == [
        step for step, _ in losses(whole, "eval_loss")
    ]
    assert resumed["held_out_loss"] == pytest.approx(whole["held_out_loss"], rel=1e-4)


@pytest.mark.parametrize("told", [True, False])
def test_a_training_that_is_over_is_resumed_for_nothing(
    told: bool, tiny: Path, tmp_path: Path
) -> None:
    # In the midst of an epoch, where transformers would take a step more.
    looks: dict[str, Any] = {"max_steps": 5, "schedule": "constant", "eval_every": 2}
    looks |= {"save_every": 2, "learning_rate": 0.2}
    whole = train(job("sft", tiny, tmp_path, **looks))
    weights = (tmp_path / "out" / "adapter_model.safetensors").read_bytes()
    if not told:  # killed between the last checkpoint and the end
        (tmp_path / "out" / "metrics.json").unlink()
        (tmp_path / "out" / "adapter_model.safetensors").unlink()
    again = train(job("sft", tiny, tmp_path, resume=True, **looks))
    assert (again["steps"], losses(again)) == (5, losses(whole))
    assert again["held_out_loss"] == whole["held_out_loss"]
    assert again["test"]["loss"] == pytest.approx(whole["test"]["loss"], rel=1e-5)
    assert (tmp_path / "out" / "adapter_model.safetensors").read_bytes() == weights


def test_a_disk_that_runs_full_is_told_and_no_other_failure_is(tmp_path: Path) -> None:
    for error in (OSError(errno.ENOSPC, "No space left"), RuntimeError("unexpected pos 76352")):
        told = pytest.raises(ConfigError, match=r"the disk is full.*--resume")
        with told, full_disk_told(tmp_path, least=2**80):  # no disk has as much
            raise error
    with pytest.raises(RuntimeError, match="shapes differ"), full_disk_told(tmp_path, least=0):
        raise RuntimeError("shapes differ")


def test_another_number_of_processes_is_not_resumed_with(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job("sft", tiny, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="with 2 processes: it began with 1"):
        job("sft", tiny, tmp_path, resume=True)


def test_a_folder_that_holds_a_training_is_not_overwritten(tiny: Path, tmp_path: Path) -> None:
    train(job("sft", tiny, tmp_path, max_steps=2))
    with pytest.raises(ConfigError, match="holds a training: give --resume"):
        job("sft", tiny, tmp_path, max_steps=2)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").touch()
    with pytest.raises(ConfigError, match="is not empty and holds no training"):
        job("sft", tiny, tmp_path, out="photos")


def test_other_settings_or_data_are_not_resumed_with(tiny: Path, tmp_path: Path) -> None:
    job("sft", tiny, tmp_path, max_steps=2)
    with pytest.raises(ConfigError, match=r"with learning_rate 0\.5: it was 0\.01"):
        job("sft", tiny, tmp_path, max_steps=2, learning_rate=0.5, resume=True)
    rows = (tmp_path / "sft.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "sft.jsonl").write_bytes(b"".join(rows[1:]))
    with pytest.raises(
        ConfigError, match=r"it began with other data: the rows for .* are not those in"
    ):
        job("sft", tiny, tmp_path, max_steps=2, resume=True)
    with pytest.raises(ConfigError, match="there is no training to resume here"):
        job("sft", tiny, tmp_path, out="other", resume=True)


def test_what_is_resumed_before_its_first_checkpoint_begins_anew(
    tiny: Path, tmp_path: Path
) -> None:
    job("sft", tiny, tmp_path, max_steps=2)  # killed here
    result = train(job("sft", tiny, tmp_path, max_steps=2, resume=True))
    assert result["steps"] == 2
    assert orjson.loads((tmp_path / "out" / "metrics.json").read_bytes())["steps"] == 2
