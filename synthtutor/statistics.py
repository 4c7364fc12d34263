"""What a set of finished samples is like: the content of ``statistics.json``, in one pass.

Texts are measured over the kept samples, which are the data set; what the judge said is counted
over all that were judged, since among the kept alone nearly everything passed. Tokens and money
are the journal's and are not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from synthtutor.export.pairs import Pairs
from synthtutor.quality.attributes import Attributes
from synthtutor.quality.distribution import Distribution
from synthtutor.quality.diversity import Diversity
from synthtutor.quality.duplicates import Duplicates
from synthtutor.quality.labels import Labels
from synthtutor.quality.openers import Openers
from synthtutor.quality.quoting import Quoting
from synthtutor.quality.readability import Readability

__all__ = ["statistics"]

_OUTCOMES = ("kept", "rejected", "undetermined", "failed")
_STATES = ("answered", "missing", "failed")
_MOST_GROUPS = 1000
_OTHER = "(others)"


def statistics(
    samples: Iterable[dict[str, Any]], *, cells: int | None = None, every: int = 1
) -> dict[str, Any]:
    """Fold the samples into plain data for JSON; the same samples give the same numbers.

    ``metadata`` is read for ``outcome`` (a sample without one counts as kept), ``reasons``,
    ``verdicts``, ``subject`` and ``misconception_type``. ``cells`` is how many pairs of the last
    two the run could fill. Of the kept texts each ``every``-th is measured, since measuring takes
    about a millisecond; ``texts_measured`` says how many that were.
    """
    outcomes, texts, verdicts, coverage = _Outcomes(), _Texts(), _Verdicts(), _Coverage()
    pairs, labels, drawn = Pairs(), Labels(), Attributes()
    kept_so_far = measured = 0
    for sample in samples:
        metadata = sample.get("metadata") or {}
        kept = outcomes.add(metadata) == "kept"
        verdicts.add(metadata)
        pairs.add(sample)
        labels.add(sample)
        drawn.add(sample)
        coverage.add(metadata, kept=kept)
        if kept and kept_so_far % every == 0:
            texts.add(sample)
            measured += 1
        kept_so_far += kept
    return {
        "outcomes": outcomes.summary(),
        "texts_measured": measured,
        **texts.summary(),
        "verdicts": verdicts.summary(),
        "coverage": coverage.summary(cells),
        **({"attributes": spread} if (spread := drawn.summary()) else {}),
        **({"pairs": found} if (found := pairs.summary()) else {}),
        **({"labels": graded} if (graded := labels.summary()) else {}),
    }


class _Outcomes:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._reasons: dict[str, Counter[str]] = {}

    def add(self, metadata: dict[str, Any]) -> str:
        outcome = str(metadata.get("outcome") or "kept")
        self._counts[outcome] += 1
        reasons = metadata.get("reasons") or []
        if outcome != "kept":
            counted = self._reasons.setdefault(outcome, Counter())
            for reason in {reasons} if isinstance(reasons, str) else set(map(str, reasons)):
                counted[reason if reason in counted or len(counted) < _MOST_GROUPS else _OTHER] += 1
        return outcome

    def summary(self) -> dict[str, Any]:
        n = self._counts.total()
        decided = self._counts["kept"] + self._counts["rejected"]
        return {
            "samples": n,
            **{outcome: self._counts[outcome] for outcome in (*_OUTCOMES, *self._others())},
            "keep_rate": _share(self._counts["kept"], n),
            "keep_rate_of_decided": _share(self._counts["kept"], decided),
            "reasons": {
                outcome: dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
                for outcome, counts in sorted(self._reasons.items())
            },
        }

    def _others(self) -> list[str]:
        return sorted(self._counts.keys() - set(_OUTCOMES))


class _Texts:
    """What the assistant says, turn by turn; whole sides of a conversation for near-duplicates."""

    def __init__(self) -> None:
        self._words = Distribution()
        self._turns = Distribution()
        self._openers = Openers()
        self._readability = Readability()
        self._diversity = Diversity()
        self._sides = {role: Duplicates() for role in ("assistant", "user")}

    def add(self, sample: dict[str, Any]) -> None:
        said: dict[str, list[str]] = {"assistant": [], "user": []}
        for message in sample.get("messages") or []:
            if message["role"] in said:
                said[message["role"]].append(message["content"])
        self._turns.add(len(said["assistant"]))
        for text in said["assistant"]:
            self._words.add(len(text.split()))
            self._openers.add(text)
            self._readability.add(text)
            self._diversity.add(text)
        for role, duplicates in self._sides.items():
            duplicates.add("\n".join(said[role]), str(sample.get("id")))

    def summary(self) -> dict[str, Any]:
        return {
            "assistant": {
                "turns_per_sample": self._turns.summary(),
                "words_per_turn": self._words.summary(),
                **self._openers.summary(),
                "readability": self._readability.summary(),
                "diversity": self._diversity.summary(),
            },
            "near_duplicates": {role: side.summary() for role, side in self._sides.items()},
        }


class _Verdicts:
    """Verdicts by criterion and by dimension: how many passed of those answered.

    By judge: how many of those that quote evidence quote what stands in the text.
    """

    def __init__(self) -> None:
        self._criteria: dict[str, Counter[str]] = {}
        self._dimensions: dict[str, Counter[str]] = {}
        self._wordings: dict[str, str | None] = {}
        self._all: Counter[str] = Counter()
        self._quoting = Quoting()

    def add(self, metadata: dict[str, Any]) -> None:
        self._quoting.add(metadata)
        for verdict in metadata.get("verdicts") or []:
            name = str(verdict.get("id"))
            wording = str(verdict.get("criterion") or "") or None
            if name in self._wordings or len(self._wordings) < _MOST_GROUPS:
                same = self._wordings.setdefault(name, wording) == wording
                self._wordings[name] = wording if same else None
            dimension = str(verdict.get("dimension") or "none")
            counted = (_group(self._criteria, name), _group(self._dimensions, dimension), self._all)
            for counts in counted:
                _count(counts, verdict)

    def summary(self) -> dict[str, Any]:
        return {
            **_rates(self._all),
            "criteria": {
                name: {"criterion": self._wordings.get(name), **_rates(counts)}
                for name, counts in sorted(self._criteria.items())
            },
            "dimensions": {
                name: _rates(counts) for name, counts in sorted(self._dimensions.items())
            },
            "evidence": self._quoting.summary(),
        }


def _group(groups: dict[str, Counter[str]], name: str) -> Counter[str]:
    # Criteria written for one sample would otherwise be as many groups as verdicts.
    if name not in groups and len(groups) >= _MOST_GROUPS:
        name = _OTHER
    return groups.setdefault(name, Counter())


def _count(counts: Counter[str], verdict: dict[str, Any]) -> None:
    passed, state = verdict.get("passed"), verdict.get("state")
    if isinstance(passed, bool) and state in (None, "answered"):
        counts["answered"] += 1
        counts["passed"] += passed
        counts["observed"] += verdict.get("observed") is True
    else:
        counts["missing" if state == "missing" else "failed"] += 1


def _rates(counts: Counter[str]) -> dict[str, Any]:
    return {
        **{state: counts[state] for state in _STATES},
        "passed": counts["passed"],
        "observed": counts["observed"],
        "pass_rate": _share(counts["passed"], counts["answered"]),
    }


class _Coverage:
    """Pairs of subject and kind of misconception: how many samples were made and kept in each."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], Counter[str]] = {}
        self._left_out = 0

    def add(self, metadata: dict[str, Any], *, kept: bool) -> None:
        subject, kind = metadata.get("subject"), metadata.get("misconception_type")
        if subject is None or kind is None:
            return
        cell = (str(subject), str(kind))
        if cell not in self._cells and len(self._cells) >= 10 * _MOST_GROUPS:
            self._left_out += 1
            return
        counts = self._cells.setdefault(cell, Counter())
        counts["made"] += 1
        counts["kept"] += kept

    def summary(self, cells: int | None) -> dict[str, Any]:
        kept = [counts["kept"] for counts in self._cells.values() if counts["kept"]]
        by_subject: dict[str, dict[str, dict[str, int]]] = {}
        for (subject, kind), counts in sorted(self._cells.items()):
            by_subject.setdefault(subject, {})[kind] = {
                "made": counts["made"],
                "kept": counts["kept"],
            }
        return {
            "cells": cells,
            "filled": len(kept),
            "filled_share": _share(len(kept), cells or 0),
            "attempted": len(self._cells),
            "subjects": len(by_subject),
            "misconception_types": len({kind for _, kind in self._cells}),
            "least_per_filled_cell": min(kept, default=None),
            "most_per_filled_cell": max(kept, default=None),
            "samples_left_out": self._left_out,
            "by_subject": by_subject,
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
