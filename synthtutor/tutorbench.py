"""Rubrics in TutorBench's JSON: a list of ``{"criteria": text, "attributes": {…}}``.

Its weights follow from the severity. Its negatives are worded as what a tutor must not do, so they
become faults with ``negated`` set: the fault is observed when the statement does not hold. What
the format has no word for (a fault of weight -1, a tag of ours) is written as a further attribute,
so that an export can be read back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from synthtutor.errors import RubricError
from synthtutor.rubric import Criterion
from synthtutor.wording import negates

__all__ = ["from_tutorbench", "to_tutorbench"]

_WEIGHTS = {"critical": 5, "not_critical": 1, "critical_negative": -5}
_DELETED = "deleted"
_NOTHING = "Not applicable"
_PLAIN = ("explicitness", "objectivity")


def from_tutorbench(
    rubric: str | Sequence[Mapping[str, Any]],
    id: str = "tutorbench",  # noqa: A002  # a rubric's id
) -> list[Criterion]:
    """The criteria of one rubric, as JSON text or as the list it holds; deleted ones are dropped.

    ``id`` is what messages call the rubric, and begins the criteria's ids. The first dimension and
    skill of a comma list are kept as such, the others as tags (``dimension:…``, ``skill:…``).
    Raises RubricError naming the criterion and the field.
    """
    items = _decoded(rubric, id)
    stem = re.sub(r"[^a-z0-9_-]+", "-", id.lower()).strip("-_") or "tutorbench"
    criteria = []
    for number, item in enumerate(items, 1):
        where = f"{id}: criterion {number}"
        text, attributes = _fields(item, where)
        if _word(attributes, "severity") != _DELETED:
            criteria.append(_criterion(f"{stem}.{number}", text, attributes, where))
    return criteria


def to_tutorbench(criteria: Iterable[Criterion]) -> list[dict[str, Any]]:
    """The criteria in TutorBench's form. Ids, checks and needs have no place there and are left out."""
    return [{"criteria": c.text, "attributes": _attributes(c)} for c in criteria]


# ── reading ──────────────────────────────────────────────────────────────────────────────────


def _decoded(rubric: str | Sequence[Mapping[str, Any]], source: str) -> Sequence[object]:
    try:
        items: object = orjson.loads(rubric) if isinstance(rubric, str) else rubric
    except orjson.JSONDecodeError as error:
        raise RubricError(f"{source}: is not JSON: {error}") from error
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise RubricError(f"{source}: must be a list of criteria, not {type(items).__name__}")
    return items


def _fields(item: object, where: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(item, Mapping):
        raise RubricError(f"{where}: must be an object with criteria and attributes")
    text, attributes = item.get("criteria"), item.get("attributes")
    if not isinstance(text, str):
        raise RubricError(f"{where}: 'criteria' must be the text of the criterion")
    if not isinstance(attributes, Mapping):
        raise RubricError(f"{where}: 'attributes' must be an object that holds the severity")
    return text, attributes


def _criterion(name: str, text: str, attributes: Mapping[str, Any], where: str) -> Criterion:
    weight = attributes.get("weight", _derived_weight(attributes, where))
    dimension, *dimensions = _split(attributes, "eval_dimension") or [""]
    skill, *skills = _split(attributes, "tutoring_skill") or [""]
    tags = [f"dimension:{tag}" for tag in dimensions] + [f"skill:{tag}" for tag in skills]
    tags += [f"{key}:{word}" for key in _PLAIN if (word := _word(attributes, key))]
    own = attributes.get("tags", [])
    if not isinstance(own, list):
        raise RubricError(f"{where}: tags: must be a list of words")
    try:
        return Criterion(
            id=name,
            text=text,
            weight=weight,
            dimension=dimension,
            skill=skill or None,
            tags=(*tags, *own),
            critical=attributes.get("critical"),
            negated=attributes.get("negated", _worded_as_ban(text, weight)),
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        message = fault["msg"].removeprefix("Value error, ")
        raise RubricError(f"{where}: {'.'.join(map(str, fault['loc']))}: {message}") from error


def _derived_weight(attributes: Mapping[str, Any], where: str) -> int:
    severity = _word(attributes, "severity")
    if severity not in _WEIGHTS:
        known = ", ".join([*_WEIGHTS, _DELETED])
        raise RubricError(f"{where}: severity {severity!r} is none of {known}")
    return _WEIGHTS[severity]


def _worded_as_ban(text: str, weight: object) -> bool:
    return isinstance(weight, int) and weight < 0 and negates(text)


def _word(attributes: Mapping[str, Any], key: str) -> str:
    word = str(attributes.get(key) or "").strip()
    return "" if word.lower() == _NOTHING.lower() else word


def _split(attributes: Mapping[str, Any], key: str) -> list[str]:
    parts = (part.strip() for part in _word(attributes, key).split(","))
    return [part for part in parts if part and part.lower() != _NOTHING.lower()]


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def _attributes(criterion: Criterion) -> dict[str, Any]:
    known, own = _sorted_tags(criterion)
    severity = _severity(criterion.weight)
    attributes: dict[str, Any] = {
        "explicitness": known["explicitness"],
        "objectivity": known["objectivity"],
        "severity": severity,
        "tutoring_skill": known["skill"],
        "eval_dimension": known["dimension"],
    }
    attributes |= dict(_beyond(criterion, severity))
    return attributes | ({"tags": own} if own else {})


def _severity(weight: int) -> str:
    if weight < 0:
        return "critical_negative"
    return "critical" if weight >= _WEIGHTS["critical"] else "not_critical"


def _beyond(criterion: Criterion, severity: str) -> Iterator[tuple[str, Any]]:
    """What a reader could not derive from the severity and the text."""
    if criterion.weight != _WEIGHTS[severity]:
        yield "weight", criterion.weight
    if criterion.critical is not None:
        yield "critical", criterion.critical
    if criterion.negated != _worded_as_ban(criterion.text, criterion.weight):
        yield "negated", criterion.negated


def _sorted_tags(criterion: Criterion) -> tuple[dict[str, str], list[str]]:
    """TutorBench's own attributes, from the criterion and its ``key:value`` tags; and other tags."""
    lists: dict[str, list[str]] = {
        "dimension": [criterion.dimension] if criterion.dimension else [],
        "skill": [criterion.skill] if criterion.skill else [],
        "explicitness": [],
        "objectivity": [],
    }
    own = []
    for tag in criterion.tags:
        key, _, value = tag.partition(":")
        # A second dimension needs a first one before it; a plain attribute holds one word.
        room = key in lists and bool(lists[key]) == (key not in _PLAIN)
        if room and _split({key: value}, key) == [value]:
            lists[key].append(value)
        else:
            own.append(tag)
    return {key: ", ".join(values) or _NOTHING for key, values in lists.items()}, own
