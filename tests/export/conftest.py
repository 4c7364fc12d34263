from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def samples() -> list[dict[str, Any]]:
    """Three finished samples whose metadata differ in shape."""
    more: list[dict[str, Any]] = [{}, {"cost": 0.25, "note": None}, {"revised": True, "cost": 1}]
    return [
        {
            "id": f"row-{index}",
            "messages": [
                {"role": "system", "content": "You are a tutor."},
                {"role": "user", "content": f"Why is {index} even? Ça?"},
                {"role": "assistant", "content": "Divide it by 2.\nWhat is left? 🙂"},
            ],
            "metadata": {"subject": "algebra", "seed": index, "verdicts": [{"id": "c1"}], **fields},
        }
        for index, fields in enumerate(more)
    ]
