"""Where the marks of a picture stand: plain numbers, which the report's template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["confusion_picture", "paired_picture"]

_WIDTH, _HEIGHT, _EDGE = 360, 240, 40
_CELL, _LABEL = 64, 130


def paired_picture(values: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A line for each student from the first system to the second, and one for the means."""
    flat = [value for pair in values for value in pair]
    low, high = math.floor(min(flat)), math.ceil(max(flat))
    high = high if high > low else low + 1

    def at(value: float) -> float:
        share = (value - low) / (high - low)
        return round(_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE), 1)

    means = [math.fsum(side) / len(values) for side in zip(*values, strict=True)]
    step = max(1, math.ceil((high - low) / 8))
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": 2 * _EDGE,
        "right": _WIDTH - 2 * _EDGE,
        "ticks": [(value, at(value)) for value in range(low, high + 1, step)],
        "lines": [(at(one), at(other), _turn(one, other)) for one, other in values],
        "means": [at(mean) for mean in means],
    }


def confusion_picture(confusion: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """A cell for each pair of label and prediction; the darker, the larger its share of the label."""
    labels = list(confusion)
    cells = []
    for row, label in enumerate(labels):
        total = sum(confusion[label].values())
        for column, said in enumerate(labels):
            count = confusion[label][said]
            share = count / total if total else 0.0
            cells.append(
                {
                    "x": _LABEL + column * _CELL,
                    "y": _LABEL + row * _CELL,
                    "count": count,
                    "opacity": round(share, 3),
                    "dark": share > 0.5,
                    "title": f"{label} → {said}: {count}",
                }
            )
    side = _LABEL + len(labels) * _CELL
    return {"size": side, "cell": _CELL, "label": _LABEL, "labels": labels, "cells": cells}


def _turn(one: float, other: float) -> str:
    return "same" if one == other else "up" if other > one else "down"
