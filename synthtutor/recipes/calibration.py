"""The recipe ``calibration``: a judge is asked about texts that people have labelled.

A run of it is a run like any other: journaled, resumed, metered, estimated. Its samples are no
training data, so none is ever kept: labelled test sets must not end in a fine-tuning file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthtutor.calibration.datasets import COLUMNS, Item, items
from synthtutor.calibration.labels import Dimension, dimensions
from synthtutor.criteria import Criterion
from synthtutor.errors import ConfigError, Rejected
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.rubric import Rubric
from synthtutor.session import Session
from synthtutor.tutoring import Sample

__all__ = ["CALIBRATION", "calibration", "rows"]

NOT_FOR_TRAINING = "labelled by people: for calibration, not for training"
_AGAIN = 0.3


def rows(options: RowOptions) -> Rows[Item]:
    """The items of the run's file of labels. Raises ConfigError where it has none."""
    if options.path is None:
        raise ConfigError("whose labels? give a file of them with --rows FILE")
    _share(options.options.get("again"))
    columns = {name: value for name, value in options.options.items() if name in COLUMNS}
    return Rows(items(options.path, columns))


async def calibration(session: Session, item: Item) -> Sample:
    """Ask the judge; and of a share of the items twice more, the same and with the statements reversed.

    The second question is the first word for word, so it differs only in the seed that the call is
    sent with (or, where a provider takes none, in the provider's own chance).
    """
    rubric = session.rubric
    asked = _chosen(rubric, session.option("dimensions"))
    together = session.option("mode") != "apart"
    asks = [await _asked(session, rubric, item, asked, together, reverse=False)]
    if session.random.random() < _share(session.option("again")):
        asks.append(await _asked(session, rubric, item, asked, together, reverse=False))
        if any(len(part) > 1 for part in _questions(asked, together)):
            asks.append(await _asked(session, rubric, item, asked, together, reverse=True))
    found = {
        "id": item.id,
        "group": item.group,
        "writer": item.writer,
        "words": len(item.text.split()),
        "human": {c.name: c.human(item.labels[c.name]) for c in asked if c.name in item.labels},
        "asks": dict(zip(("first", "again", "reversed"), asks, strict=False)),
    }
    answered = None not in asks[0]["observed"].values()
    return Sample(
        messages=[],
        metadata={"calibration": found, "rubric": f"{rubric.id}@{rubric.version}"},
        outcome="rejected" if answered else "undetermined",
        reasons=[NOT_FOR_TRAINING] if answered else ["a statement was left without an answer"],
    )


def _chosen(rubric: Rubric, only: str | None) -> list[Dimension]:
    """The choices that are asked about, of every item the same.

    Which of them people have labelled must not show in the question: only the wrong steps of a
    solution have a kind of error, and a judge that is asked for the kind knows that there is one.
    """
    known = dimensions(rubric)
    wanted = [name.strip() for name in only.split(",")] if only else list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(
            f"rubric {rubric.id} has no dimension {unknown[0]!r}; there are {', '.join(known)}"
        )
    return [known[name] for name in wanted]


def _questions(choices: list[Dimension], together: bool) -> list[list[Criterion]]:
    """The statements of each question: all of them in one, or a question for each choice."""
    apart = [list(choice.criteria) for choice in choices]
    return [[criterion for part in apart for criterion in part]] if together else apart


async def _asked(
    session: Session,
    rubric: Rubric,
    item: Item,
    choices: list[Dimension],
    together: bool,
    *,
    reverse: bool,
) -> dict[str, Mapping[str, Any]]:
    """What the judge observed of each statement, and its place in the list: 0 first, 1 last."""
    observed: dict[str, bool | None] = {}
    place: dict[str, float] = {}
    for criteria in _questions(choices, together):
        if reverse:
            criteria.reverse()
        asked = rubric.model_copy(update={"criteria": tuple(criteria), "controls": ()})
        said = await _observed(session, asked, item)
        for number, criterion in enumerate(criteria):
            observed[criterion.id] = said.get(criterion.id)
            place[criterion.id] = number / max(1, len(criteria) - 1)
    return {"observed": observed, "place": place}


async def _observed(session: Session, asked: Rubric, item: Item) -> dict[str, bool | None]:
    """What the judge observed; nothing where its endpoint declines this one question."""
    try:
        judged = await session.judge(item.text, asked, context=item.context)
    except Rejected as error:
        if error.reason == "model":  # it would decline every question
            raise
        return {}
    return {name: verdict.observed for name, verdict in judged.verdicts.items()}


def _share(text: str | None) -> float:
    try:
        share = _AGAIN if text is None else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError(f"option again={text}: write a share of the items, from 0 to 1")
    return share


CALIBRATION: Recipe[Item] = Recipe(
    name="calibration",
    function=calibration,
    rows=rows,
    summary="A judge is asked about texts that people have labelled; nothing is made.",
    roles=("judge",),
    options={
        **COLUMNS,
        "mode": "together (all statements in one question) or apart (a question a dimension)",
        "dimensions": "only these, with commas between",
        "again": f"share of the items asked three times, for the judge's own noise [{_AGAIN}]",
    },
)
