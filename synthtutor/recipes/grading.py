"""What the two grading recipes share: whose label counts, and the sample that a label makes.

A sample's trusted label is verified or judged; its cosine label is what an earlier practice would
have given. Both are in the metadata of every sample, whichever of them the run was told to use, so
a run that is asked for the other one again calls no model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.messages import Message
from synthtutor.quality.cosine import MEASURES, Measure, measure_named
from synthtutor.tutoring import Outcome, Sample

__all__ = ["OPTIONS", "Answer", "Terms", "graded", "group_of"]

_BY = ("trusted", "cosine")

OPTIONS = {
    "label": "trusted, or cosine for the old labels by likeness to the reference (default trusted)",
    "measure": f"of the cosine: {' or '.join(MEASURES)}, which needs an extra (default ngrams)",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """Which label counts, and what the cosine is of."""

    label_by: str
    measure: Measure

    @classmethod
    def of(cls, option: Callable[[str], str | None]) -> Terms:
        """From the run's options. Raises ConfigError, naming the one that cannot be used."""
        label_by = option("label") or _BY[0]
        if label_by not in _BY:
            raise ConfigError(f"option label={label_by!r}: choose {' or '.join(_BY)}")
        name = option("measure") or MEASURES[0]
        if name not in MEASURES:
            raise ConfigError(f"option measure={name!r}: choose {' or '.join(MEASURES)}")
        return cls(label_by, measure_named(name))


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer and what is known of its label.

    ``input`` is what a grader is shown, ``reference`` what the cosine is taken with. ``trusted`` is
    None where nothing could be verified; ``wanted`` is the label that the writer was asked for.
    """

    input: str
    text: str
    reference: str
    group: str
    trusted: int | None
    wanted: int


async def graded(
    answer: Answer,
    terms: Terms,
    by_cosine: Callable[[float], int],
    about: Mapping[str, Any],
    outcome: Outcome,
    reasons: Sequence[str],
) -> Sample:
    """The sample: what a grader is shown, the label that the terms ask for, and both labels apart."""
    cosine = await asyncio.to_thread(terms.measure.similarity, answer.text, answer.reference)
    other = by_cosine(cosine)
    label = other if terms.label_by == "cosine" else answer.trusted
    shown = Message("user", answer.input)
    return Sample(
        messages=[shown] if label is None else [shown, Message("assistant", str(label))],
        metadata={
            **about,
            "label": label,
            "grading": {
                "input": answer.input,
                "answer": answer.text,
                "group": answer.group,
                "label_by": terms.label_by,
                "trusted": answer.trusted,
                "wanted": answer.wanted,
                "cosine": {
                    "measure": terms.measure.name,
                    "similarity": round(cosine, 4),
                    "label": other,
                },
            },
        },
        outcome=outcome,
        reasons=reasons,
    )


def group_of(text: str) -> str:
    """The same for the same problem or article, however its spaces and capitals are."""
    plain = " ".join(text.casefold().split())
    return blake2b(plain.encode("utf-8", "replace"), digest_size=8).hexdigest()
