"""A sample as a line of the list: what it begins with, what it can be found and filtered by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["ATTRIBUTES", "Entry", "brief", "entry"]

# Where recipes say what a sample is about; the first place that has something counts.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject",),
    "misconception": ("misconception_type", "malrule.name", "malrule", "misconception"),
    "grade": ("grade", "persona.grade", "student_persona.grade", "draw.class_level"),
    "persona": ("student_persona.type", "persona.manner", "draw.temperament"),
    "topic": ("topic", "malrule.topic"),  # often another in every sample, so below the others
    "mode": ("mode",),
    "source": ("source",),
    "defect": ("defect", "pair.defect"),
    "ended": ("ended",),
}
_TITLE_CHARACTERS = 160
_SEARCHED_CHARACTERS = 20_000


class Entry(NamedTuple):
    """One sample in the index. ``score`` and ``cost_usd`` are None where the sample has none."""

    title: str
    reply: str
    reason: str
    score: float | None
    cost_usd: float | None
    attributes: tuple[tuple[str, str], ...]
    text: str


_EMPHASIS = re.compile(
    r"(\*\*|__|`)(?=\S)(?P<strong>[^$\n]+?)(?<=\S)\1"
    r"|(?<![\w*])\*(?=[^\s*])(?P<em>[^*$\n]+?)(?<=[^\s*])\*(?![\w*])"
)


def brief(line: str) -> str:
    """A line of a list without the signs of emphasis, and without a formula that was cut in two."""
    if line.endswith("…") and line.count("$") % 2:
        line = f"{line[: line.rindex('$')].rstrip()} …"
    return _EMPHASIS.sub(lambda found: found["strong"] or found["em"], line)


def entry(body: Mapping[str, Any], kind: str, outcome: str, reason: str) -> Entry:
    """From a sample as it stands in the journal, of which nothing is taken for granted."""
    known = body.get("metadata")
    metadata: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    said = [content for role, content in _said(body) if role != "system"]
    found = [(name, value) for name in ATTRIBUTES if (value := _first(metadata, ATTRIBUTES[name]))]
    texts = "\n".join(
        (*said, reason, *(value for _, value in found), str(metadata.get("text", "")))
    )
    return Entry(
        title=_line(said[0] if said else reason or "(nothing was said)"),
        reply=_line(said[-1]) if len(said) > 1 else "",
        reason=_line(reason),
        score=_number(metadata.get("weighted")),
        cost_usd=_number(_at(metadata, "lineage.cost_usd")),
        attributes=(("kind", kind), ("outcome", outcome), *found),
        text=texts[:_SEARCHED_CHARACTERS],
    )


def _said(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for message in body.get("messages") or ():
        if isinstance(message, Mapping):
            yield str(message.get("role", "")), str(message.get("content", ""))


def _first(metadata: Mapping[str, Any], places: tuple[str, ...]) -> str:
    values = (_at(metadata, place) for place in places)
    return next((str(v)[:120] for v in values if isinstance(v, str | int) and str(v).strip()), "")


def _at(value: Any, place: str) -> Any:
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _line(text: str) -> str:
    plain = re.sub(r"\s+", " ", text[: 4 * _TITLE_CHARACTERS]).strip()
    return plain if len(plain) <= _TITLE_CHARACTERS else plain[: _TITLE_CHARACTERS - 1] + "…"
