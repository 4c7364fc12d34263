from __future__ import annotations

import pytest

from synthtutor.quality.readability import Readability, grade, syllables

# Chosen after the rule was written, so that it is tested on words it was not made for.
_COUNTED = {
    1: "scratch through thought stretched lines shared shape wheel scale eight knife tied cubes solve",
    2: "number tenths divide second correct mistake problem decimal's seven thousands hundred answered"
    " measure circle notice apply graphing carried equal quarter",
    3: "addition decimal remember together exponent subtracted example integer formula percentage"
    " probably quantity reviewing",
    4: "calculator estimated definition intersection operation incorrectly reciprocal application",
    5: "multiplication's representation consideration simultaneous",
}


def test_nine_of_ten_words_get_their_syllables() -> None:
    words = [(word, count) for count, line in _COUNTED.items() for word in line.split()]
    wrong = [(word, count, syllables(word)) for word, count in words if syllables(word) != count]
    assert len(wrong) <= len(words) / 10, wrong


@pytest.mark.parametrize("word", ["", "hmm", "x", "42"])
def test_any_word_has_at_least_one(word: str) -> None:
    assert syllables(word) == 1


def test_the_grade_is_flesch_and_kincaids() -> None:
    # 2 sentences, 8 words, 9 syllables
    expected = 0.39 * 8 / 2 + 11.8 * 9 / 8 - 15.59
    assert grade("Cut the cake. Now each one gets pieces.") == pytest.approx(expected)


def test_formulas_and_numbers_do_not_count() -> None:
    plain = grade("Look at the sum. What is left?")
    assert grade(r"Look at the sum $\frac{12}{345}x$ 678. What is left?") == plain


def test_harder_prose_has_a_higher_grade() -> None:
    easy = grade("I see a cat. It is big. Can you count its legs?")
    hard = grade(
        "Considering the distributive property, one may subsequently investigate whether the"
        " resulting polynomial expression admits additional rational factorisations."
    )
    assert easy is not None
    assert hard is not None
    assert easy < 3 < 15 < hard


def test_a_text_without_words_has_no_grade() -> None:
    assert grade("$x = 1$") is None
    readability = Readability()
    readability.add("12")
    assert readability.summary()["grade"] is None


def test_all_texts_as_one_weigh_long_ones_more() -> None:
    readability = Readability()
    readability.add("Go.")
    readability.add("Investigate distributive multiplication. " * 20)
    spoken = 1 + 20 * sum(map(syllables, ["Investigate", "distributive", "multiplication"]))
    summary = readability.summary()
    assert summary["grade"] == pytest.approx(0.39 * 61 / 21 + 11.8 * spoken / 61 - 15.59, abs=0.01)
    assert summary["words_per_sentence"] == pytest.approx(61 / 21, abs=0.01)
    grades = summary["grades"]
    assert isinstance(grades, dict)
    assert grades["n"] == 2


def test_what_is_not_written_in_latin_letters_has_no_grade() -> None:
    assert grade("每盘有多少个松饼？你先想一想。") is None
    assert grade("كم تفاحة في كل سلة؟") is None
    assert grade("How many apples, or 苹果, are there?") is not None
