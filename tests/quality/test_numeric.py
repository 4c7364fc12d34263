from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.quality.answers import parts
from synthtutor.quality.arithmetic import equalities, worked_out
from synthtutor.quality.numbers import numbers
from synthtutor.quality.numeric import first_wrong_step, same_answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1/2", "0.5"),
        ("50%", "0.5"),
        ("50", "50%"),
        (r"$\boxed{\frac{1}{2}}$", "one half"),
        (r"\boxed{\text{Tuesday}}", "tuesday"),
        ("2,500 pens", "2500"),
        ("$72.00", "72"),
        ("0.33", "1/3"),
        ("x=2, y=3", "y = 3, x = 2"),
        ("3 and 5", "5, 3"),
        ("2x+3", "$2x + 3$"),
        ("2^3", "8"),
        (r"$\frac{6}{4}$", "1 1/2"),
        ("forty-two", "#### 42"),
        ("The answer is 37.", "37"),
        ("1 000", "1000"),
        ("1\u202f234", "1234"),
        ("1.234,50", "1234.5"),
        ("one hundred and five", "105"),
        ("33.3%", "1/3"),
        ("**18**", "18"),
        ("= 18", "18"),
        ("36", "36 m^2"),
        ("36", "36 cm²"),
        ("5", "5 m"),
        ("5", "5°C"),
        ("45^{\\circ}", "45°"),
        ("⅗", "0.6"),
        ("5⁄6", "5/6"),
        ("₹500", "500"),
        ("5 elma", "5"),
        ("5 個", "5"),
        ("٣٫٥", "3.5"),
        ("-3", "minus three"),
        ("1e6", "1000000"),
        ("5 boys, 3 girls", "3 girls and 5 boys"),
        ("2 or -2", "-2, 2"),
        ("x = 2, x = -2", "x = -2 or x = 2"),
    ],
)
def test_two_forms_of_an_answer_are_the_same(one: str, other: str) -> None:
    assert same_answer(one, other)
    assert same_answer(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3", "4"),
        ("-3", "3"),
        ("0.3", "1/3"),
        ("0.34", "1/3"),
        ("x=2,y=3", "x=3,y=2"),
        ("(2,3)", "(3,2)"),
        ("3", "3 and 5"),
        ("", ""),
        ("2x+3", "2x+4"),
        ("5 apples and 3 pears", "3 apples and 5 pears"),
        ("x", "5x"),
        ("-3", "three"),
    ],
)
def test_two_answers_are_not_the_same(one: str, other: str) -> None:
    assert not same_answer(one, other)
    assert not same_answer(other, one)


@given(st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_a_fraction_is_itself_in_every_way_of_writing(over: int, under: int) -> None:
    value = Fraction(over, under)
    plain = f"{value.numerator}/{value.denominator}"
    sign, size = ("-" if value < 0 else ""), abs(value)
    latex = rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}"
    assert same_answer(plain, latex)
    assert same_answer(f"${latex}$", rf"\boxed{{{plain}}}")


@given(st.integers(0, 999_999))
def test_thousands_separators_and_decimals_change_nothing(number: int) -> None:
    assert same_answer(f"{number:,}", f"{number}.00")
    assert not same_answer(str(number), str(number + 1))


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_two_texts_can_be_compared_either_way_round(one: str, other: str) -> None:
    assert same_answer(one, other) == same_answer(other, one)


