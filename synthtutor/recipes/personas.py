"""Student profiles, drawn by quota, checked for consistency, and rejected where they repeat another.

One call a profile, two more at most where fields contradict each other or the draw. A prompt never
holds an earlier profile: what makes profiles differ is the draw, and what still comes out alike is
rejected when the run ends (`reject_near_duplicates`), in the order of the rows. So tokens grow with
the number of profiles and not with its square.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, cast

import orjson
from pydantic import TypeAdapter

from synthtutor.coverage import Coverage
from synthtutor.errors import ConfigError
from synthtutor.messages import Message, Settings
from synthtutor.quality.alike import Alike
from synthtutor.quality.duplicates import Duplicates
from synthtutor.recipes.own_schema import choices, own_type
from synthtutor.recipes.profiles import ATTRIBUTES, PERFORMANCE, Profile, faults_of
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.sources import BadRow, read_rows
from synthtutor.tutoring import Sample
from synthtutor.yaml_text import read_yaml

__all__ = [
    "NEAR_DUPLICATE",
    "PERSONAS",
    "Row",
    "personas",
    "reject_near_duplicates",
    "similarity_text",
]

NEAR_DUPLICATE = "near-duplicate of an earlier profile"
_REASKS = 2
_SIMILAR = 0.6
_MOST_CELLS = 1_000_000

Attributes = Sequence[Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One student to invent: the number that the id is made of, and the drawn attributes."""

    number: int
    draw: dict[str, str]


async def personas(session: Session, row: Row) -> Sample:
    """One profile; a rejected one carries what is wrong with its last attempt."""
    schema = session.option("schema")
    type_ = own_type(schema) if schema else Profile
    prompt = "personas/own.md.j2" if schema else "personas/profile.md.j2"
    told = {name: _told(name, value) for name, value in row.draw.items()}
    faults: list[str] = []
    attempts = 0
    while attempts <= _REASKS and (faults or not attempts):
        attempts += 1
        made = await session.generate(
            type_,
            prompt,
            draw=told,
            faults=faults,
            settings=Settings(max_tokens=1200, temperature=1.0),
        )
        profile = _plain(type_, made)
        if not session.rehearsing:
            builtin = isinstance(made, Profile)
            faults = faults_of(made, row.draw) if builtin else _undrawn(profile, row)
    student = f"S{row.number + 1:05d}"
    return Sample(
        messages=[
            Message("user", session.render(prompt, draw=told, faults=())[-1].content),
            Message("assistant", orjson.dumps(profile, option=orjson.OPT_INDENT_2).decode()),
        ],
        metadata={
            "student_id": student,
            "profile": profile,
            "draw": dict(row.draw),
            "attempts": attempts,
        },
        outcome="rejected" if faults else "kept",
        reasons=faults,
    )


def _told(name: str, value: str) -> str:
    """The attribute's value as the writer reads it."""
    return (
        f"{value} ({PERFORMANCE[value]})"
        if name == "performance" and value in PERFORMANCE
        else value
    )


def _undrawn(profile: Mapping[str, Any], row: Row) -> list[str]:
    """Of a schema of the user's own: the fields that are drawn and came out otherwise."""
    return [
        f"{name} must be {value}"
        for name, value in row.draw.items()
        if name in profile and _text(profile[name]) != value
    ]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(type_: type[Any], value: Any) -> dict[str, Any]:
    made = _adapter(cast(Hashable, type_)).dump_python(value, mode="json")
    return dict(made)


@lru_cache(maxsize=32)
def _adapter(type_: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[Any], type_))


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def rows(options: RowOptions) -> Rows[Row]:
    """Endless draws by quota; with a file, one row for each of its records, which are the draws."""
    schema, path = options.options.get("schema"), options.options.get("attributes")
    type_ = own_type(schema) if schema else None
    if options.path is not None:
        return Rows(_file_rows(options.path))
    groups: Attributes = ATTRIBUTES
    if path or type_ is not None:
        groups = [_attributes(Path(path)) if path else choices(type_ or Profile)]
    if (cells := max(prod(map(len, group.values())) for group in groups)) > _MOST_CELLS:
        raise ConfigError(
            f"{cells:,} combinations of attributes, more than {_MOST_CELLS:,}: "
            "draw by fewer, with --option attributes=FILE"
        )
    coverages = [Coverage(group, seed=options.seed) for group in groups if group]
    return Rows(_drawn_rows(coverages))


