"""The prose of a tutoring text: without its formulas, code, links and list marks."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["prose", "sentences", "words"]

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
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@lru_cache(maxsize=1)  # each text is measured in several ways, one after the other
def prose(text: str) -> str:
    """The text without formulas, code, links, list marks and emphasis."""
    return _EMPHASIS.sub("", _MARKS.sub("", _NOT_PROSE.sub(" ", text)))


@lru_cache(maxsize=1)
def sentences(text: str) -> list[str]:
    """The sentences of a text; lines end one too. What has no word is none."""
    plain = _ABBREVIATION.sub(r"\1", text)
    return [part for part in _END.split(plain) if part and _WORD.search(part)]


def words(text: str) -> list[str]:
    """The words, without numbers."""
    return _WORD.findall(text)
