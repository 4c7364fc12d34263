from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from synthtutor.recipes.k12_checks import LEAST_WORDS, conversation_faults, reading
from synthtutor.recipes.k12_schema import GRADES, Conversation, level_of
from tests.recipes.lessons import HARD, LESSON
from tests.recipes.lessons import with_tutor as spoken


def lesson(**changes: Any) -> Conversation:
    return Conversation.model_validate({**LESSON, **changes})


def with_tutor(message: str) -> Conversation:
    return Conversation.model_validate(spoken(message))


def faults(made: Conversation, suits: str = "3", technique: str = "error_analysis") -> list[str]:
    return conversation_faults(made, suits=suits, technique=technique)


def test_a_sound_conversation_has_no_fault() -> None:
    assert faults(lesson()) == []


def test_the_drawn_technique_must_be_used() -> None:
    assert faults(lesson(), technique="reframing") == [
        "one turn of the tutor must use the technique reframing"
    ]


@pytest.mark.parametrize(("grade", "suits"), [("3", False), ("12", False), ("graduate", True)])
def test_words_above_the_grade_are_told(grade: str, suits: bool) -> None:
    found = faults(with_tutor(HARD), suits=grade)
    assert (found == []) is suits
    assert suits or "the tutor's words read at school grade" in found[0]


def test_a_conversation_that_suits_the_ninth_grade_does_not_suit_the_first() -> None:
    text = (
        "Plants take in carbon dioxide and water, and with the energy of sunlight they make sugar. "
        "Oxygen is left over, and the leaf gives it off into the air around it. Which of these does "
        "the experiment measure?"
    )
    assert reading([text], "9").fits is True
    assert reading([text], "1").fits is False
    assert reading([text], "high_school").fits is True


def test_few_words_and_no_school_have_no_reading_level_to_keep_to() -> None:
    few = reading(["Photosynthesis notwithstanding."], "1")
    assert (few.fits, few.highest) == (None, 4.0)
    assert few.words < LEAST_WORDS
    assert reading([HARD], "graduate").fits is None
    assert reading([], "1").grade is None


def test_personal_data_is_told() -> None:
    (found,) = faults(with_tutor("Write to me at kim@example.org and we go on."))
    assert found == "no turn may hold personal data: email 'kim@example.org'"


def test_a_first_turn_without_feeling_is_told() -> None:
    exchanges = orjson.loads(orjson.dumps(LESSON["exchanges"]))
    exchanges[0]["student"]["emotional_markers"] = []
    assert (
        "the student's first turn must show the feeling" in faults(lesson(exchanges=exchanges))[0]
    )


def test_every_grade_has_its_level() -> None:
    levels = [level_of(grade) for grade in GRADES]
    assert Counter(levels) == {
        "elementary": 6,
        "middle_school": 3,
        "high_school": 4,
        "undergraduate": 1,
        "graduate": 1,
    }
