"""A judge behind the leak detector, for the turns of which the detector is not sure.

Code decides most turns and costs nothing. Where only weak signs decided (what the student found
comes up again, and may or may not be the answer now) the judge is asked one thing; where it does
not answer, the detector's word stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from synthtutor.messages import Settings
from synthtutor.quality.leaks import Leak
from synthtutor.recipes.problems import Problem, Turn
from synthtutor.rubric import Rubric, load_rubric
from synthtutor.session import Session

__all__ = ["CRITERION", "given_away"]

CRITERION = "st.reveals-answer"
_PACK = "socratic-turn"


async def given_away(
    session: Session, text: str, leak: Leak, problem: Problem, said: Sequence[Turn]
) -> bool:
    """Whether the turn gives the answer away, as the judge sees it; ``leak`` where it is silent."""
    context = session.render("dialogue/doubtful.md.j2", problem=problem, said=said)[0].content
    settings = Settings(max_tokens=512)
    judged = await session.judge(text, _rubric(), context=context, settings=settings)
    observed = judged.verdicts[CRITERION].observed
    return leak.found if observed is None else observed


@lru_cache(maxsize=1)
def _rubric() -> Rubric:
    pack = load_rubric(_PACK)
    return pack.model_copy(update={"criteria": (pack.criterion(CRITERION),), "controls": ()})
