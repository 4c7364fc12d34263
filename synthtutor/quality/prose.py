"""The prose of a tutoring text: without its formulas, code, links and list marks."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["UNSPACED", "is_question", "prose", "sentences", "words"]

# Spans are bounded, so that many openings without an end cannot make the search quadratic. A
# dollar sign opens a formula only if it also closes one: "$5 and $3" is money.
_NOT_PROSE = re.compile(
    r"""
      ```.{0,20000}?```  |  `[^`\n]{1,500}`
    | \$\$.{1,2000}?\$\$  |  \\\[.{1,2000}?\\\]  |  \\\(.{1,2000}?\\\)
    | \\begin\{(\w{1,20}\*?)\}.{0,5000}?\\end\{\1\}
    | \$(?!\s)[^$\n]{1,500}(?<!\s)\$(?!\d)
    | https?://\S+
    """,
    re.DOTALL | re.VERBOSE,
)
_MARKS = re.compile(r"^[ \t]*(?:[-*+•>#]+|\(?\d{1,3}[.)])[ \t]+", re.MULTILINE)
_EMPHASIS = re.compile(r"\*{1,3}|(?<!\w)_{1,3}|_{1,3}(?!\w)")
_ABBREVIATION = re.compile(
    r"\b(e\.g|i\.e|etc|vs|cf|Dr|Mr|Mrs|Ms|Prof|St|Fig|Eq|No)\.", re.IGNORECASE
)
_END = re.compile(r"(?<=[.!?…؟۔।])[\"'”’)\]]*\s+|(?<=[。！？])[”’」』）]*\s*|\n+")
# Chinese, Japanese and Thai are written without spaces: there a character counts as a word.
UNSPACED = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[^\W\d_{UNSPACED}]+(?:['’-][^\W\d_{UNSPACED}]+)*|(?!_|\d)[{UNSPACED}](?<=\w)")


@lru_cache(maxsize=1)  # each text is measured in several ways, one after the other
def prose(text: str) -> str:
    """The text without formulas, code, links, list marks and emphasis."""
    return _EMPHASIS.sub("", _MARKS.sub("", _NOT_PROSE.sub(" ", text)))


@lru_cache(maxsize=1)
def sentences(text: str) -> list[str]:
    """The sentences of a text; lines end one too. What has no word is none."""
    plain = _ABBREVIATION.sub(r"\1", text)
    return [part for part in _END.split(plain) if part and _WORD.search(part)]


def is_question(sentence: str) -> bool:
    """Whether a sentence ends in a question mark, of whichever script."""
    return sentence.rstrip(" \t\n\"'”’)*」』）").endswith(("?", "？", "؟"))


def words(text: str) -> list[str]:
    """The words, without numbers."""
    return _WORD.findall(text)
