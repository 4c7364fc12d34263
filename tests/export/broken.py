"""A good fine-tuning file, and many that are broken in one way each."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["BROKEN", "GOOD", "conversation", "lines"]


def conversation(index: int, **weight: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "system", "content": "You are a patient tutor."},
            {"role": "user", "content": f"Why is 1/{index + 2} smaller than 1/{index + 1}? Ça va?"},
            {"role": "assistant", "content": f"Cut a cake into {index + 2} parts. …", **weight},
        ]
    }


def lines(*last: object, count: int = 12) -> bytes:
    """A good file that ends with the given lines: bytes as they are, the rest as JSON."""
    good = [conversation(index) for index in range(count)]
    return b"".join(
        (row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n"
        for row in [*good, *last]
    )


def _said(*turns: tuple[str, object], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": said} for role, said in turns], **more}


def _with(**changes: Any) -> dict[str, Any]:
    """A conversation of two whose last message is changed."""
    last = {"role": "assistant", "content": "Because.", **changes}
    return {"messages": [{"role": "user", "content": "Why?"}, last]}


_ASK, _ANSWER = ("user", "Why?"), ("assistant", "Because.")

GOOD = {
    "plain": lines(),
    "weights": lines(conversation(20, weight=1), conversation(21, weight=0) | _said(_ASK, _ANSWER)),
    "dialogue": lines(_said(_ASK, _ANSWER, ("user", "And then?"), _ANSWER)),
    "windows line ends": lines().replace(b"\n", b"\r\n"),
    "no newline at the end": lines().removesuffix(b"\n"),
    "not escaped": b"".join(
        json.dumps(conversation(n), ensure_ascii=False).encode() + b"\n" for n in range(10)
    ),
}

# The file, and the rule that must name what is wrong with it.
BROKEN: dict[str, tuple[bytes, str]] = {
    "broken JSON": (lines(b'{"messages": ['), "json"),
    "two objects in a line": (lines(b"{} {}"), "json"),
    "NaN": (lines(b'{"messages": NaN}'), "json"),
    "not UTF-8": (lines(json.dumps(_with()).encode().replace(b"Because", b"Caf\xe9")), "utf-8"),
    "UTF-16": (lines().decode().encode("utf-16"), "utf-8"),
    "byte order mark": (b"\xef\xbb\xbf" + lines(), "byte-order-mark"),
    "half a surrogate pair": (lines(_with(content="Because \ud83d.")), "surrogate"),
    "NUL": (lines(_with(content="Be\0cause.")), "nul"),
    "not an object": (lines([1, 2]), "not-an-object"),
    "null line": (lines(None), "not-an-object"),
    "blank line": (lines(b""), "blank-line"),
    "line of spaces": (lines(b"  \t "), "blank-line"),
    "carriage return inside": (
        lines(json.dumps(_with()).encode().replace(b", ", b",\r", 1)),
        "carriage-return",
    ),
    "old Macintosh line ends": (lines().replace(b"\n", b"\r"), "carriage-return"),
    "no messages": (lines({"prompt": "Why?"}), "missing"),
    "no keys": (lines({}), "missing"),
    "messages not a list": (lines({"messages": "Why?"}), "messages-type"),
    "messages null": (lines({"messages": None}), "messages-type"),
    "messages empty": (lines({"messages": []}), "messages-empty"),
    "message not an object": (lines({"messages": ["Why?", "Because."]}), "message-type"),
    "unknown role": (lines(_said(_ASK, ("tutor", "Because."))), "role"),
    "role of another case": (lines(_said(_ASK, ("Assistant", "Because."))), "role"),
    "role not a text": (lines(_with(role=["assistant"])), "role"),
    "no role": (lines({"messages": [{"content": "Why?"}, _with()["messages"][1]]}), "missing"),
    "no content": (lines({"messages": [_with()["messages"][0], {"role": "assistant"}]}), "missing"),
    "last turn user": (lines(_said(_ASK, _ANSWER, ("user", "And then?"))), "last-role"),
    "no assistant": (lines(_said(("system", "Be kind."), _ASK)), "no-assistant"),
    "empty assistant": (lines(_said(_ASK, ("assistant", ""))), "blank"),
    "blank assistant": (lines(_said(_ASK, ("assistant", " \n\u2003"))), "blank"),
    "null assistant": (lines(_said(_ASK, ("assistant", None))), "content-type"),
    "empty user": (lines(_said(("user", ""), _ANSWER)), "blank"),
    "empty system": (lines(_said(("system", ""), _ASK, _ANSWER)), "blank"),
    "content a number": (lines(_said(_ASK, ("assistant", 4))), "content-type"),
    "content an object": (lines(_said(_ASK, ("assistant", {"text": "4"}))), "content-type"),
    "two users in a row": (lines(_said(_ASK, _ASK, _ANSWER)), "order"),
    "two assistants in a row": (lines(_said(_ASK, _ANSWER, _ANSWER)), "order"),
    "assistant first": (lines(_said(_ANSWER, _ASK, _ANSWER)), "order"),
    "assistant alone": (lines(_said(("system", "Be kind."), _ANSWER)), "order"),
    "system in the middle": (
        lines(_said(_ASK, ("system", "Be kind."), _ANSWER)),
        "system-position",
    ),
    "system twice": (
        lines(_said(("system", "A"), ("system", "B"), _ASK, _ANSWER)),
        "system-position",
    ),
    "weight 0.5": (lines(_with(weight=0.5)), "weight"),
    "weight 1.0": (lines(_with(weight=1.0)), "weight"),
    "weight 2": (lines(_with(weight=2)), "weight"),
    "weight -1": (lines(_with(weight=-1)), "weight"),
    "weight true": (lines(_with(weight=True)), "weight"),
    "weight a text": (lines(_with(weight="1")), "weight"),
    "weight null": (lines(_with(weight=None)), "weight"),
    "weight of a user": (
        lines(
            {"messages": [{"role": "user", "content": "Why?", "weight": 1}, _with()["messages"][1]]}
        ),
        "weight",
    ),
    "all weights 0": (lines(_with(weight=0)), "no-weight"),
    "extra top-level key": (lines(_said(_ASK, _ANSWER, id="row 13")), "extra-key"),
    "two formats at once": (lines(_said(_ASK, _ANSWER, text="Why? Because.")), "extra-key"),
    "unrecognised message key": (lines(_with(id="m1")), "message-key"),
    "prefix": (lines(_with(prefix=True)), "message-key"),
    "repeated key": (
        lines(
            b'{"messages": [], "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
        ),
        "repeated-key",
    ),
    "tool without its call": (lines(_said(_ASK, ("tool", "42"), _ANSWER)), "order"),
    "nine lines": (lines(count=9), "too-few"),
    "empty file": (b"", "empty-file"),
    "only a newline": (b"\n", "blank-line"),
}
