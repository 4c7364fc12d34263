"""Goals: bounds on figures of an evaluation. What was not measured is said to be, and never passes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from synthtutor.criteria import Frozen
from synthtutor.errors import ConfigError
from synthtutor.yaml_text import read_yaml, said

__all__ = ["TARA", "Goal", "Reached", "load_goals", "reached"]

TARA = Path(__file__).parent / "goals" / "tara.yaml"
_OPS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Goal(Frozen):
    """A bound on the figure that stands at ``measure`` in an evaluation's JSON."""

    name: str
    measure: str = Field(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_ –-]+)*$")
    op: Literal[">", ">=", "<", "<="]
    value: float = Field(allow_inf_nan=False)
    unit: str = ""
    how: str = ""


class _Goals(Frozen):
    goals: tuple[Goal, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Reached:
    """A goal beside what was measured.

    ``sure`` says that the whole 95 % interval agrees with ``state``; None where there is none.
    """

    goal: Goal
    state: Literal["pass", "fail", "not measured"]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    sure: bool | None = None


def load_goals(path: Path = TARA) -> tuple[Goal, ...]:
    """The goals of a YAML file. Raises ConfigError naming the file, the field and what is wrong."""
    data = read_yaml(path)
    try:
        return _Goals.model_validate(data).goals
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "goals"
        raise ConfigError(f"{path}: {where}: {said(first)}") from None


def reached(goals: Sequence[Goal], evaluation: Mapping[str, Any]) -> list[Reached]:
    """Each goal with its state, from the figures of an evaluation as JSON values."""
    return [_reached(goal, _at(evaluation, goal.measure.split("."))) for goal in goals]


def _reached(goal: Goal, found: object) -> Reached:
    figure = found if isinstance(found, Mapping) else {"value": found}
    value, low, high = (_number(figure.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return Reached(goal, "not measured")
    holds = _OPS[goal.op]
    passes = holds(value, goal.value)
    sure = None
    if low is not None and high is not None:
        sure = holds(low, goal.value) == passes == holds(high, goal.value)
    return Reached(goal, "pass" if passes else "fail", value, low, high, sure)


def _number(value: object) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable else None  # type: ignore[arg-type]  # a number, as just seen


def _at(value: object, path: Sequence[str]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
