"""Lines of a fine-tuning file that have been changed at random."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.export.broken import conversation

__all__ = ["changed"]

_STRANGE: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, True, 0, 1, 2, 0.5, "", " ", "user", "assistant", "system", "tool", [], {}, "\0"]),
    st.text(max_size=3),
    st.lists(st.sampled_from(["a", 1, {}, {"type": "text", "text": "a"}]), max_size=2),
).map(copy.deepcopy)  # fmt: skip
_NAMES = st.sampled_from(["role", "content", "weight", "name", "messages", "prefix", "text", "tools", "id"])  # fmt: skip


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A good file with one line changed: its structure, or its bytes."""
    row: Any = copy.deepcopy(conversation(draw(st.integers(20, 25))))
    row["messages"] += [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "So."}]
    for _ in range(draw(st.integers(1, 2))):
        where = draw(st.sampled_from(["record", "messages", "message"]))
        messages = row.get("messages") if isinstance(row, dict) else None
        if where == "record" or not isinstance(messages, list) or not messages:
            _change(draw, row)
        elif where == "messages":
            at, other = (draw(st.integers(0, len(messages) - 1)) for _ in range(2))
            match draw(st.sampled_from(["swap", "drop", "repeat", "replace"])):
                case "swap":
                    messages[at], messages[other] = messages[other], messages[at]
                case "drop":
                    del messages[at]
                case "repeat":
                    messages.insert(other, copy.deepcopy(messages[at]))
                case _:
                    messages[at] = draw(_STRANGE)
        else:
            _change(draw, draw(st.sampled_from(messages)))
    line = json.dumps(row, ensure_ascii=draw(st.booleans())).encode()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(line)))
        cut = draw(st.integers(0, 2))
        line = line[:at] + draw(st.binary(max_size=2)) + line[at + cut :]
    return line


def _change(draw: st.DrawFn, target: Any) -> None:
    if not isinstance(target, dict):
        return
    name = draw(_NAMES | st.sampled_from(sorted(target) or ["role"]))
    if draw(st.booleans()):
        target[name] = draw(_STRANGE)
    else:
        target.pop(name, None)
