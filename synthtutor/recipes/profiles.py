"""A student profile: its schema, the attributes it is drawn by, and what it must agree with.

The attributes come from three products of 960, 91 and 437 cells. No two of these numbers share a
factor, so 38 million rows pass before the same three cells meet again, and any 960 rows fill every
cell of the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

__all__ = ["ATTRIBUTES", "PERFORMANCE", "Band", "Mark", "Profile", "faults_of", "minutes"]

Syllabus = Literal["CBSE", "ICSE", "state board", "IB", "Cambridge"]
LearningStyle = Literal["visual", "auditory", "reading and writing", "kinaesthetic"]

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=60)]
_Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=240)]
_Time = Annotated[str, Field(max_length=8, description="HH:MM")]  # its form is checked below
_Items = Annotated[list[_Line], Field(min_length=2, max_length=4)]


class Mark(BaseModel):
    """A subject and its mark, of 100."""

    subject: _Line
    mark: int = Field(ge=0, le=100)


_Marks = Annotated[list[Mark], Field(min_length=3, max_length=6)]


class Profile(BaseModel):
    """A student. Times are HH:MM, marks of 100."""

    name: _Line
    age: int = Field(ge=5, le=19)
    class_level: int = Field(ge=1, le=12)
    syllabus: Syllabus
    interests: _Items
    personality: _Sentence
    hobbies: _Items
    study_routine_start: _Time
    study_routine_end: _Time
    marks_last_year_final: _Marks
    marks_last_internals: _Marks
    emotional_traits: _Items
    group_behavior: _Sentence
    learning_style: LearningStyle
    strengths: _Items
    struggles: _Items


@dataclass(frozen=True, slots=True)
class Band:
    """What a performance means: the mean of last year's finals, and how far best and worst lie apart."""

    words: str
    lowest: int
    highest: int
    least_spread: int = 0
    most_spread: int = 100

    def __str__(self) -> str:
        spread = ""
        if self.least_spread:
            spread = f", best and worst at least {self.least_spread} apart"
        if self.most_spread < 100:
            spread = f", best and worst at most {self.most_spread} apart"
        return f"{self.words}: finals average {self.lowest} to {self.highest}{spread}"


PERFORMANCE: Mapping[str, Band] = MappingProxyType(
    {
        "struggling": Band("falls behind in most subjects", 30, 52),
        "uneven": Band("good in some subjects, weak in others", 48, 76, least_spread=25),
        "steady": Band("middling everywhere", 55, 79, most_spread=24),
        "strong": Band("ahead in nearly everything", 78, 98),
    }
)

# Groups whose sizes share no factor: 960, 91 and 437.
ATTRIBUTES: Sequence[Mapping[str, Sequence[str]]] = (
    {
        "class_level": tuple(str(level) for level in range(1, 13)),
        "syllabus": ("CBSE", "ICSE", "state board", "IB", "Cambridge"),
        "performance": tuple(PERFORMANCE),
        "learning_style": ("visual", "auditory", "reading and writing", "kinaesthetic"),
    },
    {
        "interest_area": (
            *("sport", "music", "drawing and crafts", "nature and animals", "machines"),
            *("stories and reading", "puzzles and games", "cooking", "dance and theatre"),
            *("history and places", "space and science", "helping others", "business and trade"),
        ),
        "temperament": (
            *("shy", "outgoing", "anxious", "easy-going", "impulsive", "perfectionist", "curious"),
        ),
    },
    {
        "first_initial": tuple("ABCDEFGHIJKLMNOPRSTVWYZ"),
        "family_initial": tuple("ABCDFGHJKLMNOPRSTVW"),
    },
)

_YEARS = (4, 7)  # a class's students are its number and 4 to 7 years old
_FARTHEST = 30  # marks between a year's final and the internals of the same subject
_MINUTES = (15, 300)
_NOT_BEFORE, _NOT_AFTER, _CHILDREN_NOT_AFTER = 5 * 60, 23 * 60, 21 * 60
_YOUNG = 5  # up to this class there is "science", not physics
_SENIOR = frozenset(
    ["physics", "chemistry", "biology", "economics", "accountancy", "psychology", "sociology"]
)
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_NAME = re.compile(r"[^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*)+")


def faults_of(profile: Profile, draw: Mapping[str, str]) -> list[str]:
    """What contradicts the draw, or another field; each in words that the writer can be shown."""
    return [
        *_drawn(profile, draw),
        *_age(profile),
        *_marks(profile),
        *_band(profile, draw),
        *_named_subjects(profile),
        *_routine(profile),
    ]


