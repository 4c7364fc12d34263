"""Rubrics: weighted criteria, the rule that keeps or drops a text, and the packs they come in.

Three things are kept apart. A judge says what it *observes*; the sign of the weight says whether
that is wanted (above zero) or a fault (below zero), so whether the criterion *passed*; and a
criterion that nobody judged is neither passed nor failed. The rule is compared in exact
fractions: 4 of 5 is not above 0.80.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from synthtutor.criteria import Criterion, Frozen, Verdict
from synthtutor.defects import DEFECTS
from synthtutor.errors import RubricError
from synthtutor.packs import builtin_packs, is_path, read_pack
from synthtutor.yaml_text import parse_yaml, said

__all__ = [
    "Control",
    "Criterion",
    "Rubric",
    "Rule",
    "Score",
    "Scoring",
    "Verdict",
    "builtin_packs",
    "load_rubric",
    "parse_rubric",
]

_PACK_FIELDS = ("id", "version", "applies_to", "license", "about")


class Rule(Frozen):
    """Which share of the critical criteria must pass."""

    metric: Literal["critical_rate"]
    op: Literal[">", ">="]
    value: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _reachable(self) -> Rule:
        if self.op == ">" and self.value == 1:
            raise ValueError("nothing is above 1; write op: '>='")
        return self

    def allows(self, passed: int, total: int) -> bool:
        """Whether ``passed`` of ``total`` is enough."""
        share, bound = Fraction(passed, total), _exact(self.value)
        return share > bound if self.op == ">" else share >= bound

    def needed(self, total: int) -> int:
        """The smallest number of ``total`` that is enough; 0 of 0."""
        return next((n for n in range(total) if self.allows(n, total)), total)

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.value:g}"


class Scoring(Frozen):
    """When a judged text is kept: the rule *and* the smallest weighted score."""

    keep_if: Rule
    min_weighted: float = Field(ge=0, le=1)
    on_missing: Literal["undetermined"] = "undetermined"


class Control(Frozen):
    """A planted defect, and the criteria whose verdict must change when it is planted."""

    mutate: str
    must_flip: tuple[str, ...] = Field(min_length=1)

    @field_validator("mutate")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DEFECTS:
            raise ValueError(f"no defect {name!r}; there are {', '.join(DEFECTS)}")
        return name


@dataclass(frozen=True, slots=True)
class Score:
    """What the verdicts on one text add up to.

    ``weighted`` is clipped to 0–1 and None where no wanted criterion was answered. ``needed`` is
    how many of ``critical_total`` the rule asks for. ``reasons`` are short lines that name what
    failed and what was not judged, for a kept text too.
    """

    outcome: Literal["kept", "rejected", "undetermined"]
    weighted: float | None
    weighted_raw: float | None
    critical_passed: int
    critical_judged: int
    critical_total: int
    critical_rate: float | None
    needed: int
    dimensions: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the text may be used."""
        return self.outcome == "kept"


class Rubric(Frozen):
    """Criteria with the rule that keeps or drops what they are asked of."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    version: int = Field(ge=1, strict=True)
    applies_to: tuple[str, ...] = Field(min_length=1)
    license: str
    about: str = ""
    scale: Literal["binary"]
    scoring: Scoring
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    controls: tuple[Control, ...] = ()

    @model_validator(mode="after")
    def _ids_fit(self) -> Rubric:
        ids = [criterion.id for criterion in self.criteria]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"criteria: two are called {', '.join(twice)}; rename one")
        for control in self.controls:
            if unknown := [name for name in control.must_flip if name not in ids]:
                raise ValueError(
                    f"controls: {control.mutate} must flip {', '.join(unknown)}, which no "
                    "criterion is called"
                )
        return self

    def criterion(self, name: str) -> Criterion:
        """The criterion of that id. Raises RubricError where there is none."""
        for criterion in self.criteria:
            if criterion.id == name:
                return criterion
        raise RubricError(f"rubric {self.id} has no criterion {name!r}")

    def extended(self, criteria: Iterable[Criterion], prefix: str = "own.") -> Rubric:
        """The rubric with a sample's own criteria, whose ids get ``prefix`` unless they have it."""
        own = tuple(
            c if c.id.startswith(prefix) else c.model_copy(update={"id": prefix + c.id})
            for c in criteria
        )
        try:
            return Rubric(**{**dict(self), "criteria": self.criteria + own})
        except ValidationError as error:
            raise RubricError(_readable(error, f"rubric {self.id}, extended")) from error

    def score(self, verdicts: Mapping[str, Verdict]) -> Score:
        """What ``verdicts`` (by criterion id) add up to; a criterion without one is missing.

        A criterion that was not answered leaves the weighted score above and below the line. An
        unanswered critical one, or a rubric without critical ones, decides nothing: undetermined.
        """
        asked = [(criterion, _of(criterion, verdicts)) for criterion in self.criteria]
        critical = [verdict.passed(c) for c, verdict in asked if c.is_critical]
        judged = sum(passed is not None for passed in critical)
        passed = critical.count(True)
        raw = _weighted(asked)
        weighted = None if raw is None else max(raw, Fraction(0))  # never above 1
        outcome, reasons = self._decide(passed, judged, len(critical), weighted)
        return Score(
            outcome=outcome,
            weighted=None if weighted is None else float(weighted),
            weighted_raw=None if raw is None else float(raw),
            critical_passed=passed,
            critical_judged=judged,
            critical_total=len(critical),
            critical_rate=passed / judged if judged else None,
            needed=self.scoring.keep_if.needed(len(critical)),
            dimensions=_by_dimension(asked),
            reasons=(*_shortfalls(asked), *reasons),
        )

    def _decide(
        self, passed: int, judged: int, total: int, weighted: Fraction | None
    ) -> tuple[Literal["kept", "rejected", "undetermined"], list[str]]:
        rule, least = self.scoring.keep_if, _exact(self.scoring.min_weighted)
        if not total:
            return "undetermined", ["the rubric has no critical criterion"]
        if judged < total:
            return "undetermined", [f"{total - judged} of {total} critical criteria not judged"]
        if not rule.allows(passed, total):
            need = f"{rule} needs {rule.needed(total)}"
            return "rejected", [f"{passed} of {total} critical criteria passed; {need}"]
        if least > 0 and weighted is None:
            return "undetermined", ["no wanted criterion was judged"]
        if weighted is not None and weighted < least:
            return "rejected", [f"weighted {float(weighted):.3f} is below {float(least):g}"]
        return "kept", []


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────

