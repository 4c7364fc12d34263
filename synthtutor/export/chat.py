"""The rules for one line of a chat fine-tuning file.

They are the strictest reading of four: OpenAI's schema, what its guide asks in words, and what
other trainers' own checks refuse. A line that passes without a warning is taken everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from synthtutor.export.content import check_content
from synthtutor.export.faults import Ledger, shown
from synthtutor.export.tools import check_calls, check_offers, offered, warn

__all__ = ["check_chat", "check_keys", "check_messages", "fingerprint"]

_ROLES = ("system", "user", "assistant", "tool", "function")
_PLAIN = {"role", "content"}
_CALLS = {"tool_calls", "function_call", "tool_call_id"}
_KNOWN = _PLAIN | _CALLS | {"name", "weight"}
_KEYS = frozenset({"messages"}) | offered

_AFTER: dict[str, tuple[str, ...]] = {
    "nobody": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "assistant calling tools": ("tool",),
    "assistant calling a function": ("function",),
    "tool": ("tool", "assistant"),
    "function": ("assistant",),
}


def check_chat(
    record: dict[str, Any], ledger: Ledger, strict_roles: Sequence[str] | None = None
) -> int | None:
    """Check one line; a number that says what its conversation is, to find it again."""
    if record.keys() != {"messages"}:
        check_keys(record, _KEYS, ledger)
        check_offers(record, ledger)
    if "messages" not in record:
        ledger.error(
            "missing", "messages", "is missing: a line is an object with a list of messages"
        )
        return None
    messages = record["messages"]
    if not check_messages(messages, "messages", ledger):
        return None
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    if "assistant" not in roles:
        ledger.error("no-assistant", "messages", "has no assistant message: nothing to learn")
    elif roles[-1] != "assistant":
        ledger.error(
            "last-role",
            f"messages[{len(roles) - 1}].role",
            "the last message must be the assistant's",
        )
    elif all(
        _weight(said) == 0
        for said, role in zip(messages, roles, strict=True)
        if role == "assistant"
    ):
        ledger.error(
            "no-weight", "messages", "every assistant message has weight 0: nothing to learn"
        )
    if strict_roles is not None and roles != list(strict_roles):
        _refuse_roles(roles, strict_roles, ledger)
    return fingerprint(messages)


def check_keys(record: dict[str, Any], known: Iterable[str], ledger: Ledger) -> None:
    """A line's own keys: a trainer refuses others."""
    allowed = frozenset(known)
    for key in record.keys() - allowed:
        ledger.error(
            "extra-key",
            shown(key)[1:-1],
            f"only {', '.join(sorted(allowed))} may be here: remove it",
        )


def check_messages(messages: Any, at: str, ledger: Ledger, *, after: str = "nobody") -> bool:
    """A conversation that continues ``after`` a speaker; whether there are messages at all."""
    if not isinstance(messages, list):
        ledger.error("messages-type", at, f"must be a list, found {shown(messages)}")
        return False
    if not messages:
        ledger.error("messages-empty", at, "is empty: give it messages, or drop the line")
        return False
    for index, message in enumerate(messages):
        _check_message(message, f"{at}[{index}]", ledger)
    _check_order(messages, at, after, ledger)
    return True


def fingerprint(messages: list[Any]) -> int:
    """Equal for conversations that say the same, whatever their white space and their weights."""
    try:
        return hash(tuple([(message["role"], message["content"].strip()) for message in messages]))
    except (AttributeError, KeyError, TypeError):
        return hash(orjson.dumps(messages, option=orjson.OPT_SORT_KEYS))


def _check_message(message: Any, at: str, ledger: Ledger) -> None:
    if not isinstance(message, dict):
        ledger.error("message-type", at, f"must be an object, found {shown(message)}")
        return
    role = message.get("role")
    if "role" not in message:
        ledger.error("missing", f"{at}.role", f"is missing: one of {', '.join(_ROLES)}")
    elif role not in _ROLES:
        ledger.error("role", f"{at}.role", f"is {shown(role)}: must be one of {', '.join(_ROLES)}")
    elif role in ("tool", "function") or not _CALLS.isdisjoint(message):
        warn(at, ledger)
        check_calls(message, at, ledger)
    if message.keys() != _PLAIN:
        _check_message_keys(message, at, ledger)
    calls = role == "assistant" and ("tool_calls" in message or "function_call" in message)
    if "content" in message and not (calls and message["content"] is None):
        check_content(message["content"], role, f"{at}.content", ledger)
    elif not calls:
        ledger.error("missing", f"{at}.content", "is missing: give it a text, or drop the line")


def _check_message_keys(message: dict[str, Any], at: str, ledger: Ledger) -> None:
    for key in message.keys() - _KNOWN:
        ledger.error(
            "message-key", f"{at}.{shown(key)[1:-1]}", "no trainer knows this key: remove it"
        )
    if "name" in message and message.get("role") not in ("tool", "function"):
        ledger.warning("message-name", f"{at}.name", "some trainers refuse names: remove it")
    if not isinstance(message.get("name", ""), str):
        ledger.error("message-key", f"{at}.name", "must be a text")
    if "weight" in message:
        weight = message["weight"]
        if message.get("role") != "assistant":
            ledger.error("weight", f"{at}.weight", "only assistant messages have one: remove it")
        elif type(weight) is not int or weight not in (0, 1):
            ledger.error("weight", f"{at}.weight", f"must be 0 or 1, found {shown(weight)}")


def _check_order(messages: list[Any], at: str, after: str, ledger: Ledger) -> None:
    speaker = after
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            return
        if role == "system":
            if index or after != "nobody":
                ledger.error(
                    "system-position",
                    f"{at}[{index}].role",
                    "a system message is only ever the first",
                )
            continue
        if role not in _AFTER[speaker]:
            wanted = " or ".join(_AFTER[speaker])
            ledger.error(
                "order",
                f"{at}[{index}].role",
                f"{role} follows {speaker}, {wanted} expected: user and assistant take turns,"
                " and the user begins",
            )
            return
        speaker = _speaker(message)


def _speaker(message: dict[str, Any]) -> str:
    role: str = message["role"]
    if role == "assistant" and message.get("tool_calls"):
        return "assistant calling tools"
    if role == "assistant" and message.get("function_call"):
        return "assistant calling a function"
    return role


def _weight(message: dict[str, Any]) -> Any:
    return message.get("weight", 1)


def _refuse_roles(roles: list[Any], wanted: Sequence[str], ledger: Ledger) -> None:
    found = ", ".join(map(str, roles[:6])) + (", …" if len(roles) > 6 else "")
    ledger.error(
        "strict-roles",
        "messages",
        f"roles are {shown(found)[1:-1]}; this file needs exactly {', '.join(wanted)}",
    )
