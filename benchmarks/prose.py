"""Words for simulated replies, and another tokenizer than the estimator's to count them with.

Its tokens are pieces of at most six letters, digits one by one, which comes to 1.12 times as many.
"""

from __future__ import annotations

import math
import random
import re

__all__ = ["WORDS", "lognormal", "prose", "tokens"]

_PIECES = re.compile(r"[A-Za-z]{1,6}|\d|[^\w\s]")
WORDS = [
    *("the", "denominator", "of", "each", "fraction", "tells", "how", "many", "equal", "parts"),
    *("make", "a", "whole", "so", "before", "adding", "we", "rewrite", "both", "with", "common"),
    *("multiple", "and", "compare", "numerators", "step", "by", "which", "part", "would", "you"),
    *("draw", "first", "because", "it", "explains", "why", "your", "answer", "cannot", "be"),
    *("right,", "then", "check", "equation:", "3/4", "+", "2/3", "=", "17/12.", "photosynthesis"),
]
_PLAIN = [word for word in WORDS if word.isalpha()]


def tokens(text: str) -> int:
    """As the simulated vendor counts them."""
    return len(_PIECES.findall(text))


_PER_WORD = tokens(" ".join(WORDS)) / len(WORDS)
_PER_PLAIN_WORD = tokens(" ".join(_PLAIN)) / len(_PLAIN)


def prose(chance: random.Random, count: float, *, plain: bool = False) -> str:
    """Text of about so many tokens; ``plain`` has neither numbers nor full stops."""
    words, each = (_PLAIN, _PER_PLAIN_WORD) if plain else (WORDS, _PER_WORD)
    return " ".join(chance.choices(words, k=max(1, round(count / each))))


def lognormal(chance: random.Random, cv: float) -> float:
    """A figure around 1 with that variation (standard deviation by mean)."""
    variance = math.log(1 + cv * cv)
    return chance.lognormvariate(-variance / 2, math.sqrt(variance))
