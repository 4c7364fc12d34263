"""Planted defects, over golds of any wording."""

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthtutor.defects import DEFECTS, Gold, original, plant
from synthtutor.errors import RubricError

ALL = sorted(DEFECTS)

words = st.text("abcdefghijklmnopqrstuvwxyzäé0123456789", min_size=1, max_size=7)
clauses = st.lists(words, min_size=2, max_size=8).map(lambda parts: " ".join(parts).capitalize())
statements = clauses.map(lambda clause: f"{clause}.")
questions = clauses.map(lambda clause: f"{clause}?")


@st.composite
def golds(draw: st.DrawFn) -> Gold:
    diagnosis, question = draw(statements), draw(questions)
    opening = draw(st.lists(statements, max_size=2))
    middle = draw(st.lists(statements, min_size=1, max_size=3))
    gap = draw(st.sampled_from([" ", "\n\n"]))
    prose = gap.join([*opening, diagnosis, *middle, question])
    endorsement = draw(statements)
    assume(prose.count(diagnosis) == 1)
    assume(prose.count(question) == 1)
    assume(diagnosis not in endorsement)
    return Gold(
        reply=prose,
        diagnosis=diagnosis,
        check_question=question,
        check_answer=draw(st.one_of(statements, clauses)),
        false_statement=draw(statements),
        endorsement=endorsement,
        follow_up=draw(statements),
        misconception=draw(statements),
        subject=draw(words),
    )


GOLD = Gold(
    reply=(
        "You multiplied carefully. The slip is that you treat half of a third as a larger piece."
        "\n\nCut a bar into three parts, then cut each part in two. What share of the bar is one "
        "small part?"
    ),
    diagnosis="The slip is that you treat half of a third as a larger piece.",
    check_question="What share of the bar is one small part?",
    check_answer="One sixth, because the bar now has six equal parts",
    false_statement="Half of a third is two thirds.",
    endorsement="Yes, exactly: multiplying always makes things bigger.",
    follow_up="Half times a third has to be more than a third, since we multiply",
    misconception="Multiplication always makes a number larger.",
    subject="number_theory",
)


@given(golds())
def test_a_defect_changes_its_object_the_same_way_each_time(gold: Gold) -> None:
    for name in ALL:
        spoilt = plant(name, gold)
        assert spoilt != original(name, gold)
        assert spoilt == plant(name, dataclasses.replace(gold))


@given(golds())
def test_a_corrupted_text_is_still_tidy_prose(gold: Gold) -> None:
    for name in ALL:
        spoilt = plant(name, gold)
        assert spoilt == spoilt.strip()
        assert "  " not in spoilt
        assert "\n\n\n" not in spoilt
        for paragraph in spoilt.split("\n\n"):
            spoken = paragraph.removeprefix("Student: ").removeprefix("Tutor: ")
            assert not spoken[0].islower()
            assert spoken.endswith((".", "?", "!"))


@given(golds())
def test_a_leaked_answer_stands_right_behind_its_question(gold: Gold) -> None:
    spoilt = plant("leak_answer", gold)
    asked, _, told = spoilt.partition(gold.check_question)
    assert gold.reply.startswith(asked.rstrip())
    assert told.rstrip(".").endswith(gold.check_answer.rstrip("."))


@given(golds())
def test_false_content_stands_behind_the_diagnosis(gold: Gold) -> None:
    spoilt = plant("false_content", gold)
    assert f"{gold.diagnosis} {gold.false_statement}" in spoilt
    assert gold.check_question in spoilt


@given(golds())
def test_an_endorsement_takes_the_place_of_the_diagnosis(gold: Gold) -> None:
    spoilt = plant("endorse_error", gold)
    assert gold.endorsement in spoilt
    assert gold.diagnosis not in spoilt


@given(golds())
def test_what_is_dropped_is_gone_and_the_rest_stays(gold: Gold) -> None:
    rest = " ".join(gold.reply.replace(gold.diagnosis, "").split())
    assert " ".join(plant("drop_diagnosis", gold).split()) == rest
    rest = " ".join(gold.reply.replace(gold.check_question, "").split())
    assert " ".join(plant("drop_check_question", gold).split()) == rest


@given(golds())
def test_an_added_fault_leaves_the_reply_whole(gold: Gold) -> None:
    for name in ("boilerplate_praise", "shaming", "stereotype", "labels_student"):
        assert plant(name, gold).endswith(f" {gold.reply}")
    assert plant("asks_personal_data", gold).startswith(f"{gold.reply}\n\n")


