"""What an answer about a student is checked for without a model: ids, names, numbers and times.

A number or a time must be in the profile, or follow from it (a difference between a subject's two
marks, a mean, the length of the study routine). Another student's id, name or own phrase must not
be there. Numbers up to twelve in words ("one of her hobbies") are not looked at, and neither is
anything that takes understanding: that is the judge's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean
from typing import Any

from synthtutor.quality.prose import UNSPACED

__all__ = ["Facts", "Roster", "answer_faults", "question_faults"]

_TIME = re.compile(
    r"\b(\d{1,2})(?::(\d{2}))?\s*([ap])\.?m\b\.?|\b(\d{1,2}):(\d{2})\b", re.IGNORECASE
)
_NUMBER = re.compile(
    rf"(?<![^\W{UNSPACED}])(?<!\.)\d+(?:\.\d+)?(?=%|st\b|nd\b|rd\b|th\b|\b|[{UNSPACED}])"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ANY_ID = re.compile(r"\bID\s+([\w-]+)", re.IGNORECASE)
_ID = re.compile(r"\bstudent with ID\s+([\w-]+)", re.IGNORECASE)
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_IN_WORDS = {
    **{word: number for number, word in enumerate(_TEENS, 13)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
}
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# First names that are words too: alone they say nothing.
_WORDS_TOO = frozenset(
    [
        *(
            "april",
            "art",
            "august",
            "bill",
            "dawn",
            "faith",
            "grace",
            "hope",
            "iris",
            "ivy",
            "jack",
        ),
        *("jade", "jasmine", "joy", "june", "lily", "mark", "may", "olive", "pearl", "ray", "rich"),
        *("rose", "ruby", "summer", "sunny", "will", "kiran", "guy", "frank", "drew", "chase"),
    ]
)
# A question of this kind is answered only by an answer that holds the field's value.
_CLOSED: Mapping[str, re.Pattern[str]] = {
    "name": re.compile(
        r"\bwhat(?: is|'s)\b.{0,60}\b(?:full |first )?name\b|\bname of the student\b", re.IGNORECASE
    ),
    "age": re.compile(r"\bhow old\b|\bwhat age\b|\bwhat is the age\b", re.IGNORECASE),
    "class_level": re.compile(r"\b(?:which|what) (?:class|grade)\b", re.IGNORECASE),
    "syllabus": re.compile(r"\b(?:which|what) (?:syllabus|board|curriculum)\b", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """A profile as it is checked against. ``times`` are minutes since midnight."""

    id: str
    fields: Mapping[str, Any]
    text: str
    numbers: frozenset[float]
    times: frozenset[int]
    marks: Mapping[str, frozenset[float]]

    @classmethod
    def of(cls, student: str, fields: Mapping[str, Any]) -> Facts:
        """The facts of one profile, whatever its schema."""
        leaves = list(_leaves(fields))
        text = " ".join(str(leaf) for leaf in leaves).casefold()
        marks = _marks(fields)
        numbers = {float(leaf) for leaf in leaves if isinstance(leaf, int | float)}
        numbers |= {number for leaf in leaves for number in _numbers(str(leaf))[0]}
        times = {time for leaf in leaves for time in _numbers(str(leaf))[1]}
        derived = {*_of_marks(marks), *_of_times(times), 100.0}
        return cls(
            student,
            fields,
            text,
            frozenset(numbers | derived),
            frozenset(times),
            {name: frozenset(values.values()) for name, values in marks.items()},
        )


@dataclass(slots=True)
class Roster:
    """All students of a file: whose id, name and phrase is whose. About 1 KB a student."""

    ids: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)
    _phrases: dict[str, str] = field(default_factory=dict)

    def add(self, student: str, fields: Mapping[str, Any]) -> None:
        """Know one more student."""
        self.ids.add(student)
        name = str(fields.get("name") or "").casefold().strip()
        if name:
            self.names.setdefault(name, student)
            self._first.setdefault(name.split()[0], student)
        for value in fields.values():
            for item in value if isinstance(value, list) else ():
                if isinstance(item, str) and 2 <= len(_WORD.findall(item)) <= 4:
                    key = _phrase(item)
                    # What two students share is nobody's own.
                    self._phrases[key] = "" if key in self._phrases else student

    def strangers(self, text: str, own: Facts) -> Iterator[str]:
        """What the text says that belongs to another student."""
        told = {word for word in re.findall(r"[\w-]+", text) if not word.isdigit()}
        for word in sorted((told | set(_ANY_ID.findall(text))) & self.ids - {own.id}):
            yield f"names the student {word}"
        own_words = _WORDS_TOO.union(_WORD.findall(own.text))
        for word in _WORD.findall(text):
            lower = word.casefold().removesuffix("'s").removesuffix("’s")
            if word[0].isupper() and lower in self._first and lower not in own_words:
                yield f"names {word}, who is the student {self._first[lower]}"
        words = _phrase(text).split()
        for size in (2, 3, 4):
            for start in range(len(words) - size + 1):
                phrase = " ".join(words[start : start + size])
                other = self._phrases.get(phrase)
                if other and other != own.id and phrase not in _phrase(own.text):
                    yield f"says {phrase!r}, which only the student {other} has"


def question_faults(question: str, own: Facts) -> list[str]:
    """A question must name its student, and no other, as "student with ID <id>"."""
    named = _ID.findall(question)
    if own.id not in named:
        return [f'the question must contain "student with ID {own.id}"']
    return [f"the question names the student {other}" for other in named if other != own.id]


def answer_faults(
    question: str, answer: str, own: Facts, roster: Roster | None = None
) -> list[str]:
    """What can be shown to be wrong in an answer; each fault once, in words for the writer."""
    faults = [*_closed(question, answer, own), *_unknown_numbers(answer, own)]
    faults += _wrong_marks(question, answer, own)
    if roster is not None:
        faults += roster.strangers(answer, own)
    return list(dict.fromkeys(faults))


def _closed(question: str, answer: str, own: Facts) -> Iterator[str]:
    for name, pattern in _CLOSED.items():
        value = own.fields.get(name)
        if value in (None, "") or not pattern.search(question):
            continue
        if isinstance(value, int):
            fits = float(value) in _numbers(answer)[0] or _in_words(value, answer)
        else:
            told = answer.casefold()
            fits = any(word in told for word in str(value).casefold().split())
        if not fits:
            yield f"asked for {name.replace('_', ' ')}, which the answer does not give"


def _unknown_numbers(answer: str, own: Facts) -> Iterator[str]:
    numbers, times = _numbers(re.sub(rf"\bID\s+{re.escape(own.id)}\b", " ", answer))
    for number in sorted(numbers - own.numbers):
        yield f"says {number:g}, which is not in the profile"
    for time in sorted(times - own.times):
        yield f"says {time // 60:02}:{time % 60:02}, which is not in the profile"


def _wrong_marks(question: str, answer: str, own: Facts) -> Iterator[str]:
    """A sentence about one subject that gives another subject's mark."""
    every = frozenset(value for values in own.marks.values() for value in values)
    asked = _subjects(question, own)
    for sentence in _SENTENCE.split(answer):
        named = _subjects(sentence, own) or asked
        if len(named) != 1:
            continue
        (subject,) = named
        elsewhere = {float(v) for v in own.fields.values() if isinstance(v, int)}
        right = own.marks[subject] | elsewhere | _differences(own.marks[subject])
        for number in sorted((_numbers(sentence)[0] & every) - right):
            yield f"says {number:g} for {subject}, which is another subject's mark"


