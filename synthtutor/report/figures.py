"""What a report is made of: a figure is a chart and the same as a table; a section holds figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Figure",
    "Section",
    "Table",
    "count",
    "percent",
    "spoken",
    "table",
]

Cells = Sequence[str]
_LISTED = 200


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under their headings; ``left_out`` rows are not there."""

    headings: Cells
    rows: Sequence[Cells]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing shown: a chart (a Vega-Lite specification, where there is one), and its table."""

    title: str
    note: str
    chart: Mapping[str, Any] | None
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """Figures under a heading; ``absent`` says why there are none."""

    id: str
    title: str
    figures: Sequence[Figure] = ()
    absent: str = ""


def table(headings: Cells, rows: Iterable[Cells]) -> Table:
    """A table of the first 200 rows."""
    every = list(rows)
    return Table(headings, every[:_LISTED], max(0, len(every) - _LISTED))


def percent(share: float | None) -> str:
    """A share of one as a whole percentage; what is not nothing is not 0%, what is not all not 100%."""
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{share:.1%}"
    return f"{share:.0%}"


def count(number: float) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def spoken(name: str) -> str:
    """A name from a file, in words."""
    return name.replace("_", " ")
