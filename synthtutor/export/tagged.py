r"""Conversations as training text with special tokens, in the form of the TARA Student Model Training Guide.

A student's turn is a block of its own: grade level, emotion and objective in tags, then ``Student:``
and what was said. A tutor's turn begins with ``Tutor Response:``, then come four tags and the words:

    <GRADE_LEVEL>elementary</GRADE_LEVEL>
    <STUDENT_EMOTION>frustrated</STUDENT_EMOTION>
    <LEARNING_OBJECTIVE>subtract_with_regrouping</LEARNING_OBJECTIVE>
    Student: It never comes out right!

    Tutor Response:
    <TUTORING_RESPONSE>error_analysis</TUTORING_RESPONSE>
    <CONFIDENCE_BUILDING>acknowledge_effort</CONFIDENCE_BUILDING>
    <ACADEMIC_SUPPORT>locate_the_step</ACADEMIC_SUPPORT>
    <DIFFICULTY_ADAPTATION>beginner</DIFFICULTY_ADAPTATION>
    You kept at it. Which step felt odd?

People and models write anything, so what they wrote must not be taken for structure. In their
text the ``<`` of anything that a tokenizer could read as one of the tokens, also in other letters of
the same meaning, and of ``<|``, the mark of chat templates, becomes ``&lt;``; the colon of a line that
begins as a label does becomes ``&#58;``. All else stays as it is: 3 < 5 does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.k12 import k12_sample
from synthtutor.export.lines import encode, write_lines

__all__ = ["SPECIAL_TOKENS", "escaped", "tagged", "tagged_text", "tutor_spans"]

_TAGS = (
    "GRADE_LEVEL",
    "STUDENT_EMOTION",
    "LEARNING_OBJECTIVE",
    "TUTORING_RESPONSE",
    "CONFIDENCE_BUILDING",
    "ACADEMIC_SUPPORT",
    "DIFFICULTY_ADAPTATION",
)
# What a tokenizer must be taught, in the guide's order; training resizes its embeddings by these.
SPECIAL_TOKENS = tuple(token for tag in _TAGS for token in (f"<{tag}>", f"</{tag}>"))

_STUDENT, _TUTOR = "Student:", "Tutor Response:"
_FORGED = re.compile(rf"<(?:\||/?(?:{'|'.join(_TAGS)})>)".casefold())
_LABEL = re.compile(r"^(\s*(?:student|tutor\s*response)\s*)([:：])", re.IGNORECASE)
_ENDS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_REPLY = re.compile(rf"^{_TUTOR}\n(?:<[A-Z_]+>[^\n]*\n){{4}}", re.MULTILINE)
_NEXT = re.compile(rf"\n\n(?=<GRADE_LEVEL>|{_TUTOR}\n)")


def tagged(samples: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write ``{"text": …}`` lines, one a conversation; how many.

    Raises ConfigError, naming the sample, where one is not of the recipes k12-mix or annotate.
    """
    return write_lines((_line(sample) for sample in samples), path)


def tagged_text(conversation: Mapping[str, Any]) -> str:
    """One conversation in the schema of the K-12 plan as text. Raises KeyError for a missing field."""
    blocks = list(_blocks(conversation))
    if not blocks[0].startswith("<"):  # a tutor who begins is told of the student all the same
        blocks[0] = f"{_header(conversation)}\n\n{blocks[0]}"
    return "\n\n".join(blocks)


def tutor_spans(text: str) -> list[tuple[int, int]]:
    """Where in a text of `tagged_text` the tutor's words are, tags left out: what a loss is taken on."""
    spans = []
    for reply in _REPLY.finditer(text):
        following = _NEXT.search(text, reply.end())
        spans.append((reply.end(), following.start() if following else len(text)))
    return spans


def _line(sample: dict[str, Any]) -> bytes:
    try:
        text = tagged_text(k12_sample(sample))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ConfigError(
            f"sample {sample.get('id')!r} lacks a field of the K-12 schema: {error}"
        ) from error
    return encode({"text": text}, name=sample.get("id"))


def _blocks(conversation: Mapping[str, Any]) -> Iterator[str]:
    header = _header(conversation)
    for turn in conversation["conversation"]:
        said = escaped(turn["message"])
        if turn["speaker"] == "student":
            yield f"{header}\n{_STUDENT} {said}"
        else:
            tags = (
                ("TUTORING_RESPONSE", turn["teaching_technique"]),
                ("CONFIDENCE_BUILDING", ", ".join(turn["confidence_building"]) or "none"),
                ("ACADEMIC_SUPPORT", turn["academic_strategy"]),
                ("DIFFICULTY_ADAPTATION", conversation["academic_context"]["difficulty_level"]),
            )
            yield "\n".join([_TUTOR, *(_tag(name, value) for name, value in tags), said])


def _header(conversation: Mapping[str, Any]) -> str:
    academic, emotional = conversation["academic_context"], conversation["emotional_context"]
    tags = (
        ("GRADE_LEVEL", academic["grade_level"]),
        ("STUDENT_EMOTION", emotional["student_emotion"]),
        ("LEARNING_OBJECTIVE", academic["learning_objective"]),
    )
    return "\n".join(_tag(name, value) for name, value in tags)


def _tag(name: str, value: str) -> str:
    return f"<{name}>{' '.join(escaped(value).split())}</{name}>"


# ── what people and models wrote ─────────────────────────────────────────────────────────────


def escaped(text: str) -> str:
    """The text with whatever could be read as structure made plain; line ends become line feeds."""
    lines = [_LABEL.sub(r"\1&#58;", line) for line in _ENDS.sub("\n", text).split("\n")]
    plain = "\n".join(lines)
    seen, places = _as_read(plain)
    for found in reversed(list(_FORGED.finditer(seen))):
        at = places[found.start()]
        plain = f"{plain[:at]}&lt;{plain[at + 1 :]}"
    return plain


def _as_read(text: str) -> tuple[str, list[int]]:
    """The text as a tokenizer that normalises reads it, and where each of its characters came from.

    Letters of the same meaning are one (NFKC), case is none, and marks without width are not there.
    """
    seen: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        if unicodedata.category(character) in ("Cf", "Cc", "Mn", "Me") and character not in "\n\t":
            continue
        for each in unicodedata.normalize("NFKC", character).casefold():
            seen.append(each)
            places.append(at)
    return "".join(seen), places
