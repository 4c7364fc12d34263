"""The six ways in which a good reply is made worse, and the criterion that each must break.

Every reply of a pair is asked about all six, so that a verdict does not tell which one was planted,
and so that what else broke is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from synthtutor.criteria import Criterion
from synthtutor.quality.prose import words
from synthtutor.rubric import Rubric

__all__ = ["DEGRADATIONS", "Degradation", "Side", "judged_by", "length_of", "targets"]

Side = Literal["chosen longer", "chosen shorter"]

_TOO_LONG = 1.4  # times the chosen reply's words: from here on length is a fault
_FAR_TOO_LONG = 3.2


@dataclass(frozen=True, slots=True)
class Degradation:
    """One change for the worse; what the model that makes it is told stands in its prompt.

    ``claim`` is what a judge then finds. It is a fault unless ``wanted``, and where it is empty code
    counts the words instead. ``defect`` is what plants it without a model, where a row brings the
    parts for that. A control of the rubric pack for the same defect names its own criteria, which
    then stand for the claim.
    """

    name: str
    claim: str = ""
    wanted: bool = False
    defect: str = ""

    @property
    def sets_length(self) -> bool:
        """Whether the defect is the length itself."""
        return not self.claim

    def bounds(self, count: int, side: Side | None, window: float) -> tuple[int, int]:
        """The fewest and the most words the worse reply may have, of a chosen one of ``count``.

        ``window`` is how many times the shorter the longer side may be.
        """
        if self.sets_length:
            return _beyond(count), int(_FAR_TOO_LONG * count)
        least, most = -int(-count // window), int(count * window)
        return (count if side == "chosen shorter" else least), (
            count if side == "chosen longer" else most
        )


def length_of(text: str) -> int:
    """How long a reply is, in words; numbers are none."""
    return len(words(text))


def targets(rubric: Rubric, name: str) -> tuple[str, ...]:
    """The criteria that degradation ``name`` must break: the pack's own for its defect, or ours."""
    kind = DEGRADATIONS[name]
    if kind.defect and not kind.sets_length:
        for control in rubric.controls:
            if control.mutate == kind.defect:
                return control.must_flip
    return (f"pair.{name}",)


def judged_by(rubric: Rubric, chosen_words: int) -> Rubric:
    """The rubric with a criterion for each degradation that it has none for.

    None of them is critical, so the pack's rule for keeping means what it meant.
    """
    own = [
        _criterion(kind, chosen_words)
        for name, kind in DEGRADATIONS.items()
        if targets(rubric, name) == (f"pair.{name}",)
    ]
    return rubric.extended(own, prefix="pair.")


def _criterion(kind: Degradation, chosen_words: int) -> Criterion:
    given = {"id": f"pair.{kind.name}", "dimension": "pair", "critical": False}
    if kind.sets_length:
        least = _beyond(chosen_words)
        text = f"The reply has {least} words or more."
        return Criterion(
            **given, text=text, weight=-5, kind="code", check=f"longer_than:{least - 1}"
        )
    return Criterion(**given, text=kind.claim, weight=5 if kind.wanted else -5)


def _beyond(count: int) -> int:
    return int(_TOO_LONG * count) + 1


def _table(*kinds: Degradation) -> Mapping[str, Degradation]:
    return MappingProxyType({kind.name: kind for kind in kinds})


DEGRADATIONS = _table(
    Degradation(
        "leaks_answer",
        "The reply gives the answer that the student is supposed to find.",
        defect="leak_answer",
    ),
    Degradation(
        "drops_diagnosis",
        "The reply says outright what the student has mixed up or wrongly assumed.",
        wanted=True,
        defect="drop_diagnosis",
    ),
    Degradation(
        "wrong_step",
        "The reply contains a wrong statement of fact or a wrong step.",
        defect="false_content",
    ),
    Degradation(
        "cold_tone",
        "The reply is cold towards the student: impatient, dismissive or belittling.",
        defect="shaming",
    ),
    Degradation(
        "too_long",
        defect="over_long",
    ),
    Degradation(
        "wrong_level",
        "The reply is written for someone far above or far below this student's level.",
    ),
)
