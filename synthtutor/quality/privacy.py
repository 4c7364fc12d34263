"""Personal data of learners in a text: what a child might give away, and no data set should keep.

Tutoring texts are full of numbers and of names in word problems, which are nobody's data. So
formulas are masked first, and every pattern needs either a form that nothing else has (an e-mail
address) or words about a person beside it ("my name is", "I live at"). Precision comes before
recall: what is found is nearly always meant, and what is not found may still be there.

The patterns are this library's own, for English. Why no library: phonenumbers knows every
numbering plan but, in a text, takes a sum for a number as soon as its digits fit; recognisers of
names need a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "PersonalData", "personal_data", "redacted"]

Kind = Literal["email", "phone", "handle", "name", "address", "school", "student_id", "birth_date"]


@dataclass(frozen=True, slots=True)
class PersonalData:
    """One finding: ``text[start:end]`` is ``quote``."""

    kind: Kind
    start: int
    end: int
    quote: str


_FORMULA = re.compile(
    r"\$\$[^@]{1,2000}?\$\$|\\\[[^@]{1,2000}?\\\]|\\\([^@]{1,2000}?\\\)|\$(?!\s)[^$\n@]{1,500}(?<!\s)\$(?!\d)"
    # A sum that says what it comes to, or a chain of operations.
    r"|(?<![\d.,$()%])[\d.,$()%]+(?:\s*[-+*/×÷x^]\s*[\d.,$()%]+)*\s*=\s*[-$\d.,]+"
    r"|(?!\d{1,2}/\d{1,2}/(?:19|20)?\d\d\b)(?<![\d/.,])[\d.,]+(?:\s*[+*/×÷^]\s*[\d.,]+)+|(?<!\d)\d+(?:\s+[-x]\s+\d+)+",
    re.DOTALL,
)
_MY = r"\b(?:my|his|her|their|your|our|the\s+student['’]?s)"
# Latin letters of all languages, the capital ones and the others.
_LATIN = [chr(code) for code in (*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC0, 0x250))]
_UPPER = f"[{''.join(filter(str.isupper, _LATIN))}]"
_LOWER = f"[{''.join(filter(str.islower, _LATIN))}]"
_WORD = rf"{_UPPER}{_LOWER}+(?:['’-]{_UPPER}?{_LOWER}+)?"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|"
    r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DATE = (
    rf"(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+(?:19|20)\d\d)?|\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?\s+"
    rf"{_MONTH}(?:,?\s+(?:19|20)\d\d)?|\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:19|20)?\d\d|(?:19|20)\d\d-\d\d-\d\d)"
)
_STREET = (
    r"\d{1,5}[A-Za-z]?\s+(?:[NSEW]\.?\s+)?(?:[A-Z][A-Za-z'’]+\s+){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Crescent|Close|Terrace|Way|Place|Pl)\b\.?"
)
# "The Park School" or "St. Mary's Middle School", not "Middle School" or "Summer School".
_SCHOOL = (
    rf"(?!(?:Summer|Sunday|High|Middle|Public|Primary|Elementary|Secondary|Night|Law|Medical)\s+School)(?:St\.?\s+)?{_WORD}(?:\s+(?:{_WORD}|of|the)){{0,3}}\s+(?:(?:Elementary|Primary|Middle|Junior|High|Secondary|"
    r"Grammar|Public|Charter|Prep(?:aratory)?)\s+)*(?:School|Academy|College)\b"
)
_PHONE = r"(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)[ .-]?)?\d{2,5}(?:[ .-]?\d{2,5}){1,4}"

# What is found is the group ``what``, or the whole match.
_PATTERNS: dict[Kind, tuple[re.Pattern[str], ...]] = {
    "email": (re.compile(r"\b[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b"),),
    "phone": (
        re.compile(
            r"(?<![\w+])\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,3}(?![\w%])"
        ),
        re.compile(
            r"(?<![\w.,$+/-])(?:1[ .-])?(?:\([2-9]\d\d\)\s?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}(?![\w.,]?\d|%)"
        ),
        re.compile(
            rf"\b(?:phone|mobile|cell|telephone|tel|whatsapp|text\s+me|call\s+me|call\s+(?:him|her)|ring\s+me|reach\s+me)\b"
            rf"(?:\s+(?:number|no\.?))?(?:\s*[:#]|\s+(?:is|at|on))*\s*(?P<what>{_PHONE})(?![\w%])",
            re.IGNORECASE,
        ),
        # No answer to a problem begins with a nought and goes on like this.
        re.compile(
            r"\bmy\s+(?:new\s+|own\s+)?number(?:\s+is|['’]s|\s*:)\s*(?P<what>0\d{2,4}(?:[ .-]?\d{2,5}){2,4})(?![\w%.,]?\d|%)",
            re.IGNORECASE,
        ),
    ),
    "handle": (
        re.compile(
            r"\b(?:instagram|insta|snapchat|snap|tiktok|discord|twitter|telegram|roblox|username|user\s?name|handle|gamertag|"
            r"follow\s+me|add\s+me|dm\s+me|find\s+me)\b(?:\s+(?:is|on|at|as|handle|name|username|account|instagram|insta|snapchat|"
            r"snap|tiktok|discord|twitter|telegram|roblox|me))*\s*[:=]?\s*(?P<what>@[A-Za-z0-9_.]{3,30}|(?=[\w.]{4})(?=[\d_.]*[A-Za-z])[A-Za-z0-9.]*[_\d][\w.]{0,30}(?:\#\d{4})?)",
            re.IGNORECASE,
        ),
    ),
    "name": (
        re.compile(
            rf"\b(?i:my\s+(?:full\s+|real\s+)?name(?:\s+is|['’]s)|i\s+am\s+called|i['’]m\s+called|"
            rf"(?:student|child|full|learner)(?:['’]s)?\s+(?:full\s+)?name\s*(?:is|:)|signed\s*[:,])\s+(?P<what>{_WORD}(?:\s+[A-Z]\.)?(?:\s+{_WORD}){{1,3}})"
        ),
        re.compile(
            rf"\b(?:I\s+am|I['’]m|[Tt]his\s+is)\s+(?P<what>{_WORD}\s+{_WORD})(?=\s+(?:from|and\s+I)\b)"
        ),
    ),
    "address": (
        re.compile(
            rf"\b(?i:live\s+(?:at|on|in)|lives\s+(?:at|on|in)|address(?:\s+is|\s*:)?|house\s+is\s+(?:at|on))\s+(?P<what>{_STREET}|"
            rf"\d{{1,5}}\s+{_WORD}(?:\s+{_WORD}){{0,2}},\s+{_WORD})"
        ),
        re.compile(
            rf"(?P<what>{_STREET},\s+{_WORD}(?:\s+{_WORD})?,?\s+(?:[A-Z]{{2}}\s+\d{{5}}|[A-Z]{{1,2}}\d{{1,2}}[A-Z]?\s\d[A-Z]{{2}}))"
        ),
    ),
    "school": (
        re.compile(
            rf"\b(?i:i|we|he|she|they)(?:['’]m|\s+am|['’]re|\s+are|\s+is)?\s+(?i:go(?:es)?\s+to|attends?|studies\s+at|study\s+at|(?:a\s+)?(?:student|pupil)s?\s+(?:at|of)|in\s+\w+\s+grade\s+at)\s+"
            rf"(?i:the\s+)?(?P<what>{_SCHOOL})"
        ),
        re.compile(
            rf"{_MY}\s+(?:school|teacher\s+at)\s*(?:is|['’]s|:|,)?\s+(?:called\s+|named\s+)?(?P<what>{_SCHOOL})"
        ),
    ),
    "student_id": (
        re.compile(
            rf"(?:{_MY}\s+)?\b(?:student|school|pupil|learner|roll|admission|enrol?lment)\s+(?:id|i\.d\.|identification|number|no\.?|card)"
            r"(?:\s+(?:number|no\.?))?\s*(?:is|:|\#)?\s*\#?(?P<what>(?=[A-Z-]*\d)[A-Z]{0,4}-?\d[\dA-Z-]{2,14})\b",
            re.IGNORECASE,
        ),
    ),
    "birth_date": (
        re.compile(
            rf"\b(?:born\s+on|birthday\s+is(?:\s+on)?|birthday\s*:|date\s+of\s+birth\s*(?:is|:)?|dob\s*(?:is|:)?|born)\s+(?:the\s+)?(?P<what>{_DATE})",
            re.IGNORECASE,
        ),
    ),
}
_DIGITS = re.compile(r"\d")


def personal_data(text: str) -> list[PersonalData]:
    """Every piece of personal data in the text, in order; where two overlap, the longer.

    Found are e-mail addresses, phone numbers, handles on networks, full names, street addresses,
    schools, student numbers and dates of birth, each as the learner or somebody about the learner
    would write it. A first name alone is none, nor are the people of a word problem.
    """
    masked = _FORMULA.sub(lambda found: " " * len(found[0]), text)
    found = sorted(_found(masked, text), key=lambda each: (each.start, -each.end))
    kept: list[PersonalData] = []
    for each in found:
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return kept


def redacted(text: str, replacement: Callable[[PersonalData], str] | None = None) -> str:
    """The text with each finding replaced, by "[EMAIL]" and the like unless told otherwise."""
    parts, at = [], 0
    for each in personal_data(text):
        put = replacement(each) if replacement else f"[{each.kind.upper()}]"
        parts += [text[at : each.start], put]
        at = each.end
    return "".join([*parts, text[at:]])


def _found(masked: str, text: str) -> Iterator[PersonalData]:
    for kind, patterns in _PATTERNS.items():
        for pattern in patterns:
            for match in pattern.finditer(masked):
                start, end = match.span("what" if "what" in pattern.groupindex else 0)
                quote = text[start:end]
                if kind == "phone" and not 7 <= len(_DIGITS.findall(quote)) <= 15:
                    continue
                yield PersonalData(kind, start, end, quote)
