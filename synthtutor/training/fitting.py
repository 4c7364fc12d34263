"""What all trainers do once they are built: train, look at the held-out rows, save, and tell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from synthtutor.export.destination import replacing
from synthtutor.training.card import write_card
from synthtutor.training.disk import full_disk_told
from synthtutor.training.distributed import as_asked, kind_of
from synthtutor.training.job import Job

__all__ = ["Result", "callbacks_for", "fit", "looks"]

METRICS = "metrics.json"
STOPPED = "should_training_stop"
Result = dict[str, Any]
_TOLD = (
    *("loss", "eval_loss", "test_loss", "eval_accuracy", "eval_macro_f1"),
    *("rewards/margins", "eval_rewards/margins"),
)


def callbacks_for(job: Job) -> list[Any]:
    """A checkpoint of each best weights, and early stopping where the settings have patience."""
    from transformers import EarlyStoppingCallback, TrainerCallback

    class BestSaver(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        def on_evaluate(self, *said: Any, **_: Any) -> None:
            _, state, control = said
            seen = looks(state.log_history)
            # Between two savings the best would be seen, and lost again.
            if state.global_step and seen and all(seen[-1] < other for other in seen[:-1]):
                control.should_save = True

    patience = job.settings.patience
    stopping = [EarlyStoppingCallback(early_stopping_patience=patience)] if patience else []
    return [*([BestSaver()] if job.division.validation else []), *stopping]


def looks(history: Sequence[Mapping[str, Any]], name: str = "eval_loss") -> list[float]:
    """What the validation rows gave after each step at which they were looked at, untrained left out."""
    return [entry[name] for entry in history if name in entry and entry["step"]]


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
    ``metrics.json``. Where a training is resumed that had come to its end, nothing is trained.
    """
    as_asked(trainer, job.settings)
    over = _over(trainer, job)
    if over is not None and (job.out / METRICS).is_file():
        told: Result = orjson.loads((job.out / METRICS).read_bytes())
        return told
    _told_on_stderr(trainer)
    started = time.monotonic()
    _trained(trainer, job, over)
    seconds = time.monotonic() - started
    history = list(trainer.state.log_history)
    tested = trainer.evaluate(test, metric_key_prefix="test") if test is not None else {}
    more = dict(after(trainer)) if after is not None else {}
    with full_disk_told(job.out):
        _save(trainer, job, tokenizer)
    untrained = (entry["eval_loss"] for entry in history if "eval_loss" in entry)
    result: Result = {
        "task": job.task,
        "model": job.model,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        "processes": trainer.args.world_size,
        "distributed": kind_of(trainer),
        "rows": dict(job.division.record["rows"]),
        "held_out_loss": {
            "before": next(untrained, None),
            "best": min(looks(history), default=None),
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
        _write(job.out / METRICS, result)
        write_card(job, result)
    return result


def _trained(trainer: Any, job: Job, over: Any | None) -> None:
    """Train; where that is over, take its best weights."""
    if over is None:
        with full_disk_told(job.out):
            trainer.train(resume_from_checkpoint=str(job.checkpoint) if job.checkpoint else None)
    else:
        trainer.state = over
        trainer._load_from_checkpoint(str(_best(over, job)))


def _over(trainer: Any, job: Job) -> Any | None:
    """The state of a training whose last checkpoint is its end; None where steps are left.

    transformers would go a step beyond it. Weights in shards are left to it: only it can load them.
    """
    from transformers import TrainerState

    if job.checkpoint is None or kind_of(trainer) in ("fsdp", "deepspeed"):
        return None
    state = TrainerState.load_from_json(str(job.checkpoint / "trainer_state.json"))
    control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
    return state if state.global_step >= state.max_steps or control.get(STOPPED) else None


def _best(state: Any, job: Job) -> Path | None:
    """The checkpoint of the best weights, wherever the folder has been moved to."""
    if job.checkpoint is None or not state.best_model_checkpoint:
        return job.checkpoint
    best = job.checkpoint.with_name(Path(state.best_model_checkpoint).name)
    return best if best.is_dir() else job.checkpoint


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
