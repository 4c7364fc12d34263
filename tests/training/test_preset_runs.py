"""Each preset trains: its own hyperparameters, on a tiny model, for two steps."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.fitting import fit
from synthtutor.training.job import prepare
from synthtutor.training.preset import load_preset, preset_names
from synthtutor.training.quiet import quiet
from tests.training.rows import conversation, grade, write_rows
from tests.training.test_training_labels import TAGGED

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
pytestmark = pytest.mark.slow

# What of the settings is an argument of the trainer's under another name.
ARGUMENTS = {
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "accumulation": "gradient_accumulation_steps",
    "learning_rate": "learning_rate",
    "schedule": "lr_scheduler_type",
    "warmup": "warmup_steps",
    "weight_decay": "weight_decay",
    "optimizer": "optim",
    "seed": "seed",
    "keep": "save_total_limit",
}


def rows_for(name: str, labels: int | None) -> list[dict[str, Any]]:
    if name == "tara-edu-7b":
        return [{"text": TAGGED.replace("never", f"never {n}")} for n in range(40)]
    if labels:
        return [grade(n, labels) for n in range(60)]
    return [conversation(n) for n in range(40)]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains_with_its_own_hyperparameters(
    name: str, tiny: Path, tmp_path: Path
) -> None:
    from synthtutor.training.classify import classify_trainer
    from synthtutor.training.sft import sft_trainer

    preset = load_preset(name)
    settings = preset.resolved({"max_steps": 2, "device": "cpu"})
    data = write_rows(tmp_path / "rows.jsonl", rows_for(name, settings.labels))
    prepared = prepare(preset.task, data, str(tiny), tmp_path / "out", settings, preset=name)
    with quiet():
        trainer, tokenizer, *_ = (
            classify_trainer(prepared) if preset.task == "classify" else sft_trainer(prepared)
        )
        for setting, argument in ARGUMENTS.items():
            assert getattr(trainer.args, argument) == getattr(settings, setting), setting
        if settings.save_every:
            assert (trainer.args.eval_steps, trainer.args.save_steps) == (
                settings.eval_every,
                settings.save_every,
            )
        if preset.task == "sft":
            assert trainer.args.max_length == settings.max_length
        lora = trainer.model.peft_config["default"]
        assert (lora.r, lora.lora_alpha, lora.lora_dropout) == (
            settings.lora_rank,
            settings.lora_alpha,
            settings.lora_dropout,
        )
        if settings.lora_targets != "all-linear":
            assert set(lora.target_modules) == set(settings.lora_targets)
        assert len(getattr(lora, "trainable_token_indices", None) or {}) == (
            1 if settings.special_tokens else 0
        )
        result = fit(trainer, prepared, tokenizer, test=None, notes={})
    assert result["steps"] == 2
    assert name in (tmp_path / "out" / "README.md").read_text()


def test_the_optimizer_of_eight_bits_is_refused_without_bitsandbytes(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthtutor.training.arguments import trainer_arguments
    from synthtutor.training.devices import device_for

    settings = load_preset("persona-llama3.2-3b").resolved({"device": "cpu"})
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as where it is not installed
    with pytest.raises(ConfigError, match="optimizer adamw_8bit needs bitsandbytes"):
        trainer_arguments(settings, tmp_path, device_for(settings), evaluates=False, resuming=False)
