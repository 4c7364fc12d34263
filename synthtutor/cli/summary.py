"""The closing summary: what was made, what was dropped and why, what it took, where it is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from synthtutor.accounts import folded
from synthtutor.counts import counted, money

if TYPE_CHECKING:
    from synthtutor.export.faults import Report
    from synthtutor.outputs import Summary

__all__ = ["print_account", "print_summary"]

Say = Callable[..., None]

_FILES = {
    "report.html": "all of it to look at, in a browser",
    "finetune.jsonl": "the kept conversations, OpenAI chat fine-tuning format",
    "samples.jsonl": "the kept samples with verdicts and lineage",
    "rejected.jsonl": "the others, with reasons",
    "statistics.json": "rates, coverage, lengths, account",
    "journal.sqlite": "every paid reply; all other files can be made from it again",
}


def print_summary(
    console: Console, summary: Summary, folder: Path, validation: Report | None = None
) -> None:
    """Print it, with what the validator says of the fine-tuning file where it was just written."""
    say = _sayer(console)
    made, kept = summary.made, summary.kept
    say()
    share = f" ({kept / made:.0%})" if made else ""
    samples = f"{counted(made, 'sample')} made"
    say(f"{summary.recipe}: {samples}, {kept:,} kept{share}", "bold")
    dropped = [
        f"{summary.outcomes[name]:,} {name}"
        for name in ("rejected", "undetermined", "failed")
        if summary.outcomes.get(name)
    ]
    if dropped:
        say(f"  dropped: {', '.join(dropped)}; most often because")
        for reason, count in list(summary.reasons)[:5]:
            say(f"    {count:>5,} × {reason[:160]}")
    if summary.cells:
        say(f"  coverage: {summary.cells_filled} of {summary.cells} subject × misconception cells")
    _controls(say, summary)
    _evidence(say, folder)
    _account(say, summary)
    _warnings(say, summary)
    say(f"  files in {folder}:")
    for name, what in _FILES.items():
        if (folder / name).exists():
            say(f"    {name:<16} {what}")
    if validation is not None:
        verdict = "valid" if validation.ok else counted(validation.errors, "fault")
        say(f"  finetune.jsonl: {counted(validation.lines, 'line')}, {verdict}")
        for fault in validation.faults[:3]:
            say(f"    {fault}")


def print_account(console: Console, summary: Summary, folder: Path) -> None:
    """The end of a run whose result is not its samples: what failed, what it took, where it is."""
    say = _sayer(console)
    failed = summary.outcomes.get("failed", 0)
    if failed:
        say(f"  {failed:,} of {summary.made:,} rows failed: {folder / 'rejected.jsonl'} says why")
    _account(say, summary)
    _warnings(say, summary)
    say(f"  run in {folder}")


def _sayer(console: Console) -> Say:
    def say(text: str = "", style: str | None = None) -> None:
        shown = _folded(text, console.width) if console.is_terminal else text
        console.print(shown, style=style, highlight=False, markup=False, soft_wrap=True)

    return say


def _folded(text: str, width: int) -> str:
    """A line for a terminal of that width, broken between words and each part indented."""
    indent = " " * (len(text) - len(text.lstrip()) + 4)
    return textwrap.fill(
        text,
        width,
        subsequent_indent=indent,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _controls(say: Say, summary: Summary) -> None:
    controls = summary.controls
    if controls.planted:
        defects = counted(controls.planted, "planted defect")
        line = f"  judge: caught {controls.caught} of {defects}"
        if controls.unanswered:
            line += f" ({controls.unanswered} unanswered)"
        sound = counted(controls.planted, "sound text")
        line += f", would keep {controls.sound_kept} of {sound}"
        say(line)


def _evidence(say: Say, folder: Path) -> None:
    """A judge that quotes what is not there, by the statistics that were written last."""
    import orjson

    from synthtutor.quality.quoting import TRUE_QUOTES

    try:
        found = orjson.loads((folder / "statistics.json").read_bytes())["verdicts"]["evidence"]
    except (OSError, ValueError, LookupError, TypeError):
        return  # not written yet, or by an earlier version
    for judge, entry in found.items():
        if entry["share"] < TRUE_QUOTES:
            say(
                f"  judge: only {entry['found']:,} of {entry['quoting']:,} quotations of {judge} stand "
                "in the text it judged; see its verdicts before you believe them"
            )


def _account(say: Say, summary: Summary) -> None:
    cached = f" ({summary.cached_tokens:,} cached)" if summary.cached_tokens else ""
    say(
        f"  paid: {counted(summary.calls, 'call')} · {summary.input_tokens:,} input{cached} + "
        f"{summary.output_tokens:,} output tokens · "
        f"{money(summary.cost_usd, summary.unpriced_calls)}"
    )
    saved = summary.saved
    parts = [
        f"{money(dollars)} by {what}"
        for dollars, what in ((saved.batches_usd, "batches"), (saved.caching_usd, "cached prompts"))
        if dollars > 0
    ]
    if parts:
        say(f"  saved: {' and '.join(parts)}")
    for entry in folded(summary.account, "kind", "role", "model", "stage"):
        kind = "" if entry["kind"] == "sample" else f" ({entry['kind']})"
        say(
            f"    {entry['role']}{kind}, {entry['model']}, {entry['stage']}: "
            f"{counted(entry['calls'], 'call')}, {entry['input_tokens']:,} + {entry['output_tokens']:,} tokens"
            f"{_remarks(entry)}"
        )
    _what_for(say, summary)


def _what_for(say: Say, summary: Summary) -> None:
    """What the money went into, what resuming saved, and how it compares with the estimate."""
    parts = [
        f"{entry['outcome']} {money(entry['cost_usd'], entry['unpriced'])}"
        for entry in folded(summary.account, "outcome")
        if entry["cost_usd"] or entry["unpriced"]
    ]
    if parts:
        say(f"  went into: {' · '.join(parts)}")
    if summary.cost_per_kept_usd:
        say(f"  each kept sample: {money(summary.cost_per_kept_usd)}")
    resumes = summary.resumes
    if resumes.calls:
        times = counted(resumes.passes, "time")
        say(
            f"  resuming ({times}) took {resumes.calls:,} replies from the journal: "
            f"{money(resumes.usd)} not paid again"
        )
    expected = summary.expected
    if expected is not None:
        ratio = "" if expected.ratio is None else f", {expected.ratio:.0%} of what was expected"
        say(
            f"  estimate: {money(expected.expected_usd)} ({money(expected.low_usd)} to "
            f"{money(expected.high_usd)}); billed: "
            f"{money(expected.billed_usd, summary.unpriced_calls)}{ratio}"
        )
    if summary.left is not None:
        rows = counted(summary.left.rows, "row")
        if summary.left.usd is None:
            say(f"  left: {rows}; what they will cost cannot be said yet")
        else:
            say(f"  left: {rows}, about {money(summary.left.usd)} at what a row has cost so far")


def _remarks(entry: Mapping[str, Any]) -> str:
    remarks = []
    if entry["batched"]:
        remarks.append(f"{entry['batched']:,} in batches")
    if entry["cache_read_tokens"]:
        remarks.append(f"{entry['cache_read_tokens']:,} input tokens from the cache")
    if entry["asked_again"]:
        remarks.append(
            f"asked again {counted(entry['asked_again'], 'time')}, replies unusable, "
            f"for {entry['asked_again_tokens']:,} tokens"
        )
    if entry["refused"]:
        remarks.append(f"{entry['refused']:,} refused for {entry['refused_tokens']:,} tokens")
    return f"; {'; '.join(remarks)}" if remarks else ""


def _warnings(say: Say, summary: Summary) -> None:
    if summary.saved.caching_usd < 0:
        say(
            f"  note: writing the prompt cache cost {money(-summary.saved.caching_usd)} more than "
            "reading it saved; --provider-option anthropic.cache=off writes none"
        )
    if summary.judge_is_writer:
        say("  note: the judge is the writer; give another one with --model judge=provider/model")
    for model, setting, calls in summary.left_out:
        say(f"  note: {model} does not take {setting}: not sent in {counted(calls, 'call')}")
    if summary.demonstration_models:
        say(
            f"  note: text by {', '.join(summary.demonstration_models)} only shows that the machinery "
            "works: do not train on it. For real samples change one word: "
            "--model openai/gpt-5-mini",
            "bold",
        )