_Asked = list[tuple[Criterion, Verdict]]


def _exact(value: float) -> Fraction:
    """The decimal that was written: 0.8 is 4/5, not the float next to it."""
    return Fraction(str(value))


def _of(criterion: Criterion, verdicts: Mapping[str, Verdict]) -> Verdict:
    verdict = verdicts.get(criterion.id) or Verdict(criterion.id, "missing")
    if verdict.criterion != criterion.id:
        raise RubricError(f"the verdict under {criterion.id} is about {verdict.criterion}")
    return verdict


def _weighted(asked: _Asked) -> Fraction | None:
    answered = [
        (c.weight, verdict.observed) for c, verdict in asked if verdict.observed is not None
    ]
    possible = sum(weight for weight, _ in answered if weight > 0)
    earned = sum(weight for weight, observed in answered if observed)
    return Fraction(earned, possible) if possible else None


def _by_dimension(asked: _Asked) -> dict[str, float]:
    results: dict[str, list[bool]] = {}
    for criterion, verdict in asked:
        if (passed := verdict.passed(criterion)) is not None:
            results.setdefault(criterion.dimension, []).append(passed)
    return {name: sum(passed) / len(passed) for name, passed in sorted(results.items())}


def _shortfalls(asked: _Asked) -> Iterator[str]:
    for criterion, verdict in asked:
        grade = " (critical)" if criterion.is_critical else ""
        if verdict.observed is None:
            word = "missing" if verdict.state == "missing" else "could not be read"
            yield f"{criterion.id}{grade}: the verdict is {word}"
        elif not verdict.passed(criterion):
            yield f"{criterion.id}{grade}: {'fault found' if criterion.is_fault else 'not met'}"


# ── packs ────────────────────────────────────────────────────────────────────────────────────


def load_rubric(name: str | os.PathLike[str]) -> Rubric:
    """A rubric by name (built in, or of an installed distribution), or from a YAML file.

    Raises RubricError naming the file, the field and what to write there.
    """
    return _rubric(*read_pack(name)) if is_path(name) else _named(str(name))


@lru_cache(maxsize=64)
def _named(name: str) -> Rubric:
    return _rubric(*read_pack(name))


def parse_rubric(text: str, source: str = "rubric") -> Rubric:
    """A rubric from a pack's YAML text; ``source`` is what messages call it."""
    return _rubric(parse_yaml(text, source, error=RubricError), source)


def _rubric(data: object, source: str) -> Rubric:
    if not isinstance(data, dict) or not isinstance(data.get("pack"), dict):
        fields = ", ".join(_PACK_FIELDS[:-1])
        raise RubricError(f"{source}: a pack begins with 'pack: {{...}}', which holds {fields}")
    rest = {key: value for key, value in data.items() if key != "pack"}
    if misplaced := sorted({*rest} & {*_PACK_FIELDS}, key=str):
        raise RubricError(f"{source}: {misplaced[0]}: belongs under 'pack'")
    try:
        return Rubric.model_validate(data["pack"] | rest)
    except ValidationError as error:
        raise RubricError(_readable(error, source, data)) from error


def _readable(error: ValidationError, source: str, data: Mapping[Any, Any] | None = None) -> str:
    faults = error.errors(include_url=False)
    lines = []
    for fault in faults:
        kind, loc = fault["type"], fault["loc"]
        if kind == "too_short" and any(other["loc"][:-1][: len(loc)] == loc for other in faults):
            continue  # its entries were refused one by one, which is told already
        message = said(dict(fault))
        if kind == "extra_forbidden":
            message = _unknown_field(loc)
        where = _where(loc, data or {})
        lines.append(f"{source}: {where}: {message}" if where else f"{source}: {message}")
    return "\n".join(lines)


def _where(loc: Sequence[int | str], data: Mapping[Any, Any]) -> str:
    """A field's place as one would look for it: ``criteria[2] (mr.x).weight``."""
    if loc and loc[0] in _PACK_FIELDS:
        return f"pack.{_dotted(loc)}"
    if len(loc) > 1 and loc[0] == "criteria" and isinstance(loc[1], int):
        entries = data.get("criteria")
        entry = entries[loc[1]] if isinstance(entries, list) else None
        name = f" ({entry['id']})" if isinstance(entry, dict) and entry.get("id") else ""
        return ".".join(filter(None, (f"criteria[{loc[1]}]{name}", _dotted(loc[2:]))))
    return _dotted(loc)


def _dotted(loc: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")


def _unknown_field(loc: Sequence[int | str]) -> str:
    models: dict[str, type[BaseModel]] = {
        "criteria": Criterion,
        "controls": Control,
        "keep_if": Rule,
        "scoring": Scoring,
    }
    holders = [
        models[part] for part in reversed(loc[:-1]) if isinstance(part, str) and part in models
    ]
    known = list((holders[0] if holders else Rubric).model_fields)
    alike = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return (
        f"is unknown; did you mean {alike[0]!r}?"
        if alike
        else f"is unknown; there are {', '.join(known)}"
    )
