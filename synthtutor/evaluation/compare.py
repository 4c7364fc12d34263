"""Two or three systems on the same students, as in the study that set tuning against retrieval.

The unit is the student: scores of one student's replies are averaged first, and only students whom
all systems answered are compared. Who is left out is counted and named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.evaluation.conversations import Conversation
from synthtutor.evaluation.evaluate import Judged, extras_of
from synthtutor.evaluation.statistics import (
    LEAST,
    Paired,
    TooFew,
    friedman,
    holm,
    paired,
)
from synthtutor.evaluation.verdicts import verdict
from synthtutor.sources import BadRow, read_rows

__all__ = [
    "PUBLISHED",
    "Comparison",
    "Pair",
    "Published",
    "System",
    "compare",
    "scored_file",
    "scored_replies",
]


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the study's table; None where it is not known."""

    measure: str
    first: str
    second: str
    means: tuple[float, float]
    w: float | None
    p: str
    d: float | None
    d_interval: tuple[float, float] | None


SOURCE = "personalised-education workflow report (May 2025)"
PUBLISHED = (
    Published(
        "personalization",
        "retrieval (profile in the prompt)",
        "fine-tuned",
        (7.24, 6.2),
        71.50,
        "< .001",
        -0.58,
        (-0.94, -0.28),
    ),
    Published(
        "relevance",
        "retrieval (profile in the prompt)",
        "fine-tuned",
        (8.64, 8.64),
        None,
        "",
        None,
        None,
    ),
)


@dataclass(frozen=True, slots=True)
class System:
    """A system's scores: by score, the values of each student's replies. ``left`` had no score."""

    name: str
    scores: Mapping[str, Mapping[str, Sequence[float]]]
    models: Sequence[str] = ()
    left: int = 0

    def students(self, score: str) -> set[str]:
        """The students with at least one value of this score."""
        return set(self.scores.get(score, {}))

    def mean(self, score: str, student: str) -> float:
        """The student's mean."""
        values = self.scores[score][student]
        return math.fsum(values) / len(values)


