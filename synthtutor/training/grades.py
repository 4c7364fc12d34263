"""How well a grader's labels were guessed, and which was taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from synthtutor.calibration.agreement import accuracy, macro_f1

__all__ = ["graded"]


def graded(true: Sequence[int], guessed: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 and the confusion of guesses, all as numbers of ``labels``.

    ``confusion[i][j]`` counts rows of label i taken for j.
    """
    pairs = Counter((labels[is_], labels[was]) for is_, was in zip(true, guessed, strict=True))
    return {
        "rows": len(true),
        "accuracy": accuracy(pairs),
        "macro_f1": macro_f1(pairs, labels),
        "confusion": [[pairs[is_, was] for was in labels] for is_ in labels],
    }
