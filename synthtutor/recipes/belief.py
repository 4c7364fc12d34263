"""What is believed of a student at one moment of a dialogue, and on what evidence.

A belief may rest on what was said so far and on nothing later. Prompts show no more than that; but
a model may know a published dialogue by heart. So each reply is held against the turns: a quote
must stand, word for word, in the student's turn that it names, that turn must have been said, and
no run of words may come from a turn that nobody has spoken yet. What fails is asked again.

The turns come to the check through a context variable, because a reply is validated inside the
session, which knows types and no dialogues.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from synthtutor.quality.prose import UNSPACED
from synthtutor.recipes.problems import Turn

__all__ = ["Belief", "Evidence", "Moment", "Suspicion", "Update", "watching"]

RUN = 6  # so many words in a row are not said twice by chance
_SPACED = re.compile(rf"[^\W{UNSPACED}]")
_UNSPACED = re.compile(f"[{UNSPACED}]")
_CLAUSE = re.compile(f"[{UNSPACED}]+")
_SAME = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"})


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in a dialogue: what was said so far, since the last belief, and what comes later.

    ``turn`` is the number of the last turn said; ``since`` that of the first which the belief
    before has not seen. ``known`` are the other texts that the prompt shows.
    """

    said: Sequence[Turn]
    since: int
    later: Sequence[Turn]
    known: str

    @classmethod
    def after(cls, turn: int, dialogue: Sequence[Turn], since: int, known: str) -> Self:
        """The moment after the turn of that number."""
        return cls(dialogue[: turn + 1], since, dialogue[turn + 1 :], known)

    @property
    def turn(self) -> int:
        """The last turn's number."""
        return len(self.said) - 1

    def fault(self, evidence: Evidence) -> str | None:
        """What is wrong with a piece of evidence, in words that hold nothing of a later turn."""
        if not 0 <= evidence.turn <= self.turn:
            return f"it names turn {evidence.turn}, and only turns 0 to {self.turn} have been said"
        turn = self.said[evidence.turn]
        if turn.speaker != "student":
            return f"turn {evidence.turn} is the tutor's; quote the student"
        quote, text = _plain(evidence.quote), _plain(turn.text)
        if not quote or not _stands(quote, text):
            return f"its quote does not occur in turn {evidence.turn}; copy the student's words"
        if quote != text and _length(quote) < 2:
            return "its quote is a single word; quote enough to show something"
        return None

    def foresees(self, text: str) -> bool:
        """Whether the text uses a run of words that only a later turn has."""
        ahead = {run for turn in self.later for run in _runs(turn.text)}
        if not ahead:
            return False
        here = {run for turn in self.said for run in _runs(turn.text)} | _runs(self.known)
        return bool(_runs(text) & ahead - here)


_watched: ContextVar[Moment | None] = ContextVar("watched", default=None)


@contextmanager
def watching(moment: Moment) -> Iterator[None]:
    """Hold the beliefs that are validated inside against this moment."""
    token = _watched.set(moment)
    try:
        yield
    finally:
        _watched.reset(token)


def _text(most: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=most)


class Evidence(BaseModel):
    """Words of the student."""

    turn: Annotated[int, Field(ge=0, description="the number of a turn of the student")]
    quote: Annotated[str, _text(300), Field(description="words copied from that turn")]


class Suspicion(BaseModel):
    """A misconception that the student may hold now."""

    misconception: Annotated[
        str, _text(200), Field(description="the rule the student seems to follow, as one statement")
    ]
    probability: Annotated[float, Field(ge=0, le=1)]
    evidence: Annotated[list[Evidence], Field(min_length=1, max_length=3)]


class Belief(BaseModel):
    """A belief state. No misconceptions means that none is suspected any more."""

    evidence: Annotated[
        list[Evidence],
        Field(min_length=1, max_length=3, description="what in the newest turns it rests on"),
    ]
    last_correct_step: Annotated[
        str, _text(200), Field(description="the last sound step of the student, or none")
    ]
    misconceptions: Annotated[list[Suspicion], Field(max_length=3)]
    affect: Literal["confident", "unsure", "frustrated", "engaged", "unclear"]
    next_move: Annotated[
        str, _text(200), Field(description="what the tutor should find out or ask for next")
    ]

    @model_validator(mode="after")
    def _is_causal(self) -> Self:
        moment = _watched.get()
        if moment is None:
            return self
        cited = [*self.evidence, *(e for each in self.misconceptions for e in each.evidence)]
        faults = [f"evidence: {fault}" for each in cited if (fault := moment.fault(each))]
        if all(each.turn < moment.since for each in self.evidence):
            faults.append(
                f"evidence: a belief changes by what is new, from turn {moment.since} on; "
                "cite that, or say that nothing has changed"
            )
        if not faults and moment.foresees("\n".join(_strings(self.model_dump()))):
            faults.append("it speaks of what has not been said yet; use the turns so far only")
        if faults:
            raise ValueError("; ".join(dict.fromkeys(faults)))
        return self


class Update(BaseModel):
    """A later belief: the new one, or that the one before still holds."""

    changed: bool
    belief: Annotated[Belief | None, Field(description="null where nothing has changed")]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.changed and self.belief is None:
            raise ValueError("changed is true, so there must be a belief")
        if not self.changed:
            self.belief = None
        return self


def _plain(text: str) -> str:
    """Text as quotes are compared: without regard to case, spaces, and kinds of quotes and dashes."""
    text = unicodedata.normalize("NFKC", text).translate(_SAME).casefold()
    return " ".join(text.strip(" \t\n\"'.…").split())


def _stands(quote: str, text: str) -> bool:
    """Whether the quote stands in the text, beginning with a whole word and cutting no number short.

    "4 trays" is not in "24 trays". Where the length of quotes is limited, the last word may be cut.
    """
    before = rf"(?<![^\W{UNSPACED}])" if _SPACED.match(quote[0]) else ""
    after = r"(?![.,]?\d)" if quote[-1].isdecimal() else ""
    return re.search(f"{before}{re.escape(quote)}{after}", text) is not None


def _length(quote: str) -> int:
    """How many words; without spaces between them, two characters count as one."""
    unspaced = len(_UNSPACED.findall(quote))
    return len(_UNSPACED.sub(" ", quote).split()) + unspaced // 2


def _runs(text: str) -> set[tuple[str, ...]]:
    plain = _plain(text)
    words = re.findall(rf"[^\W_{UNSPACED}]+(?:[.,][^\W_{UNSPACED}]+)*", plain)
    runs = {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
    for found in _CLAUSE.finditer(plain):
        clause, long = found[0], 2 * RUN
        runs |= {(clause[at : at + long],) for at in range(len(clause) - long + 1)}
    return runs


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)
