"""Conversations and replies, as the files of other people hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.evaluation.conversations import Conversation, conversations, replies, sound
from synthtutor.export.turns import tutor_turns
from synthtutor.sources import BadRow
from tests.evaluation.systems import conversation, replied, write


def read(path: Path, **options: Any) -> list[Conversation]:
    return sound(conversations(path, **options))


def test_chat_messages_end_before_the_last_tutor_turn_which_is_the_reference(
    tmp_path: Path,
) -> None:
    (found,) = read(write(tmp_path / "t.jsonl", [conversation(1)]))
    assert [said.role for said in found.said] == ["user"]
    assert found.reference == "What does the farmer do with the 25 sheep?"
    assert (found.student, found.grade, found.answer) == ("s1", 6, "42")
    assert found.profile == '{"interest":"chess","name":"Ada"}'
    assert found.transcript == "Student: I took 17 from 25 and have 8. Try 1."


def test_every_tutor_turn_can_be_asked_for_and_sees_nothing_later(tmp_path: Path) -> None:
    talk = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    messages = [{"role": role, "content": text} for role, text in talk]
    path = write(tmp_path / "t.jsonl", [{"id": "x", "messages": messages}])
    found = read(path, every=True)
    assert [(each.id, each.reference) for each in found] == [("x/1", "b"), ("x/2", "d")]
    assert [[s.content for s in each.said] for each in found] == [["a"], ["a", "b", "c"]]
    assert {each.student for each in found} == {"x"}


def test_rows_for_a_talker_are_read_as_the_library_exports_them(tmp_path: Path) -> None:
    belief = {"affect": "unsure"}
    sample = {
        "id": "d",
        "metadata": {
            "instruction": "You are a tutor.",
            "turns": [
                {"turn": 1, "speaker": "student", "text": "Is it 8?"},
                {"turn": 2, "speaker": "tutor", "text": "Why 8?"},
            ],
            "belief_states": [{"turn": 1, "belief": belief}],
            "student_persona": {"name": "Noor", "grade": 7},
            "question": "17 + 25?",
            "solution": "42",
        },
    }
    tutor_turns([sample], tmp_path / "turns.jsonl")
    (found,) = read(tmp_path / "turns.jsonl")
    assert [said.role for said in found.said] == ["system", "user"]
    assert (found.reference, found.grade, found.problem) == ("Why 8?", 7, "17 + 25?")
    assert orjson.loads(found.context)["belief_state"] == belief
    assert found.student.startswith("profile-")


@pytest.mark.parametrize(
    ("row", "roles"),
    [
        ({"instruction": "Help.", "input": "2+2?", "output": "Try."}, ["system", "user"]),
        ({"instruction": "2+2?", "input": "", "output": "Try."}, ["user"]),
        ({"prompt": "2+2?", "completion": "Try."}, ["user"]),
        (
            {
                "turns": [
                    {"speaker": "Student", "text": "2+2?"},
                    {"speaker": "Teacher", "text": "Try."},
                ]
            },
            ["user"],
        ),
    ],
)
def test_other_forms_are_read_too(tmp_path: Path, row: dict[str, Any], roles: list[str]) -> None:
    (found,) = read(write(tmp_path / "t.jsonl", [row]))
    assert [said.role for said in found.said] == roles
    assert found.reference == "Try."


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "x"}, "no conversation: give messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\]: needs a role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the student says nothing"),
        ({"prompt": "x", "grade": "ten"}, "field grade: 'ten' is no school year"),
        ({"prompt": "x", "grade": 40}, "field grade: 40"),
    ],
)
def test_a_row_that_is_none_says_where_and_why(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path / "t.jsonl", [conversation(1), row])
    with pytest.raises(ConfigError, match=rf"t\.jsonl, line 2: .*{reason}"):
        read(path)


@pytest.mark.parametrize(("said", "grade"), [("K", 0), ("7th grade", 7), (12, 12), ("", None)])
def test_grades_are_read_as_people_write_them(
    tmp_path: Path, said: object, grade: int | None
) -> None:
    (found,) = read(write(tmp_path / "t.jsonl", [{"prompt": "x", "grade": said}]))
    assert found.grade == grade


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [conversation(1), conversation(1, grade=7)])
    with pytest.raises(ConfigError, match="id 'c1' occurs twice"):
        read(path)


def test_replies_are_under_their_name_or_the_last_tutor_turn(tmp_path: Path) -> None:
    rows = [replied(1, "Try.", reference="Why?"), conversation(2), replied(3, None)]
    found = sound(replies(write(tmp_path / "r.jsonl", rows)))
    assert [each.reply for each in found] == [
        "Try.",
        "What does the farmer do with the 25 sheep?",
        None,
    ]
    assert [each.reference for each in found] == ["Why?", "", ""]


def test_a_reply_that_is_no_text_is_a_bad_row(tmp_path: Path) -> None:
    (found,) = replies(write(tmp_path / "r.jsonl", [{**replied(1, ""), "reply": 7}]))
    assert isinstance(found, BadRow)
    assert "field reply: must be text" in found.reason
