"""From the traits of a summary to its label, 0 to 5, and back to what a writer is asked for.

One point for each trait: the main point is there, the key facts are there, nothing in it is untrue
of the article, it is in the student's own words, it can be followed. Content goes before form, so
the sum is capped: at 3 where something is untrue, at 2 without the main point, at 1 without main
point and key facts; and what is about another topic has 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from types import MappingProxyType

from synthtutor.criteria import Verdict
from synthtutor.errors import ConfigError
from synthtutor.quality.shingles import shingles, tokens
from synthtutor.rubric import Rubric

__all__ = [
    "CLEAR",
    "COPIED_WORDS",
    "FACTS",
    "FAITHFUL",
    "LACKS",
    "LEVELS",
    "MAIN_POINT",
    "ON_TOPIC",
    "OWN_WORDS",
    "check_tags",
    "copies",
    "label_of",
    "profiles",
    "traits_of",
]

LEVELS = (0, 1, 2, 3, 4, 5)
COPIED_WORDS = 10  # in a row: what nobody writes alike by chance
MAIN_POINT, FACTS, FAITHFUL = "main-point", "key-facts", "faithful"
OWN_WORDS, CLEAR, ON_TOPIC = "own-words", "clear", "on-topic"
_JUDGED = (MAIN_POINT, FACTS, FAITHFUL, CLEAR, ON_TOPIC)
_POINTS = (MAIN_POINT, FACTS, FAITHFUL, OWN_WORDS, CLEAR)
_MOST_LACKING = 3  # more at once is a caricature

LACKS: Mapping[str, str] = MappingProxyType(
    {
        MAIN_POINT: "it does not state the article's main point and dwells on a side issue instead",
        FACTS: "facts that support the main point are missing; at most one is given",
        FAITHFUL: "one statement is untrue to the article: mixed up, exaggerated or made up",
        OWN_WORDS: "at least one whole sentence is copied from the article word for word",
        CLEAR: "a sentence is so garbled, or so out of order, that readers stumble over it",
        ON_TOPIC: "it is about something other than the article, set off by a single word in it",
    }
)


def label_of(has: Mapping[str, bool]) -> int:
    """The label of a summary by its six traits."""
    if not has[ON_TOPIC]:
        return 0
    cap = 5 if has[FAITHFUL] else 3
    if not has[MAIN_POINT]:
        cap = min(cap, 2 if has[FACTS] else 1)
    return min(cap, sum(has[name] for name in _POINTS))


def profiles(level: int) -> list[tuple[str, ...]]:
    """The sets of lacking traits that make this label, those with few of them first."""
    if level == 0:
        return [(ON_TOPIC,)]
    sets = (lacks for size in range(_MOST_LACKING + 1) for lacks in combinations(_POINTS, size))
    found = [
        lacks
        for lacks in sets
        if label_of({name: name not in lacks for name in (*_POINTS, ON_TOPIC)}) == level
    ]
    fewest = min(map(len, found))
    return [lacks for lacks in found if len(lacks) <= fewest + 1]


def check_tags(rubric: Rubric) -> None:
    """Raise ConfigError where the rubric has no criterion for one of the traits that are judged."""
    lacking = [name for name in _JUDGED if not _ids(rubric, name)]
    if lacking:
        raise ConfigError(
            f"rubric {rubric.id} cannot grade summaries: no criterion has the tag "
            f"{', '.join(f'trait:{name}' for name in lacking)}; see essay-summary"
        )


def traits_of(
    rubric: Rubric, verdicts: Mapping[str, Verdict], *, own_words: bool
) -> dict[str, bool | None]:
    """Which traits there are; None for one of which the judge left something open.

    A trait is there where all its criteria pass. ``own_words`` is counted, not judged.
    """
    found: dict[str, bool | None] = {OWN_WORDS: own_words}
    for name in _JUDGED:
        passed = [verdicts[each].passed(rubric.criterion(each)) for each in _ids(rubric, name)]
        found[name] = False if False in passed else None if None in passed else True
    return found


def copies(text: str, article: str) -> bool:
    """Whether ten words in a row are the article's."""
    runs = set(shingles(tokens(article), COPIED_WORDS))
    return any(run in runs for run in shingles(tokens(text), COPIED_WORDS))


def _ids(rubric: Rubric, trait: str) -> Iterable[str]:
    return [c.id for c in rubric.criteria if f"trait:{trait}" in c.tags]
