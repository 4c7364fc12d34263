"""From what a judge answered to what it is worth: agreement, noise, and three kinds of bias.

An item that the judge left unanswered counts as a disagreement in every figure; figures of the
answered ones alone stand apart. Intervals resample whole groups of items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from synthtutor.calibration.agreement import (
    Counts,
    accuracy,
    agreement,
    cohen_kappa,
    pair_alpha,
)
from synthtutor.calibration.bias import (
    Place,
    Writer,
    favour,
    length,
    own_writers,
    place,
    writers,
)
from synthtutor.calibration.figures import Figure, Intervals, Judged, grouped, summed
from synthtutor.calibration.labels import Dimension, dimensions
from synthtutor.calibration.published import PUBLISHED, Published
from synthtutor.rubric import Rubric

__all__ = ["NO_ANSWER", "Agreement", "Calibration", "calibrate"]

NO_ANSWER = "(no answer)"


@dataclass(frozen=True, slots=True)
class Agreement:
    """One dimension. ``confusion`` maps people's label to the judge's labels with their counts.

    ``again`` and ``reversed`` are the shares of labels that stayed the same when the question was
    asked again, and when the statements stood in reversed order. ``length`` correlates the rank of
    a text's length with the judge's merit among texts that people labelled alike: above 0, it
    favours long ones. ``own`` is its leniency to its own texts less that to the others'.
    """

    name: str
    items: int
    answered: int
    labels: Sequence[str]
    confusion: Mapping[str, Mapping[str, int]]
    figures: Mapping[str, Figure]
    answered_only: Mapping[str, float | None]
    majority_label: str
    majority: Mapping[str, float | None]
    ordinal_alpha: float | None
    asked_again: int
    again: Figure
    again_kappa: float | None
    reversed: Figure
    length: Figure
    writers: Mapping[str, Writer]
    own: Figure
    published: Sequence[Published] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge beside people, on one file of labels.

    ``groups_all_right`` is the share of groups in which every label was right; for StepVerify, of
    the solutions whose first wrong step was found and no step before it blamed.
    """

    judge: str
    rubric: str
    items: int
    groups: int
    own_writers: Sequence[str]
    dimensions: Sequence[Agreement]
    groups_all_right: Mapping[str, Figure]
    place: Place
    failed: int = 0
    warnings: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def calibrate(
    samples: Iterable[Mapping[str, Any]],
    rubric: Rubric,
    judge: str,
    *,
    own: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Fold the samples of a calibration run.

    A sample that failed altogether has no labels to compare; such are counted in ``failed``.
    ``own`` names writers that are the judge itself; without it those whose name is part of the
    judge's (or the other way round) are taken.
    """
    every = [entry["metadata"].get("calibration") for entry in samples]
    found = [entry for entry in every if entry is not None]
    keys = ("group", "writer", "words", "human", "asks")
    asked = [Judged(**{key: entry[key] for key in keys}) for entry in found]
    named = sorted({item.writer for item in asked if item.writer})
    mine = [name for name in named if name in own] if own else own_writers(judge, named)
    sure = Intervals(resamples, seed)
    choices = [c for c in dimensions(rubric).values() if any(c.name in a.human for a in asked)]
    parts = [_dimension(choice, asked, rubric.id, mine, sure) for choice in choices]
    return Calibration(
        judge=judge,
        rubric=f"{rubric.id}@{rubric.version}",
        items=len(asked),
        groups=len({item.group for item in asked}),
        own_writers=mine,
        dimensions=parts,
        groups_all_right={choice.name: _whole_groups(choice, asked, sure) for choice in choices},
        place=place(asked, sure),
        failed=len(every) - len(found),
        warnings=_warnings(parts),
    )


# ── one dimension ────────────────────────────────────────────────────────────────────────────


def _dimension(
    choice: Dimension, asked: Sequence[Judged], pack: str, mine: Sequence[str], sure: Intervals
) -> Agreement:
    labelled = [item for item in asked if choice.name in item.human]
    people = Counter(item.human[choice.name] for item in labelled)
    labels = [*choice.labels, *sorted(people.keys() - {*choice.labels})]
    pairs = grouped(
        (item.group, (item.human[choice.name], item.said(choice) or NO_ANSWER)) for item in labelled
    )
    whole = summed(pairs)
    answered = {pair: n for pair, n in whole.items() if pair[1] != NO_ANSWER}
    majority = max(labels, key=lambda label: people[label])
    again = _same(choice, labelled, "again", sure)
    retold = [item for item in asked if "again" in item.asks]
    return Agreement(
        name=choice.name,
        items=len(labelled),
        answered=int(sum(answered.values())),
        labels=labels,
        confusion=_table(whole, labels),
        figures=sure.of(pairs, lambda counts: agreement(counts, labels)),
        answered_only=agreement(answered, labels),
        majority_label=majority,
        majority=agreement({(label, majority): n for label, n in people.items()}, labels),
        ordinal_alpha=_ordinal(choice, answered),
        asked_again=len([item for item in retold if choice.name in item.human]),
        again=again,
        again_kappa=cohen_kappa(summed(_twice(choice, labelled, "again"))),
        reversed=_same(choice, labelled, "reversed", sure),
        length=length(choice, labelled, sure),
        writers=writers(choice, labelled),
        own=favour(choice, labelled, mine, sure),
        published=PUBLISHED.get(pack, {}).get(choice.name, ()),
    )


def _twice(choice: Dimension, items: Sequence[Judged], ask: str) -> list[Counts]:
    return grouped(
        (item.group, (item.said(choice) or NO_ANSWER, item.said(choice, ask) or NO_ANSWER))
        for item in items
        if ask in item.asks and (item.said(choice) or item.said(choice, ask))
    )


def _same(choice: Dimension, items: Sequence[Judged], ask: str, sure: Intervals) -> Figure:
    pairs = _twice(choice, items, ask)
    return sure.one(pairs, accuracy)


def _ordinal(choice: Dimension, answered: Counts) -> float | None:
    if not choice.ordered or any(label not in choice.labels for pair in answered for label in pair):
        return None
    return pair_alpha(answered, "ordinal", choice.labels)


def _table(pairs: Counts, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    columns = [*labels, *sorted({judge for _, judge in pairs} - {*labels})]
    return {one: {other: int(pairs.get((one, other), 0)) for other in columns} for one in labels}


# ── all together ─────────────────────────────────────────────────────────────────────────────


def _whole_groups(choice: Dimension, asked: Sequence[Judged], sure: Intervals) -> Figure:
    right: dict[str, bool] = {}
    for item in asked:
        if choice.name in item.human:
            hit = item.said(choice) == item.human[choice.name]
            right[item.group] = right.get(item.group, True) and hit
    groups: list[Counts] = [{(True, hit): 1} for hit in right.values()]
    return sure.one(groups, accuracy)


def _warnings(parts: Sequence[Agreement]) -> list[str]:
    lines = []
    for part in parts:
        kappa, least = part.figures["kappa"], part.majority["macro_f1"]
        if part.answered < part.items:
            lines.append(f"{part.name}: {part.items - part.answered} of {part.items} not answered")
        if kappa.low is not None and kappa.low <= 0:
            lines.append(
                f"{part.name}: kappa's interval holds 0: no better than chance is possible"
            )
        score = part.figures["macro_f1"].low
        if score is not None and least is not None and score <= least:
            lines.append(f"{part.name}: macro-F1 is not surely above always saying one label")
        if part.length.low is not None and part.length.low > 0:
            lines.append(f"{part.name}: favours long texts")
        if part.own.low is not None and part.own.low > 0:
            lines.append(f"{part.name}: favours its own texts")
    return lines