@dataclass(frozen=True, slots=True)
class Pair:
    """One score of two systems. ``p_holm`` is Wilcoxon's p, corrected for all pairs and scores.

    ``students`` are in the order of ``values``, which holds (first, second) for each.
    """

    score: str
    first: str
    second: str
    statistics: Paired
    p_holm: float | None
    verdict: str
    students: Sequence[str]
    values: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything about two systems or three. ``missing`` names the students whom some lack."""

    systems: Sequence[str]
    judge: str | None
    pairs: Sequence[Pair]
    friedman: Mapping[str, tuple[float, float] | None]
    missing: Mapping[str, Mapping[str, Sequence[str]]]
    published: Sequence[Published] = PUBLISHED
    source: str = SOURCE
    notes: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def scored_file(
    path: Path, scores: Sequence[str], *, name: str, student: str = "student"
) -> System:
    """The scores of a file, from columns of these names or from an object under ``scores``.

    Raises ConfigError naming the row for a missing student and for a score that is no number.
    """
    found: dict[str, dict[str, list[float]]] = {score: {} for score in scores}
    models: dict[str, None] = {}
    left = 0
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise ConfigError(f"{row.where}: {row.reason}")
        who = str(row.get(student) or "").strip()
        if not who:
            raise ConfigError(f"{row.where}: no {student}; name the column with --student")
        if row.get("model"):
            models[str(row["model"])] = None
        inner = row.get("scores")
        given = {**row, **inner} if isinstance(inner, Mapping) else dict(row)
        for score in scores:
            value = _value(given.get(score), row.where, score)
            if value is None:
                left += 1
            else:
                found[score].setdefault(who, []).append(value)
    for score, students in found.items():
        if not students:
            raise ConfigError(
                f"{path}: nobody has a {score}; judge the file, or name another score"
            )
    return System(name, found, tuple(models), left)


def scored_replies(
    path: Path, rows: Sequence[Conversation], judged: Judged, scores: Sequence[str], *, name: str
) -> System:
    """The scores of replies as a judge gave them. A reply that is missing has none.

    Raises ConfigError for a score that no scale of the packs is called.
    """
    known = [scale.id for pack in judged.packs for scale in pack.scales]
    found: dict[str, dict[str, list[float]]] = {}
    left = 0
    for score in scores:
        if score not in known:
            raise ConfigError(f"--score {score}: the packs have {', '.join(known)}")
        students = found.setdefault(score, {})
        for row in rows:
            level = judged.levels.get(row.id, {}).get(score)
            if level is None:
                left += 1
            else:
                students.setdefault(row.student, []).append(level)
        if not students:
            raise ConfigError(f"{path}: the judge gave nobody a {score}")
    return System(name, found, tuple(extras_of(path).models), left)


def compare(
    systems: Sequence[System],
    scores: Sequence[str],
    *,
    judge: str | None = None,
    resamples: int = 5000,
    seed: int = 0,
) -> Comparison:
    """Compare each pair of systems on each score. Raises TooFew, ConfigError without scipy."""
    if len({system.name for system in systems}) < len(systems):
        raise ConfigError("two systems have one name: name them with --name")
    found: dict[tuple[str, str, str], tuple[Paired, list[str], list[tuple[float, float]]]] = {}
    tested: dict[str, tuple[float, float] | None] = {}
    for score in scores:
        common = sorted(set.intersection(*(system.students(score) for system in systems)))
        if len(common) < LEAST:
            raise TooFew(
                f"{score}: {len(common)} students are in all of "
                f"{', '.join(system.name for system in systems)}; at least {LEAST} are needed"
            )
        table = [[system.mean(score, who) for who in common] for system in systems]
        if len(systems) > 2:
            tested[score] = friedman(table)
        for (one, first), (two, second) in combinations(zip(systems, table, strict=True), 2):
            figures = paired(first, second, resamples=resamples, seed=seed)
            values = list(zip(first, second, strict=True))
            found[score, one.name, two.name] = figures, common, values
    corrected = holm({key: figures.wilcoxon.p for key, (figures, _, _) in found.items()})
    return Comparison(
        systems=[system.name for system in systems],
        judge=judge,
        pairs=[
            Pair(
                *(*key, figures, corrected[key]),
                verdict(*key, figures, corrected[key], tests=len(found)),
                *(students, values),
            )
            for key, (figures, students, values) in found.items()
        ],
        friedman=tested,
        missing=_missing(systems, scores),
        notes=_notes(systems, judge, len(found)),
    )


def _missing(
    systems: Sequence[System], scores: Sequence[str]
) -> dict[str, dict[str, Sequence[str]]]:
    found: dict[str, dict[str, Sequence[str]]] = {}
    for score in scores:
        every = set.union(*(system.students(score) for system in systems))
        lacking = {s.name: sorted(every - s.students(score)) for s in systems}
        found[score] = {name: students for name, students in lacking.items() if students}
    return found


def _notes(systems: Sequence[System], judge: str | None, tests: int) -> list[str]:
    notes = []
    wrote = [system.name for system in systems if judge in system.models]
    if wrote:
        notes.append(
            f"the judge {judge} is also the model of {', '.join(wrote)}: it may favour its own"
        )
    if judge is None:
        notes.append("the scores are as the files have them: who gave them is not known here")
    left = {system.name: system.left for system in systems if system.left}
    notes += [f"{name}: {n} replies have no score and are left out" for name, n in left.items()]
    if tests > 1:
        notes.append(
            f"{tests} tests were made: verdicts go by p-values corrected for that (Holm); "
            "the tables have both"
        )
    return notes


def _value(value: object, where: str, score: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan  # type: ignore[arg-type]  # tried
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{where}: {score}: {value!r} is no number")
    return number