def _subjects(text: str, own: Facts) -> set[str]:
    lower = text.casefold()
    return {name for name in own.marks if re.search(rf"\b{re.escape(name)}\b", lower)}


def _numbers(text: str) -> tuple[set[float], set[int]]:
    """The numbers of a text, and apart from them its times as minutes since midnight."""
    times: set[int] = set()

    def keep(match: re.Match[str]) -> str:
        hour, minute, half, plain_hour, plain_minute = match.groups()
        if half:
            times.add((int(hour) % 12 + 12 * (half in "pP")) * 60 + int(minute or 0))
        else:
            times.add(int(plain_hour) * 60 + int(plain_minute))
        return " "

    rest = _TIME.sub(keep, text)
    found = {float(number) for number in _NUMBER.findall(rest)}
    words = [word for part in _WORD.findall(rest.casefold()) for word in part.split("-")]
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in _IN_WORDS:
            tens = _IN_WORDS[word]
            ones = _ONES.index(following) + 1 if tens >= 20 and following in _ONES else 0
            found.add(float(tens + ones))
    return found, times


def _in_words(number: int, text: str) -> bool:
    names = (*_ONES, "ten", "eleven", "twelve")
    ordinals = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
    if not 1 <= number <= len(names):
        return False
    words = set(_WORD.findall(text.casefold()))
    return bool(words & {names[number - 1], ordinals.split()[number - 1]})


def _marks(fields: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By subject, the marks under each field: lists of ``{"subject", "mark"}``, or mappings."""
    found: dict[str, dict[str, float]] = {}
    for name, value in fields.items():
        pairs: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, list):
            pairs = [(m.get("subject"), m.get("mark")) for m in value if isinstance(m, dict)]
        elif isinstance(value, dict) and "mark" in name:
            pairs = value.items()
        for subject, mark in pairs:
            if isinstance(subject, str) and isinstance(mark, int | float):
                found.setdefault(subject.casefold(), {})[name] = float(mark)
    return found


def _of_marks(marks: Mapping[str, Mapping[str, float]]) -> Iterator[float]:
    """What is often said of marks without standing there: differences, means, how many there are."""
    yield float(len(marks))
    for values in marks.values():
        yield from _differences(values.values())
    for name in {name for values in marks.values() for name in values}:
        column = [values[name] for values in marks.values() if name in values]
        yield max(column) - min(column)
        yield from (fmean(column), round(fmean(column)), round(fmean(column), 1))
        yield round(fmean(column), 2)


def _differences(values: Iterable[float]) -> frozenset[float]:
    return frozenset(abs(one - other) for one, other in combinations(values, 2))


def _of_times(times: Iterable[int]) -> Iterator[float]:
    for one, other in combinations(sorted(times), 2):
        length = other - one
        yield from (float(length), length / 60, float(length // 60), float(length % 60))


def _leaves(value: object) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield name if not str(name).islower() else ""
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _phrase(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
