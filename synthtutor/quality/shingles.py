"""Runs of words as numbers that are the same in every process."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

from synthtutor.quality.prose import UNSPACED

__all__ = ["located", "shingles", "tokens"]

# What is written without spaces goes character by character.
_TOKEN = re.compile(rf"[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*|[{UNSPACED}](?<=\w)")
_MASK = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that multiplying loses nothing


@lru_cache(maxsize=1)  # each text is measured in several ways, one after the other
def tokens(text: str) -> list[int]:
    """Each word and number of the text as 64 bits, regardless of case."""
    return [_token(word) for word in _TOKEN.findall(text.casefold())]


def located(text: str) -> list[tuple[int, int, int]]:
    """Each word and number with where it begins and ends in the text, regardless of case."""
    return [
        (_token(found[0].casefold()), found.start(), found.end()) for found in _TOKEN.finditer(text)
    ]


def shingles(numbers: list[int], size: int) -> list[int]:
    """Every run of ``size`` neighbours as 64 bits."""
    runs = numbers[: max(0, len(numbers) - size + 1)]
    for offset in range(1, size):
        runs = [
            (run * _FACTOR + number) & _MASK
            for run, number in zip(runs, numbers[offset:], strict=False)
        ]
    return runs


@lru_cache(maxsize=1 << 16)
def _token(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
