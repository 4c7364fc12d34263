"""Fits what `synthtutor.tokens` estimates by, and says how far off it is on held-out text of ours.

    python benchmarks/calibrate_tokens.py --tokenizer gemini=tokenizer.json --claude 4.5

``--tokenizer NAME=FILE`` (a tokenizer.json, read by the ``tokenizers`` package) and ``--claude
VERSION`` (counted by the ``ctok`` package) name vendors' tokenizers; without any, o200k_base stands
for one that nothing is known of. For each, the rates are fitted anew and printed, with the errors
on the held-out half. ``--counts FILE`` writes down what the tokenizers say about held-out texts,
which tests/test_tokens.py holds the shipped rates against.

The texts are the requests that the misconception recipe sends, its seeds, JSON, LaTeX, arithmetic,
chat, and two texts in each of fourteen languages. English counts most: it is most of what is sent.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import orjson
import yaml

import synthtutor
from synthtutor.recipes.bank import Seed, bank
from synthtutor.testing import ScriptedProvider
from synthtutor.tokens import FEATURES, counter_for, features

__all__ = ["Text", "fitted", "texts"]

Count = Callable[[str], int]

# What is sent every day, and how much a kind of it weighs against a language.
_OURS = {"request": 15, "prose": 15, "json": 8, "latex": 3, "arithmetic": 3, "chat": 3}


@dataclass(frozen=True, slots=True)
class Text:
    """A text of some kind; ``fit`` says whether rates are fitted to it or judged by it."""

    kind: str
    fit: bool
    text: str


def texts() -> Iterator[Text]:
    """All texts, in a stable order."""
    for number, said in enumerate(_requests()):
        yield Text("request", number % 2 == 0, said)
    subjects = sorted({seed.subject for seed in bank()})
    for seed in bank():
        # By subject: the seeds of one share their words.
        fit = subjects.index(seed.subject) % 2 == 0
        prose = f"{seed.question}\n\n{seed.first_explanation}\n\n{seed.follow_up}"
        yield Text("prose", fit, prose)
        yield Text("json", fit, _json(seed))
    written = Path(__file__).with_name("calibration_texts.yaml")
    for kind, pair in yaml.safe_load(written.read_text(encoding="utf-8")).items():
        for number, said in enumerate(pair):
            yield Text(kind, number == 0, said)


def _requests() -> list[str]:
    """The messages that a run sends, each once."""
    provider = ScriptedProvider()
    with tempfile.TemporaryDirectory() as folder:
        synthtutor.run(
            "misconception",
            models="scripted/any",
            out=folder,
            n=24,
            providers={"scripted": provider},
        )
    said = (message.content for request in provider.requests for message in request.messages)
    return sorted(set(said))


def _json(seed: Seed) -> str:
    return orjson.dumps({"follow_up": seed.follow_up, "rubric": list(seed.rubric)}).decode()


def fitted(
    rows: Sequence[Sequence[float]], wanted: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Rates, none below 0, with the least weighted squares of relative errors."""
    scaled = [
        [weight**0.5 * value / want for value in row]
        for row, want, weight in zip(rows, wanted, weights, strict=True)
    ]
    left = [weight**0.5 for weight in weights]  # what is not yet explained
    columns = list(zip(*scaled, strict=True))
    sizes = [sum(value * value for value in column) for column in columns]
    rates = [0.0] * len(columns)
    for _ in range(3000):  # one rate at a time: slow, but sure not to leave out the bound
        for index, column in enumerate(columns):
            if not sizes[index]:
                continue
            step = sum(a * b for a, b in zip(column, left, strict=True)) / sizes[index]
            step = max(step, -rates[index])
            rates[index] += step
            left = [rest - step * value for rest, value in zip(left, column, strict=True)]
    return rates


def _report(name: str, count: Count, all_texts: Sequence[Text]) -> None:
    rows = [features(text.text) for text in all_texts]
    wanted = [float(count(text.text)) for text in all_texts]
    fit = [index for index, text in enumerate(all_texts) if text.fit]
    kinds = [text.kind for text in all_texts if text.fit]
    weights = [_OURS.get(all_texts[i].kind, 1) / kinds.count(all_texts[i].kind) for i in fit]
    rates = fitted([rows[i] for i in fit], [wanted[i] for i in fit], weights)
    estimates = [sum(r * f for r, f in zip(rates, row, strict=True)) for row in rows]
    errors: dict[str, list[float]] = {}
    for text, estimate, want in zip(all_texts, estimates, wanted, strict=True):
        if not text.fit:
            errors.setdefault(text.kind, []).append(estimate / want - 1)
    ours = [abs(error) for kind in _OURS for error in errors[kind]]
    print(f"\n{name}: {', '.join(f'{rate:.3f}' for rate in rates)}")
    print(f"  19 of 20 of our texts within {quantiles(ours, n=20)[-1]:.1%}, all {max(ours):.1%}")
    print("  " + ", ".join(f"{kind} {fmean(found):+.1%}" for kind, found in errors.items()))


def _counts(counters: Mapping[str, Count], all_texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Three held-out texts of each of our kinds, one of each language, and what they count."""
    chosen: dict[str, list[str]] = {}
    for text in all_texts:
        if not text.fit and len(chosen.setdefault(text.kind, [])) < (
            6 if text.kind in _OURS else 1
        ):
            chosen[text.kind].append(text.text)
    return [
        {
            "kind": kind,
            "ours": kind in _OURS,
            "text": text,
            "tokens": {name: count(text) for name, count in counters.items()},
        }
        for kind, found in chosen.items()
        for text in found
    ]


def _tokenizer(path: str) -> Count:
    tokenizer = import_module("tokenizers").Tokenizer.from_file(path)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _claude(version: str) -> Count:
    token_count = import_module("ctok").token_count
    # What surrounds a message is not part of the text: a letter alone is one token.
    around = token_count("a", version) - 1
    return lambda text: int(token_count(text, version)) - around


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tokenizer", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--claude", action="append", default=[], metavar="VERSION")
    parser.add_argument("--counts", type=Path, metavar="FILE")
    options = parser.parse_args()
    counters: dict[str, Count] = {
        "o200k_base": counter_for("openai/gpt-4o").text,
        "cl100k_base": counter_for("openai/gpt-4").text,
    }
    for given in options.tokenizer:
        name, _, path = given.partition("=")
        counters[name] = _tokenizer(path)
    counters |= {f"claude {version}": _claude(version) for version in options.claude}
    all_texts = list(texts())
    if options.counts:
        options.counts.write_bytes(orjson.dumps(_counts(counters, all_texts), option=2))
        return
    print(f"{sys.argv[0]}: {len(all_texts)} texts; rates of {', '.join(FEATURES)}")
    for name, count in counters.items():
        if name != "cl100k_base":
            _report(name, count, all_texts)


if __name__ == "__main__":
    _main()
