from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.training.jobs import SMALL
from tests.training.rows import conversation, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_two_processes_train_one_model(tiny: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(40)])
    settings = [f"--set={name}={value}" for name, value in SMALL.items()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", "-m", "synthtutor", "train", "sft", str(data)),
            *("--model", str(tiny), "--out", str(tmp_path / "out"), *settings, "--json"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result = orjson.loads(done.stdout)  # one of the two tells, once
    # 32 rows, two processes of two rows each: eight steps where one process takes sixteen.
    assert (result["rows"]["train"], result["steps"], result["processes"]) == (32, 8, 2)
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 0.3
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
