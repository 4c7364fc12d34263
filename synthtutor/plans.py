"""A workflow on paper: a YAML file of measured figures; `synthtutor.bills` sums and prices it.

A `Plan` is steps: so many calls of so many tokens each. ``growth`` says that a step's calls come
one after another and each prompt is longer than the last by as much, as in a growing dialogue or
where earlier replies are pasted into the prompt; ``times`` multiplies a step by named factors;
``total`` stands where a call's input and output were only measured together, and then its dollars
are a range from "all of it input" to "all of it output". Tokens mean what they mean in a `Usage`:
``cached`` is part of the input and ``reasoning`` part of the output.

A step's model is ``provider/model``, a role that the plan's ``casts`` fill in one way or several,
or none. What has no model or no known price is counted apart and is never $0.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from synthtutor.errors import ConfigError
from synthtutor.messages import Usage
from synthtutor.yaml_text import read_yaml, said

__all__ = ["Growth", "Plan", "Step"]


def _whole(value: object) -> object:
    """A count as people write it: 1000, 1_000, 1e3; an average must be rounded by its author."""
    wrong = ValueError(f"write a whole number, such as 1000 or 1_000, not {value!r}")
    if isinstance(value, bool):
        raise wrong
    if isinstance(value, str):
        try:
            value = int(value) if "e" not in value.lower() else float(value)
        except ValueError:
            raise wrong from None
    if isinstance(value, float):
        if not value.is_integer():
            raise wrong
        value = int(value)
    return value


def _percent(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write percent as a number, such as 10")  # noqa: TRY004  # pydantic's way
    return value.strip().removesuffix("%").strip() if isinstance(value, str) else value


def _model(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


_MOST = 10**12
_Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=_MOST)]
_Positive = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=_MOST)]
_Percent = Annotated[Decimal, BeforeValidator(_percent), Field(ge=0, le=1000, allow_inf_nan=False)]
_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Name = Annotated[str, Field(min_length=1)]


class Growth(BaseModel):
    """How much longer each call's prompt is than the one before it.

    Call i has ``input``·i tokens more (``cached``·i of them from the prompt cache); i begins at
    ``first``, so that with 0 the first call has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: _Count
    cached: _Count = 0
    first: Literal[0, 1]


class Step(BaseModel):
    """Calls of one kind. Tokens are those of one call; percent ``margin`` overrides the plan's.

    ``batch: false`` marks a step that no batch can take: its price in batches is its live price.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Name
    model: Annotated[_Name | None, BeforeValidator(_model)]
    calls: _Positive
    input: _Count | None = None
    output: _Count | None = None
    total: _Count | None = None
    cached: _Count = 0
    reasoning: _Count = 0
    growth: Growth | None = None
    times: dict[str, _Positive] = Field(default_factory=dict)
    margin: _Percent | None = None
    batch: bool = True
    source: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.total is not None:
            if self.input is not None or self.output is not None:
                raise ValueError("give input and output, or total alone, not both")
            if self.growth or self.reasoning:
                raise ValueError("growth and reasoning need input and output instead of total")
        elif self.input is None or self.output is None:
            raise ValueError("give input and output, or total where only their sum was measured")
        if self.reasoning > (self.output or 0):
            raise ValueError("reasoning is part of the output: output must hold it")
        ends = [self.usage(i) for i in (self.first, self.first + self.calls - 1)]
        if any(usage.cache_read_tokens > usage.input_tokens for usage in ends):
            raise ValueError("cached is part of the input: it cannot be more than the input")
        return self

    @property
    def first(self) -> int:
        """The number of the first call."""
        return self.growth.first if self.growth else 0

    @property
    def factor(self) -> int:
        """What ``times`` comes to."""
        return prod(self.times.values())

    def usage(self, i: int, *, as_output: bool = False) -> Usage:
        """Call i. Where only the total is known, all of it is input, or all it can be is output."""
        growth = self.growth or Growth(input=0, first=0)
        cached = self.cached + growth.cached * i
        if self.total is not None:
            into = cached if as_output else self.total
            return Usage(into, self.total - into, cached)
        into = (self.input or 0) + growth.input * i
        return Usage(into, self.output or 0, cached, reasoning_tokens=self.reasoning)


class Plan(BaseModel):
    """A workflow on paper.

    ``casts`` name ways to fill the roles; ``prices`` are (input, output) in US dollars for a
    million tokens and win over the bundled table; ``margin`` is percent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: _Name
    about: str = ""
    sources: list[str] = Field(default_factory=list)
    margin: _Percent = Decimal(0)
    casts: dict[str, dict[str, _Name]] = Field(default_factory=dict)
    prices: dict[str, tuple[_Dollars, _Dollars]] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [step.name for step in self.steps]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"steps: two are called {twice[0]}; give each a name of its own")
        roles = self.roles()
        if roles and not self.casts:
            raise ValueError(
                f"casts: say which model plays {' and '.join(roles)}, for example "
                f"'casts: {{first: {{{roles[0]}: provider/model}}}}'"
            )
        for cast, players in self.casts.items():
            _check_cast(cast, players, roles)
        return self

    def roles(self) -> list[str]:
        """The roles that the steps name, in their order."""
        models = [step.model for step in self.steps if step.model is not None]
        return list(dict.fromkeys(model for model in models if "/" not in model))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file. Raises ConfigError naming the file, the field and the fix."""
        data = read_yaml(path)
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: must be fields and values, such as 'title: My plan'")
        return cls.checked(data, str(path))

    @classmethod
    def checked(cls, data: Mapping[Any, Any], where: str = "plan") -> Self:
        """The value, or a ConfigError that lists each wrong field in a line."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_line(dict(problem), data) for problem in error.errors()]
            raise ConfigError("\n".join(f"{where}: {line}" for line in lines)) from None


def _check_cast(cast: str, players: Mapping[str, str], roles: Sequence[str]) -> None:
    for role in roles:
        if role not in players:
            raise ValueError(f"casts.{cast}: no model for {role}")
    for role, model in players.items():
        if role not in roles:
            raise ValueError(f"casts.{cast}: no step has the role {role}{_alike(role, roles)}")
        provider, _, name = model.partition("/")
        if not (provider and name):
            raise ValueError(f"casts.{cast}.{role}: write provider/model, not {model!r}")


def _line(problem: Mapping[str, Any], data: Mapping[Any, Any]) -> str:
    place: tuple[Any, ...] = problem["loc"]
    hint = said(problem)
    if problem["type"] == "missing":
        hint = "is missing"
    elif problem["type"] == "extra_forbidden":
        hint = f"there is no such field{_alike(str(place[-1]), _fields(place[:-1]))}"
    elif problem["type"] == "dict_type":
        hint = "must be names and values, such as {epochs: 10}"
    parts = [str(part) for part in place]
    if place[:1] == ("steps",) and len(place) > 1:
        step = data["steps"][place[1]]
        if isinstance(step, Mapping) and isinstance(step.get("name"), str):
            parts[1] += f" ({step['name']})"
    return f"{'.'.join(parts)}: {hint}" if parts else hint


def _fields(place: tuple[Any, ...]) -> Sequence[str]:
    owner: type[BaseModel] = Plan
    if place:
        owner = Growth if place[-1] == "growth" else Step
    return tuple(owner.model_fields)


def _alike(name: str, known: Sequence[str]) -> str:
    alike = difflib.get_close_matches(name, known, n=1)
    if alike:
        return f"; did you mean {alike[0]}?"
    return f"; there are {', '.join(known)}" if known else ""
