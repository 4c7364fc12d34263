"""The Flesch–Kincaid grade: what school year an English text is written for.

Syllables are counted by rule. A pronouncing dictionary would have to be downloaded, and
hyphenation patterns leave out the breaks that typesetters avoid, which are syllables too.
"""

from __future__ import annotations

import re
from functools import lru_cache

from synthtutor.quality.distribution import Distribution
from synthtutor.quality.prose import prose, sentences, words

__all__ = ["Readability", "grade", "syllables"]

_VOWELS = re.compile(r"[aeiouyàâäéèêëîïôöùûü]+")
_SILENT = re.compile(r"(?:[^laeiouy]e|[aeiouyr]le|[^td]ed|[^aeiouylsxzcg]es|[aeiouyr]les|[cs]hed)$")
_TWO = re.compile(
    r"ia|io(?![un])|ious|ien[ct]|iet|iu|eo(?!pl)|(?<!q)ua[lt]|[eoy]ing|uou|creat|eum|oe[mt]|ism$"
    r"|[aeiouy][^aeiouy]+ea(?=s?$)"
)
_AFTER_LATIN = "\u0250"
_ONE = re.compile(r"[tscgx]io(?!n)|[tsc]ia|[tc]ien[ct](?=[sy]?$)|geon")


@lru_cache(maxsize=1 << 16)
def syllables(word: str) -> int:
    """The syllables of an English word, by rule; about nine of ten words are right."""
    low = word.casefold()
    count = len(_VOWELS.findall(low)) + len(_TWO.findall(low)) - len(_ONE.findall(low))
    return max(1, count - bool(_SILENT.search(low)))


def grade(text: str) -> float | None:
    """The grade of one text, without its formulas and numbers; None where it has no words.

    None too where most words are not in Latin letters. Noisy below some thirty words; may be below 0.
    """
    counted = _counted(text)
    return _grade(*counted) if counted[1] else None


class Readability:
    """The grades of texts, and the grade of all of them as one, which short texts do not blur."""

    def __init__(self) -> None:
        self._grades = Distribution(step=0.1)
        self._sentences = self._words = self._syllables = 0

    def add(self, text: str) -> None:
        """Measure one text; one without words counts nowhere."""
        sentence_count, word_count, syllable_count = _counted(text)
        if not word_count:
            return
        self._sentences += sentence_count
        self._words += word_count
        self._syllables += syllable_count
        self._grades.add(_grade(sentence_count, word_count, syllable_count))

    def summary(self) -> dict[str, object]:
        """``grade`` of all as one, ``grades`` as a distribution, ``words_per_sentence``."""
        if not self._words:
            return {"grade": None, "grades": self._grades.summary(), "words_per_sentence": None}
        return {
            "grade": round(_grade(self._sentences, self._words, self._syllables), 2),
            "grades": self._grades.summary(),
            "words_per_sentence": round(self._words / self._sentences, 2),
        }


def _counted(text: str) -> tuple[int, int, int]:
    parts = sentences(prose(text))
    found = [word for part in parts for word in words(part)]
    if 2 * sum(word[0] < _AFTER_LATIN for word in found) < len(found):
        return 0, 0, 0  # the formula is for English: of Arabic or Chinese it says nothing
    return len(parts), len(found), sum(map(syllables, found))


def _grade(sentence_count: int, word_count: int, syllable_count: int) -> float:
    return 0.39 * word_count / sentence_count + 11.8 * syllable_count / word_count - 15.59
