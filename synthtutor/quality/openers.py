"""How texts begin and end: the formulas that a model falls into whatever the prompt asks."""

from __future__ import annotations

from collections import Counter

from synthtutor.quality.prose import prose, sentences, words

__all__ = ["Openers"]

_WORDS = 3
_FORMS = {"?": "question", "!": "exclamation"}


class Openers:
    """Counts first words, first words of last sentences, and final marks.

    When more than ``capacity`` different beginnings are held, those seen once are dropped: what
    a model falls into is seen often, and memory stays bounded.
    """

    def __init__(self, *, capacity: int = 50_000) -> None:
        self._openers = _Phrases(capacity)
        self._closers = _Phrases(capacity)
        self._forms: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count one text; one without a word is none."""
        parts = sentences(prose(text))
        if not parts:
            return
        self._openers.add(_beginning(parts[0]))
        self._closers.add(_beginning(parts[-1]))
        last = text.rstrip(" \t\n\"'”’)*_]")[-1:]
        self._forms[_FORMS.get(last, "statement")] += 1

    def summary(self, top: int = 10) -> dict[str, object]:
        """``openers`` and ``closers`` (concentration and the ``top`` phrases), ``endings`` as shares."""
        n = self._forms.total()
        return {
            "texts": n,
            "openers": self._openers.summary(top),
            "closers": self._closers.summary(top),
            "endings": {
                form: round(self._forms[form] / n, 4) if n else None
                for form in ("question", "exclamation", "statement")
            },
        }


class _Phrases:
    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: Counter[str] = Counter()
        self._all = 0

    def add(self, phrase: str) -> None:
        self._all += 1
        self._counts[phrase] += 1
        if len(self._counts) > self._capacity:
            often = {phrase: count for phrase, count in self._counts.items() if count > 1}
            self._counts = Counter(often)

    def summary(self, top: int) -> dict[str, object]:
        most = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:top]
        return {
            "top_share": self._share(most[0][1] if most else 0),
            f"top_{top}_share": self._share(sum(count for _, count in most)),
            "top": [
                {"phrase": phrase, "count": count, "share": self._share(count)}
                for phrase, count in most
            ],
        }

    def _share(self, count: int) -> float | None:
        return round(count / self._all, 4) if self._all else None


def _beginning(sentence: str) -> str:
    return " ".join(words(sentence.casefold())[:_WORDS])
