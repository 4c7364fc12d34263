"""One training: its data divided, its folder owned, and what it starts from, resumed or anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing
from synthtutor.training.arguments import CHECKPOINTS
from synthtutor.training.data import read_examples
from synthtutor.training.distributed import processes
from synthtutor.training.settings import Settings, Task, foreign
from synthtutor.training.splits import (
    Division,
    beside,
    divide,
    divided_before,
    write_division,
)

__all__ = ["Job", "is_main", "last_checkpoint", "prepare"]

RECORD = "training.json"
_MAY_CHANGE = ("report_to", "device", "keep", "log_every")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained, on what, and where it goes. ``checkpoint`` is what it resumes from."""

    task: Task
    data: Path
    model: str
    out: Path
    settings: Settings
    division: Division
    preset: str | None = None
    evaluation: Path | None = None
    checkpoint: Path | None = None


def prepare(
    task: Task,
    data: Path,
    model: str,
    out: Path,
    settings: Settings,
    *,
    preset: str | None = None,
    evaluation: Path | None = None,
    allow_contamination: bool = False,
    resume: bool = False,
) -> Job:
    """Read and divide the rows, and take the folder.

    With ``evaluation`` its rows are the validation side and all others are trained on. Raises
    ConfigError for wrong data, for settings that are not the task's, for training rows that repeat evaluation rows (unless allowed), and
    for a folder that holds a training which is not to be, or cannot be, resumed.
    """
    foreign(task, settings)
    division = _divided(task, data, settings, evaluation, allow_contamination)
    record = {
        "task": task,
        "model": model,
        "splits": division.record["digests"],
        "settings": settings.model_dump(mode="json"),
        "preset": preset,
        "processes": processes(),
    }
    checkpoint = None
    if resume:
        checkpoint = _resumed(out, record)
    elif is_main():  # who alone writes there: another would meet what is being written
        _unused(out)
    if is_main():
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / RECORD) as path:
            path.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
        write_division(division, out)
    return Job(task, data, model, out, settings, division, preset, evaluation, checkpoint)


def _divided(
    task: Task, data: Path, settings: Settings, evaluation: Path | None, allowed: bool
) -> Division:
    grading = data / "grading" if task == "classify" and (data / "grading").is_dir() else data
    if evaluation is None and (grading / "train.jsonl").is_file():
        return divided_before(grading, lambda path: read_examples(path, task))
    examples = read_examples(data, task)
    if evaluation is None:
        return divide(examples, settings)
    return beside(examples, evaluation, read_examples(evaluation, task), allowed)


def is_main() -> bool:
    """Whether this process is the one that writes: the first that torchrun has started, or the only."""
    return os.environ.get("RANK", "0") == "0"


def last_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end: its state is what is written last."""
    numbered = sorted(
        (int(folder.name.rpartition("-")[2]), folder)
        for folder in (out / CHECKPOINTS).glob("checkpoint-*")
        if folder.name.rpartition("-")[2].isdigit()
    )
    return next((folder for _, folder in reversed(numbered) if _whole(folder)), None)


def _whole(checkpoint: Path) -> bool:
    try:
        orjson.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return True


def _unused(out: Path) -> None:
    """Raises ConfigError unless the folder is free, or what is in it never came to a checkpoint."""
    if (out / RECORD).exists() and (last_checkpoint(out) or (out / "metrics.json").exists()):
        raise ConfigError(f"{out}: holds a training: give --resume, or another --out")
    if out.exists() and not (out / RECORD).exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: is not empty and holds no training: give another --out")


def _resumed(out: Path, record: Mapping[str, Any]) -> Path | None:
    """The checkpoint to go on from; None where the training had not come to one."""
    try:
        before = orjson.loads((out / RECORD).read_bytes())
    except OSError:
        raise ConfigError(f"{out}: there is no training to resume here") from None
    for name in ("task", "model"):
        if before[name] != record[name]:
            raise ConfigError(
                f"{out}: cannot be resumed: it began with another {name} ({before[name]!r})"
            )
    changed = [side for side, was in before["splits"].items() if record["splits"][side] != was]
    if changed:
        raise ConfigError(
            f"{out}: cannot be resumed: it began with other data: the rows for "
            f"{', '.join(changed)} are not those in {out / 'splits'}"
        )
    for name, value in record["settings"].items():
        if name not in _MAY_CHANGE and before["settings"].get(name) != value:
            was = before["settings"].get(name)
            raise ConfigError(f"{out}: cannot be resumed with {name} {value!r}: it was {was!r}")
    started = before.get("processes", 1)
    if started != record["processes"]:
        raise ConfigError(
            f"{out}: cannot be resumed with {record['processes']} processes: it began with {started}, "
            "and a step of it takes the rows of all"
        )
    found = last_checkpoint(out)
    if is_main():
        for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
            if not _whole(folder):  # its writer was killed
                shutil.rmtree(folder, ignore_errors=True)
    return found
