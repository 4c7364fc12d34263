from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthtutor.export.sharegpt import sharegpt


def test_speakers_have_sharegpts_names(samples: list[dict[str, Any]], tmp_path: Path) -> None:
    assert sharegpt(samples[:1], tmp_path / "s.jsonl") == 1
    assert json.loads((tmp_path / "s.jsonl").read_bytes()) == {
        "conversations": [
            {"from": "system", "value": "You are a tutor."},
            {"from": "human", "value": "Why is 0 even? Ça?"},
            {"from": "gpt", "value": "Divide it by 2.\nWhat is left? 🙂"},
        ]
    }
