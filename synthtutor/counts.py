"""How many of a thing, in words, wherever people read it."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str) -> str:
    """``1 call``, ``1,200 calls``; for nouns whose plural is an s more."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
