"""What a page's forms send, in the form of what its script sends: rating works without a script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from synthtutor.viewer.details import Details

__all__ = ["FORM", "fields_of", "here", "rating_of"]

FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1_000
_HOLDS = {"true": True, "false": False, "": None}


def fields_of(body: bytes) -> dict[str, str]:
    """The fields by name; of several with one name, the last. Raises ValueError for anything else."""
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
    )
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def rating_of(fields: Mapping[str, str], sample: Details) -> dict[str, Any]:
    """What a rater says, as `Run.rate` takes it; raises ValueError, naming the field.

    Browsers send every field of a form, and every end of a line as two characters: a message that
    differs in nothing else is not edited.
    """
    given: dict[str, Any] = {}
    if "decision" in fields:
        given["decision"] = fields["decision"] or None
    if "note" in fields:
        given["note"] = fields["note"]
    originals = {str(said.number): said.text for said in sample.messages}
    edits = {at: fields[f"edit.{at}"] for at in originals if f"edit.{at}" in fields}
    if fields.get("drop") == "edits":
        given["edits"] = dict.fromkeys(originals)
    elif edits:
        given["edits"] = {at: _unless(originals[at], text) for at, text in edits.items()}
    marks = {n.partition(".")[2]: v for n, v in fields.items() if n.startswith("criterion.")}
    if marks:
        if wrong := marks.values() - _HOLDS.keys():
            raise ValueError(f"criteria: {min(wrong)!r} is neither true nor false")
        given["criteria"] = {name: _HOLDS[value] for name, value in marks.items()}
    return given


def here(path: str) -> str:
    """The path, where it is one of this site; else the first page's."""
    inside = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if inside and path.isprintable() else "/"


def _unless(original: str, text: str) -> str | None:
    return None if original.replace("\r\n", "\n") == text else text
