"""Two processes on a CPU, however they were started and whatever they shard, train one same model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.distributed import checked
from synthtutor.training.settings import Settings
from tests.training.jobs import SMALL
from tests.training.rows import conversation, write_rows

pytest.importorskip("torch", reason="training's own environment: make test-training")

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "training"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2")


def launched(
    launcher: tuple[str, ...], folder: Path, model: Path, out: str, *more: str, **given: Any
) -> subprocess.CompletedProcess[str]:
    data = write_rows(folder / "rows.jsonl", [conversation(n) for n in range(40)])
    settings = [f"--set={name}={value}" for name, value in {**SMALL, **given}.items()]
    return subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", *launcher, "train", "sft", str(data)),
            *("--model", str(model), "--out", str(folder / out), *settings, *more, "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (each for each in done.stdout.splitlines() if each.startswith('{"out"'))
    found: dict[str, Any] = orjson.loads(line)  # one of the two tells, once
    return found


@pytest.fixture(scope="module")
def plain(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Two whole copies beside one another: what all others must come to."""
    folder = tmp_path_factory.mktemp("plain")
    found = result(launched((*TORCHRUN, "-m", "synthtutor"), folder, tiny, "out", log_every=1))
    return folder / "out", found


def same(found: dict[str, Any], folder: Path, plain: tuple[Path, dict[str, Any]]) -> None:
    """The losses and the adapter are those of two whole copies."""
    from safetensors.torch import load_file

    out, expected = plain
    assert found["processes"] == 2
    assert found["test"]["loss"] == pytest.approx(expected["test"]["loss"], rel=1e-4)
    for name in ("loss", "eval_loss"):
        seen, wanted = (
            [entry[name] for entry in each["history"] if name in entry]
            for each in (found, expected)
        )
        assert seen == pytest.approx(wanted, rel=1e-4)
    weights, others = (
        load_file(each / "adapter_model.safetensors") for each in (folder / "out", out)
    )
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        assert (value - others[name]).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_one_model(plain: tuple[Path, dict[str, Any]]) -> None:
    out, found = plain
    # 32 rows, two processes of two rows each: eight steps where one process takes sixteen.
    assert (found["rows"]["train"], found["steps"], found["processes"]) == (32, 8, 2)
    assert found["distributed"] == "multi_cpu"
    assert found["held_out_loss"]["best"] < found["held_out_loss"]["before"] - 0.3
    assert (out / "adapter_model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_accelerate_launches_them_too(
    plain: tuple[Path, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    text = (EXAMPLES / "accelerate_two_gpus.yaml").read_text()
    config = tmp_path / "two.yaml"
    config.write_text(text.replace("use_cpu: false", "use_cpu: true"))
    launcher = ("accelerate.commands.launch", "--config_file", str(config), "-m", "synthtutor")
    same(result(launched(launcher, tmp_path, tiny, "out", log_every=1)), tmp_path, plain)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_weights_that_are_sharded_over_cpus_learn_the_same_and_resume(
    plain: tuple[Path, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    launcher = (*TORCHRUN, str(HERE / "fsdp_on_cpu.py"))
    more = ("--fsdp", str(EXAMPLES / "fsdp.json"))
    looks = {"eval_every": 4, "save_every": 4, "log_every": 1}
    whole = result(launched(launcher, tmp_path, tiny, "out", *more, **looks))
    assert whole["distributed"] == "fsdp"
    kept = [entry for entry in whole["history"] if entry.get("step") != 4 or "loss" in entry]
    same({**whole, "history": kept}, tmp_path, plain)
    checkpoints = tmp_path / "out" / "checkpoints"
    assert (checkpoints / "checkpoint-4" / "pytorch_model_fsdp.bin").is_file()
    shutil.rmtree(checkpoints / "checkpoint-8")
    (tmp_path / "out" / "metrics.json").unlink()
    again = result(launched(launcher, tmp_path, tiny, "out", *more, "--resume", **looks))
    assert again["steps"] == 8
    assert again["test"]["loss"] == pytest.approx(whole["test"]["loss"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sharding_that_would_not_take_place_is_refused(tiny: Path, tmp_path: Path) -> None:
    more = ("--fsdp", str(EXAMPLES / "fsdp.json"))
    done = launched((*TORCHRUN, "-m", "synthtutor"), tmp_path, tiny, "out", *more)
    assert done.returncode != 0
    assert "synthtutor: fsdp: accelerate does not shard here" in done.stderr
    assert "multi_cpu" in done.stderr
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="deepspeed is not installed")
@pytest.mark.parametrize("stage", ["2", "3"])
def test_deepspeed_learns_the_same(
    stage: str, plain: tuple[Path, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    launcher = (*TORCHRUN, "-m", "synthtutor")
    more = ("--deepspeed", str(EXAMPLES / f"deepspeed_zero{stage}.json"))
    found = result(launched(launcher, tmp_path, tiny, "out", *more, log_every=1))
    assert found["distributed"] == "deepspeed"
    same(found, tmp_path, plain)


@pytest.mark.parametrize("name", ["fsdp", "deepspeed"])
def test_a_configuration_that_cannot_be_followed_is_told_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sharding.json"
    settings = Settings.model_validate({name: str(file)})
    with pytest.raises(ConfigError, match=f"{name}: .*: there is no such file"):
        checked(settings)
    file.write_text('{"version": 2,\n oops}')
    with pytest.raises(ConfigError, match=f"{name}: .*, line 2: is no JSON"):
        checked(settings)
    file.write_text("[]")
    with pytest.raises(ConfigError, match="must be a JSON object"):
        checked(settings)
    file.write_text("{}")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match=f"{name}: one process has nothing to divide: .*torchrun"):
        checked(settings)
    monkeypatch.setenv("WORLD_SIZE", "2")
    checked(settings)
