from __future__ import annotations

from typing import Any

import pytest

from synthtutor.export.chat import check_chat, fingerprint
from synthtutor.export.faults import Fault, Ledger


def _faults(record: dict[str, Any]) -> list[Fault]:
    ledger = Ledger(keep=100)
    ledger.line = 1
    check_chat(record, ledger)
    return list(ledger.report("", "", 0, 1).faults)


def _said(*turns: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_one_cause_is_one_fault() -> None:
    messages = _said(("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("user", "e"))
    assert [fault.rule for fault in _faults({"messages": messages})] == ["order", "last-role"]


def test_a_conversation_may_have_no_system_message() -> None:
    assert _faults({"messages": _said(("user", "a"), ("assistant", "b"))}) == []


def test_one_message_of_weight_1_is_enough() -> None:
    messages = _said(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    messages[1]["weight"] = 0
    assert _faults({"messages": messages}) == []
    messages[3]["weight"] = 0
    assert [fault.rule for fault in _faults({"messages": messages})] == ["no-weight"]


def test_a_name_is_a_warning() -> None:
    messages = _said(("user", "a"), ("assistant", "b"))
    messages[0]["name"] = "Ada"
    (fault,) = _faults({"messages": messages})
    assert (fault.rule, fault.severity, fault.field) == (
        "message-name",
        "warning",
        "messages[0].name",
    )


def test_a_fingerprint_ignores_white_space_and_weights() -> None:
    one = _said(("user", "a"), ("assistant", " b\n"))
    other = _said(("user", "a"), ("assistant", "b"))
    other[1]["weight"] = 0
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(_said(("user", "a"), ("assistant", "c")))


@pytest.mark.parametrize("message", [{}, {"role": []}, {"role": "user", "content": [1]}, 4, None])
def test_anything_has_a_fingerprint(message: Any) -> None:
    assert fingerprint([message]) == fingerprint([message])
