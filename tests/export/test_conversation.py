from __future__ import annotations

from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.conversation import turns


def test_only_role_content_and_weight_are_taken() -> None:
    message = {"turn": 1, "weight": 0, "content": "Because.", "role": "assistant", "name": "Tess"}
    assert turns({"messages": [message]}) == [
        {"role": "assistant", "content": "Because.", "weight": 0}
    ]


@pytest.mark.parametrize(
    "messages",
    [None, [], "Why?", [{}], ["Why?"], [{"role": "user"}], [{"role": "user", "content": None}]],
)
def test_a_sample_without_a_conversation_is_named(messages: Any) -> None:
    with pytest.raises(ConfigError, match="'row-3'"):
        turns({"id": "row-3", "messages": messages})
