"""A tutor that prefers better replies: direct preference optimization with TRL's DPOTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.training.arguments import trainer_arguments
from synthtutor.training.data import Example
from synthtutor.training.devices import device_for
from synthtutor.training.distributed import refusals_told
from synthtutor.training.embedded import checkpoint_of
from synthtutor.training.fitting import Result, callbacks_for, fit
from synthtutor.training.job import Job
from synthtutor.training.models import (
    adapter_for,
    causal_model,
    let_trl_read_the_head,
    loaded_tokenizer,
    resize,
    save_new_rows_only,
    seeded,
)
from synthtutor.training.quiet import quiet

__all__ = ["prefer_trainer", "train_prefer"]


def train_prefer(job: Job) -> Result:
    """Train on pairs; what ``metrics.json`` says, with the margin between chosen and rejected.

    The margin is that of DPO's implicit rewards: beta times how much more likely a reply has become
    than it was to the model before (Rafailov et al. 2023, "Direct Preference Optimization").
    """
    with quiet(), refusals_told(job.settings):
        trainer, tokenizer, test = prefer_trainer(job)
        notes = {"rows_left_out": _left_out(trainer, job), "rows_cut": _cut(trainer)}
        return fit(trainer, job, tokenizer, test=test, notes=notes, after=_margins)


def prefer_trainer(job: Job) -> tuple[Any, Any, Any]:
    """The trainer, its tokenizer and the test rows (None where there are none)."""
    from trl import DPOConfig, DPOTrainer

    settings, device = job.settings, device_for(job.settings)
    checkpoint = checkpoint_of(job.model)
    tokenizer, new = loaded_tokenizer(checkpoint, settings)
    sides = {name: _pairs(getattr(job.division, name)) for name in ("train", "validation", "test")}
    seeded(settings.seed)
    model = causal_model(checkpoint, settings, device)
    resize(model, tokenizer)
    given = trainer_arguments(
        settings,
        job.out,
        device,
        evaluates=sides["validation"] is not None,
        resuming=job.checkpoint is not None,
    )
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**given, max_length=settings.max_length, beta=settings.beta),
        train_dataset=sides["train"],
        eval_dataset=sides["validation"],
        processing_class=tokenizer,
        peft_config=adapter_for(
            model, settings, "prefer", tokenizer.convert_tokens_to_ids(new) if new else ()
        ),
        callbacks=callbacks_for(job),
    )
    if new and settings.lora_rank:
        save_new_rows_only(trainer.model)
        let_trl_read_the_head(trainer.model)
    return trainer, tokenizer, sides["test"]


def _left_out(trainer: Any, job: Job) -> dict[str, int]:
    """How many pairs TRL has left out, since their prompts alone fill the length, by side.

    Raises ConfigError where no pair is left of a side that there was.
    """
    sides = {"train": trainer.train_dataset, "validation": trainer.eval_dataset}
    there = {name: rows for name, rows in sides.items() if rows is not None}
    for name, rows in there.items():
        if not len(rows):
            raise ConfigError(
                f"{job.data}: every prompt for {name} alone fills max_length "
                f"{job.settings.max_length}: give a greater --max-length"
            )
    return {name: len(getattr(job.division, name)) - len(rows) for name, rows in there.items()}


def _cut(trainer: Any) -> dict[str, int]:
    """How many pairs TRL cuts, since the prompt with one of the replies is longer, by side."""
    sides = {"train": trainer.train_dataset, "validation": trainer.eval_dataset}
    return {
        name: sum(
            len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
            > trainer.args.max_length
            for row in rows
        )
        for name, rows in sides.items()
        if rows is not None
    }


def _pairs(examples: Sequence[Example]) -> Any:
    from datasets import Dataset

    if not examples:
        return None
    return Dataset.from_list(
        [
            {side: _plain(example.row[side]) for side in ("prompt", "chosen", "rejected")}
            for example in examples
        ]
    )


def _plain(side: Any) -> Any:
    if isinstance(side, str):
        return side
    return [{"role": said["role"], "content": said["content"]} for said in side]


def _margins(trainer: Any) -> dict[str, Any]:
    """The margins on the validation rows: before, and of the weights that were kept."""
    seen = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    trained = [entry for entry in seen if entry["step"]]
    if not trained:
        return {}
    best = min(trained, key=lambda entry: entry["eval_loss"])
    name = "eval_rewards/margins"
    return {"held_out_margin": {"before": seen[0][name], "best": best[name]}}
