"""A data plan as quotas: folders of files, how many samples each is to have, and what is drawn for them.

Rows come in one fixed order, whose first n rows give each folder the share of n that the method of
largest remainders gives it (Hamilton's apportionment), and each file of a folder the same number
to within one. So every fraction of a plan has the plan's proportions, and a run that grows keeps
what it has. With some sets of sizes that method takes a seat back when n grows (the Alabama
paradox); nothing is taken back here, and the shares are then one off until n has grown on. The
plan that comes with the library has no such n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Annotated
from zlib import crc32

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError
from synthtutor.yaml_text import read_yaml, said

__all__ = ["DataPlan", "File", "Folder", "Row", "apportioned", "builtin_plan", "load_plan", "rows"]

_MOST_CELLS = 1_000_000
_FOLDER = Path(__file__).parent / "plans"
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


def _texts(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, list) else value


Values = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_texts),
    Field(min_length=1),
]
Draw = dict[str, Values]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Closed):
    """One file: what its conversations are, and what it draws otherwise than the plan."""

    about: Annotated[str, Field(min_length=1)]
    draw: Draw = {}


class Folder(_Closed):
    """Files that divide ``samples`` evenly among themselves, the first ones taking the rest."""

    samples: int = Field(ge=1)
    files: Annotated[dict[_Name, File], Field(min_length=1)]


class DataPlan(_Closed):
    """Folders with their sizes; ``topics`` are by subject and grade level."""

    id: _Name
    draw: Draw
    folders: Annotated[dict[_Name, Folder], Field(min_length=1)]
    topics: dict[str, dict[str, Values]]

    @model_validator(mode="after")
    def _even_topics(self) -> DataPlan:
        sizes = {len(values) for levels in self.topics.values() for values in levels.values()}
        if len(sizes) > 1:
            raise ValueError("topics: every subject and level must have the same number of topics")
        return self

    @property
    def total(self) -> int:
        """How many samples the whole plan has."""
        return sum(folder.samples for folder in self.folders.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One slot: the ``number``-th sample of ``folder/file``, counted from 0, and what is drawn for it."""

    folder: str
    file: str
    number: int
    about: str
    draw: dict[str, str]


@lru_cache(maxsize=1)
def builtin_plan() -> DataPlan:
    """The plan that comes with the library."""
    return load_plan(_FOLDER / "k12-mix.yaml")


def load_plan(path: Path) -> DataPlan:
    """A plan out of its YAML file. Raises ConfigError naming the file and the field."""
    data = read_yaml(path)
    try:
        return DataPlan.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"plan {path}: {where}: {said(first)}") from None


# ── shares ───────────────────────────────────────────────────────────────────────────────────


def apportioned(weights: Sequence[int], n: int) -> list[int]:
    """``n`` seats by the method of largest remainders; of equal remainders the heavier goes first."""
    whole = sum(weights)
    shares = [divmod(weight * n, whole) for weight in weights]
    seats = [seat for seat, _ in shares]
    order = sorted(range(len(weights)), key=lambda at: (-shares[at][1], -weights[at], at))
    for at in order[: n - sum(seats)]:
        seats[at] += 1
    return seats


def _order(weights: Sequence[int]) -> Iterator[int]:
    """Whose turn it is, for ever: the one whose share has grown, furthest behind first."""
    taken = [0] * len(weights)
    n = 0
    while True:
        n += 1
        due = apportioned(weights, n)
        turn = max(range(len(weights)), key=lambda at: (due[at] - taken[at], -at))
        taken[turn] += 1
        yield turn


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(plan: DataPlan, groups: Sequence[Sequence[str]], *, seed: int = 0) -> Iterator[Row]:
    """All slots of the plan, in the order that keeps its proportions.

    ``groups`` names attributes that are drawn together: the cells of a group, in an order of its
    own for each file and each pass, are all filled before one comes again. An attribute that no
    group names, or that only a file has, joins the last group.
    """
    names = list(plan.folders)
    decks = {
        (name, file): _Decks(_grouped(plan, each, groups), f"{seed} {name} {file}")
        for name, folder in plan.folders.items()
        for file, each in folder.files.items()
    }
    counts = dict.fromkeys(names, 0)
    for at in _order([folder.samples for folder in plan.folders.values()]):
        if sum(counts.values()) == plan.total:
            return
        folder = plan.folders[names[at]]
        number, place = divmod(counts[names[at]], len(folder.files))
        counts[names[at]] += 1
        file = list(folder.files)[place]
        draw = decks[names[at], file].draw(number)
        yield Row(names[at], file, number, folder.files[file].about, draw)


def _grouped(
    plan: DataPlan, file: File, groups: Sequence[Sequence[str]]
) -> list[Mapping[str, Sequence[str]]]:
    values = {**plan.draw, **file.draw}
    grouped = [{name: values.pop(name) for name in group if name in values} for group in groups]
    grouped[-1] |= values
    for group in grouped:
        if (cells := prod(map(len, group.values()))) > _MOST_CELLS:
            raise ConfigError(
                f"plan {plan.id}: {cells:,} combinations of {', '.join(group)}, more than "
                f"{_MOST_CELLS:,}: draw by fewer"
            )
    return [group for group in grouped if group]


class _Decks:
    """The attributes of one file: each group a deck of cells, shuffled anew when it has been dealt."""

    def __init__(self, groups: Sequence[Mapping[str, Sequence[str]]], name: str) -> None:
        self._groups = groups
        self._name = name
        self._dealt: dict[int, tuple[int, Coverage]] = {}

    def draw(self, number: int) -> dict[str, str]:
        drawn: dict[str, str] = {}
        for at in range(len(self._groups)):
            drawn |= self._deck(at, number).draw(number)
        return drawn

    def _deck(self, at: int, number: int) -> Coverage:
        turn = number // prod(map(len, self._groups[at].values()))
        dealt, deck = self._dealt.get(at, (-1, None))
        if deck is None or dealt != turn:
            seed = crc32(f"{self._name} {at} {turn}".encode())
            deck = Coverage(self._groups[at], seed=seed)
            self._dealt[at] = turn, deck
        return deck