@given(golds())
def test_an_over_long_reply_only_repeats_itself(gold: Gold) -> None:
    spoilt = plant("over_long", gold)
    assert spoilt.count(gold.diagnosis) == 3
    assert spoilt.count(gold.check_question) == 1
    assert spoilt.endswith(gold.check_question)
    assert len(spoilt) > 2 * len(gold.reply) - 2 * len(gold.check_question)


@given(golds())
def test_a_student_who_leaks_or_recants_first_says_what_they_said(gold: Gold) -> None:
    leaked = plant("student_leaks_solution", gold)
    recanted = plant("student_self_corrects", gold)
    assert leaked.startswith(gold.follow_up)
    assert recanted.startswith(gold.follow_up)
    assert gold.check_answer in leaked
    assert f'"{gold.misconception}"' in recanted


@given(golds())
def test_a_corrupted_dialogue_begins_like_the_sound_one(gold: Gold) -> None:
    sound = gold.dialogue()
    first_turn = f"Student: {gold.follow_up}\n\nTutor: {gold.reply}"
    assert sound.startswith(first_turn)
    for name in ("unearned_understanding", "tutor_contradicts", "tutor_does_the_work"):
        assert plant(name, gold).startswith(first_turn)
    assert gold.check_answer not in plant("unearned_understanding", gold).split("\n\n")[-1]
    assert plant("tutor_contradicts", gold).endswith(gold.false_statement)
    assert plant("tutor_does_the_work", gold).endswith("Student: Okay.")


def test_a_missing_full_stop_is_added() -> None:
    assert "six equal parts." in plant("leak_answer", GOLD)
    assert "since we multiply. If you then asked me" in plant("student_leaks_solution", GOLD)


def test_a_subject_is_named_in_words() -> None:
    assert "any good at number theory, so" in plant("stereotype", GOLD)


def test_a_reply_without_a_check_question_can_still_be_too_long() -> None:
    assert plant("over_long", Gold(reply="Draw the bar.")).count("Draw the bar.") == 3


@pytest.mark.parametrize("name", ALL)
def test_what_a_defect_needs_is_asked_for_by_name(name: str) -> None:
    defect = DEFECTS[name]
    assert defect.name == name
    parts = {field.name for field in dataclasses.fields(Gold)}
    assert {*defect.needs} <= parts
    judged = {"reply": ["reply"], "student_turn": ["follow_up"]}
    for part in [
        *defect.needs,
        *judged.get(defect.corrupts, ["reply", "follow_up", "check_answer"]),
    ]:
        lacking: dict[str, Any] = {part: " "}
        with pytest.raises(RubricError, match=f"{name} needs the gold's {part}, which is empty"):
            plant(name, dataclasses.replace(GOLD, **lacking))


@pytest.mark.parametrize("name", ALL)
def test_a_defect_asks_for_nothing_that_it_does_not_use(name: str) -> None:
    defect = DEFECTS[name]
    object_ = {"reply": {"reply"}, "student_turn": {"follow_up"}}
    used = {*defect.needs, *object_.get(defect.corrupts, {"reply", "follow_up", "check_answer"})}
    bare = Gold(**{part: getattr(GOLD, part) for part in used | {"reply"}})
    assert plant(name, bare)


@pytest.mark.parametrize("name", ALL)
def test_a_defect_says_what_it_does_to_what(name: str) -> None:
    defect = DEFECTS[name]
    assert defect.adds or defect.removes
    assert defect.about
    before = {"reply": GOLD.reply, "student_turn": GOLD.follow_up, "dialogue": GOLD.dialogue()}
    assert original(name, GOLD) == before[defect.corrupts]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("drop_diagnosis", "diagnosis"),
        ("false_content", "diagnosis"),
        ("leak_answer", "check_question"),
    ],
)
def test_a_part_that_is_not_in_the_reply_is_refused(name: str, part: str) -> None:
    changed: dict[str, Any] = {part: "Something that nobody said."}
    with pytest.raises(RubricError, match=f"the gold's {part} is not a part of its reply"):
        plant(name, dataclasses.replace(GOLD, **changed))


def test_a_reply_of_which_nothing_would_be_left_is_refused() -> None:
    alone = Gold(reply="What is half of ten?", check_question="What is half of ten?")
    with pytest.raises(RubricError, match="drop_check_question would leave nothing"):
        plant("drop_check_question", alone)


def test_a_defect_that_would_change_nothing_is_refused() -> None:
    same = dataclasses.replace(GOLD, endorsement=GOLD.diagnosis)
    with pytest.raises(RubricError, match="endorse_error would change nothing"):
        plant("endorse_error", same)


def test_an_unknown_defect_is_answered_with_the_known_ones() -> None:
    with pytest.raises(RubricError, match="no defect 'sabotage'; there are leak_answer, "):
        plant("sabotage", GOLD)
