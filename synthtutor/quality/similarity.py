"""How alike the texts of a corpus are: self-similarity, and how many texts they amount to.

Both are of a sample of bounded size, which is the same whatever the order of the texts: those with
the least hash. Two texts are as similar as their runs of words overlap (Jaccard).

The effective number is a Vendi score (Friedman and Dieng 2023, "The Vendi Score") of order 2
(Pasarkar and Dieng 2024, "Cousins of the Vendi Score"): the reciprocal of the mean squared
similarity of all pairs, each text with itself included. Order 1 needs the eigenvalues of the
similarities, and so numpy; order 2 is a sum over them. It weighs frequent forms more, and is never
above order 1.
"""

from __future__ import annotations

from bisect import insort
from hashlib import blake2b

from synthtutor.quality.shingles import shingles, tokens

__all__ = ["Similarity"]


class Similarity:
    """Mean similarity and the effective number of texts, over at most ``capacity`` of them.

    ``words`` is the length of the runs that are compared. Work grows with the square of
    ``capacity``: 200 texts are 19,900 pairs, some tenths of a second.
    """

    def __init__(self, *, words: int = 2, capacity: int = 200) -> None:
        self._words = words
        self._capacity = capacity
        self._kept: list[tuple[int, int, frozenset[int]]] = []
        self._texts = 0

    def add(self, text: str, name: str) -> None:
        """Count one text; one without a word is none. ``name`` tells equal texts apart."""
        numbers = tokens(text)
        if not numbers:
            return
        self._texts += 1
        hashed = blake2b(f"{name}\0{text}".encode("utf-8", "replace"), digest_size=8)
        rank = int.from_bytes(hashed.digest())
        if len(self._kept) < self._capacity or rank < self._kept[-1][0]:
            runs = frozenset(shingles(numbers, min(self._words, len(numbers))))
            insort(self._kept, (rank, self._texts, runs), key=lambda each: each[:2])
            del self._kept[self._capacity :]

    def summary(self) -> dict[str, float | int | None]:
        """``texts``, ``compared``, ``self_similarity`` (0–1) and ``effective_texts`` (1 to ``compared``).

        ``effective_share`` is the latter of ``compared``. None where there are fewer than two texts.
        """
        n = len(self._kept)
        total = squares = 0.0
        for at, (_, _, one) in enumerate(self._kept):
            for _, _, other in self._kept[:at]:
                shared = len(one & other)
                alike = shared / (len(one) + len(other) - shared)
                total += alike
                squares += alike * alike
        if n < 2:
            nothing = dict.fromkeys(("self_similarity", "effective_texts", "effective_share"))
            return {"texts": self._texts, "compared": n, **nothing}
        effective = n * n / (n + 2 * squares)
        return {
            "texts": self._texts,
            "compared": n,
            "self_similarity": round(2 * total / (n * (n - 1)), 4),
            "effective_texts": round(effective, 2),
            "effective_share": round(effective / n, 4),
        }
