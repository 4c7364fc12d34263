"""What others have published on the same data, to read beside one's own figures.

None of it was measured on the items of anybody's run: each entry says on what it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure: which measure of which system, on what, and where it is printed."""

    measure: str
    value: float
    system: str
    measured_on: str
    source: str


_BEA_SET = "BEA 2025 test set (MRBench V3, other replies than V2)"
_BEA_BEST = "best fine-tuned system of the shared task"
_FINDINGS = "Kochmar et al. 2025, arXiv 2507.10579"
_LOCATION = "MathTutorBench's own prompt, whole solutions, correct ones among them"
_README = "MathTutorBench, README's table"


def _best(value: float) -> Published:
    return Published("macro_f1", value, _BEA_BEST, _BEA_SET, _FINDINGS)


def _located(value: float, system: str) -> Published:
    return Published("mistake location", value, system, _LOCATION, _README)


PUBLISHED: Mapping[str, Mapping[str, Sequence[Published]]] = {
    "mrbench": {
        "Mistake_Identification": [_best(0.718)],
        "Mistake_Location": [
            Published(
                "macro_f1", 0.554, "fine-tuned MPNet of team BD", _BEA_SET, "arXiv 2506.01817"
            )
        ],
        "Providing_Guidance": [_best(0.583)],
        "Actionability": [_best(0.709)],
    },
    "stepverify": {
        "first_error": [
            _located(0.37, "GPT-4o"),
            _located(0.57, "LearnLM-1.5-Pro"),
            _located(0.41, "Llama3.2-3B"),
        ]
    },
}
