"""Classifiers, goals and text measures, each on figures worked out elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from synthtutor.errors import ConfigError
from synthtutor.evaluation.classifiers import classification
from synthtutor.evaluation.goals import Goal, load_goals, reached
from synthtutor.evaluation.pictures import paired_picture
from synthtutor.evaluation.text_measures import text_measures

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute


def test_a_perfect_classifier_and_one_that_says_one_thing_are_told_apart() -> None:
    truth = ["0"] * 30 + ["1"] * 10
    perfect = classification([(t, t, str(n)) for n, t in enumerate(truth)], resamples=100)
    lazy = classification([(t, "0", str(n)) for n, t in enumerate(truth)], resamples=100)
    assert (perfect.accuracy.value, perfect.macro_f1.value, perfect.kappa.value) == (1, 1, 1)
    assert lazy.accuracy.value == lazy.majority["accuracy"] == 0.75
    assert lazy.macro_f1.value == pytest.approx(lazy.majority["macro_f1"], abs=1e-4)
    assert lazy.kappa.value == 0
    assert lazy.classes["1"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 10}


def test_cohens_own_table_has_his_kappa() -> None:
    # Cohen (1960), A coefficient of agreement for nominal scales, table 1: proportions of 200.
    table = {"1": (88, 14, 18), "2": (10, 40, 10), "3": (2, 6, 12)}
    rows = [
        (label, str(said + 1), f"{label}{said}{n}")
        for label, counts in table.items()
        for said, count in enumerate(counts)
        for n in range(count)
    ]
    assert classification(rows, resamples=20).kappa.value == pytest.approx(0.492, abs=1e-3)


def test_labels_that_are_numbers_stand_in_their_order() -> None:
    rows = [(str(n), str(n), str(n)) for n in (10, 9, 2, 1)]
    assert list(classification(rows, resamples=20).labels) == ["1", "2", "9", "10"]


def test_rows_of_one_group_widen_the_interval() -> None:
    rows = [("a", "a" if n % 10 < 7 else "b", str(n)) for n in range(100)]
    grouped = [(label, said, str(n % 10)) for n, (label, said, _) in enumerate(rows)]
    alone = classification(rows, resamples=300).accuracy
    together = classification(grouped, resamples=300).accuracy
    assert alone.low is not None
    assert alone.high is not None
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("figure", "state", "sure"),
    [
        ({"value": 0.93, "low": 0.91, "high": 0.95}, "pass", True),
        ({"value": 0.93, "low": 0.88, "high": 0.97}, "pass", False),
        ({"value": 0.90, "low": None, "high": None}, "fail", None),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, "fail", True),
        ({"value": None}, "not measured", None),
        (None, "not measured", None),
        ("0.99", "not measured", None),
        (True, "not measured", None),
    ],
)
def test_a_goal_is_reached_by_a_figure_and_by_nothing_else(
    figure: object, state: str, sure: bool | None
) -> None:
    goal = Goal(name="g", measure="a.b", op=">", value=0.9)
    (found,) = reached([goal], {"a": {"b": figure}})
    assert (found.state, found.sure) == (state, sure)
    (nothing,) = reached([goal], {"a": None})
    assert nothing.state == "not measured"


def test_the_guide_s_goals_are_there_and_others_can_be_given(tmp_path: Path) -> None:
    assert [(g.name, g.op, g.value) for g in load_goals()] == [
        ("Accuracy", ">", 0.90),
        ("Grade fit", ">", 0.95),
        ("Response time", "<", 2.0),
    ]
    path = tmp_path / "own.yaml"
    path.write_text('goals: [{name: Leaks, measure: checks.leaks_answer, op: "<=", value: 0.02}]')
    assert load_goals(path)[0].name == "Leaks"
    path.write_text('goals: [{name: Leaks, measure: checks, op: "=", value: 0.02}]')
    with pytest.raises(ConfigError, match=r"own\.yaml: goals\.0\.op"):
        load_goals(path)


def test_text_measures_are_full_for_equal_texts_and_nothing_for_others() -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    text = "What does the farmer do with the sheep that he buys?"
    same = text_measures([text], [text])
    assert (same["chrf"], same["bleu"], same["rouge_l"]) == (100, 100, 100)
    other = text_measures(["xyz qqq"], [text])
    assert (other["bleu"], other["rouge_l"]) == (0, 0)
    assert other["chrf"] < 5
    assert same["signatures"]["chrf"].startswith("nrefs:1")


def test_rouge_l_is_the_longest_common_subsequence_of_the_words() -> None:
    pytest.importorskip("rouge_score")
    # Lin (2004), ROUGE, section 3.1: "police kill the gunman" against "police killed the gunman".
    found = text_measures(["police kill the gunman"], ["police ended the gunman"])
    assert found["rouge_l"] == 75


def test_without_the_libraries_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(ConfigError, match=r"pip install \"synthtutor\[evaluation\]\""):
        text_measures(["a"], ["b"])


def test_a_picture_of_pairs_puts_higher_scores_higher_and_stays_inside() -> None:
    picture = paired_picture([(1.0, 9.0), (5.0, 5.0), (8.0, 2.0)])
    (one, other, turn), same, down = picture["lines"]
    assert (turn, same[2], down[2]) == ("up", "same", "down")
    assert other < one
    assert all(0 < y < picture["height"] for line in picture["lines"] for y in line[:2])
    assert paired_picture([(3.0, 3.0)])["means"][0] == paired_picture([(3.0, 3.0)])["means"][1]
