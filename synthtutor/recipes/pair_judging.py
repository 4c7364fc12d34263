"""What pairs are made of: replies with their verdicts, and the judge's word on which is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, StringConstraints

from synthtutor.errors import InvalidOutput
from synthtutor.judge import Judgement
from synthtutor.messages import Settings
from synthtutor.recipes.degradations import Side
from synthtutor.recipes.pair_contexts import Context
from synthtutor.recipes.pair_terms import Terms
from synthtutor.session import Session
from synthtutor.tutoring import Outcome

__all__ = ["Better", "Judged", "Pair", "Scene", "compared", "difference", "margin_of"]

Votes = Literal["chosen", "rejected", "tie"]


class Better(BaseModel):
    """Which of two replies is better, and what decides."""

    because: Annotated[str, StringConstraints(max_length=300)]
    better: Literal["A", "B", "tie"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A reply and what the judge said of it."""

    text: str
    verdict: Judgement

    def passed(self, name: str) -> bool | None:
        """Whether it meets the criterion; None where that was not answered."""
        rubric = self.verdict.rubric
        return self.verdict.verdicts[name].passed(rubric.criterion(name))

    @property
    def weighted(self) -> float | None:
        """The rubric's score, 0-1; None where nothing wanted was answered."""
        return self.verdict.score.weighted


@dataclass(frozen=True, slots=True)
class Scene:
    """What all calls for one pair share."""

    session: Session
    row: Context
    terms: Terms
    told: str
    side: Side | None


@dataclass(frozen=True, slots=True)
class Pair:
    """What came of it. Without a rejected reply, or a verdict, there is no pair."""

    chosen: str
    rejected: str = ""
    verdicts: tuple[Judgement, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "kept"
    reasons: Sequence[str] = ()


def margin_of(chosen: Judged, rejected: Judged) -> float | None:
    """By how much the chosen reply scores higher; None where either has no score."""
    if chosen.weighted is None or rejected.weighted is None:
        return None
    return round(chosen.weighted - rejected.weighted, 9)


def difference(chosen: Judged, rejected: Judged) -> dict[str, Any]:
    """The margin, and the criteria that the chosen reply meets and the rejected one does not."""
    names = [criterion.id for criterion in chosen.verdict.rubric.criteria]
    broken = [n for n in names if chosen.passed(n) is True and rejected.passed(n) is False]
    margin = margin_of(chosen, rejected)
    return {"margin": None if margin is None else round(margin, 4), "broken": broken}


async def compared(scene: Scene, pair: Pair) -> Pair:
    """Ask which is better, the chosen reply first and then second, where the run asks for it."""
    if not scene.terms.compared:
        return pair
    try:
        first = await _vote(scene, pair.chosen, pair.rejected, ("chosen", "rejected"))
        second = await _vote(scene, pair.rejected, pair.chosen, ("rejected", "chosen"))
    except InvalidOutput:
        reason = "the comparison was not answered"
        return replace(pair, outcome="undetermined", reasons=[reason])
    places = {("chosen", "rejected"): "first", ("rejected", "chosen"): "second"}
    bias = places.get((first, second))
    votes = {"chosen_first": first, "chosen_second": second, "order_bias": bias}
    pair = replace(pair, about={**pair.about, "comparison": votes})
    if first == second == "chosen":
        return pair
    if first == second == "rejected":
        reason = "the comparison prefers the rejected reply"
    elif bias is not None:
        reason = "tie: the comparison depends on the order"
    else:
        reason = "tie: the comparison sees no clear difference"
    return replace(pair, outcome="rejected", reasons=[reason])


async def _vote(scene: Scene, a: str, b: str, names: tuple[Votes, Votes]) -> Votes:
    found = await scene.session.generate(
        Better,
        "preference/compare.md.j2",
        role="judge",
        settings=Settings(max_tokens=400),
        conversation=scene.told,
        a=a,
        b=b,
    )
    return dict(zip(("A", "B"), names, strict=True)).get(found.better, "tie")
