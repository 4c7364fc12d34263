"""Whether an answer is the gold answer: by numbers first, by algebra where that does not decide.

A right answer that is called wrong is a wrong label, and so is the reverse. What can be read in two
ways, or is written in words, is therefore left undecided rather than guessed.
"""

from __future__ import annotations

import re

from synthtutor.quality.answers import compact, parts
from synthtutor.quality.numeric import read_otherwise, same_answer
from synthtutor.quality.quantities import quantities
from synthtutor.quality.symbolic import algebra_installed, shared_equivalence

__all__ = ["agreement", "verified"]

_NOT_WORDS = re.compile(r"sqrt|frac|sin|cos|tan|log|ln|exp|infty|pi|text|le\b|ge\b|pm\b")
# Two letters may be a product, and are looked at apart; in other scripts each may be a word.
_WORD = re.compile(r"[^\W\d_]{3,}|[^\W\d_\u0000-\u03ff]")
_SHORT_WORD = re.compile(r"(?<![a-z\\])(?:[a-z]{2}|[ap]\.\s?m)\b")


async def verified(gold: str, found: str) -> bool | None:
    """Whether ``found`` is the gold answer; None where it cannot be told.

    Numbers are compared as numbers. What is no number is compared by algebra where math-verify is
    installed, and words that differ are left undecided: "Tues" may be Tuesday. So are units of one
    sort that differ (5 m, 5 cm), and "3,5".
    """
    if _units_clash(gold, found):
        return None
    same = agreement(found, gold)
    if same is not None:
        readable = all(part.value is not None for part in parts(found))
        return same if same or readable else None
    if read_otherwise(found, gold):
        return None
    plain = [_NOT_WORDS.sub("", compact(text)) for text in (gold, found)]
    if any(map(_WORD.search, plain)) or not algebra_installed():
        return None
    async with shared_equivalence() as algebra:
        same = await algebra.same(gold, found)
    return same or (None if any(map(_SHORT_WORD.search, plain)) else same)


def agreement(found: str, gold: str) -> bool | None:
    """Whether two answers are the same, as far as numbers tell.

    None where the gold answer is no number and they are written otherwise, 2(x + 1) may be 2x + 2,
    and where one of them can be read in two ways: "3,5".
    """
    if same_answer(found, gold):
        return True
    if read_otherwise(found, gold):
        return None
    wanted = parts(gold)
    return False if wanted and all(part.value is not None for part in wanted) else None


def _units_clash(gold: str, found: str) -> bool:
    """Whether both name a unit of one sort, and not the same: 5 m is not 5 cm."""
    one, other = (
        [(each.kind, each.noun) for each in quantities(text) if each.kind and each.noun]
        for text in (gold, found)
    )
    return bool(one and other) and set(one) != set(other)
