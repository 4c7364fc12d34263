"""What a training runs on, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from synthtutor.errors import ConfigError
from synthtutor.training.settings import Settings

__all__ = ["Device", "device_for"]


@dataclass(frozen=True, slots=True)
class Device:
    """The kind of device and the precision chosen for it."""

    kind: Literal["cuda", "mps", "cpu"]
    precision: Literal["bf16", "fp16", "fp32"]

    @property
    def dtype(self) -> Any:
        """The torch type in which frozen weights are held."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[
            self.precision
        ]


def device_for(settings: Settings) -> Device:
    """The device, with bf16 where a GPU has it, fp16 on older ones, and fp32 elsewhere.

    On a CPU bf16 is emulated: it was measured to make a step up to seventeen times slower, so it is
    used there only when asked for. Raises ConfigError for fp16 on a CPU, which cannot train with it.
    """
    import torch

    kind: Literal["cuda", "mps", "cpu"] = "cpu"
    if settings.device == "auto":
        if torch.cuda.is_available():
            kind = "cuda"
        elif torch.backends.mps.is_available():
            kind = "mps"
    if settings.precision != "auto":
        if settings.precision == "fp16" and kind == "cpu":
            raise ConfigError("precision: fp16 needs a GPU; use fp32 or bf16")
        return Device(kind, settings.precision)
    if kind == "cuda":
        return Device(kind, "bf16" if torch.cuda.is_bf16_supported() else "fp16")
    return Device(kind, "fp32")
