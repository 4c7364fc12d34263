"""Graded scales: rubric packs whose answers are levels, and the form in which a judge gives them.

Criteria that hold or do not are the better instrument (see `synthtutor.judge`): scales saturate,
and judges disagree about what an 8 is. But published evaluations report levels, and to stand beside them one has to
ask for levels. Each scale therefore says what its ends mean, and a reason comes before each level.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)

from synthtutor.criteria import Frozen
from synthtutor.errors import RubricError
from synthtutor.packs import is_path, read_pack

__all__ = ["GradedPack", "Scale", "answer_form", "graded_packs", "levels_of", "load_graded"]

_REASON = 300


class Scale(Frozen):
    """One question with levels from ``low`` to ``high``; ``meets`` is good enough for a goal."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    asks: str
    levels: dict[int, str] = Field(min_length=2)
    meets: int

    @model_validator(mode="after")
    def _in_order(self) -> Scale:
        if not self.low < self.meets <= self.high:
            raise ValueError(f"meets must be above {self.low} and at most {self.high}")
        return self

    @property
    def low(self) -> int:
        """The worst level."""
        return min(self.levels)

    @property
    def high(self) -> int:
        """The best level."""
        return max(self.levels)

    def level(self, said: object) -> int | None:
        """A level that a judge gave; None for what is none of this scale's."""
        entry = said.get("level") if isinstance(said, Mapping) else said
        if isinstance(entry, str) and entry.strip().isdecimal():
            entry = int(entry)
        if isinstance(entry, bool) or not isinstance(entry, int | float):
            return None
        # In this order: NaN and infinity, which JSON can be read to hold, are on no scale.
        return int(entry) if self.low <= entry <= self.high and entry == int(entry) else None


class GradedPack(Frozen):
    """Scales that one judge is asked about one reply."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    version: int = Field(ge=1, strict=True)
    applies_to: tuple[str, ...] = Field(min_length=1)
    license: str
    about: str = ""
    scale: Literal["graded"]
    scales: tuple[Scale, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_two_alike(self) -> GradedPack:
        ids = [scale.id for scale in self.scales]
        if len({*ids}) < len(ids):
            raise ValueError("two scales have the same id; rename one")
        return self

    @property
    def label(self) -> str:
        """Name and version, as reports carry it."""
        return f"{self.id}@{self.version}"


def graded_packs() -> list[str]:
    """The names of the graded packs that come with synthtutor."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_graded(name: str) -> GradedPack:
    """A graded pack by name, or from a YAML file.

    Raises RubricError naming the file and the field.
    """
    place = Path(name) if is_path(name) else _folder() / f"{name}.yaml"
    if not is_path(name) and not place.is_file():
        raise RubricError(f"no graded pack {name!r}; there are {', '.join(graded_packs())}")
    data, source = read_pack(place)
    if not isinstance(data, dict) or not isinstance(data.get("pack"), dict):
        raise RubricError(f"{source}: a pack begins with 'pack: {{...}}'")
    if data.get("scale") != "graded":
        raise RubricError(f"{source}: scale: must be 'graded' here; binary packs judge samples")
    try:
        return GradedPack.model_validate(
            {**data["pack"], **{k: v for k, v in data.items() if k != "pack"}}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "pack"
        raise RubricError(
            f"{source}: {where}: {first['msg'].removeprefix('Value error, ')}"
        ) from None


@lru_cache(maxsize=256)
def answer_form(scales: tuple[tuple[str, int, int], ...]) -> type[BaseModel]:
    """The reply that is asked for: under each scale's id a reason, then the level.

    ``scales`` are (id, low, high).
    """
    fields: dict[str, Any] = {}
    for name, low, high in scales:
        reason = Annotated[str, StringConstraints(max_length=_REASON)]
        level = Annotated[int, Field(ge=low, le=high)]
        fields[name] = (
            create_model(f"Level_{name}", reason=(reason, ...), level=(level, ...)),
            ...,
        )
    return cast(type[BaseModel], create_model("Levels", **fields))


def levels_of(scales: tuple[Scale, ...], said: Mapping[str, Any]) -> dict[str, int | None]:
    """The level of each scale; None where the judge gave none that there is."""
    return {scale.id: scale.level(said.get(scale.id)) for scale in scales}


@lru_cache(maxsize=1)
def _folder() -> Path:
    installed = Path(str(files("synthtutor"))) / "rubrics" / "graded"
    return (
        installed
        if installed.is_dir()
        else Path(__file__).parent.parent.parent / "rubrics" / "graded"
    )