def _drawn(profile: Profile, draw: Mapping[str, str]) -> Iterator[str]:
    for field in ("class_level", "syllabus", "learning_style"):
        value = str(getattr(profile, field))
        if field in draw and value != draw[field]:
            yield f"{field} must be {draw[field]}, not {value}"
    if not _NAME.fullmatch(profile.name):
        yield "name must be a first name and a family name"
        return
    words = profile.name.split()
    for field, word in (("first_initial", words[0]), ("family_initial", words[-1])):
        if field in draw and not word.upper().startswith(draw[field]):
            kind = "first" if field == "first_initial" else "family"
            yield f"the {kind} name must begin with {draw[field]}"


def _age(profile: Profile) -> Iterator[str]:
    low, high = (profile.class_level + years for years in _YEARS)
    if not low <= profile.age <= high:
        yield f"age does not fit class {profile.class_level}: students there are {low} to {high}"


def _marks(profile: Profile) -> Iterator[str]:
    finals, internals = (_by_subject(marks) for marks in _both(profile))
    for name, marks in zip(
        ("marks_last_year_final", "marks_last_internals"), _both(profile), strict=True
    ):
        if len(_by_subject(marks)) < len(marks):
            yield f"{name} names a subject twice"
    if finals.keys() != internals.keys():
        yield "both lists of marks must have the same subjects"
    for subject in sorted(finals.keys() & internals.keys()):
        if abs(finals[subject] - internals[subject]) > _FARTHEST:
            yield f"marks in {subject} differ by more than {_FARTHEST} between final and internals"
    if len(set(finals.values())) == 1:
        yield "last year's finals are the same in every subject"
    if profile.class_level <= _YOUNG and (senior := sorted(finals.keys() & _SENIOR)):
        yield f"{', '.join(senior)} is not taught in class {profile.class_level}"


def _band(profile: Profile, draw: Mapping[str, str]) -> Iterator[str]:
    band = PERFORMANCE.get(draw.get("performance", ""))
    finals = [mark.mark for mark in profile.marks_last_year_final]
    if band is None:
        return
    spread = max(finals) - min(finals)
    fits = band.lowest <= fmean(finals) <= band.highest
    if not (fits and band.least_spread <= spread <= band.most_spread):
        yield f"marks do not fit a student who is {draw['performance']} ({band})"


def _named_subjects(profile: Profile) -> Iterator[str]:
    """A subject among the strengths must not have a lower mark than one among the struggles."""
    finals = _by_subject(profile.marks_last_year_final)
    strong, weak = (_mentioned(items, finals) for items in (profile.strengths, profile.struggles))
    for subject in sorted(strong & weak):
        yield f"{subject} is among both strengths and struggles"
    for one in sorted(strong - weak):
        for other in sorted(weak - strong):
            if finals[one] < finals[other]:
                yield f"{one} is a strength with a lower mark than {other}, a struggle"


def _routine(profile: Profile) -> Iterator[str]:
    times = (profile.study_routine_start, profile.study_routine_end)
    if not all(map(_TIME.fullmatch, times)):
        yield "study_routine_start and study_routine_end must be HH:MM on a 24-hour clock"
        return
    start, end = map(minutes, times)
    least, most = _MINUTES
    if not least <= end - start <= most:
        yield f"study must last {least} to {most} minutes, and end after it starts"
    latest = _CHILDREN_NOT_AFTER if profile.class_level <= _YOUNG else _NOT_AFTER
    if start < _NOT_BEFORE or end > latest:
        yield f"study must lie between 05:00 and {latest // 60}:00 in class {profile.class_level}"


def minutes(time: str) -> int:
    """Minutes since midnight of a time ``HH:MM``."""
    hours, _, rest = time.partition(":")
    return 60 * int(hours) + int(rest)


def _both(profile: Profile) -> tuple[list[Mark], list[Mark]]:
    return profile.marks_last_year_final, profile.marks_last_internals


def _by_subject(marks: Sequence[Mark]) -> dict[str, int]:
    return {mark.subject.casefold(): mark.mark for mark in marks}


def _mentioned(items: Sequence[str], subjects: Mapping[str, Any]) -> set[str]:
    words = " ".join(items).casefold()
    return {name for name in subjects if re.search(rf"\b{re.escape(name)}\b", words)}
