"""Training over several processes: what was asked for, and whether it is what takes place.

transformers and accelerate take a configuration that they cannot follow without a word: asked to
shard on a CPU, they train whole copies beside one another. So what they made of it is looked at
before the first step, and told in ``metrics.json``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.training.settings import Settings

__all__ = ["as_asked", "checked", "kind_of", "processes", "refusals_told"]

_LAUNCHED = {"deepspeed": "ACCELERATE_USE_DEEPSPEED", "fsdp": "ACCELERATE_USE_FSDP"}


def processes() -> int:
    """How many processes train together: as torchrun or accelerate have started them, else one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def checked(settings: Settings) -> None:
    """Raises ConfigError for a configuration file that cannot be read, or has nobody to divide with."""
    for name in ("deepspeed", "fsdp"):
        file = getattr(settings, name)
        if not file:
            continue
        _json_object(name, file)
        if "WORLD_SIZE" not in os.environ or (name == "fsdp" and processes() < 2):
            raise ConfigError(
                f"{name}: one process has nothing to divide: start it with torchrun "
                "--nproc-per-node=N -m synthtutor train …"
            )


@contextmanager
def refusals_told(settings: Settings) -> Iterator[None]:
    """Make a ConfigError of what DeepSpeed or its launcher refuses, as other batch sizes in its file."""
    try:
        yield
    except ValueError as error:
        if not _wanted("deepspeed", settings):
            raise
        said = " ".join(line.strip() for line in str(error).splitlines())
        raise ConfigError(f"deepspeed: {said[:400]}") from error


def kind_of(trainer: Any) -> str:
    """How the trainer divides its work: ``no``, ``multi_cpu``, ``multi_gpu``, ``fsdp``, ``deepspeed``."""
    return str(trainer.accelerator.distributed_type).rpartition(".")[2].lower()


def as_asked(trainer: Any, settings: Settings) -> None:
    """Raises ConfigError where sharding was asked for, by setting or launcher, and does not take place."""
    found = kind_of(trainer)
    for name in _LAUNCHED:
        if _wanted(name, settings) and found != name:
            raise ConfigError(
                f"{name}: accelerate does not shard here (it found {found}); with FSDP it does so on "
                "GPUs only: leave the configuration out"
            )


def _wanted(name: str, settings: Settings) -> bool:
    """Whether it was asked for, by a setting or by the launcher."""
    return bool(getattr(settings, name)) or os.environ.get(_LAUNCHED[name], "").lower() == "true"


def _json_object(name: str, file: str) -> None:
    if not Path(file).is_file():
        raise ConfigError(f"{name}: {file}: there is no such file")
    try:
        found = orjson.loads(Path(file).read_bytes())
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{name}: {file}, line {error.lineno}: is no JSON: {error.msg}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{name}: {file}: must be a JSON object")
