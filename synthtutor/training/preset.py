"""Presets: the documented training recipes of known projects, as YAML files beside this module."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from synthtutor.errors import ConfigError
from synthtutor.training.settings import Settings, Task, settings_of

__all__ = ["Preset", "load_preset", "preset_names"]


class Preset(BaseModel):
    """A recipe: what it trains, which model it is for, whose it is, and its settings.

    ``follows`` says which document it goes by where two disagree, ``assumed`` names the settings
    that no document states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    task: Task
    model: str | None
    source: str
    follows: str | None = None
    assumed: tuple[str, ...] = ()
    settings: dict[str, Any]

    def resolved(self, overrides: dict[str, Any]) -> Settings:
        """The settings with what the user said instead. Raises ConfigError for a wrong one."""
        return settings_of({**self.settings, **overrides}, source=f"preset {self.name}")


def preset_names() -> list[str]:
    """The names of all presets, sorted."""
    folder = files("synthtutor.training") / "presets"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def load_preset(name: str) -> Preset:
    """The preset of that name, its settings checked. Raises ConfigError where there is none."""
    if name not in preset_names():
        raise ConfigError(f"no preset {name!r}; there are {', '.join(preset_names())}")
    text = (files("synthtutor.training") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    preset = Preset.model_validate({"name": name, **yaml.safe_load(text)})
    preset.resolved({})
    return preset
