"""From true and false on single statements to the labels that people gave.

A judge answers statements; annotators chose one label of several. In a pack, the statements with
the same ``dimension`` are one choice: the first of them that holds gives its label (the tag
``label:…``), and where none holds it is the tag ``otherwise:…``. The tag ``scale:ordered`` says
that the labels are steps of one scale, in that order, ``scale:kinds`` that none of them is better
than another. A statement without such a tag is a choice
of its own, between ``true`` and ``false``, under its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synthtutor.criteria import Criterion
from synthtutor.errors import RubricError
from synthtutor.rubric import Rubric

__all__ = ["NONE", "Dimension", "dimensions"]

NONE = "(none of them)"
_TRUE, _FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@dataclass(frozen=True, slots=True)
class Dimension:
    """One choice: its statements in order, the label of each, and the label where none holds."""

    name: str
    criteria: tuple[Criterion, ...]
    given: tuple[str, ...]
    otherwise: str
    ordered: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that people may have given."""
        return self.given if self.otherwise == NONE else (*self.given, self.otherwise)

    def label(self, observed: Mapping[str, bool | None]) -> str | None:
        """The judge's label; None where it left the statement that decides unanswered."""
        for criterion, label in zip(self.criteria, self.given, strict=True):
            holds = observed.get(criterion.id)
            if holds is None:
                return None
            if holds:
                return label
        return self.otherwise

    def human(self, said: object) -> str:
        """A person's label in the pack's spelling; as it stands where the pack has no such label."""
        text = str(said).strip()
        if self.given == ("true",):
            low = text.lower()
            return "true" if low in _TRUE else "false" if low in _FALSE else text
        alike = {_plain(label): label for label in self.labels}
        return alike.get(_plain(text), text)

    def merit(self, label: str) -> float | None:
        """How well of the text a label speaks, from -1 to 1; None for labels with no better and worse."""
        if label not in self.labels:
            return None
        if self.ordered:
            return 1 - self.labels.index(label) / (len(self.labels) - 1)
        if self.otherwise == NONE or any("scale:kinds" in c.tags for c in self.criteria):
            return None
        signs = [1 if criterion.weight > 0 else -1 for criterion in self.criteria]
        return 0.0 if label == self.otherwise else float(signs[self.given.index(label)])


def dimensions(rubric: Rubric) -> dict[str, Dimension]:
    """The choices that a pack's judged statements make up, by name.

    Raises RubricError where a choice is not whole.
    """
    grouped: dict[str, list[Criterion]] = {}
    for criterion in rubric.criteria:
        if criterion.kind == "judged":
            name = criterion.dimension if _tag(criterion, "label") else criterion.id
            grouped.setdefault(name, []).append(criterion)
    return {name: _dimension(name, tuple(found)) for name, found in grouped.items()}


def _dimension(name: str, criteria: tuple[Criterion, ...]) -> Dimension:
    if not _tag(criteria[0], "label"):
        return Dimension(name, criteria, ("true",), "false", ordered=False)
    given = tuple(_tag(criterion, "label") for criterion in criteria)
    if len({*given}) < len(given):
        raise RubricError(f"dimension {name}: two statements give the same label")
    otherwise = next(filter(None, (_tag(criterion, "otherwise") for criterion in criteria)), NONE)
    ordered = any("scale:ordered" in criterion.tags for criterion in criteria)
    if ordered and otherwise == NONE:
        raise RubricError(f"dimension {name}: an ordered scale needs a tag otherwise:LABEL")
    return Dimension(name, criteria, given, otherwise, ordered)


def _tag(criterion: Criterion, name: str) -> str:
    found = (tag.partition(":")[2] for tag in criterion.tags if tag.startswith(f"{name}:"))
    return next(found, "")


def _plain(label: str) -> str:
    return label.casefold().strip(" .").replace(" ", "_").replace("-", "_")
