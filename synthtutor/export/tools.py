"""The rules for tool calls inside a chat fine-tuning line, as OpenAI's trainer reads them.

They are legal there and unknown elsewhere: every use is also one warning a line.
"""

from __future__ import annotations

from typing import Any

from synthtutor.export.faults import Ledger, shown

__all__ = ["check_calls", "check_offers", "offered", "warn"]

offered = frozenset({"tools", "parallel_tool_calls", "functions"})


def warn(field: str, ledger: Ledger) -> None:
    """Say that other trainers do not read this."""
    ledger.warning(
        "tool-calling", field, "only OpenAI-like trainers read tool calls; others refuse the line"
    )


def check_offers(record: dict[str, Any], ledger: Ledger) -> None:
    """The tools that a line offers to the model."""
    present = offered & record.keys()
    if not present:
        return
    warn(min(present), ledger)
    if "tools" in record and _is_list(record["tools"], "tools", ledger):
        for index, tool in enumerate(record["tools"]):
            function = tool.get("function") if isinstance(tool, dict) else None
            _check_named(function, f"tools[{index}].function", ledger)
    if "functions" in record and _is_list(record["functions"], "functions", ledger):
        for index, function in enumerate(record["functions"]):
            _check_named(function, f"functions[{index}]", ledger)
    parallel = record.get("parallel_tool_calls", False)
    if not isinstance(parallel, bool):
        ledger.error(
            "tools", "parallel_tool_calls", f"must be true or false, found {shown(parallel)}"
        )


def check_calls(message: dict[str, Any], at: str, ledger: Ledger) -> None:
    """The calls that one message makes, or the call that it answers."""
    role = message.get("role")
    for key in ("tool_calls", "function_call"):
        if key in message and role != "assistant":
            ledger.error("tools", f"{at}.{key}", "only an assistant calls tools: remove it")
    if "tool_calls" in message and _is_list(message["tool_calls"], f"{at}.tool_calls", ledger):
        for index, call in enumerate(message["tool_calls"]):
            place = f"{at}.tool_calls[{index}]"
            if not isinstance(call, dict) or not isinstance(call.get("id"), str):
                ledger.error("tools", place, "a call needs an id, a text")
            else:
                _check_arguments(call.get("function"), f"{place}.function", ledger)
    if "function_call" in message:
        _check_arguments(message["function_call"], f"{at}.function_call", ledger)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        ledger.error("tools", f"{at}.tool_call_id", "a tool's message needs the id of the call")
    if role == "function" and not isinstance(message.get("name"), str):
        ledger.error("tools", f"{at}.name", "a function's message needs the function's name")


def _is_list(value: Any, at: str, ledger: Ledger) -> bool:
    if isinstance(value, list) and value:
        return True
    ledger.error("tools", at, f"must be a list with something in it, found {shown(value)}")
    return False


def _check_named(function: Any, at: str, ledger: Ledger) -> None:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        ledger.error("tools", at, "must be an object with a name")


def _check_arguments(function: Any, at: str, ledger: Ledger) -> None:
    _check_named(function, at, ledger)
    if isinstance(function, dict) and not isinstance(function.get("arguments"), str):
        ledger.error("tools", f"{at}.arguments", "must be a text that holds JSON")
