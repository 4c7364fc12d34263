"""A dataset card beside an export: what it is, how it was made, and what it must not be taken for.

Markdown under Hugging Face's YAML front matter. Nothing in it depends on the clock or the machine:
the same run exported twice has the same card.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synthtutor.counts import counted, money
from synthtutor.export.destination import replacing

__all__ = ["Agreed", "Card", "Source", "card_path", "render", "write_card"]

# Hugging Face's own classes.
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_TASKS = {"preference": ["reinforcement-learning"]}


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far a judge agreed with people on one dimension: Cohen's kappa, with its 95 % interval."""

    judge: str
    rubric: str
    dimension: str
    items: int
    kappa: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from, how many samples do, and under which licence (empty: not known)."""

    name: str
    samples: int
    license: str


@dataclass(frozen=True, slots=True)
class Card:
    """What is told of an export. Money is in US dollars and covers priced calls only.

    ``people`` says what people changed against the judge. ``prompts`` are (name, digest of what was asked by, calls); ``rubrics`` are ``id@version``, with
    their licence where it is known; ``caught`` of ``planted`` defects were found by the judge.
    """

    name: str
    format: str
    rows: int
    recipe: str
    version: str
    about: str = ""
    mode: str = ""
    seed: int = 0
    complete: bool = True
    outcomes: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prompts: Sequence[tuple[str, str, int]] = ()
    rubrics: Mapping[str, str] = field(default_factory=dict)
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    costs: Sequence[tuple[str, str, int, float]] = ()
    planted: int = 0
    caught: int = 0
    sound_kept: int = 0
    unjudged: int = 0
    people: str = ""
    judge_is_writer: bool = False
    demonstration_models: Sequence[str] = ()
    agreement: Sequence[Agreed] = ()
    sources: Sequence[Source] = ()


def card_path(export: str | Path) -> Path:
    """Where the card of an export lies: in its folder, or beside its file as ``NAME.card.md``."""
    path = Path(export)
    return path / "README.md" if path.is_dir() else path.with_name(f"{path.name}.card.md")


def write_card(card: Card, export: str | Path) -> Path:
    """Write the card of an export that is there. Raises ConfigError where it cannot be written."""
    path = card_path(export)
    with replacing(path) as whole:
        whole.write_text(render(card), encoding="utf-8")
    return path


def render(card: Card) -> str:
    """The card as text."""
    front = yaml.safe_dump(_front(card), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---\n",
        f"# {_plain(card.name)}\n",
        *_what(card),
        *_how(card),
        *_quality(card),
        "## Known limits\n",
        *(f"- {limit}" for limit in limits(card)),
        "",
        *_rights(card),
    ]
    return "\n".join(parts).rstrip() + "\n"


def limits(card: Card) -> list[str]:
    """What a user of the data must know before trusting it."""
    found = []
    if card.demonstration_models:
        names = ", ".join(map(_code, card.demonstration_models))
        found.append(
            f"**Not to be trained on**: text by {names} only shows that the machinery works."
        )
    if card.judge_is_writer:
        found.append("The judge is the writer: one model judged its own texts.")
    if card.unjudged:
        found.append(f"No rubric judged {card.unjudged:,} of the samples.")
    if not card.planted and "judge" in card.models:
        found.append("No defects were planted: it is not known what the judge overlooks.")
    if not card.agreement:
        found.append("No agreement of the judge with people was measured for this run.")
    if not card.complete:
        found.append("The run was not complete when this was written.")
    checked = "" if card.people else " No person is known to have checked it."
    found.append(f"All text was written by language models.{checked}")
    return found


def _front(card: Card) -> dict[str, Any]:
    return {
        "pretty_name": _plain(card.name),
        "license": "unknown",  # the rows' licences are below; the models' terms are not known
        "task_categories": _TASKS.get(card.format, ["text-generation"]),
        "tags": ["synthetic", "synthtutor", "education", "tutoring"],
        "size_categories": [next((name for most, name in _SIZES if card.rows < most), "n>1M")],
    }


def _what(card: Card) -> list[str]:
    made = sum(card.outcomes.values())
    about = f" {_plain(card.about)}" if card.about else ""
    first = (
        f"{card.rows:,} rows in the format `{card.format}`, made by the recipe {_code(card.recipe)} of "
        f"synthtutor {card.version}.{about}\n"
    )
    return [
        first,
        *_table(
            ("outcome", "samples"),
            [(name, f"{card.outcomes[name]:,}") for name in sorted(card.outcomes, key=_place)],
        ),
        f"{made:,} sample{'s were' if made != 1 else ' was'} made in all.\n",
    ]


def _place(outcome: str) -> tuple[int, str]:
    order = ("kept", "rejected", "undetermined", "failed")
    return (order.index(outcome) if outcome in order else len(order), outcome)


def _how(card: Card) -> list[str]:
    mode = f", mode {_code(card.mode)}" if card.mode else ""
    unknown = f"{counted(card.unpriced_calls, 'call')} of unknown price"
    priced = f" and {unknown}" if card.unpriced_calls else ""
    total = (
        f"{card.calls:,} calls, {card.input_tokens:,} input and {card.output_tokens:,} output tokens: "
        f"{money(card.cost_usd)}{priced}, dropped samples and repeated calls included.\n"
    )
    return [
        "## How it was made\n",
        f"Run seed {card.seed}{mode}.\n",
        *_table(
            ("role", "models"),
            [(role, ", ".join(map(_code, names))) for role, names in card.models.items()],
        ),
        *_table(
            ("prompt", "digest", "calls"),
            [(_code(name), _code(digest), f"{calls:,}") for name, digest, calls in card.prompts],
        ),
        "## What it cost\n",
        total,
        *_table(
            ("role", "model", "calls", "US dollars"),
            [(role, _code(model), f"{calls:,}", money(usd)) for role, model, calls, usd in card.costs],
        ),
    ]  # fmt: skip


def _quality(card: Card) -> list[str]:
    lines = ["## How it was judged\n"]
    if card.rubrics:
        rows = [(_code(name), rights or "not known") for name, rights in card.rubrics.items()]
        lines += _table(("rubric", "its licence"), rows)
    else:
        lines.append("No rubric was used.\n")
    if card.planted:
        lines.append(
            f"The judge caught {card.caught} of {card.planted} planted defects, and would have kept "
            f"{card.sound_kept} of the same {card.planted} texts without the defect.\n"
        )
    if card.people:
        lines.append(f"People changed what the judge kept: {_plain(card.people)}.\n")
    agreed = [
        (_code(a.judge), _code(a.rubric), _plain(a.dimension), f"{a.items:,}", _kappa(a))
        for a in card.agreement
    ]
    headings = ("judge", "rubric", "dimension", "items", "Cohen's κ with people (95 %)")
    return [*lines, *_table(headings, agreed)]


def _rights(card: Card) -> list[str]:
    rows = [
        (_code(source.name), f"{source.samples:,}", source.license or "not known")
        for source in card.sources
    ]
    return [
        "## Sources and licence\n",
        *_table(("source of the rows", "samples", "licence"), rows),
        "Vendors' terms of use also apply to what their models write: check them before you publish or train.",
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table and a blank line; nothing where there are no rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    rule = f"|{'---|' * len(headings)}"
    return [f"| {' | '.join(headings)} |", rule, *lines, ""] if lines else []


def _code(text: str) -> str:
    """A name that may hold anything, as Markdown that is only that name."""
    return f"`{_plain(text, '`|')}`"


def _plain(text: str, unwanted: str = "`|<>[]*#") -> str:
    one_line = " ".join(str(text).split())
    return re.sub(f"[{re.escape(unwanted)}]", "", one_line)[:200]


def _kappa(agreed: Agreed) -> str:
    if agreed.kappa is None:
        return "undefined"
    interval = "" if agreed.low is None or agreed.high is None else f" ({agreed.low:.2f} to {agreed.high:.2f})"  # fmt: skip
    return f"{agreed.kappa:.2f}{interval}"
