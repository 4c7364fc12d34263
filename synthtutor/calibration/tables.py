"""A calibration as text: Markdown tables, which read as they stand in a terminal too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synthtutor.calibration.calibrate import Agreement, Calibration
from synthtutor.calibration.figures import Figure

__all__ = ["markdown"]

_MEASURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "kappa": "Cohen's κ",
    "alpha": "Krippendorff's α",
}


def markdown(found: Calibration) -> str:
    """The whole calibration; intervals are 95 %, by resampling groups."""
    lines = [
        f"# {found.judge} as a judge by {found.rubric}",
        "",
        f"{found.items:,} items in {found.groups:,} groups; brackets hold 95 % intervals. "
        "An unanswered item counts as a disagreement."
        + (f" {found.failed:,} items could not be asked at all." if found.failed else ""),
        "",
        *_agreement(found.dimensions),
        *_published(found.dimensions),
        *_steadiness(found),
        *_writers(found),
    ]
    for part in found.dimensions:
        lines += _confusion(part)
    if found.warnings:
        lines += ["## Mind", "", *(f"* {warning}" for warning in found.warnings), ""]
    return "\n".join(lines)


def _agreement(parts: Sequence[Agreement]) -> Iterator[str]:
    yield "## Agreement with people, and the majority baseline"
    yield ""
    rows = [("dimension", "answered", "", *_MEASURES.values())]
    for part in parts:
        figures = [_figure(part.figures[name]) for name in _MEASURES]
        rows.append((part.name, f"{part.answered} of {part.items}", "judge", *figures))
        floor = [_number(part.majority[name]) for name in _MEASURES]
        rows.append(("", "", f"always “{part.majority_label}”", *floor))
    yield from _table(rows)


def _published(parts: Sequence[Agreement]) -> Iterator[str]:
    rows = [("dimension", "measure", "value", "system", "measured on", "source")]
    for part in parts:
        for each in part.published:
            figures = each.measure, f"{each.value:.3f}", each.system, each.measured_on, each.source
            rows.append((part.name, *figures))
    yield "## Published figures"
    yield ""
    if len(rows) == 1:
        yield "None are known for these labels."
        yield ""
    else:
        yield from _table(rows)


def _steadiness(found: Calibration) -> Iterator[str]:
    yield "## Noise and bias"
    yield ""
    rows: list[Sequence[str]] = [("dimension", "asked twice", "same label", "κ", "same, order reversed", "length", "α, ordinal", "groups all right")]  # fmt: skip
    rows += [_steady(part, found.groups_all_right[part.name]) for part in found.dimensions]
    yield from _table(rows)
    place = found.place
    yield (
        f"Order, on {place.items:,} items asked in both: a statement is observed more often by "
        f"{_figure(place.first)} when it stands first than when it stands last, by "
        f"{_figure(place.half)} in the first half than in the second. Reversing the order changed "
        f"{_figure(place.reversed_changed)} of the verdicts, asking again {_figure(place.again_changed)}."
    )
    yield ""


def _steady(part: Agreement, whole: Figure) -> Sequence[str]:
    kappa, ordinal = _number(part.again_kappa), _number(part.ordinal_alpha)
    same, turned, length = map(_figure, (part.again, part.reversed, part.length))
    return part.name, str(part.asked_again), same, kappa, turned, length, ordinal, _figure(whole)


def _writers(found: Calibration) -> Iterator[str]:
    names = sorted({name for part in found.dimensions for name in part.writers})
    if not names:
        return
    yield "## Leniency by writer"
    yield ""
    yield "The judge's merit less its mean for texts that people labelled alike: above 0 it is kinder."
    yield ""
    rows = [("dimension", *names, "own texts less others")]
    for part in found.dimensions:
        if part.writers:
            cells = [
                f"{part.writers[name].leniency:+.2f}" if name in part.writers else "–"
                for name in names
            ]
            rows.append((part.name, *cells, _figure(part.own)))
    yield from _table(rows)
    mine = ", ".join(found.own_writers)
    yield f"Own texts: those of {mine}." if mine else "No writer is known to be the judge itself."
    yield ""


def _confusion(part: Agreement) -> Iterator[str]:
    yield f"## {part.name}: people in rows, the judge in columns"
    yield ""
    columns = list(next(iter(part.confusion.values())))
    rows = [("", *columns)]
    rows += [(label, *map(str, counts.values())) for label, counts in part.confusion.items()]
    yield from _table(rows)


def _figure(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return _number(figure.value)
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    yield ""
