from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synthtutor.recipes.belief import Belief, Moment, Update, watching
from synthtutor.recipes.problems import Turn
from synthtutor.structured import shape_of

DIALOGUE = (
    Turn("student", "The trays hold 4 + 6 = 10 rolls."),
    Turn("tutor", "How did you find the ten?"),
    Turn("student", "I “added” the   trays – and the rolls."),
    Turn("tutor", "Draw one tray and count what lies on it."),
    Turn("student", "Every tray has six rolls of its own after all, so it is 24."),
)


def moment(turn: int = 2, since: int = 1) -> Moment:
    return Moment.after(turn, DIALOGUE, since, "How many rolls are there?")


def belief(*evidence: tuple[int, str], says: str = "adds groups", **more: Any) -> dict[str, Any]:
    cited = [{"turn": turn, "quote": quote} for turn, quote in evidence]
    return {
        "evidence": cited,
        "last_correct_step": "none",
        "misconceptions": [{"misconception": says, "probability": 0.7, "evidence": cited}],
        "affect": "unclear",
        "next_move": "ask for a drawing",
        **more,
    }


def fault(made: dict[str, Any], at: Moment | None = None) -> str:
    with watching(at or moment()), pytest.raises(ValidationError) as caught:
        Belief.model_validate(made)
    return str(caught.value.errors()[0]["msg"])


def test_a_quote_of_what_the_student_said_is_evidence() -> None:
    with watching(moment()):
        Belief.model_validate(belief((2, 'I "added" the trays - and')))
        Belief.model_validate(belief((2, "i “ADDED”  the trays"), (0, "4 + 6 = 10 rolls.")))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (belief((4, "six rolls of its own")), "names turn 4, and only turns 0 to 2 have been said"),
        (belief((2, "six rolls of its own")), "does not occur in turn 2"),
        (belief((1, "How did you find")), "turn 1 is the tutor's"),
        (belief((2, "trays")), "a single word"),
        (belief((2, "e trays")), "does not occur in turn 2"),
        (belief((0, "4 + 6 = 1"), (2, "i added")), "does not occur in turn 0"),
        (belief((2, "...")), "does not occur in turn 2"),
        (belief((0, "4 + 6 = 10")), "cite that, or say that nothing has changed"),
    ],
)
def test_evidence_that_is_none_is_said_to_be_so(made: dict[str, Any], said: str) -> None:
    assert said in fault(made)


def test_evidence_of_a_misconception_is_checked_too() -> None:
    made = belief((2, "and the rolls"))
    made["misconceptions"][0]["evidence"] = [{"turn": 4, "quote": "six rolls"}]
    assert "names turn 4" in fault(made)


@pytest.mark.parametrize("where", ["misconception", "next_move", "last_correct_step"])
def test_words_of_a_later_turn_are_caught_wherever_they_stand(where: str) -> None:
    ahead = "says that every tray has six rolls of its own"
    made = belief((2, "and the rolls"), says=ahead if where == "misconception" else "adds groups")
    if where != "misconception":
        made[where] = ahead
    assert "what has not been said yet" in fault(made)
    with watching(moment(4, since=3)):  # and once they have been said, they may be used
        Belief.model_validate({**made, "evidence": [{"turn": 4, "quote": "six rolls of its own"}]})


def test_the_same_reply_passes_where_nobody_watches() -> None:
    Belief.model_validate(belief((4, "six rolls of its own"), says="has six rolls of its own"))


@given(st.sampled_from([0, 1, 2, 3]), st.data())
def test_no_complaint_repeats_a_later_turn(turn: int, data: st.DataObject) -> None:
    later = data.draw(st.integers(turn + 1, 4))
    claimed = data.draw(st.integers(0, 4))
    said = fault(belief((claimed, DIALOGUE[later].text)), moment(turn, since=0))
    assert DIALOGUE[later].text not in said


def test_an_update_is_a_new_belief_or_none() -> None:
    with pytest.raises(ValidationError, match="there must be a belief"):
        Update.model_validate({"changed": True, "belief": None})
    assert Update.model_validate({"changed": False, "belief": belief((0, "x y"))}).belief is None


@pytest.mark.parametrize("type_", [Belief, Update])
def test_it_can_be_asked_for_as_a_closed_schema(type_: type[Any]) -> None:
    schema = shape_of(type_).schema
    assert schema is not None
    assert schema.definition["additionalProperties"] is False


CHINESE = (
    Turn("student", "我把十二和二十四加起来得到三十六"),
    Turn("tutor", "每盘有多少个松饼？"),
    Turn("student", "啊，所以我应该把十二和二十四乘起来"),
)


def test_words_without_spaces_between_them_are_quoted_and_foreseen_too() -> None:
    before = Moment.after(0, CHINESE, 0, "")
    quoted = (0, "十二和二十四加起来")
    with watching(before):
        Belief.model_validate(belief(quoted))
    assert "a single word" in fault(belief((0, "十")), before)
    ahead = belief(quoted, says="会说所以我应该把十二和二十四乘起来")
    assert "has not been said yet" in fault(ahead, before)
