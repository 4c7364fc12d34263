"""The parts of a report: what each chart shows, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synthtutor.counts import counted
from synthtutor.quality.quoting import TRUE_QUOTES
from synthtutor.report import charts
from synthtutor.report.attributes import in_order, readable
from synthtutor.report.facts import Facts
from synthtutor.report.figures import Figure, Section, count, percent, spoken, table
from synthtutor.report.spending import pace, spending
from synthtutor.report.tally import SCORE_BINS

__all__ = ["Matrix", "matrix", "sections"]

_CHARTED = 20
_GROUPS = 40
_MATRIX = (60, 40)
_SHADES = 7


@dataclass(frozen=True, slots=True)
class Matrix:
    """Kept of made for each row and column value; ``shade`` (0 to 6) grows with what was kept.

    ``most`` is the largest number kept in a cell.

    ``cells`` are (kept, made, shade), or None where nothing was made.
    """

    row: str
    column: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, int, int] | None]]]
    filled: int
    possible: int | None
    left_out: int
    most: int


def sections(facts: Facts) -> list[Section]:
    """All sections but the summary, the matrix and the samples."""
    return [
        _judged(facts),
        _controls(facts),
        _rejections(facts),
        _texts(facts),
        _repeats(facts),
        _costs(facts),
        _calls(facts),
    ]


def matrix(facts: Facts) -> Matrix | None:
    """The coverage matrix; None where the samples have no attributes to show it by."""
    tally = facts.tally
    if tally.axes.row is None or not tally.cells:
        return None
    rows, columns = ({cell[at] for cell in tally.cells} for at in (0, 1))
    shown_rows, shown_columns = in_order([*rows])[: _MATRIX[0]], in_order([*columns])[: _MATRIX[1]]
    most = max(counts["kept"] for counts in tally.cells.values())
    there = [
        (spoken(row), [_cell(tally.cells.get((row, column)), most) for column in shown_columns])
        for row in shown_rows
    ]
    by_known = (tally.axes.row, tally.axes.column) == ("subject", "misconception_type")
    inside = sum(cell is not None for _, line in there for cell in line)
    return Matrix(
        readable(tally.axes.row),
        readable(tally.axes.column) if tally.axes.column else "samples",
        [spoken(column) or "all" for column in shown_columns],
        there,
        sum(counts["kept"] > 0 for counts in tally.cells.values()),
        facts.summary.cells if by_known else None,
        len(tally.cells) - inside,
        most,
    )


def _cell(counts: Mapping[str, int] | None, most: int) -> tuple[int, int, int] | None:
    if counts is None:
        return None
    kept = counts["kept"]
    shade = 0 if not kept else 1 + (kept - 1) * (_SHADES - 2) // max(1, most - 1)
    return kept, counts["made"], shade


# ── the judge ────────────────────────────────────────────────────────────────────────────────


def _judged(facts: Facts) -> Section:
    verdicts = facts.statistics["verdicts"]
    if not verdicts["criteria"]:
        absent = "Nothing was judged with a rubric."
        if not _has_judge(facts):
            absent = "Nothing was judged: no judge took part in this run."
        return Section("judged", "What the judge said", absent=absent)
    full = "Lowest first. The table has each criterion in full."
    figures = [
        _rates("Pass rate per criterion", full, "criterion", verdicts["criteria"]),
        _rates("Pass rate per dimension", "Lowest first.", "dimension", verdicts["dimensions"]),
    ]
    if facts.tally.scored:
        figures.append(_scores(facts))
    if evidence := verdicts.get("evidence"):
        figures.append(_evidence(evidence))
    return Section("judged", "What the judge said", figures)


def _has_judge(facts: Facts) -> bool:
    return any(entry["role"] == "judge" for entry in facts.summary.account)


def _evidence(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """How much of what each judge quoted does stand in the texts it judged."""
    low = [judge for judge, entry in found.items() if entry["share"] < TRUE_QUOTES]
    note = (
        "How often the words that the judge quotes are really in the text it judged (case, spaces "
        "and quotation marks are ignored)."
    )
    if low:
        note += f" Below {TRUE_QUOTES:.0%}: read some verdicts of {' and '.join(low)} before you trust them."
    rows = [
        (judge, percent(entry["share"]), count(entry["found"]), count(entry["quoting"]))
        for judge, entry in found.items()
    ]
    headings = ("judge", "share found", "found", "quotes")
    return Figure("Quoted evidence", note, None, table(headings, rows))


def _rates(title: str, note: str, kind: str, found: Mapping[str, Mapping[str, Any]]) -> Figure:
    def rate(entry: Mapping[str, Any]) -> float:
        return 2.0 if entry["pass_rate"] is None else float(entry["pass_rate"])

    order = sorted(found.items(), key=lambda item: (rate(item[1]), item[0]))
    rows: list[Sequence[str]] = [
        (name, str(entry.get("criterion") or ""), percent(entry["pass_rate"]),
         count(entry["passed"]), count(entry["answered"]), count(entry["missing"] + entry["failed"]))
        for name, entry in order
    ]  # fmt: skip
    answered = [(name, entry) for name, entry in order if entry["pass_rate"] is not None]
    chart = charts.bars(
        [(name, e["pass_rate"], percent(e["pass_rate"])) for name, e in answered[:_CHARTED]],
        "share of answered verdicts that passed",
        most=1.0,
        form="%",
    )
    more = f" The chart has the lowest {_CHARTED}." if len(answered) > _CHARTED else ""
    headings = (kind, "question", "pass rate", "passed", "answered", "no answer")
    return Figure(title, note + more, chart if answered else None, table(headings, rows))


def _scores(facts: Facts) -> Figure:
    scores, n = facts.tally.scores, SCORE_BINS
    labels = [f"{nth / n:.1f}" for nth in range(n)]
    order: list[str] = [
        name for name in ("kept", "rejected", "undetermined", "failed") if name in scores
    ]
    counts = {name: [scores[name][nth] for nth in range(n)] for name in order}
    rows = [
        (f"{nth / n:.1f} to {(nth + 1) / n:.1f}", *(count(counts[name][nth]) for name in order))
        for nth in range(n)
    ]
    note = (
        f"Weighted score of {counted(facts.tally.scored, 'judged sample')}, from 0 (worst) to 1 (best), "
        "by outcome. A bar labelled 0.7 counts scores from 0.7 up to 0.8."
    )
    return Figure(
        "Judge scores",
        note,
        charts.steps(counts, labels, "weighted score"),
        table(("score", *order), rows),
    )


def _controls(facts: Facts) -> Section:
    title, controls = "Planted defects: did the judge catch them?", facts.summary.controls
    if not controls.planted:
        absent = "No defects were planted (see --controls), so it is not known how reliable the judge is."
        if facts.config.controls and not facts.summary.complete:
            absent = "None yet: they are planted at the end of a run, and this one is not complete."
        if not _has_judge(facts):
            absent = "No defects were planted: no judge took part in this run."
        return Section("controls", title, absent=absent)
    defects = (controls.by_defect or {}).items()
    chart = charts.bars(
        [(spoken(name), caught / planted, f"{caught} of {planted}")
         for name, (caught, planted) in defects],
        "share of planted defects caught",
        most=1.0,
        form="%",
    )  # fmt: skip
    note = (
        f"Caught {controls.caught} of {controls.planted} ({percent(controls.caught / controls.planted)}), "
        f"{controls.unanswered} unanswered, {controls.failed} not judged; kept {controls.sound_kept} of "
        f"the {counted(controls.planted, 'text')} without the defect. A judge that misses planted defects "
        "misses real ones too, so read this before the yield."
    )
    rows = [(spoken(name), str(caught), str(planted)) for name, (caught, planted) in defects]
    figure = Figure("Catch rate", note, chart, table(("defect", "caught", "planted"), rows))
    return Section("controls", title, [figure])


# ── the samples ──────────────────────────────────────────────────────────────────────────────


def _rejections(facts: Facts) -> Section:
    title, reasons = "Why samples were dropped", facts.summary.reasons
    if not reasons:
        dropped = facts.summary.made - facts.summary.kept
        absent = "No reasons were recorded." if dropped else "No sample was dropped."
        return Section("dropped", title, absent=absent)
    chart = charts.bars([(reason, times, count(times)) for reason, times in reasons], "samples")
    rows = [(reason, count(times)) for reason, times in reasons]
    note = "The most common reasons; a sample may have several."
    figure = Figure("Reasons", note, chart, table(("reason", "samples"), rows))
    return Section("dropped", title, [figure])


def _texts(facts: Facts) -> Section:
    tally = facts.tally
    by = "grade" if tally.axes.group_is_grade else readable(tally.axes.group or "all together")
    title = f"Length and readability by {by}" if tally.axes.group else "Length and readability"
    names = in_order([*tally.groups])
    groups = {name: tally.groups[name] for name in names}
    words = {name: group.words.summary() for name, group in groups.items()}
    grades = {name: group.grades.summary() for name, group in groups.items()}
    if not any(found["n"] for found in words.values()):
        return Section("texts", title, absent="No kept sample has a turn by the assistant.")
    note = (
        f"Of each turn by the assistant in {counted(tally.measured, 'kept sample')}. The dot is the "
        "median, the line spans the middle 80%."
    )
    figures = [_spread("Words per turn", note, by, "words", words)]
    if any(found["n"] for found in grades.values()):  # a label that is a number has none
        name = "Reading grade (Flesch–Kincaid)"
        figures.append(_spread(name, note, by, "US school grade", grades))
    return Section("texts", title, figures)


def _spread(
    title: str, note: str, by: str, unit: str, found: Mapping[str, Mapping[str, Any]]
) -> Figure:
    there = {name: entry for name, entry in found.items() if entry["n"]}
    drawn = [
        (
            f"grade {n}" if by == "grade" and n.isdecimal() else spoken(n),
            e["p10"],
            e["p50"],
            e["p90"],
        )
        for n, e in there.items()
    ][:_GROUPS]
    rows = [
        (spoken(name), count(e["n"]), *(f"{e[key]:.1f}" for key in ("mean", "p10", "p50", "p90")))
        for name, e in there.items()
    ]
    headings = (by, "turns", "mean", "10th percentile", "median", "90th percentile")
    if len(there) > _GROUPS:
        note += f" The chart has the first {_GROUPS}."
    return Figure(title, note, charts.ranges(drawn, unit) if drawn else None, table(headings, rows))


def _repeats(facts: Facts) -> Section:
    title = "Duplicates and openers"
    said, sides = facts.statistics["assistant"], facts.statistics["near_duplicates"]
    if not said["texts"]:
        return Section(
            "repeats",
            title,
            absent="No kept sample has a turn by the assistant that is long enough to compare.",
        )
    top = said["openers"]["top"]
    opener = Figure(
        "How replies begin",
        f"First three words of {counted(said['texts'], 'turn')} by the assistant. The ten most common "
        f"openings account for {percent(said['openers']['top_10_share'])}.",
        charts.bars([(e["phrase"], e["share"], percent(e["share"])) for e in top], "share of turns", form="%"),
        table(
            ("first words", "turns", "share"),
            [(e["phrase"], count(e["count"]), percent(e["share"])) for e in top],
        ),
    )  # fmt: skip
    distinct = said["diversity"]
    copies = [
        (role, count(side["texts"]), count(side["copies"]), percent(side["share"]))
        for role, side in sides.items()
    ]
    duplicates = Figure(
        "Near-duplicates",
        "Texts that nearly repeat an earlier one, in "
        f"{counted(facts.statistics['texts_measured'], 'kept sample')}.",
        None,
        table(("turns by", "measured", "copies", "share"), copies),
    )
    variety = Figure(
        "Variety of wording",
        "How many of all sequences of one, two and three words are different (distinct-n). "
        "The share falls as a data set grows.",
        None,
        table(
            ("sequences of", "different", "share"),
            [
                (f"{name[-1]} word{'s' * (name[-1] != '1')}", count(e["different"]), percent(e["share"]))
                for name, e in distinct.items()
            ],
        ),
    )  # fmt: skip
    return Section("repeats", title, [opener, duplicates, variety])


# ── money and time ───────────────────────────────────────────────────────────────────────────


def _costs(facts: Facts) -> Section:
    return Section("costs", "Cost and tokens", spending(facts))


def _calls(facts: Facts) -> Section:
    figures = pace(facts)
    return Section(
        "calls", "Calls over time", figures, "" if figures else "No calls have been made."
    )
