"""Whether what a judge quotes as its evidence does stand in the text that it judged.

A judge is asked to quote before it decides. One whose quotations are not there judged something
else than the text, whatever its verdicts are; to see that costs no model and no labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["TRUE_QUOTES", "Quoting", "quoted"]

# Below this share a judge is called untrue; assumed, since no judge's quotations were labelled.
TRUE_QUOTES = 0.8

_MARKS = str.maketrans(
    dict.fromkeys("“”„«»", '"') | dict.fromkeys("‘’‚`´", "'") | dict.fromkeys("–—−‐‑", "-")
)
_LEFT_OUT = re.compile(r"\s*(?:\.{3,}|…|\[\.{3,}\]|\[…\])\s*")
_NONE = re.compile(
    r"(?:none|n/?a|nothing|null|not (?:applicable|present|found)|no (?:evidence|quote))\W*",
    re.IGNORECASE,
)
_EDGES = " \t\n\"'.,;:!?*_()[]-"
_MOST_JUDGES = 100


def quoted(evidence: str, text: str) -> bool | None:
    """Whether all that the evidence quotes stands in the text; None where it quotes nothing.

    Case, spaces, kinds of quotation marks and dashes, emphasis and the punctuation at its ends make
    no difference; three dots stand for words left out, and what is on both sides of them must be
    there in that order.
    """
    if not evidence.strip() or _NONE.fullmatch(evidence.strip(_EDGES)):
        return None
    pieces = [piece.strip(_EDGES) for piece in _LEFT_OUT.split(_plain(evidence))]
    pieces = [piece for piece in pieces if piece]
    if not pieces:
        return None
    plain, at = _plain(text), 0
    for piece in pieces:
        at = plain.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_MARKS)).translate(_MARKS)
    return " ".join(re.sub(r"[*_]{1,3}", "", text).casefold().split())


class Quoting:
    """Counts for ``statistics.json``: of each judge's verdicts that quote, how many quote truly."""

    def __init__(self) -> None:
        self._judges: dict[str, Counter[bool]] = {}

    def add(self, metadata: Mapping[str, Any]) -> None:
        """Count a judged sample; the judge is the model of its calls in that role."""
        said = [verdict.get("quoted") for verdict in metadata.get("verdicts") or []]
        said = [true for true in said if isinstance(true, bool)]
        if not said:
            return
        name = _judge(metadata)
        if name in self._judges or len(self._judges) < _MOST_JUDGES:
            self._judges.setdefault(name, Counter()).update(said)

    def summary(self) -> dict[str, dict[str, Any]]:
        """By judge: ``quoting`` verdicts, those ``found`` in the text, and their share (0 to 1)."""
        return {
            name: {
                "quoting": counts.total(),
                "found": counts[True],
                "share": round(counts[True] / counts.total(), 4),
            }
            for name, counts in sorted(self._judges.items())
        }


def _judge(metadata: Mapping[str, Any]) -> str:
    calls = (metadata.get("lineage") or {}).get("calls") or []
    models = {str(call.get("model")) for call in calls if call.get("role") == "judge"}
    return " and ".join(sorted(models)) or "not told"
