"""A report as one HTML file: a Jinja page without a script, which no text of a model can bring in.

Three things keep it inert: every text is escaped or written anew by `synthtutor.markup`, what is
invisible in a text is written out, and the page's own policy allows no script, no request, and no style but the one it was written with.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from synthtutor.counts import counted, money
from synthtutor.export.destination import replacing
from synthtutor.markup import rendered, visible
from synthtutor.report.charts import check_renderer, drawn
from synthtutor.report.facts import Facts, gather
from synthtutor.report.figures import count, percent
from synthtutor.report.sections import matrix, sections
from synthtutor.report.spending import moment

__all__ = ["render", "write_report"]

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of the run in ``folder`` to ``out``, ``report.html`` in the folder by default.

    Nothing is asked or paid. Works while the run goes, as far as it has come. Raises JournalError
    where there is no run, ConfigError where the ``report`` extra is not installed or the file
    cannot be written.
    """
    check_renderer()  # before anything is read: it may be missing
    path = Path(folder) / "report.html" if out is None else Path(out)
    text = render(gather(Path(folder)))
    with replacing(path) as whole:
        whole.write_text(text, encoding="utf-8")
    return path


def render(facts: Facts) -> str:
    """The page. The same facts give the same text."""
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    page = _environment().get_template("report.html.j2")
    found = sections(facts)
    charts = [figure.chart for section in found for figure in section.figures if figure.chart]
    pictures = iter(drawn(charts))
    drawings = {
        figure.title: _picture(next(pictures), figure.title) if figure.chart else None
        for section in found
        for figure in section.figures
    }
    return page.render(
        facts=facts,
        summary=facts.summary,
        tiles=_tiles(facts),
        notes=_notes(facts),
        matrix=matrix(facts),
        sections=found,
        drawings=drawings,
        without_charts=bool(charts) and not any(drawings.values()),
        pairs=facts.pairs,
        style=Markup(style),  # noqa: S704  # our own file
        policy=_policy(style),
        models=_models(facts),
        as_of=None if facts.timeline.last is None else moment(facts.timeline.last),
    )


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    found.filters |= {
        "percent": percent,
        "count": count,
        "breakable": _breakable,
        "rendered": rendered,
    }
    return found


def _policy(style: str) -> str:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _picture(svg: str | None, title: str) -> Markup | None:
    """The drawing as one picture with a name; what it shows is in the table beside it."""
    if svg is None:
        return None
    bare = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", svg)
    label = f"Chart: {visible(title)}. The table below has the same figures."
    named = Markup('<svg role="img" aria-label="{}" ').format(label)
    return Markup(bare.replace("<svg ", str(named), 1))  # noqa: S704  # the renderer escapes texts


def _breakable(text: str) -> Markup:
    """A name that may be broken after its dots and strokes, but not within a number."""
    return Markup(re.sub(r"([_/:-]|\.(?!\d))", r"\1<wbr>", str(Markup.escape(visible(text)))))  # noqa: S704


def _tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """What it came to: a name, a figure, and what to know of it."""
    summary = facts.summary
    per_kept = summary.cost_per_kept_usd
    decided = summary.kept + summary.outcomes.get("rejected", 0)
    controls = summary.controls
    caught = controls.caught / controls.planted if controls.planted else None
    calls, unpriced = counted(summary.calls, "call"), summary.unpriced_calls
    if unpriced:
        calls += f", {count(unpriced)} of them without a known price"
    dropped = [
        f"{count(summary.outcomes[name])} {name}"
        for name in ("rejected", "undetermined", "failed")
        if summary.outcomes.get(name)
    ]
    return [
        ("kept", count(summary.kept), f"of {count(summary.made)} made"),
        ("yield", percent(summary.kept / summary.made if summary.made else None),
         f"{percent(summary.kept / decided if decided else None)} of kept and rejected"),
        ("dropped", count(summary.made - summary.kept), ", ".join(dropped) or "none"),
        ("cost", "unknown" if unpriced and not summary.cost_usd else money(summary.cost_usd), calls),
        ("cost per kept sample", "–" if per_kept is None else money(per_kept),
         "none kept, or a price is unknown" if per_kept is None else "total cost ÷ kept samples"),
        ("tokens", count(summary.input_tokens + summary.output_tokens),
         f"{count(summary.input_tokens)} in, {count(summary.output_tokens)} out"),
        ("planted defects caught", percent(caught),
         f"{controls.caught} of {controls.planted} planted" if controls.planted else "none planted"),
    ]  # fmt: skip


def _notes(facts: Facts) -> list[str]:
    """What must be known before any figure is believed."""
    summary = facts.summary
    found = []
    if summary.demonstration_models:
        names = ", ".join(summary.demonstration_models)
        found.append(f"Text by {names} only shows that the machinery works: do not train on it.")
    if summary.judge_is_writer:
        found.append("The judge is the writer: one model judged its own texts.")
    if not summary.complete:
        found.append("The run is not complete: the figures cover what has been made so far.")
    if summary.unpriced_calls:
        found.append(
            f"{counted(summary.unpriced_calls, 'call')} without a known price: not in any sum of dollars."
        )
    if summary.left is not None:
        usd = summary.left.usd
        cost = "" if usd is None else f", about {money(usd)} at the cost per row so far"
        found.append(f"{counted(summary.left.rows, 'row')} still without a sample{cost}.")
    return found


def _models(facts: Facts) -> list[tuple[str, str]]:
    names = {(str(entry["role"]), str(entry["model"])) for entry in facts.summary.account}
    return sorted(names)
