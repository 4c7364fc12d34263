"""A recipe with prompts of its own: three hints for a problem, each saying a little more."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from pydantic import BaseModel, Field

from synthtutor import Message, Sample, Session, recipe

__all__ = ["hints"]


class Hints(BaseModel):
    """Each hint says more than the one before, and none says the answer."""

    hints: list[str] = Field(min_length=3, max_length=3)


@recipe(prompts=files(__name__) / "prompts")
async def hints(session: Session, row: dict[str, Any]) -> Sample:
    """Three hints for one problem, from a nudge to nearly there."""
    made = await session.generate(Hints, "hints/hints.md.j2", problem=row["problem"])
    text = "\n".join(f"{number}. {hint}" for number, hint in enumerate(made.hints, 1))
    return Sample([Message("user", row["problem"]), Message("assistant", text)])