def _drawn_rows(coverages: Sequence[Coverage]) -> Iterator[Row]:
    number = 0
    while True:
        draw: dict[str, str] = {}
        for coverage in coverages:
            draw |= coverage.draw(number)
        yield Row(number, draw)
        number += 1


def _file_rows(path: Path) -> Iterator[Row | BadRow]:
    number = 0
    for record in read_rows(path):
        if isinstance(record, BadRow):
            yield record
            continue
        yield Row(number, {name: _text(value) for name, value in record.items()})
        number += 1


def _attributes(path: Path) -> dict[str, tuple[str, ...]]:
    """A YAML or JSON file of attribute names, each with a list of values."""
    data = read_yaml(path)
    if not isinstance(data, dict) or not all(isinstance(v, list) and v for v in data.values()):
        raise ConfigError(f"attributes {path}: must map each attribute to a list of values")
    return {str(name): tuple(_text(value) for value in values) for name, values in data.items()}


# ── across rows ──────────────────────────────────────────────────────────────────────────────


def reject_near_duplicates(
    samples: Iterable[dict[str, Any]], *, threshold: float = _SIMILAR
) -> Iterator[dict[str, Any]]:
    """The finished samples, with each kept profile rejected that nearly repeats an earlier kept one.

    ``samples`` come in the order of their rows, so the same samples give the same answer however
    their calls were scheduled. ``threshold`` is the share of three-word runs in common (0 to 1);
    it is exact against the first 5,000 kept profiles and estimated against the next 50,000.
    What an earlier look rejected is looked at anew.
    """
    exact, estimated = Alike(threshold=threshold), Duplicates(threshold=threshold)
    for sample in samples:
        metadata = sample.get("metadata") or {}
        again = metadata.get("reasons") == [NEAR_DUPLICATE]
        if not isinstance(metadata.get("profile"), dict) or not (
            again or metadata.get("outcome") == "kept"
        ):
            yield sample
            continue
        sound = {key: value for key, value in metadata.items() if key != "near_duplicate_of"}
        text, student = similarity_text(metadata), str(metadata["student_id"])
        original = exact.add(text, student) or estimated.add(text, student)
        verdict: dict[str, Any] = {"outcome": "kept", "reasons": []}
        if original is not None:
            verdict = {
                "outcome": "rejected",
                "reasons": [NEAR_DUPLICATE],
                "near_duplicate_of": original,
            }
        yield {**sample, "metadata": {**sound, **verdict}}


def similarity_text(metadata: Mapping[str, Any]) -> str:
    """What profiles are compared by: their words, without numbers, times and what was drawn."""
    draw = metadata.get("draw") or {}
    return "\n".join(
        text
        for name, value in metadata["profile"].items()
        if name not in draw
        for text in _words(value)
    )


def _words(value: object) -> list[str]:
    if isinstance(value, Mapping):
        if any(isinstance(inner, int | float) for inner in value.values()):
            return []  # a figure and what it is of: subjects are alike in every school
        return [text for inner in value.values() for text in _words(inner)]
    if isinstance(value, list):
        return sorted(text for inner in value for text in _words(inner))
    return [value] if isinstance(value, str) and not value[:1].isdigit() else []


PERSONAS: Recipe[Row] = Recipe(
    name="personas",
    function=personas,
    rows=rows,
    summary="Student profiles by quota, consistent in themselves and unlike each other.",
    chat_roles=("user", "assistant"),
    across=reject_near_duplicates,
    output_tokens={"personas/profile.md.j2": 330, "personas/own.md.j2": 300},
    options={
        "schema": "your own profile: module:Class (pydantic or dataclass) or a .json schema",
        "attributes": "YAML or JSON file of your own quotas: each attribute with its values",
    },
)