@given(st.text(max_size=60))
def test_an_answer_that_says_something_is_the_same_as_itself(answer: str) -> None:
    assert same_answer(answer, answer) == bool(parts(answer))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Step 2: he has 1,200.50 and -3", ["2401/2", "-3"]),
        ("the 7th of 3:30, 2x, x^2", []),
        ("1. First\n2. Second 5.", ["5"]),
        ("twenty-one, two hundred and five, a thousand", ["21", "205", "1000"]),
        ("3/4, 1 1/2, ½, two thirds", ["3/4", "3/2", "1/2", "2/3"]),
        ("2 million", ["2000000"]),
        ("two point one five, an hour and a half, a half hour", ["43/20", "3/2", "1/2"]),
        ("答案是88个,还剩3.5公斤", ["88", "7/2"]),
        ("between five and ten, two thousand and ten", ["5", "10", "2010"]),
        ("three and three quarters, six tenths, 5 twelfths", ["15/4", "3/5", "5/12"]),
        ("18 and a half, 12 ½, 5 over 6", ["37/2", "25/2", "5/6"]),
        (
            "it is minus three; 8 minus 3; 8 apples minus 3; negative 4",
            ["-3", "8", "3", "8", "3", "-4"],
        ),
        ("eighteen dollars and fifty cents, $3 and 5 cents", ["37/2", "61/20"]),
        ("twenty-fifth, ten fifth graders, five seconds, a twelve-year-old", ["10", "5"]),
        ("1\u00a0234\u00a0567 and 1,23,456 kg", ["1234567", "1", "23456"]),
        ("1" * 5000, []),
    ],
)
def test_numbers_are_what_a_text_states(text: str, values: list[str]) -> None:
    assert [str(number.value) for number in numbers(text)] == values


@pytest.mark.parametrize(
    "text",
    [
        "3 x 12 = 36 donuts",
        "100/3 = 33.33",
        "4 cats * 2 rabbits/cat = 8 rabbits",
        "$2448 + $1920 + $3960 = $8328.",
        "(120 miles - 100 miles) / 40 = 0.5",
        "30% x 2000 = 600",
        "90/300*100 = 30%",
        "x = 44.5/2 = 22.25",
        "2 + 3 × 4 = 14",
        "2 * (3 + 4) = 14",
    ],
)
def test_a_right_sum_holds(text: str) -> None:
    found = list(equalities(text))
    assert found
    assert all(equality.holds for equality in found)


@pytest.mark.parametrize("text", ["5 + 3 = 9", "100/3 = 33", "3 x 12 = 35 donuts", "$5 - $2 = $4"])
def test_a_wrong_sum_does_not_hold(text: str) -> None:
    assert [equality.holds for equality in equalities(text)] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "2x + 3 + 4 = 9",
        "2(x + 0.25) = 45",
        "33 = x + 4*7",
        "1.5 hours = 90 minutes",
        "1 hour - 30 minutes = 30 minutes",
        "3 dozen x 2 = 72",
        "1.200 / 12 = 100",
        "17 ÷ 5 = 3 R 2",
        "17 ÷ 5 = 3 remainder 2",
        "40 - 15% = 34",
        "$40 + 10% = $44",
        "100 / 3 ≈ 33",
        "no sums here",
    ],
)
def test_what_cannot_be_worked_out_is_passed_over(text: str) -> None:
    assert list(equalities(text)) == []


@given(st.integers(0, 9999), st.integers(1, 9999), st.sampled_from("+-*/"), st.integers(1, 99))
def test_a_planted_error_is_found_in_its_step(a: int, b: int, sign: str, off: int) -> None:
    value = {"+": a + b, "-": a - b, "*": a * b, "/": a}[sign]
    left = a * b if sign == "/" else a
    right, wrong = f"{left} {sign} {b} = {value}", f"{left} {sign} {b} = {value + off}"
    assert first_wrong_step([right, "So we go on.", right]) is None
    found = first_wrong_step(["We begin.", right, wrong, "1 + 1 = 3"])
    assert found is not None
    assert found.index == 2
    assert found.value == value
    assert found.quote == wrong


@given(st.text(alphabet="0123456789+-*/^()=x. $%", max_size=60))
def test_any_sum_is_worked_out_or_is_none(text: str) -> None:
    assert worked_out(text) is None or isinstance(worked_out(text), Fraction)
    list(equalities(text))


def test_powers_and_divisions_that_lead_nowhere_have_no_value() -> None:
    for text in ("9^9^9", "1/0", "2^0.5", "(1 + 2", ""):
        assert worked_out(text) is None
