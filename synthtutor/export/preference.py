"""The rules for one line of a preference file: ``prompt``, ``chosen``, ``rejected``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from synthtutor.export.chat import check_keys, check_messages
from synthtutor.export.content import check_text
from synthtutor.export.faults import Ledger, shown

__all__ = ["check_preference"]

_KEYS = ("prompt", "chosen", "rejected")
_SPEAKS_LAST = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
_AFTER = {"prompt": "nobody", "chosen": "user", "rejected": "user"}


def check_preference(
    record: dict[str, Any], ledger: Ledger, strict_roles: Sequence[str] | None = None
) -> int | None:
    """Check one line; a number that says what its pair is, to find it again.

    The three are all texts or all lists of messages. ``strict_roles`` are those of the prompt
    and the chosen reply together.
    """
    check_keys(record, _KEYS, ledger)
    present = [key for key in _KEYS if key in record]
    for key in _KEYS:
        if key in record:
            _check_side(record[key], key, ledger)
        else:
            ledger.error("missing", key, "is missing: a pair has prompt, chosen and rejected")
    if len({type(record[key]) for key in present}) > 1:
        ledger.error(
            "mixed-forms", "", "prompt, chosen and rejected must be all texts or all lists"
        )
    if len(present) < len(_KEYS):
        return None
    if _essence(record["chosen"]) == _essence(record["rejected"]):
        ledger.error("tie", "rejected", "says the same as chosen: drop the pair")
    if strict_roles is not None:
        _check_roles(record, strict_roles, ledger)
    return hash(tuple(_essence(record[key]) for key in _KEYS))


def _check_side(value: Any, key: str, ledger: Ledger) -> None:
    if isinstance(value, str):
        check_text(value, key, ledger)
    elif check_messages(value, key, ledger, after=_AFTER[key]):
        last = value[-1].get("role") if isinstance(value[-1], dict) else None
        if last != _SPEAKS_LAST[key]:
            ledger.error(
                "last-role",
                f"{key}[{len(value) - 1}].role",
                f"is {shown(last)}: {key} must end with the {_SPEAKS_LAST[key]}'s message",
            )


def _essence(value: Any) -> bytes:
    if isinstance(value, str):
        return value.strip().encode()
    if isinstance(value, list):
        value = [
            {**message, "content": message["content"].strip()}
            if isinstance(message, dict) and isinstance(message.get("content"), str)
            else message
            for message in value
        ]
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_roles(record: dict[str, Any], wanted: Sequence[str], ledger: Ledger) -> None:
    both = [record["prompt"], record["chosen"]]
    if not all(isinstance(side, list) for side in both):
        return
    roles = [m.get("role") if isinstance(m, dict) else None for side in both for m in side]
    if roles != list(wanted):
        ledger.error(
            "strict-roles",
            "prompt",
            f"prompt and chosen need exactly the roles {', '.join(wanted)}",
        )
