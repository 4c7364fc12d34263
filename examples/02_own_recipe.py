"""Write a recipe: two drafts at the same time, both judged, the better one returned.

python examples/02_own_recipe.py [PROVIDER/MODEL]
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from synthtutor import Message, Sample, Session, recipe, run
from synthtutor.judge import Judgement

STYLES = {"ask": "Ask one question.", "show": "Show a smaller example of the same kind."}


class Hint(BaseModel):
    """What the writer answers: a reply that does not fit this schema is sent back with the error."""

    hint: str = Field(max_length=600)
    next_step: str


@dataclass(frozen=True)
class Draft:
    """One hint with its verdict."""

    style: str
    hint: Hint
    judged: Judgement

    @property
    def rank(self) -> tuple[bool, float]:
        """Kept before not kept, then the weighted score."""
        return self.judged.score.kept, self.judged.score.weighted or 0.0


async def draft(session: Session, problem: str, style: str) -> Draft:
    """One draft. Concurrent calls each need a branch, taken inside their own task."""
    mine = session.branch(style)
    prompt = f"A student is stuck on: {problem}\nGive one hint, never the answer. {STYLES[style]}"
    hint = await mine.generate(Hint, prompt)
    judged = await mine.judge(hint.hint, mine.rubric, context=problem)
    return Draft(style, hint, judged)


@recipe(roles=("writer", "judge"), rubric="socratic-turn")
async def better_hint(session: Session, row: dict[str, Any]) -> Sample:
    """The better of two hints for a problem."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(draft(session, row["problem"], style)) for style in STYLES]
    best = max((task.result() for task in tasks), key=lambda made: made.rank)
    score = best.judged.score
    return Sample(
        messages=[Message("user", row["problem"]), Message("assistant", best.hint.hint)],
        metadata={"style": best.style, "next": best.hint.next_step, **best.judged.to_metadata()},
        outcome=score.outcome,
        reasons=score.reasons,
    )


if __name__ == "__main__":
    problems = ["1/2 + 1/3 = ?", "Is 0.355 greater than 0.8?", "What is 7 - (-2)?"]
    result = run(
        better_hint,
        models=sys.argv[1] if len(sys.argv) > 1 else "scripted/any",
        rows=[{"problem": problem} for problem in problems],
        out="runs/better-hint",
    )
    print(f"{result.summary.made} made, {result.summary.kept} kept, {result.summary.calls} calls")
    for reason, count in result.summary.reasons:
        print(f"  {count} × {reason}")
