"""Labels of graded answers: those that a cosine gives, and how they compare with trusted ones.

A cosine says how alike two texts are. Whether an answer is right is another matter: "so it is 29"
and "so it is 31" are nearly the same text. The thresholds are those of an earlier practice, kept
so that what they did can be repeated, and measured.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from typing import Any

from synthtutor.quality.distribution import Distribution

__all__ = ["ESSAY_BINS", "MATH_THRESHOLD", "Labels", "Table", "essay_label", "math_label"]

MATH_THRESHOLD = 0.85
ESSAY_BINS = (0.2, 0.4, 0.6, 0.75, 0.9)


def math_label(cosine: float) -> int:
    """1 from 0.85 on, else 0."""
    return int(cosine >= MATH_THRESHOLD)


def essay_label(cosine: float) -> int:
    """0 to 5: the bins 0-0.2-0.4-0.6-0.75-0.9-1, each with its lower bound."""
    return bisect_right(ESSAY_BINS, cosine)


class Table:
    """Counts of (trusted label, other label), and what they add up to."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, int]] = Counter()

    def add(self, trusted: int, other: int) -> None:
        """Count one sample."""
        self._counts[trusted, other] += 1

    def summary(self) -> dict[str, Any]:
        """As data for JSON.

        ``agreement`` is the share of equal labels, ``within_one`` of labels that are one apart at
        most, ``majority`` what always giving the commonest trusted label would reach, and
        ``difference`` the mean of other - trusted. ``confusion`` maps each trusted label to the
        other labels with their number. None where nothing was compared.
        """
        n = self._counts.total()
        rows: dict[int, dict[str, int]] = {}
        for (trusted, other), count in sorted(self._counts.items()):
            rows.setdefault(trusted, {})[str(other)] = count
        equal = sum(count for (one, other), count in self._counts.items() if one == other)
        near = sum(count for (one, other), count in self._counts.items() if abs(one - other) < 2)
        shift = sum((other - one) * count for (one, other), count in self._counts.items())
        most = max((sum(row.values()) for row in rows.values()), default=0)
        return {
            "compared": n,
            "agreement": _share(equal, n),
            "within_one": _share(near, n),
            "majority": _share(most, n),
            "difference": _share(shift, n),
            "confusion": {str(trusted): row for trusted, row in rows.items()},
        }


class Labels:
    """Counts over the samples of grading recipes; those of other recipes count for nothing."""

    def __init__(self) -> None:
        self._kept: Counter[int] = Counter()
        self._words: dict[int, Distribution] = {}
        self._wanted = Table()
        self._cosine = Table()
        self._by: Counter[str] = Counter()
        self._measures: Counter[str] = Counter()

    def add(self, sample: Mapping[str, Any]) -> None:
        """Count one sample: what was asked for over all, the rest over those that were kept."""
        metadata = sample.get("metadata") or {}
        found = metadata.get("grading")
        if not isinstance(found, Mapping):
            return
        trusted, wanted = found.get("trusted"), found.get("wanted")
        if trusted is not None and wanted is not None:
            self._wanted.add(trusted, wanted)
        if (metadata.get("outcome") or "kept") != "kept":
            return
        label = metadata["label"]
        self._kept[label] += 1
        self._by[str(found.get("label_by"))] += 1
        self._words.setdefault(label, Distribution()).add(len(str(found.get("answer")).split()))
        cosine = found.get("cosine")
        if trusted is not None and isinstance(cosine, Mapping):
            self._cosine.add(trusted, cosine["label"])
            self._measures[str(cosine["measure"])] += 1

    def summary(self) -> dict[str, Any]:
        """As data for JSON; empty where there was no graded sample.

        ``kept`` and ``words`` (of the student's answer) are by label: a label that can be told
        from the length alone shows there. ``wanted`` compares what the writer was asked for with
        the trusted label, ``cosine`` the label that ``measures`` would have given.
        """
        if not self._kept and not self._wanted.summary()["compared"]:
            return {}
        return {
            "label_by": dict(sorted(self._by.items())),
            "kept": {str(label): n for label, n in sorted(self._kept.items())},
            "words": {str(label): each.summary() for label, each in sorted(self._words.items())},
            "wanted": self._wanted.summary(),
            "cosine": {"measures": dict(sorted(self._measures.items())), **self._cosine.summary()},
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
