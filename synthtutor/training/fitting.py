"""What all trainers do once they are built: train, look at the held-out rows, save, and tell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from synthtutor.export.destination import replacing
from synthtutor.training.card import write_card
from synthtutor.training.job import Job

__all__ = ["Result", "callbacks_for", "fit"]

Result = dict[str, Any]
_TOLD = (
    *("loss", "eval_loss", "test_loss", "eval_accuracy", "eval_macro_f1"),
    *("rewards/margins", "eval_rewards/margins"),
)


def callbacks_for(job: Job) -> list[Any]:
    """Early stopping, where the settings have patience."""
    if not job.settings.patience:
        return []
    from transformers import EarlyStoppingCallback

    return [EarlyStoppingCallback(early_stopping_patience=job.settings.patience)]


def fit(
    trainer: Any,
    job: Job,
    tokenizer: Any,
    *,
    test: Any | None,
    notes: Mapping[str, Any],
    after: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Result:
    """Train, save the best weights into the folder, and write ``metrics.json`` and the model card.

    ``after`` adds its own measures of the trained model. What is returned is the content of
    ``metrics.json``.
    """
    _told_on_stderr(trainer)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(job.checkpoint) if job.checkpoint else None)
    seconds = time.monotonic() - started
    history = list(trainer.state.log_history)
    tested = trainer.evaluate(test, metric_key_prefix="test") if test is not None else {}
    more = dict(after(trainer)) if after is not None else {}
    _save(trainer, job, tokenizer)
    held_out = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    result: Result = {
        "task": job.task,
        "model": job.model,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "processes": trainer.args.world_size,
        "rows": dict(job.division.record["rows"]),
        "held_out_loss": {
            "before": held_out[0] if held_out else None,
            "best": min(held_out, default=None),
        },
        "test": {
            name.removeprefix("test_"): value
            for name, value in tested.items()
            if name.startswith("test_") and not name.endswith(("second", "runtime"))
        },
        **notes,
        **more,
        "history": history,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
    }
    if trainer.is_world_process_zero():
        _write(job.out / "metrics.json", result)
        write_card(job, result)
    return result


def _told_on_stderr(trainer: Any) -> None:
    """A line for each look at the losses, on stderr: stdout is for the result."""
    from transformers import PrinterCallback, TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        def on_log(self, *said: Any, logs: Any = None, **_: Any) -> None:
            _, state, _ = said
            told = [f"{name} {logs[name]:.4g}" for name in _TOLD if name in (logs or {})]
            if state.is_world_process_zero and told:
                line = f"step {state.global_step}/{state.max_steps}: {', '.join(told)}"
                print(line, file=sys.stderr, flush=True)  # noqa: T201

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Teller())


def _save(trainer: Any, job: Job, tokenizer: Any) -> None:
    trainer.save_model(str(job.out))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(job.out)
        (job.out / "training_args.bin").unlink(missing_ok=True)


def _write(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=float))
