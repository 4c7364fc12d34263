"""The rules for what one message says."""

from __future__ import annotations

from typing import Any

from synthtutor.export.faults import Ledger, shown

__all__ = ["check_content", "check_text"]

_PARTS = {
    "text": "text",
    "refusal": "refusal",
    "image_url": "image_url",
    "input_audio": "input_audio",
    "file": "file",
}
_SAID_BY_USERS = frozenset({"image_url", "input_audio", "file"})


def check_content(content: Any, role: Any, at: str, ledger: Ledger) -> None:
    """A message's content, given that it must have one."""
    if isinstance(content, str):
        check_text(content, at, ledger, may_be_blank=role in ("tool", "function"))
    elif content is None:
        ledger.error("content-type", at, "is null: give it a text, or drop the line")
    elif not isinstance(content, list):
        ledger.error("content-type", at, f"must be a text, found {shown(content)}")
    elif not content:
        ledger.error("blank", at, "is an empty list: give it a text, or drop the line")
    else:
        ledger.warning(
            "content-parts", at, "some trainers refuse content in parts: write it as one text"
        )
        for index, part in enumerate(content):
            _check_part(part, role, f"{at}[{index}]", ledger)


def check_text(text: str, at: str, ledger: Ledger, *, may_be_blank: bool = False) -> None:
    """A text that a model is to learn from."""
    if (not text or text.isspace()) and not may_be_blank:
        ledger.error("blank", at, "is empty or only white space: give it a text, or drop the line")
    if "\0" in text:
        ledger.error("nul", at, "holds a NUL character (\\u0000): remove it")
    if "\ufffd" in text:
        ledger.warning(
            "replacement-character", at, "holds U+FFFD, the mark of text decoded wrongly: repair it"
        )


def _check_part(part: Any, role: Any, at: str, ledger: Ledger) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _PARTS:
        ledger.error("part", at, f"must be an object whose type is one of {', '.join(_PARTS)}")
    elif kind in _SAID_BY_USERS and role != "user":
        ledger.error("part", at, f"only a user's message can hold {kind}: remove it")
    elif kind == "refusal" and role != "assistant":
        ledger.error("part", at, "only an assistant's message can hold a refusal: remove it")
    elif kind in _SAID_BY_USERS:
        if not isinstance(part.get(kind), dict):
            ledger.error("part", f"{at}.{kind}", "must be an object")
    elif not isinstance(part.get(kind), str):
        ledger.error("part", f"{at}.{kind}", "must be a text")
    else:
        check_text(part[kind], f"{at}.{kind}", ledger)
