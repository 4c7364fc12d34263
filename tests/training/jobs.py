"""Trainings in this process, small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthtutor.training.fitting import Result
from synthtutor.training.job import Job, prepare
from synthtutor.training.settings import Settings, Task
from tests.training.rows import conversation, grade, pair, write_rows

SMALL: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 2,
    "accumulation": 1,
    "learning_rate": 0.01,
    "log_every": 1,
    "lora_rank": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
    "max_length": 160,
    "device": "cpu",
}
_ROWS = {"sft": conversation, "classify": grade, "prefer": pair}


def job(
    task: Task,
    model: Path,
    folder: Path,
    *,
    rows: int = 30,
    out: str = "out",
    resume: bool = False,
    evaluation: Path | None = None,
    **settings: Any,
) -> Job:
    """A training of ``rows`` made rows, its folder beside them."""
    data = folder / f"{task}.jsonl"
    if not data.exists():
        write_rows(data, [_ROWS[task](n) for n in range(rows)])
    given = Settings.model_validate({**SMALL, **settings})
    return prepare(
        task, data, str(model), folder / out, given, resume=resume, evaluation=evaluation
    )


def train(prepared: Job) -> Result:
    """Run it."""
    from synthtutor.training.classify import train_classify
    from synthtutor.training.prefer import train_prefer
    from synthtutor.training.sft import train_sft

    return {"sft": train_sft, "classify": train_classify, "prefer": train_prefer}[prepared.task](
        prepared
    )


def losses(result: Result, name: str = "loss") -> list[tuple[int, float]]:
    """(step, loss) of every line of the history that has one."""
    return [(entry["step"], entry[name]) for entry in result["history"] if name in entry]
