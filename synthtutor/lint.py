"""What makes a rubric pack hard to judge by, found without a model.

A judge reads each text alone and says whether it holds. So a text must make one claim, say what
is there instead of what is missing, and differ from its neighbours; and a pack must ask for
faults as well as merits, and bring controls that show whether its judge notices either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from synthtutor.defects import DEFECTS
from synthtutor.rubric import Criterion, Rubric
from synthtutor.wording import joined_claims, negates, negations

__all__ = ["LintFault", "lint"]

_LONGEST = 30
_ALIKE = 0.75
_CRITICAL_SHARE = (0.30, 0.60)


@dataclass(frozen=True, slots=True)
class LintFault:
    """One thing to mend: the rule that was broken, the criterion (or ``pack``), and what to do."""

    rule: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} ({self.rule})"


def lint(rubric: Rubric) -> list[LintFault]:
    """What is wrong with a pack's wording and make-up; an empty list for a clean one."""
    faults = [fault for criterion in rubric.criteria for fault in _criterion(criterion)]
    return [*faults, *_twins(rubric), *_balance(rubric), *_controls(rubric)]


def _criterion(criterion: Criterion) -> Iterator[LintFault]:
    where, text = criterion.id, criterion.text
    if criterion.is_fault and negates(text) and not criterion.negated:
        message = "a fault worded as an absence; word it as what is there, or ask for the merit"
        yield LintFault("double-negative", where, message)
    elif not criterion.is_fault and negates(text):
        message = "a merit worded as an absence; word the fault and give it a negative weight"
        yield LintFault("negated-merit", where, message)
    elif len(words := negations(text)) > 1:
        yield LintFault("double-negative", where, f"negates twice: {', '.join(words)}")
    if joint := joined_claims(text):
        yield LintFault("one-claim", where, f"makes two claims, joined by {joint!r}; split it")
    if (length := len(text.split())) > _LONGEST:
        yield LintFault("too-long", where, f"has {length} words; {_LONGEST} are enough")
    if not criterion.dimension:
        yield LintFault("no-dimension", where, "has no dimension, so no report can group it")


def _twins(rubric: Rubric) -> Iterator[LintFault]:
    for one, other in combinations(rubric.criteria, 2):
        if _alike(one.text, other.text) >= _ALIKE:
            message = f"says nearly what {one.id} says; keep one of them"
            yield LintFault("near-identical", other.id, message)


def _alike(one: str, other: str) -> float:
    first, second = (set(re.findall(r"\w+", text.lower())) for text in (one, other))
    return len(first & second) / max(len(first | second), 1)


def _balance(rubric: Rubric) -> Iterator[LintFault]:
    if not any(criterion.is_fault for criterion in rubric.criteria):
        yield LintFault("no-fault", "pack", "has no fault: nothing in it can go wrong; add one")
    critical = sum(criterion.is_critical for criterion in rubric.criteria)
    low, high = _CRITICAL_SHARE
    if not low <= critical / len(rubric.criteria) <= high:
        share = f"{critical} of {len(rubric.criteria)} criteria are critical"
        message = f"{share}; between {low:.0%} and {high:.0%} is what a keep rule can work with"
        yield LintFault("critical-share", "pack", message)


def _controls(rubric: Rubric) -> Iterator[LintFault]:
    flipped = [rubric.criterion(name) for c in rubric.controls for name in c.must_flip]
    for fault, word in ((False, "wanted criterion"), (True, "fault")):
        if not any(criterion.is_fault == fault for criterion in flipped):
            yield LintFault("controls", "pack", f"no control must flip a {word}; add one")
    for control in rubric.controls:
        defect = DEFECTS[control.mutate]
        for criterion in map(rubric.criterion, control.must_flip):
            if not (defect.adds if criterion.is_fault else defect.removes):
                verb = "adds no fault" if criterion.is_fault else "removes nothing that is wanted"
                message = f"{control.mutate} {verb}, so it cannot flip this"
                yield LintFault("controls", criterion.id, message)
