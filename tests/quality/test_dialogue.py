from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import ConfigError
from synthtutor.quality.dialogue import measured

PROBLEM = "Anna has 12 boxes with 6 pens each and gives 8 pens away. How many are left?"
SOLUTION = "Multiply boxes by pens: 12 * 6 = 72. Subtract what is given away: 72 - 8 = 64."
RISING = [
    ("Tutor", "What do you know?"),
    ("Student", "Not much."),
    ("Tutor", "What happens if you multiply?"),
    ("Student", "No idea."),
    ("Tutor", "Multiply to get 72, then subtract."),
    ("Student", "And then?"),
    ("Tutor", "Multiply to get 72, subtract, and 64 is left."),
]


def test_shares_are_of_words_and_of_turns() -> None:
    found = measured([("tutor", "What is it?"), ("student", "Six I think"), ("tutor", "Yes.")])
    assert (found.turns, found.tutor_turns, found.student_turns) == (3, 2, 1)
    assert (found.tutor_words, found.student_words) == (4, 3)
    assert found.tutor_share == round(4 / 7, 4)
    assert (found.question_share, found.questions_per_turn) == (0.5, 0.5)
    assert found.specificity is None
    assert found.ladder is None


def test_hints_that_grow_more_specific_are_a_ladder() -> None:
    found = measured(RISING, problem=PROBLEM, solution=SOLUTION)
    assert found.specificity == tuple(sorted(found.specificity or ()))
    assert found.ladder == 1


def test_telling_first_is_a_ladder_downwards() -> None:
    told = list(reversed(RISING))
    assert measured(told, problem=PROBLEM, solution=SOLUTION).ladder == -1


def test_what_the_student_has_said_is_no_hint() -> None:
    turns = [("student", "I multiply and get 72"), ("tutor", "Yes, multiply, 72.")]
    assert measured(turns, problem=PROBLEM, solution=SOLUTION).specificity == (0,)


def test_equal_hints_and_too_few_have_no_ladder() -> None:
    same = [("tutor", "Why?")] * 5
    assert measured(same, problem=PROBLEM, solution=SOLUTION).ladder is None
    assert measured(RISING[:3], problem=PROBLEM, solution=SOLUTION).ladder is None


def test_chat_roles_are_read_and_others_refused() -> None:
    chat = [("system", "Be kind."), ("user", "Help"), ("assistant", "Where are you stuck?")]
    assert measured(chat).turns == 2
    with pytest.raises(ConfigError, match="'parent'"):
        measured([("parent", "Hello")])


def test_an_empty_dialogue_has_no_shares() -> None:
    found = measured([])
    assert (found.turns, found.tutor_share, found.question_share) == (0, None, None)


@given(
    st.lists(st.tuples(st.sampled_from(["tutor", "student"]), st.text(max_size=60)), max_size=8),
    st.text(max_size=80),
)
def test_shares_of_any_dialogue_are_shares(turns: list[tuple[str, str]], solution: str) -> None:
    found = measured(turns, solution=solution)
    for share in (found.tutor_share, found.question_share, *(found.specificity or ())):
        assert share is None or 0 <= share <= 1
    assert found.ladder is None or -1 <= found.ladder <= 1
