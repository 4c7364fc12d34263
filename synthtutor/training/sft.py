"""A tutor from conversations: TRL's SFTTrainer, with the loss on what the tutor says."""

from __future__ import annotations

from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.training.arguments import trainer_arguments
from synthtutor.training.devices import device_for
from synthtutor.training.distributed import refusals_told
from synthtutor.training.embedded import checkpoint_of
from synthtutor.training.fitting import Result, callbacks_for, fit
from synthtutor.training.job import Job
from synthtutor.training.masking import Shortened, encode_all
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

__all__ = ["sft_trainer", "train_sft"]


def train_sft(job: Job) -> Result:
    """Train a tutor; what ``metrics.json`` says. Raises ConfigError for data that cannot be learned."""
    with quiet(), refusals_told(job.settings):
        trainer, tokenizer, test, shortened = sft_trainer(job)
        notes = {
            "rows_left_out": {side: found.left_out for side, found in shortened.items()},
            "rows_cut": {side: found.cut for side, found in shortened.items()},
        }
        return fit(trainer, job, tokenizer, test=test, notes=notes)


def sft_trainer(job: Job) -> tuple[Any, Any, Any, dict[str, Shortened]]:
    """The trainer, its tokenizer, the test rows (None where none), and by side the rows too long."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings, device = job.settings, device_for(job.settings)
    checkpoint = checkpoint_of(job.model)
    tokenizer, new = loaded_tokenizer(checkpoint, settings)
    sides, shortened = {}, {}
    for name in ("train", "validation", "test"):
        rows, shortened[name] = encode_all(
            getattr(job.division, name), tokenizer, settings.max_length
        )
        sides[name] = Dataset.from_list(rows) if rows else None
    if sides["train"] is None:
        raise ConfigError(
            f"{job.data}: no tutor's turn begins within max_length {settings.max_length}"
        )
    seeded(settings.seed)
    model = causal_model(checkpoint, settings, device)
    resize(model, tokenizer)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **trainer_arguments(
                settings,
                job.out,
                device,
                evaluates=sides["validation"] is not None,
                resuming=job.checkpoint is not None,
            ),
            max_length=settings.max_length,
            packing=settings.packing,
            eval_packing=False,
            # Rows come as tokens, cut and labelled; only packing is left to TRL.
            dataset_kwargs={"skip_prepare_dataset": not settings.packing},
        ),
        train_dataset=sides["train"],
        eval_dataset=sides["validation"],
        processing_class=tokenizer,
        peft_config=adapter_for(
            model, settings, "sft", tokenizer.convert_tokens_to_ids(new) if new else ()
        ),
        callbacks=callbacks_for(job),
    )
    if new and settings.lora_rank:
        save_new_rows_only(trainer.model)
        let_trl_read_the_head(trainer.model)
    return trainer, tokenizer, sides["test"], shortened
