"""Texts that are nearly the same as an earlier one, found in linear time and bounded memory.

Each text's runs of three words are sorted into 64 bins by their hash, and the least of each bin
is its signature (MinHash in one permutation): two texts agree in a bin as often as their runs
overlap (Jaccard). Sixteen bands of four bins are looked up in tables; only a text found there is
compared, so a text costs at most sixteen comparisons however many came before. Texts that share
0.8 of their runs meet there in 9,998 of 10,000 cases, 0.7 in 98 of 100; how much they share is
then an estimate, give or take 0.06.

Why not a library: datasketch does the same with numpy and scipy, which the rest of the package
does without; rapidfuzz compares pairs, and all pairs are quadratic.
"""

from __future__ import annotations

from array import array
from collections import Counter

from synthtutor.quality.shingles import shingles, tokens

__all__ = ["Duplicates"]

_BINS = 64
_ROWS = 4
_WORDS = 3
_EMPTY = 1 << 32


class Duplicates:
    """Counts texts that share at least ``threshold`` of their runs of words with an earlier one.

    The first of its kind is the original. ``capacity`` originals are remembered, about 2 KB
    each; later texts are still compared with those.
    """

    def __init__(self, *, threshold: float = 0.7, capacity: int = 50_000) -> None:
        self._threshold = threshold
        self._capacity = capacity
        self._originals: list[tuple[str, array[int]]] = []
        self._tables: list[dict[int, int]] = [{} for _ in range(_BINS // _ROWS)]
        self._copies: Counter[str] = Counter()
        self._texts = 0

    def add(self, text: str, name: str) -> str | None:
        """Count one text; the name of the original that it nearly repeats, or None."""
        numbers = tokens(text)
        if not numbers:
            return None
        self._texts += 1
        signature = _signature(shingles(numbers, min(_WORDS, len(numbers))))
        keys = [hash(tuple(signature[at : at + _ROWS])) for at in range(0, _BINS, _ROWS)]
        original = self._find(signature, keys)
        if original is not None:
            self._copies[original] += 1
        elif len(self._originals) < self._capacity:
            for table, key in zip(self._tables, keys, strict=True):
                table.setdefault(key, len(self._originals))
            self._originals.append((name, signature))
        return original

    def summary(self, top: int = 10) -> dict[str, object]:
        """``texts``, ``copies``, ``share``, and the ``top`` originals with their number of copies."""
        copies = self._copies.total()
        most = sorted(self._copies.items(), key=lambda item: (-item[1], item[0]))[:top]
        return {
            "texts": self._texts,
            "copies": copies,
            "share": round(copies / self._texts, 4) if self._texts else None,
            "most_copied": [{"id": name, "copies": count} for name, count in most],
        }

    def _find(self, signature: array[int], keys: list[int]) -> str | None:
        candidates = {
            table[key] for table, key in zip(self._tables, keys, strict=True) if key in table
        }
        best = max(
            ((_agreement(signature, self._originals[at][1]), -at) for at in candidates),
            default=(0.0, 0),
        )
        return self._originals[-best[1]][0] if best[0] >= self._threshold else None


def _signature(runs: list[int]) -> array[int]:
    least = [_EMPTY] * _BINS
    for run in runs:
        value = run >> 32
        if value < least[run % _BINS]:
            least[run % _BINS] = value
    return array("I", _filled(least))


def _filled(least: list[int]) -> list[int]:
    # A short text leaves bins empty; each takes the value of the next full one, so that two short
    # texts agree there only where they agree in that bin.
    filled, value = list(least), 0
    for at in range(2 * _BINS - 1, -1, -1):
        if least[at % _BINS] == _EMPTY:
            filled[at % _BINS] = value
        else:
            value = least[at % _BINS]
    return filled


def _agreement(one: array[int], other: array[int]) -> float:
    return sum(map(int.__eq__, one, other)) / _BINS
