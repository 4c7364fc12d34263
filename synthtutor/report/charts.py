"""Charts as static SVG: Vega-Lite specifications, drawn by vl-convert without a browser or network.

A chart is as wide as a phone's column, so that its text is read at its own size everywhere. Its
colours are CSS variables of the page, which decides on light and dark.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.markup import visible

__all__ = ["bars", "check_renderer", "drawn", "line", "ranges", "steps"]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_PATIENCE_S = 60.0
_WIDTH = 326  # pixels: a phone of 360 less its margins
_LABELS = 124
_LONG_LABELS = 176
_LONGEST_LABEL = 44
_INK = "currentColor"
_CONFIG = {
    "background": None,
    "font": "Arial, sans-serif",
    "padding": {"left": 14, "right": 4, "top": 4, "bottom": 4},  # fonts differ in width
    "view": {"stroke": None},
    "axis": {
        "domainColor": _INK,
        "tickColor": _INK,
        "labelColor": _INK,
        "titleColor": _INK,
        "gridColor": "var(--grid)",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": _LABELS,
        "labelOverlap": True,
    },
    "header": {"labelColor": _INK, "labelFontSize": 11, "title": None},
    "text": {"color": _INK, "fontSize": 11},
    "bar": {"color": "var(--mark)"},
}


def check_renderer() -> None:
    """Raise ConfigError with the command that installs the library that draws, if it is not there."""
    if find_spec("vl_convert") is None:
        raise ConfigError(
            'the report draws with vl-convert-python: pip install "synthtutor[report]"'
        )


def drawn(specs: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """The specifications as SVG elements, sized in pixels; None where one cannot be drawn."""
    if not specs:
        return []
    whole = [{"$schema": _SCHEMA, "config": _CONFIG, **spec} for spec in specs]
    try:
        done = subprocess.run(  # noqa: S603  # our own script
            [sys.executable, "-P", str(Path(__file__).with_name("drawing.py"))],
            input=orjson.dumps(whole),
            capture_output=True,
            check=True,
            timeout=_PATIENCE_S,
        )
        svgs: list[str | None] = orjson.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return [None] * len(specs)
    return svgs


def bars(
    rows: Sequence[tuple[str, float, str]],
    title: str,
    *,
    most: float | None = None,
    form: str = ",.3~r",
) -> dict[str, Any]:
    """A bar for each (label, value, text beside it), in the order given.

    ``most`` ends the axis, whose numbers are written in the ``form`` (of d3-format).
    """
    values = [
        {"label": label, "value": value, "text": visible(text)}
        for label, (_, value, text) in zip(_labels(rows), rows, strict=True)
    ]
    top = most or max((value for _, value, _ in rows), default=0) or 1
    x = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top * 1.3]},  # room for the text at a bar's end
        "axis": {"title": title, "tickCount": 3, "grid": False, "format": form},
    }
    return {
        "width": _WIDTH,
        "height": {"step": 20},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": values},
        "encoding": {"x": x, "y": _categories(values)},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.7}}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": "text", "type": "nominal"}},
            },
        ],
    }


def steps(groups: Mapping[str, Sequence[int]], labels: Sequence[str], title: str) -> dict[str, Any]:
    """A histogram for each group, below one another: told apart by place, not by colour."""
    values = [
        {"group": visible(name), "at": label, "count": count}
        for name, counts in groups.items()
        for label, count in zip(labels, counts, strict=True)
    ]
    return {
        "data": {"values": values},
        "facet": {"row": {"field": "group", "type": "nominal", "sort": list(groups),
                          "header": {"labelOrient": "top", "labelAnchor": "start"}}},
        "spec": {
            "width": _WIDTH - 70,
            "height": 60,
            "mark": {"type": "bar", "width": {"band": 0.9}},
            "encoding": {
                "x": {"field": "at", "type": "ordinal", "sort": list(labels),
                      "axis": {"title": title, "labelAngle": 0, "labelOverlap": True}},
                "y": {"field": "count", "type": "quantitative",
                      "axis": {"title": "samples", "tickCount": 2, "tickMinStep": 1}},
            },
        },
        "resolve": {"scale": {"y": "independent"}},
    }  # fmt: skip


def ranges(rows: Sequence[tuple[str, float, float, float]], title: str) -> dict[str, Any]:
    """From (label, p10, p50, p90): a line over the middle 80 %, and a mark at the median."""
    values = [
        {"label": label, "low": low, "middle": middle, "high": high}
        for label, (_, low, middle, high) in zip(_labels(rows), rows, strict=True)
    ]
    x = {"type": "quantitative", "axis": {"title": title, "tickCount": 5}, "scale": {"zero": True}}
    return {
        "width": _WIDTH,
        "height": {"step": 20},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": values},
        "encoding": {"y": _categories(values)},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--mark)"},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "color": _INK, "opacity": 1},
                "encoding": {"x": {"field": "middle", **x}},
            },
        ],
    }


def line(values: Sequence[float], width: float, title: str, unit: str) -> dict[str, Any]:
    """Values of equal parts of time, each ``width`` long in the ``unit``, as steps."""
    points = [
        {"at": round(nth * width, 4), "value": value}
        for nth, value in enumerate([*values, values[-1]])
    ]
    return {
        "width": _WIDTH,
        "height": 120,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": points},
        "mark": {
            "type": "area", "interpolate": "step-after", "line": {"color": "var(--mark)"},
            "color": "var(--mark)", "fillOpacity": 0.25,
        },
        "encoding": {
            "x": {"field": "at", "type": "quantitative",
                  "axis": {"title": f"{unit} of work", "tickCount": 5, "grid": False}},
            "y": {"field": "value", "type": "quantitative",
                  "axis": {"title": title, "tickCount": 4}},
        },
    }  # fmt: skip


def _categories(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The axis of labels, in the order given; long ones get more room, and bars less."""
    long = any(len(row["label"]) > _LONGEST_LABEL // 2 for row in values)
    return {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "ticks": False,
            "domain": False,
            "labelOverlap": False,
            "labelLimit": _LONG_LABELS if long else _LABELS,
        },
    }


def _labels(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Each row's first part, short and unlike every other's: equal ones would be drawn as one."""
    found: list[str] = []
    times: Counter[str] = Counter()
    for text, *_ in rows:
        plain = " ".join(visible(str(text)).split())
        short = plain if len(plain) <= _LONGEST_LABEL else f"{plain[: _LONGEST_LABEL - 1]}…"
        times[short] += 1
        found.append(short if times[short] == 1 else f"{short} ({times[short]})")
    return found
