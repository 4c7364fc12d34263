"""Text that a model wrote, as it may be shown: nothing invisible in it can change what is around it."""

from __future__ import annotations

import re

__all__ = ["visible"]

# Controls, overrides and isolates of writing direction, invisible tags, halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with each such character written out, as ⟨U+202E⟩.

    Marks of direction and joiners, which Arabic, Hebrew and emoji need, stay.
    """
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text.replace("\r\n", "\n"))
