"""How a criterion is worded: whether its main clause is negated, how many claims it makes.

Both are guesses from words alone. They are used to warn, and to read rubrics from elsewhere whose
faults are worded as "must not …".
"""

from __future__ import annotations

import re

__all__ = ["joined_claims", "negates", "negations"]

_NEGATION = re.compile(
    r"\b(?:not|never|cannot|no|none|nothing|neither|nor|fails? to|avoids?|refrains?)\b|n['’]t\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“][^\"”]*[\"”]|(?<!\w)['‘][^'’]*['’](?!\w)")
_OPENING_CLAUSE = re.compile(
    r"^(?:if|when|where|while|although|because|since)\b[^,]*,", re.IGNORECASE
)
_SUBORDINATE = re.compile(
    r"\b(?:that|which|who|whom|whose|what|where|why|how|when|if|whether|because|since|than|as if)\b"
    r"|[,:;(]",
    re.IGNORECASE,
)
_VERBS = (
    "acknowledges adds agrees answers asks asserts assumes blames builds calls claims compares "
    "connects contains contradicts corrects credits defines demonstrates describes diagnoses "
    "distinguishes encourages ends explains fits gives guides helps highlights identifies "
    "illustrates includes invites keeps leaves links locates makes mentions names notes offers "
    "points praises presents prompts provides recognises recognizes refers relates repeats "
    "restates says shows states suggests summarises summarizes tells tests treats uses"
)
_JOINED = re.compile(
    rf"(?:\band|\bor|\bbut)\s+(?:\w+ly\s+)?(?:{'|'.join(_VERBS.split())})\b", re.IGNORECASE
)
_ALSO = re.compile(r"\bas well as\b|\band (?:also|then|it)\b|;|[.?!]\s+[A-Z]", re.IGNORECASE)


def negates(text: str) -> bool:
    """Whether the main clause is negated: "does not say …", but not "says why it is not …"."""
    plain = _OPENING_CLAUSE.sub("", _QUOTED.sub("", text).strip()).strip()
    return bool(_NEGATION.search(_SUBORDINATE.split(plain, maxsplit=1)[0]))


def negations(text: str) -> list[str]:
    """The negating words outside quotation marks."""
    return _NEGATION.findall(_QUOTED.sub("", text))


def joined_claims(text: str) -> str | None:
    """The words that join two claims, or None where the text makes one."""
    plain = _QUOTED.sub("", text).strip()
    found = _JOINED.search(plain) or _ALSO.search(plain)
    return found.group().strip() if found else None
