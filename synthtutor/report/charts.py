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
_LONGEST_BESIDE = 20  # characters; longer labels stand above their bars, which keep their width
_LONGEST_LABEL = 48
_INK = "currentColor"
# Above its axis and level: beside it, a font that is wider than the renderer's writes over the numbers.
_LEVEL = {
    "titleAngle": 0,
    "titleAnchor": "end",
    "titleAlign": "left",
    "titleBaseline": "bottom",
    "titleX": 0,
    "titleY": -8,
    "labelSeparation": 0,
}
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
        "labelSeparation": 10,
    },
    "axisY": _LEVEL,
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
    axis: dict[str, Any] = {"title": title, "tickCount": 3, "format": form, "domain": False}
    if most is not None:
        axis["values"] = [0, most / 2, most]
    x = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, top * 1.3]},  # room for the text at a bar's end
        "axis": axis,
    }
    above = _above(values)
    down = _BELOW if above else 0
    shape = {"height": 12, "yOffset": down} if above else {"height": {"band": 0.7}}
    return _listed(
        values,
        [
            {"mark": {"type": "bar", **shape}, "encoding": {"x": x}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "dy": down},
                "encoding": {"x": x, "text": {"field": "text", "type": "nominal"}},
            },
        ],
    )


def steps(groups: Mapping[str, Sequence[int]], labels: Sequence[str], title: str) -> dict[str, Any]:
    """A histogram for each group, below one another: told apart by place, not by colour."""
    values = [
        {"group": visible(f"{name}: samples"), "at": label, "count": count}
        for name, counts in groups.items()
        for label, count in zip(labels, counts, strict=True)
    ]
    return {
        "data": {"values": values},
        "facet": {"row": {"field": "group", "type": "nominal", "sort": None,
                          "header": {"labelOrient": "top", "labelAnchor": "start"}}},
        "spec": {
            "width": _WIDTH - 70,
            "height": 60,
            "mark": {"type": "bar", "width": {"band": 0.9}},
            "encoding": {
                "x": {"field": "at", "type": "ordinal", "sort": list(labels),
                      "axis": {"title": title, "labelAngle": 0, "labelOverlap": True}},
                "y": {"field": "count", "type": "quantitative",
                      "axis": {"title": None, "tickCount": 2,
                               "labelExpr": "datum.value % 1 ? '' : format(datum.value, ',d')"}},
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
    down = {"yOffset": _BELOW} if _above(values) else {}
    point = {"type": "point", "filled": True, "size": 70, "color": _INK, "opacity": 1}
    return _listed(
        values,
        [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--mark)", **down},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {"mark": {**point, **down}, "encoding": {"x": {"field": "middle", **x}}},
        ],
    )


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
                  "axis": {"title": f"{unit} since the start", "tickCount": 5, "grid": False}},
            "y": {"field": "value", "type": "quantitative",
                  "axis": {"title": title, "tickCount": 4}},
        },
    }  # fmt: skip


_BELOW = 8  # pixels that a mark is moved down where its label stands above it


def _above(values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the labels are too long to stand beside their marks."""
    return any(len(row["label"]) > _LONGEST_BESIDE for row in values)


def _listed(
    values: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A chart with a line for each label, in the order given."""
    above = _above(values)
    axis = {"title": None, "ticks": False, "domain": False, "grid": False, "labelOverlap": False}
    label = {
        "mark": {"type": "text", "align": "left", "dy": -_BELOW, "limit": _WIDTH},
        "encoding": {"x": {"value": 0}, "text": {"field": "label", "type": "nominal"}},
    }
    return {
        "width": _WIDTH,
        "height": {"step": 36 if above else 20},
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": values},
        "encoding": {
            "y": {
                "field": "label",
                "type": "nominal",
                "sort": None,
                "axis": None if above else axis,
            }
        },
        "layer": [label, *layers] if above else [*layers],
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
