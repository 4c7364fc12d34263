"""How many of a thing, and how much money, as people write it."""

from __future__ import annotations

__all__ = ["counted", "money"]


def counted(number: int, noun: str) -> str:
    """``1 call``, ``1,200 calls``; for nouns whose plural is an s more."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def money(dollars: float, unpriced_calls: int = 0) -> str:
    """US dollars, with cents or below a dollar more; calls of unknown price are said, never $0."""
    amount = f"${dollars:,.2f}" if dollars >= 1 or dollars == 0 else f"${dollars:.4f}"
    if not unpriced_calls:
        return amount
    unknown = f"{counted(unpriced_calls, 'call')} of unknown price"
    return f"{amount} + {unknown}" if dollars else unknown
