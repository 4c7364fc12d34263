"""From levels to figures: means, the share that is good enough, and how far both may be off.

Replies to one student are not independent, so intervals resample whole students. Where all agree, resampling
finds nothing else, and 0 of 12 would be certain: there the interval is Clopper and Pearson's (1934, "The use of
confidence or fiducial limits illustrated in the case of the binomial"), each student counted once. A reply that a
system did not give has no level; it counts as not good enough. A scale that the judge left
unanswered is the judge's failure: it is counted, and left out of the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthtutor.calibration.agreement import Counts, bootstrap
from synthtutor.evaluation.conversations import Conversation
from synthtutor.evaluation.scales import Scale

__all__ = [
    "Figure",
    "ScaleFigures",
    "band",
    "broken_down",
    "ends_of_share",
    "scale_figures",
    "share",
]

_BANDS = ((2, "K–2"), (5, "3–5"), (8, "6–8"), (12, "9–12"))


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval; None where it cannot be told (fewer than five students)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True, slots=True)
class ScaleFigures:
    """One scale: the mean level of the answered ones, and the share of all that meet its bar."""

    id: str
    name: str
    lowest: int
    highest: int
    meets: int
    asked: int
    answered: int
    mean: Figure
    share: Figure
    levels: Mapping[int, int]


def scale_figures(
    scale: Scale,
    rows: Sequence[Conversation],
    levels: Mapping[str, Mapping[str, int | None]],
    *,
    resamples: int,
    seed: int,
) -> ScaleFigures:
    """The figures of one scale over the replies; ``levels`` by the reply's id, then the scale's."""
    groups: dict[str, Counter[str]] = {}
    found: Counter[int] = Counter()
    asked = 0
    for row in rows:
        counts = groups.setdefault(row.student, Counter())
        level = levels.get(row.id, {}).get(scale.id)
        if row.reply is None:
            counts["all"] += 1
            continue
        asked += 1
        if level is None:
            continue
        found[level] += 1
        counts.update({"all": 1, "n": 1, "sum": level, "met": int(level >= scale.meets)})
    ends = bootstrap(groups.values(), _figures, resamples=resamples, seed=seed)
    whole = sum(groups.values(), Counter[str]())
    values = _figures(whole)
    ends["share"] = ends_of_share(values["share"], ends["share"], sum(map(bool, groups.values())))

    def figure(name: str, n: str) -> Figure:
        low, high = ends[name] or (None, None)
        value = values[name]
        return Figure(None if value is None else round(value, 4), low, high, whole[n])

    return ScaleFigures(
        id=scale.id,
        name=scale.name,
        lowest=scale.low,
        highest=scale.high,
        meets=scale.meets,
        asked=asked,
        answered=found.total(),
        mean=figure("mean", "n"),
        share=figure("share", "all"),
        levels={level: found[level] for level in range(scale.low, scale.high + 1)},
    )


def share(rows: Sequence[tuple[str, bool]], *, resamples: int, seed: int) -> Figure:
    """The share of true among (student, …), resampled by student; of nothing it is None."""
    groups: dict[str, Counter[str]] = {}
    for student, holds in rows:
        groups.setdefault(student, Counter()).update({"all": 1, "met": int(holds)})
    found = {"share": _ratio("met", "all")}
    ends = bootstrap(
        groups.values(), lambda c: {"share": found["share"](c)}, resamples=resamples, seed=seed
    )
    value = found["share"](sum(groups.values(), Counter[str]()))
    low, high = ends_of_share(value, ends["share"], len(groups)) or (None, None)
    return Figure(None if value is None else round(value, 4), low, high, len(rows))


def ends_of_share(
    value: float | None, resampled: tuple[float, float] | None, groups: int
) -> tuple[float, float] | None:
    """The interval of a share: as resampled, but Clopper and Pearson's where all ``groups`` agree."""
    if value not in (0, 1) or resampled is None:
        return resampled
    bound = round(0.025 ** (1 / groups), 4)
    return (bound, 1.0) if value else (0.0, round(1 - bound, 4))


def broken_down(
    rows: Sequence[Conversation],
    levels: Mapping[str, Mapping[str, int | None]],
    scales: Sequence[Scale],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean levels by grade band, subject and what the student feels, where the file says so."""
    kinds: Mapping[str, Callable[[Conversation], str]] = {
        "grade": lambda row: band(row.grade),
        "subject": lambda row: row.subject,
        "feeling": lambda row: row.feeling,
    }
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, of in kinds.items():
        names = sorted({of(row) for row in rows} - {""})
        for name in names:
            chosen = [row for row in rows if of(row) == name]
            found.setdefault(kind, {})[name] = {
                "replies": len(chosen),
                "means": {scale.id: _mean(scale, chosen, levels) for scale in scales},
            }
    return found


def band(grade: int | None) -> str:
    """The grade band of a school year; empty where it is not known."""
    if grade is None:
        return ""
    return next((name for last, name in _BANDS if grade <= last), "above 12")


def _mean(
    scale: Scale,
    rows: Sequence[Conversation],
    levels: Mapping[str, Mapping[str, int | None]],
) -> float | None:
    given = [levels.get(row.id, {}).get(scale.id) for row in rows]
    known = [level for level in given if level is not None]
    return round(sum(known) / len(known), 4) if known else None


def _figures(counts: Counts) -> dict[str, float | None]:
    return {"mean": _ratio("sum", "n")(counts), "share": _ratio("met", "all")(counts)}


def _ratio(of: str, among: str) -> Callable[[Counts], float | None]:
    return lambda counts: counts.get(of, 0) / counts[among] if counts.get(among) else None
