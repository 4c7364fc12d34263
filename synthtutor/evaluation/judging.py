"""The recipe ``graded``: a judge gives each reply of a file a level on every scale of its packs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synthtutor.errors import ConfigError, InvalidOutput, Rejected
from synthtutor.evaluation.conversations import Conversation, replies
from synthtutor.evaluation.scales import GradedPack, Scale, answer_form, levels_of, load_graded
from synthtutor.messages import Settings
from synthtutor.outputs import finished
from synthtutor.reading import Reading
from synthtutor.recipes.recipe import Recipe, RowOptions, Rows
from synthtutor.session import Session
from synthtutor.sources import BadRow
from synthtutor.structured import mended
from synthtutor.tutoring import Sample

__all__ = ["GRADED", "chosen_packs", "graded", "graded_replies", "rows"]

DEFAULT_PACKS = ("tutor-evaluation", "personalization")
NOT_FOR_TRAINING = "a judged reply: for evaluation, not for training"


def chosen_packs(names: str | None) -> list[GradedPack]:
    """The packs of a list with commas between; all that come with synthtutor where there is none.

    Raises RubricError for one that there is not, ConfigError where two have the same scale.
    """
    wanted = [name.strip() for name in (names or ",".join(DEFAULT_PACKS)).split(",")]
    packs = [load_graded(name) for name in wanted if name]
    ids = [scale.id for pack in packs for scale in pack.scales]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise ConfigError(f"two packs have the scale {twice[0]}: choose one of them")
    return packs


def rows(options: RowOptions) -> Rows[Conversation]:
    """The replies of the run's file that there are. Raises ConfigError where it has none."""
    if options.path is None:
        raise ConfigError("which replies? give a file of them")
    chosen_packs(options.options.get("packs"))
    return Rows(_given(replies(options.path)))


def _given(found: Iterator[Conversation | BadRow]) -> Iterator[Conversation | BadRow]:
    """Without the replies that a system did not give: there is nothing to judge."""
    return (row for row in found if isinstance(row, BadRow) or row.reply is not None)


async def graded(session: Session, row: Conversation) -> Sample:
    """One question for each pack, or one for each scale where ``apart`` is asked for."""
    levels: dict[str, int | None] = {}
    reasons: dict[str, str] = {}
    packs = chosen_packs(session.option("packs"))
    for pack in packs:
        for scales in _questions(pack, apart=session.option("mode") == "apart"):
            said = await _said(session, row, scales)
            levels |= levels_of(scales, said)
            reasons |= {scale.id: _reason(said.get(scale.id)) for scale in scales}
    found = {"id": row.id, "student": row.student, "levels": levels, "reasons": reasons}
    answered = None not in levels.values()
    return Sample(
        messages=[],
        metadata={"graded": found, "rubric": ", ".join(pack.label for pack in packs)},
        outcome="rejected" if answered else "undetermined",
        reasons=[NOT_FOR_TRAINING] if answered else ["a scale was left without a level"],
    )


def graded_replies(reading: Reading) -> Iterator[dict[str, Any]]:
    """What the judge gave, in the order of the replies: ``id``, ``student``, ``levels``, ``reasons``."""
    for entry in finished(reading, ("rejected", "undetermined")):
        if found := entry["metadata"].get("graded"):
            yield found


def _questions(pack: GradedPack, *, apart: bool) -> Sequence[tuple[Scale, ...]]:
    return [(scale,) for scale in pack.scales] if apart else [pack.scales]


async def _said(
    session: Session, row: Conversation, scales: tuple[Scale, ...]
) -> Mapping[str, Any]:
    """The judge's answer; what can be read of an incomplete one, nothing where it declines."""
    form = answer_form(tuple((scale.id, scale.low, scale.high) for scale in scales))
    try:
        found = await session.generate(
            form,
            "evaluation/levels.md.j2",
            role="judge",
            settings=Settings(max_tokens=2048),
            scales=scales,
            grade=row.grade,
            subject=row.subject,
            feeling=row.feeling,
            profile=row.profile,
            problem=row.problem,
            answer=row.answer,
            transcript=row.transcript,
            reply=row.reply,
        )
    except InvalidOutput as error:
        value = mended(error.text) if error.kind != "refused" else None
        return value if isinstance(value, dict) else {}
    except Rejected as error:
        if error.reason == "model":  # it would decline every reply
            raise
        return {}
    return found.model_dump()


def _reason(said: object) -> str:
    return str(said.get("reason", ""))[:300] if isinstance(said, Mapping) else ""


GRADED: Recipe[Conversation] = Recipe(
    name="graded",
    function=graded,
    rows=rows,
    summary="A judge gives each reply of a file a level on every scale; nothing is made.",
    roles=("judge",),
    output_tokens={"evaluation/levels.md.j2": 320},
    options={
        "packs": f"graded packs, with commas between [{','.join(DEFAULT_PACKS)}]",
        "mode": "together (all scales of a pack in one question) or apart [together]",
    },
)
