"""Presets: the documented training recipes of known projects, as YAML files beside this module."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from synthtutor.errors import ConfigError
from synthtutor.sources import existing
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
    model: str | None = None
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
    """The preset of that name, or a YAML file of the same form, its settings checked.

    Raises ConfigError where there is none, and for a file that is not of that form.
    """
    if name in preset_names():
        place: Any = files("synthtutor.training") / "presets" / f"{name}.yaml"
    elif name.endswith((".yaml", ".yml")):
        place = Path(name)
        existing(place)
    else:
        known = ", ".join(preset_names())
        raise ConfigError(f"no preset {name!r}; there are {known}; or give a .yaml file")
    preset = _read(name, place.read_text(encoding="utf-8"))
    preset.resolved({})
    return preset


def _read(name: str, text: str) -> Preset:
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"preset {name}: is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"preset {name}: write task, source and settings")
    try:
        return Preset.model_validate({**given, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"preset {name}: {where}: {first['msg']}") from None
