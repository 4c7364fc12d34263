from __future__ import annotations

from typing import Any

import pytest

from synthtutor.export.chat import check_chat
from synthtutor.export.faults import Ledger

_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def _rules(*messages: dict[str, Any], **more: Any) -> dict[str, int]:
    ledger = Ledger(keep=100)
    ledger.line = 1
    check_chat({"messages": list(messages), **more}, ledger)
    return dict(ledger.rules)


def _asked(**call: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", **call}]


def test_a_tool_call_and_its_answer_are_legal_and_warnings() -> None:
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "4"}
    rules = _rules(
        *_asked(tool_calls=[_CALL], content=None),
        answer,
        {"role": "assistant", "content": "It is 4."},
        tools=[{"type": "function", "function": {"name": "add"}}],
        parallel_tool_calls=False,
    )
    assert rules == {"tool-calling": 3}


def test_the_older_function_call_too() -> None:
    rules = _rules(
        *_asked(function_call={"name": "add", "arguments": "{}"}),
        {"role": "function", "name": "add", "content": "4"},
        {"role": "assistant", "content": "It is 4."},
        functions=[{"name": "add"}],
    )
    assert rules == {"tool-calling": 3}


def test_a_conversation_may_end_with_the_call() -> None:
    assert _rules(*_asked(tool_calls=[_CALL])) == {"tool-calling": 1}


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": []},
        {"tool_calls": None},
        {"tool_calls": [{}]},
        {"tool_calls": [{"id": "1"}]},
        {"tool_calls": [{"id": "1", "function": {"name": "add", "arguments": {}}}]},
        {"function_call": "add"},
        {"function_call": {"name": "add"}},
    ],
)
def test_a_malformed_call_is_an_error(message: dict[str, Any]) -> None:
    assert "tools" in _rules(*_asked(content="So.", **message))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "4"},
        {"role": "function", "content": "4"},
        {"role": "user", "content": "4", "tool_calls": [_CALL]},
    ],
)
def test_a_malformed_answer_is_an_error(message: dict[str, Any]) -> None:
    assert "tools" in _rules(*_asked(tool_calls=[_CALL]), message)


@pytest.mark.parametrize(
    "offers",
    [
        {"tools": []},
        {"tools": "add"},
        {"tools": [{}]},
        {"functions": [1]},
        {"parallel_tool_calls": 1},
    ],
)
def test_malformed_offers_are_an_error(offers: dict[str, Any]) -> None:
    assert "tools" in _rules(*_asked(content="4"), **offers)
