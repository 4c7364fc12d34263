"""Texts that are nearly the same as an earlier one, found in linear time and bounded memory.

Each text's runs of three words are sorted into 64 bins by their hash, and the least of each bin
is its signature (MinHash in one permutation): two texts agree in a bin as often as their runs
overlap (Jaccard). Sixteen bands of four bins are looked up in tables; only a text found there is
compared, so a text costs at most sixteen comparisons however many came before. Texts that share
0.8 of their runs meet there in 9,998 of 10,000 cases, 0.7 in 98 of 100; how much they share is
then an estimate, give or take 0.06.

Why not a library: datasketch does the same with numpy and scipy, which the rest of the package
does without; rapidfuzz compares pairs, and all pairs are quadratic. Why arrays and not dicts:
sixteen entries for each text took 2 KB, most of the memory of a run of 100,000 rows.
"""

from __future__ import annotations

from array import array
from collections import Counter
from struct import Struct

from synthtutor.quality.shingles import shingles, tokens

__all__ = ["Duplicates"]

_BINS = 64
_ROWS = 4
_BANDS = _BINS // _ROWS
_WORDS = 3
_EMPTY = 1 << 64
# From which bit each bin keeps a byte of its hash; the lowest six are the bin's own number.
_BYTES = (6, 14, 22, 30) * _BANDS
_KEYS = Struct(f"{_BANDS}I")  # a signature's bytes by fours: each band's key
_SPREAD = 0x9E3779B97F4A7C15


class Duplicates:
    """Counts texts that share at least ``threshold`` of their runs of words with an earlier one.

    The first of its kind is the original. ``capacity`` originals are remembered, about 200 bytes
    each; later texts are still compared with those.
    """

    def __init__(self, *, threshold: float = 0.7, capacity: int = 50_000) -> None:
        self._threshold = threshold
        self._capacity = capacity
        self._names: list[str] = []
        self._keys = array("I")  # the signatures of the originals, one after the other
        self._slots = 1024
        self._tables = [_free(self._slots) for _ in range(_BANDS)]
        self._copies: Counter[str] = Counter()
        self._texts = 0

    def add(self, text: str, name: str) -> str | None:
        """Count one text; the name of the original that it nearly repeats, or None."""
        numbers = tokens(text)
        if not numbers:
            return None
        self._texts += 1
        signature = _signature(shingles(numbers, min(_WORDS, len(numbers))))
        keys = _KEYS.unpack(signature)
        original = self._find(signature, keys)
        if original is not None:
            self._copies[original] += 1
        elif len(self._names) < self._capacity:
            self._remember(keys, name)
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

    def _find(self, signature: bytes, keys: tuple[int, ...]) -> str | None:
        found = {
            entry - 1
            for band, key in enumerate(keys)
            if (entry := self._tables[band][self._slot(band, key)])
        }
        best = max(((self._agreement(signature, at), -at) for at in found), default=(0.0, 0))
        return self._names[-best[1]] if best[0] >= self._threshold else None

    def _remember(self, keys: tuple[int, ...], name: str) -> None:
        self._names.append(name)
        self._keys.extend(keys)
        if 5 * len(self._names) > 4 * self._slots:
            self._slots *= 2
            for band in range(_BANDS):
                self._tables[band] = _free(self._slots)
                for at, key in enumerate(self._keys[band::_BANDS]):
                    self._enter(band, key, at)
            return
        for band, key in enumerate(keys):
            self._enter(band, key, len(self._names) - 1)

    def _enter(self, band: int, key: int, at: int) -> None:
        slot = self._slot(band, key)
        self._tables[band][slot] = self._tables[band][slot] or at + 1

    def _slot(self, band: int, key: int) -> int:
        """Where the first original with the key stands in the band's table, or the free place for one.

        A table holds positions of originals, from 1; whoever finds a place taken looks at the next.
        """
        table, keys, last = self._tables[band], self._keys, self._slots - 1
        slot = (key * _SPREAD >> 40) & last
        while (entry := table[slot]) and keys[(entry - 1) * _BANDS + band] != key:
            slot = (slot + 1) & last
        return slot

    def _agreement(self, signature: bytes, at: int) -> float:
        other = self._keys[at * _BANDS : (at + 1) * _BANDS].tobytes()
        return sum(map(int.__eq__, signature, other)) / _BINS


def _free(slots: int) -> array[int]:
    return array("I", bytes(4 * slots))


def _signature(runs: list[int]) -> bytes:
    least = [_EMPTY] * _BINS
    for run in runs:
        if run < least[run % _BINS]:
            least[run % _BINS] = run
    # A byte of each is enough to compare 64 of them. A text of one run has it in every bin, so bins
    # keep different bytes; none is from the top, where the least of many runs are alike.
    return bytes([run >> at & 0xFF for run, at in zip(_filled(least), _BYTES, strict=True)])


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
