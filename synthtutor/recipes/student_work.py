"""How students work: abilities, and the sorts of error of which one leads to a wrong answer.

Abilities are crossed with right and wrong answers alike, so that neither the length nor the voice
of an answer tells its label.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ABILITIES", "ERROR_TYPES", "MISAPPLIED_RULE"]

ABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "unsure": "writes little, in fragments and everyday words, and shows only some of the work",
        "steady": "writes a short line for each step, as practised in class",
        "fluent": "writes whole sentences with sums in them, says why, and skips what is obvious",
    }
)

MISAPPLIED_RULE = "misapplied rule"

ERROR_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "slip in calculation": "one sum comes out wrong; all the rest follows from its result",
        "wrong operation": "one step adds, subtracts, multiplies or divides where another is due",
        "misread quantity": "one number is taken for something else than what the problem says",
        "missing step": "a step that the problem needs is left out, as if it were done",
        "extra quantity": "a number is brought in that has no part in what is asked",
        "wrong unit or scale": "a unit, a rate or a power of ten is not converted, or wrongly",
        "another question": "the sums are right but answer something else than what is asked",
        MISAPPLIED_RULE: "a rule that holds elsewhere is used where it does not hold",
    }
)
