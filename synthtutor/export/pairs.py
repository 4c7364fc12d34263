"""Preference pairs in the conversational form of TRL: ``prompt``, ``chosen``, ``rejected``.

What a run's pairs are like as a whole stands here too: a trainer that sees the longer reply win
learns to write long ones, so `Pairs` counts how often it does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.conversation import turns
from synthtutor.export.lines import encode, write_lines

__all__ = ["Pairs", "pairs"]


def pairs(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write one pair a line, each of its three sides a list of messages; how many.

    The last message is the chosen reply, ``metadata.pair.rejected`` the rejected one. Raises
    ConfigError, naming the sample, where there is no such pair.
    """
    return write_lines(map(_line, samples), path)


def _line(sample: dict[str, Any]) -> bytes:
    said = [{"role": turn["role"], "content": turn["content"]} for turn in turns(sample)]
    found = _pair(sample)
    rejected = found.get("rejected") if found else None
    if not isinstance(rejected, str) or not rejected or len(said) < 2:
        raise ConfigError(
            f"sample {sample.get('id')!r} is not a pair: only runs of the recipe preference, and what "
            "has a text in metadata.pair.rejected, can be exported as preference"
        )
    reply = {"role": said[-1]["role"], "content": rejected}
    row = {"prompt": said[:-1], "chosen": said[-1:], "rejected": [reply]}
    return encode(row, name=sample.get("id"))


def _pair(sample: dict[str, Any]) -> dict[str, Any] | None:
    found = (sample.get("metadata") or {}).get("pair")
    return found if isinstance(found, dict) else None


class Pairs:
    """Counts over samples: lengths and margins of the kept pairs, the judge's habits in all."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._defects: dict[str, Counter[str]] = {}
        self._lengths: Counter[str] = Counter()
        self._votes: Counter[str] = Counter()
        self._log_ratios: list[float] = [0.0, 0.0]  # how many, and their sum
        self._margins: list[float] = [0.0, 0.0]

    def add(self, sample: dict[str, Any]) -> None:
        """Count a sample; one without a pair counts for nothing."""
        found = _pair(sample)
        if found is None:
            return
        outcome = str(sample["metadata"].get("outcome") or "kept")
        self._outcomes[outcome] += 1
        counted = self._defects.setdefault(str(found.get("defect") or "none"), Counter())
        counted["made"] += 1
        counted["kept"] += outcome == "kept"
        self._vote(found.get("comparison"))
        if outcome == "kept":
            self._measure(found)

    def summary(self) -> dict[str, Any]:
        """As data for JSON; empty where there was no pair.

        ``longer_share`` is how often the chosen reply is the longer one, of the pairs in which
        either is; ``longer_share_95`` its Wilson interval. ``words_ratio`` is the geometric mean of
        chosen words by rejected words.
        """
        if not self._outcomes:
            return {}
        longer, shorter = self._lengths["longer"], self._lengths["shorter"]
        count, logs = self._log_ratios
        return {
            "kept": self._outcomes["kept"],
            "made": self._outcomes.total(),
            "chosen_longer": longer,
            "chosen_shorter": shorter,
            "equally_long": self._lengths["equal"],
            "longer_share": round(longer / (longer + shorter), 4) if longer + shorter else None,
            "longer_share_95": _wilson(longer, longer + shorter),
            "words_ratio": round(math.exp(logs / count), 4) if count else None,
            "mean_margin": round(self._margins[1] / self._margins[0], 4)
            if self._margins[0]
            else None,
            "comparisons": {
                name: self._votes[name]
                for name in ("asked", "agreed", "always_first", "always_second", "tied")
            },
            "defects": {
                name: {"made": counts["made"], "kept": counts["kept"]}
                for name, counts in sorted(self._defects.items())
            },
        }

    def _measure(self, found: dict[str, Any]) -> None:
        chosen, rejected = found.get("chosen_words") or 0, found.get("rejected_words") or 0
        sides = {1: "longer", 0: "equal", -1: "shorter"}
        self._lengths[sides[(chosen > rejected) - (chosen < rejected)]] += 1
        if chosen and rejected:
            self._log_ratios[0] += 1
            self._log_ratios[1] += math.log(chosen / rejected)
        if isinstance(found.get("margin"), int | float):
            self._margins[0] += 1
            self._margins[1] += found["margin"]

    def _vote(self, comparison: Any) -> None:
        if not isinstance(comparison, dict):
            return
        self._votes["asked"] += 1
        bias = comparison.get("order_bias")
        if bias is not None:
            self._votes[f"always_{bias}"] += 1
        elif comparison.get("chosen_first") == comparison.get("chosen_second") != "tie":
            self._votes["agreed"] += 1
        else:
            self._votes["tied"] += 1


def _wilson(part: int, whole: int) -> list[float] | None:
    """The range in which 19 of 20 such shares lie (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    if not whole:
        return None
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    around = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return [round((middle - around) / scale, 4), round((middle + around) / scale, 4)]
