"""Ours against three independent validators: whatever one of them refuses, ours must refuse.

Where ours only warns is a list, and a test of its own: uses that OpenAI's trainer takes and one
of the others does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from synthtutor.export.validate import validate
from tests.export.broken import BROKEN, GOOD, conversation, lines
from tests.export.mutations import changed
from tests.export.validators import Judge, judges, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

_ONLY_WARNED = {"tool-calling", "content-parts", "message-name", "duplicate"}

# What only ours sees. Everything else broken must be refused by another too, so that a broken
# file is broken in earnest.
_UNSEEN_BY_ALL = {
    "NUL",
    "all weights 0",
    "half a surrogate pair",
    "nine lines",
    "old Macintosh line ends",
    "repeated key",
    "weight true",
}


@pytest.fixture(scope="module")
def others() -> Iterator[list[Judge]]:
    with judges() as started:
        yield started


def _refusals(path: Path, others: list[Judge]) -> dict[str, str]:
    answers = {judge.name: judge.refusal(path) for judge in others}
    return {name: answer for name, answer in answers.items() if answer is not None}


@pytest.mark.parametrize("name", GOOD)
def test_all_take_a_good_file(tmp_path: Path, others: list[Judge], name: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(GOOD[name])
    assert _refusals(path, others) == {}
    assert validate(path).ok


@pytest.mark.parametrize("name", BROKEN)
def test_ours_refuses_every_broken_file_that_another_does(
    tmp_path: Path, others: list[Judge], name: str
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(BROKEN[name][0])
    refusals = _refusals(path, others)
    assert not validate(path).ok
    assert bool(refusals) == (name not in _UNSEEN_BY_ALL), refusals


_PARTS = [{"type": "text", "text": "Why?"}]
_TOLD_APART = {
    "parts": {"messages": [{"role": "user", "content": _PARTS}, {"role": "assistant", "content": "So."}]},
    "tools": {**conversation(20), "tools": [{"type": "function", "function": {"name": "add"}}]},
    "name": {"messages": [{"role": "user", "content": "a", "name": "Ada"}, {"role": "assistant", "content": "b"}]},
    "duplicate": conversation(3),
}  # fmt: skip


@pytest.mark.parametrize("name", _TOLD_APART)
def test_ours_warns_of_what_only_some_trainers_take(
    tmp_path: Path, others: list[Judge], name: str
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(lines(_TOLD_APART[name]))
    report = validate(path)
    assert _refusals(path, others)
    assert report.ok
    assert _ONLY_WARNED & report.rules.keys()


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=changed())
def test_no_change_is_refused_by_another_and_passes_ours(
    tmp_path: Path, others: list[Judge], line: bytes
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(lines(line))
    report = validate(path)
    if report.ok and not _ONLY_WARNED & report.rules.keys():
        assert _refusals(path, others) == {}
