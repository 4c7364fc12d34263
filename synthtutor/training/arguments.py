"""The settings as the arguments of transformers' trainers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.training.devices import Device
from synthtutor.training.distributed import checked, processes
from synthtutor.training.settings import Settings

__all__ = ["CHECKPOINTS", "trainer_arguments"]

CHECKPOINTS = "checkpoints"


def trainer_arguments(
    settings: Settings, out: Path, device: Device, *, evaluates: bool, resuming: bool
) -> dict[str, Any]:
    """What all three trainers are given; each adds its own.

    Raises ConfigError where a setting needs a package that is not installed.
    """
    _installed(settings)
    checked(settings)
    return {
        "output_dir": str(out / CHECKPOINTS),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "optim": settings.optimizer,
        "seed": settings.seed,
        "logging_steps": settings.log_every,
        "report_to": list(settings.report_to) or "none",
        "disable_tqdm": True,
        **_precision(settings, device),
        # Or the patience that is used up already would be forgotten.
        "restore_callback_states_from_checkpoint": resuming,
        **_looks(settings, evaluates=evaluates, resuming=resuming),
        **_distribution(settings, device),
    }


def _precision(settings: Settings, device: Device) -> dict[str, Any]:
    # Named one by one: TRL's own defaults are bf16 and checkpointing, whatever the device.
    checkpointing = settings.gradient_checkpointing
    return {
        "bf16": device.precision == "bf16",
        "fp16": device.precision == "fp16",
        "use_cpu": device.kind == "cpu",
        "gradient_checkpointing": device.kind == "cuda" if checkpointing is None else checkpointing,
        "dataloader_pin_memory": device.kind == "cuda",
    }


def _looks(settings: Settings, *, evaluates: bool, resuming: bool) -> dict[str, Any]:
    """When to save, when to look at the validation rows, and which checkpoint is the best."""
    stepwise = settings.save_every is not None
    when = "steps" if stepwise else "epoch"
    looks: dict[str, Any] = {"save_strategy": when, "save_total_limit": settings.keep}
    if stepwise:
        looks["save_steps"] = settings.save_every
    if not evaluates:
        if settings.patience:
            raise ConfigError("patience: there are no validation rows to be patient with")
        return looks
    looks |= {
        "eval_strategy": when,
        "eval_on_start": not resuming,  # the history of a resumed training begins with it
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }
    if stepwise:
        looks["eval_steps"] = settings.eval_every
    return looks


def _distribution(settings: Settings, device: Device) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if settings.deepspeed:
        given["deepspeed"] = settings.deepspeed
    if settings.fsdp:
        given |= {"fsdp": True, "fsdp_config": settings.fsdp}
    if device.kind == "cpu" and processes() > 1:
        given["ddp_backend"] = "gloo"
    return given


def _installed(settings: Settings) -> None:
    needed: dict[str, str] = {name: f"report_to {name}" for name in settings.report_to}
    if "8bit" in settings.optimizer or "4bit" in settings.optimizer:
        needed["bitsandbytes"] = f"optimizer {settings.optimizer}"
    if settings.deepspeed:
        needed["deepspeed"] = "deepspeed"
    for package, who in needed.items():
        if find_spec(package) is None:
            raise ConfigError(f"{who} needs {package}: pip install {package}")
