"""How the attributes that samples were drawn for are spread over those that are kept."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

__all__ = ["Attributes"]


class Attributes:
    """A fold over samples with ``metadata.draw``: the value that each attribute was drawn at."""

    def __init__(self) -> None:
        self._kept = 0
        self._values: dict[str, Counter[str]] = {}
        self._pairs: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def add(self, sample: dict[str, Any]) -> None:
        """Count a sample if it is kept and was drawn for something."""
        metadata = sample.get("metadata") or {}
        draw = metadata.get("draw")
        if not isinstance(draw, dict) or metadata.get("outcome") != "kept":
            return
        self._kept += 1
        drawn = sorted((str(name), str(value)) for name, value in draw.items())
        for name, value in drawn:
            self._values.setdefault(name, Counter())[value] += 1
        for (one, first), (other, second) in combinations(drawn, 2):
            self._pairs.setdefault((one, other), set()).add((first, second))

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON; empty where nothing was drawn.

        Under ``values`` each attribute's values with their number; under ``pairs`` how many of the
        pairs of two attributes' values that the values allow are there.
        """
        if not self._kept:
            return {}
        sizes = {name: len(counts) for name, counts in self._values.items()}
        return {
            "kept": self._kept,
            "values": {name: dict(sorted(c.items())) for name, c in sorted(self._values.items())},
            "pairs": {
                "filled": sum(map(len, self._pairs.values())),
                "possible": sum(sizes[one] * sizes[other] for one, other in self._pairs),
            },
        }
