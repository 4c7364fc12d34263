"""The hyperparameters of a training, whatever its task: what a preset names and an option overrides."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthtutor.errors import ConfigError

__all__ = ["Settings", "Task", "foreign", "settings_of"]

Task = Literal["sft", "classify", "prefer"]
_CONCERNS: Mapping[str, tuple[Task, ...]] = {
    "packing": ("sft",),
    "chat_template": ("sft", "prefer"),
    "beta": ("prefer",),
    "labels": ("classify",),
}


class Settings(BaseModel):
    """How a model is trained. ``None`` means: decided by the device, or not done.

    ``warmup`` counts steps from 1 on and is a share of all steps below 1. ``eval_every`` and
    ``save_every`` count optimizer steps; without them both happen once an epoch. ``lora_rank`` 0
    trains all weights. ``packing`` concerns ``sft``, ``chat_template`` ``sft`` and ``prefer``,
    ``beta`` ``prefer``, ``labels`` ``classify``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(3, gt=0)
    max_steps: int | None = Field(None, ge=1)
    batch_size: int = Field(2, ge=1)
    accumulation: int = Field(8, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = Field(0.03, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: str = "adamw_torch_fused"
    max_length: int = Field(2048, ge=8)
    packing: bool = False
    gradient_checkpointing: bool | None = None
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    quantize: Literal["none", "nf4"] = "none"
    lora_rank: int = Field(16, ge=0)
    lora_alpha: float = Field(32, gt=0)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    lora_targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    beta: float = Field(0.1, gt=0)
    labels: int | None = Field(None, ge=2)
    special_tokens: str | None = None
    chat_template: str | None = None
    eval_every: int | None = Field(None, ge=1)
    save_every: int | None = Field(None, ge=1)
    keep: int = Field(3, ge=1)
    log_every: int = Field(10, ge=1)
    patience: int | None = Field(None, ge=1)
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    group: tuple[str, ...] = ()
    stratify: str | None = None
    seed: int = 0
    report_to: tuple[Literal["wandb", "tensorboard"], ...] = ()
    deepspeed: str | None = None
    fsdp: str | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if min(self.split) < 0 or not self.split[0] or not isclose(sum(self.split), 1):
            raise ValueError("split: three shares that add up to 1, the first above 0")
        if (self.eval_every is None) != (self.save_every is None):
            raise ValueError("eval_every and save_every: give both or neither")
        if self.eval_every and self.save_every and self.save_every % self.eval_every:
            raise ValueError("save_every: a multiple of eval_every, so that the best can be kept")
        if self.quantize != "none" and not self.lora_rank:
            raise ValueError("quantize: only adapters can be trained on quantized weights")
        if self.deepspeed and self.fsdp:
            raise ValueError("deepspeed and fsdp: one of the two")
        return self


def settings_of(given: Mapping[str, Any], *, source: str) -> Settings:
    """Settings from plain values. Raises ConfigError naming ``source`` and the field."""
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            raise ConfigError(f"{source}: no setting {field!r}; there are {known}") from None
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {field}: {said}" if field else f"{source}: {said}") from None


def foreign(task: Task, settings: Settings) -> None:
    """Raise ConfigError for a setting that says something which the task would not heed."""
    for name, tasks in _CONCERNS.items():
        usual = Settings.model_fields[name].default
        if task not in tasks and getattr(settings, name) != usual:
            raise ConfigError(f"{name}: is for train {' and '.join(tasks)}, not for {task}")
