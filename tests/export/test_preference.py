from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.export.faults import Report
from synthtutor.export.validate import validate


def _user(content: str = "Why?") -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def _assistant(content: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": content}]


_GOOD = {"prompt": _user(), "chosen": _assistant("Look."), "rejected": _assistant("It is 4.")}


def _report(folder: Path, *rows: dict[str, Any], **options: Any) -> Report:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return validate(path, "preference", **options)


def test_pairs_of_messages_and_pairs_of_texts_are_taken(tmp_path: Path) -> None:
    texts = {"prompt": "Why?", "chosen": "Look.", "rejected": "It is 4."}
    assert _report(tmp_path, _GOOD, texts).faults == ()


def test_a_prompt_may_be_a_dialogue(tmp_path: Path) -> None:
    prompt = [
        {"role": "system", "content": "Be kind."},
        *_user(),
        *_assistant("So?"),
        *_user("Hm."),
    ]
    assert _report(tmp_path, {**_GOOD, "prompt": prompt}).faults == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"prompt": None}, "messages-type"),
        ({"prompt": []}, "messages-empty"),
        ({"prompt": " "}, "blank"),
        ({"prompt": "Why?"}, "mixed-forms"),
        ({"prompt": _assistant("So?")}, "order"),
        ({"prompt": [*_user(), *_assistant("So?")]}, "last-role"),
        ({"chosen": _user("What?")}, "order"),
        ({"chosen": [*_assistant("a"), *_user("b")]}, "last-role"),
        ({"chosen": [{"role": "system", "content": "x"}, *_assistant("a")]}, "system-position"),
        ({"chosen": _assistant("")}, "blank"),
        ({"chosen": _assistant(" It is 4. ")}, "tie"),
        ({"margin": 2}, "extra-key"),
    ],
)
def test_a_broken_pair_is_refused_by_the_rule_for_it(
    tmp_path: Path, change: dict[str, Any], rule: str
) -> None:
    report = _report(tmp_path, _GOOD | change)
    assert not report.ok
    assert rule in report.rules


@pytest.mark.parametrize("key", ["prompt", "chosen", "rejected"])
def test_a_pair_needs_all_three(tmp_path: Path, key: str) -> None:
    row = {name: value for name, value in _GOOD.items() if name != key}
    (fault,) = _report(tmp_path, row).faults
    assert (fault.rule, fault.field) == ("missing", key)


def test_the_same_pair_again_is_a_warning(tmp_path: Path) -> None:
    report = _report(tmp_path, _GOOD, _GOOD)
    assert report.ok
    assert report.rules == {"duplicate": 1}


def test_strict_roles_are_those_of_prompt_and_chosen_together(tmp_path: Path) -> None:
    assert _report(tmp_path, _GOOD, strict_roles=("user", "assistant")).ok
    assert not _report(tmp_path, _GOOD, strict_roles=("system", "user", "assistant")).ok
