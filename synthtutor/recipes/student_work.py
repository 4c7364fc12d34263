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
        "fluent": "writes full sentences with calculations in them, gives reasons, and skips what is obvious",
    }
)

MISAPPLIED_RULE = "misapplied rule"

ERROR_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "slip in calculation": "one calculation comes out wrong, and all that follows uses its result",
        "wrong operation": "one step adds, subtracts, multiplies or divides where another operation is needed",
        "misread quantity": "one number is taken to mean something other than what the problem says",
        "missing step": "a step that the problem needs is left out, as if it had been done",
        "extra quantity": "a number is used that has nothing to do with what is asked",
        "wrong unit or scale": "a unit, a rate or a power of ten is not converted, or converted wrongly",
        "another question": "the calculations are right but answer a different question from the one asked",
        MISAPPLIED_RULE: "a rule that is valid elsewhere is used where it does not apply",
    }
)
