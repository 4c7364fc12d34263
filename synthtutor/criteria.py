"""One claim about a text, and what a judge said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["Criterion", "Frozen", "Verdict"]

_CRITICAL = 5


class Frozen(BaseModel):
    """Read from YAML or JSON: closed, and unchanged ever after."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(Frozen):
    """One claim about a text that holds or does not. A negative weight means the text is a fault.

    ``negated`` is for imported criteria that word a fault as "must not …": there the fault is
    observed when the statement does *not* hold. ``check`` names a check of code, with an argument
    after a colon where it takes one (``longer_than:60``).
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    text: str
    weight: int = Field(strict=True)
    dimension: str = ""
    skill: str | None = None
    tags: tuple[str, ...] = ()
    kind: Literal["judged", "code"] = "judged"
    check: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*(:\S+)?$")
    needs: tuple[str, ...] = ()
    critical: bool | None = None
    negated: bool = False

    @field_validator("text")
    @classmethod
    def _some_text(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty; say what is claimed")
        return text.strip()

    @field_validator("weight")
    @classmethod
    def _some_weight(cls, weight: int) -> int:
        if weight == 0:
            raise ValueError("must not be 0; 5 and -5 are critical, 1 and -1 are not")
        return weight

    @model_validator(mode="after")
    def _a_check_for_code(self) -> Criterion:
        if (self.kind == "code") != (self.check is not None):
            raise ValueError("'check' goes with kind: code; give both or neither")
        return self

    @property
    def is_critical(self) -> bool:
        """Whether the keep rule counts it."""
        return abs(self.weight) >= _CRITICAL if self.critical is None else self.critical

    @property
    def is_fault(self) -> bool:
        """Whether observing it is bad."""
        return self.weight < 0

    def observe(self, holds: bool) -> bool:
        """``observed`` for a judge's literal yes or no to the text."""
        return holds != self.negated


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one criterion. Only an answered verdict has an ``observed``.

    ``quoted`` says whether the evidence stands in the text judged; None where nothing is quoted.
    """

    criterion: str
    state: Literal["answered", "missing", "failed"]
    observed: bool | None = None
    evidence: str = ""
    quoted: bool | None = None

    def __post_init__(self) -> None:
        if (self.state == "answered") != (self.observed is not None):
            raise ValueError(f"{self.criterion}: {self.state} with observed={self.observed}")

    def passed(self, criterion: Criterion) -> bool | None:
        """Whether the criterion is met; None where it was not answered."""
        if self.observed is None:
            return None
        return self.observed != criterion.is_fault
