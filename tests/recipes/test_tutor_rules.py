from __future__ import annotations

import pytest

from synthtutor.recipes.problems import Turn
from synthtutor.recipes.tutor_rules import concludes, leak_of, same_answer, states, tutor_faults
from tests.recipes.dialogues import PROBLEM


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("How did you get the ones?", ""),
        ("You lined the digits up well. What happens in the ones column?", ""),
        ("Well done. You lined up. What next?", "sentences"),
        ("What is on top? And what is below?", "more than one thing"),
        ("Draw the tens. How many are there?", "more than one thing"),
        ("So 62 - 38 = 24, right?", "gives the final answer away"),
        ("...", "nothing in words"),
        ("做得好。先看第一盘。每盘有多少个？", "3 sentences"),
        ("每盘有多少个？一共有几盘？", "more than one thing"),
        ("كم تفاحة في كل سلة؟", ""),
    ],
)
def test_what_a_tutor_may_say(text: str, fault: str) -> None:
    said = [Turn("student", PROBLEM.student_solution)]
    found = tutor_faults(text, leak_of(text, PROBLEM.question, "24", said))
    assert fault in "; ".join(found)
    assert bool(found) is bool(fault)


@pytest.mark.parametrize(
    ("found", "gold", "same"),
    [
        ("x = 2", "2", True),
        ("1 2/5", "7/5", True),
        ("1 2/5", "2/5", False),
        ("2/5", "7/5", False),
        ("0.50", "1/2", True),
        ("12/6", "2", True),
        ("red", "Red", True),
        ("red", "blue", False),
        ("x = 7, y = 3", "x = 2, y = 3", False),
        ("y = 3, x = 2", "x = 2, y = 3", True),
        ("50%", "1/2", True),
    ],
)
def test_a_stated_answer_is_compared_by_value(found: str, gold: str, same: bool) -> None:
    assert same_answer(found, gold) is same


@pytest.mark.parametrize(
    ("text", "answer", "there"),
    [
        ("So 24!", "24", True),
        ("it is 240 or 2.4", "24", False),
        ("That leaves 12/6.", "12/6", True),
        ("one half", "1/2", True),
        ("5/24 of it", "24", False),
        ("it is -24", "24", False),
    ],
)
def test_an_answer_stands_in_a_text_as_a_number_of_its_own(
    text: str, answer: str, there: bool
) -> None:
    assert states(text, answer) is there


@pytest.mark.parametrize(
    ("text", "answer", "there"),
    [
        ("I divided $6 by $1.5 per pound. So, Billy bought 4 pounds of candy.", "4", True),
        ("I thought 4, but 10 - 4 = 6.", "4", False),
        ("So x is 2 and y is 3.", "x = 2, y = 3", True),
        ("It is Tuesday", "Tuesday", False),
        ("Tuesday!", "Tuesday!", True),
        ("I do not know.", "4", False),
    ],
)
def test_a_turn_ends_in_the_answer_or_does_not(text: str, answer: str, there: bool) -> None:
    assert concludes(text, answer) is there
