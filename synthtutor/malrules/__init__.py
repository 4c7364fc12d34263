"""Executable misconceptions of arithmetic and algebra: each computes the wrong answer, and says how."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from synthtutor.malrules import algebra, decimal_places, rational, whole
from synthtutor.malrules.rule import Case, Kind, Malrule, Numbers, Way

__all__ = ["MALRULES", "Case", "Kind", "Malrule", "Numbers", "Way"]

MALRULES: Mapping[str, Malrule] = MappingProxyType(
    {
        found.name: found
        for module in (whole, rational, decimal_places, algebra)
        for found in vars(module).values()
        if isinstance(found, Malrule)
    }
)
