"""Every misconception is wrong where it is asked, the same each time, and true to itself."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.malrules import MALRULES, Malrule

SEEDS = st.integers(0, 2**32)
RULES = sorted(MALRULES)

# ── an arithmetic of its own, which reads what the student reads ─────────────────────────────

_OPERATIONS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, exponent: base ** int(exponent),
}


def value(text: str, x: Fraction = Fraction(0)) -> Fraction:
    """An expression as it is written in a question, at a value of x."""
    text = re.sub(r"(\d+) (\d+/\d+)", r"(\1+\2)", text)  # mixed numbers
    text = re.sub(r"(?<![\d(])(\d+)/(\d+)", r"(\1/\2)", text)
    text = re.sub(r"(\d|\))\s*(?=[x(])", r"\1*", text)
    for sign, plain in {"×": "*", "÷": "/", "^": "**", "√": "root"}.items():
        text = text.replace(sign, plain)

    def of(node: ast.AST) -> Fraction:
        match node:
            case ast.Expression(body=body):
                return of(body)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATIONS[type(op)](of(left), of(right))
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -of(inner)
            case ast.Call(args=[inner]):
                square = of(inner)
                root = Fraction(isqrt(square.numerator), isqrt(square.denominator))
                assert root * root == square
                return root
            case ast.Name(id="x"):
                return x
            case ast.Constant():
                return Fraction(ast.get_source_segment(text, node) or "")
        raise AssertionError(f"{text}: {ast.dump(node)}")

    return of(ast.parse(text.strip(), mode="eval"))


def is_right(question: str, answer: Fraction) -> bool:
    """Whether the answer is right, from the question's words alone."""
    if found := re.fullmatch(r"Solve (.+) = (\d+) for x\.", question):
        return value(found[1], answer) == value(found[2])
    if found := re.fullmatch(r"What is the value of (.+) when x = (\d+)\?", question):
        return value(found[1], Fraction(found[2])) == answer
    if found := re.fullmatch(r"Which number is greater, (.+) or (.+)\?", question):
        return max(value(found[1]), value(found[2])) == answer
    if found := re.fullmatch(r"Which number stands .* in (.+) = \? \+ (.+)\?", question):
        return value(found[1]) == answer + value(found[2])
    if found := re.match(r"A jacket costs (\d+) dollars and is now sold at (\d+)% off", question):
        return answer == Fraction(found[1]) - Fraction(found[1]) * Fraction(found[2]) / 100
    if found := re.match(r"A ticket costs (\d+) dollars. Its price rises by (\d+)%", question):
        share = Fraction(found[2]) / 100
        return answer == Fraction(found[1]) * (1 - share**2)
    if found := re.fullmatch(r"What is (\d+)% of (\d+)\?", question):
        return answer == Fraction(found[1]) * Fraction(found[2]) / 100
    found = re.fullmatch(r"(?:What is|Write) (.+?)(?:\?| as a single fraction\.)", question)
    assert found, question
    return value(found[1]) == answer


def test_the_arithmetic_of_this_file_can_tell_right_from_wrong() -> None:
    assert is_right("What is 3 1/5 - 1 4/5?", Fraction(7, 5))
    assert not is_right("What is 3 1/5 - 1 4/5?", Fraction(13, 5))
    assert is_right("Solve 4(x + 2) = 28 for x.", Fraction(5))
    assert not is_right("What is the value of -x^2 when x = 4?", Fraction(16))


# ── all of them ──────────────────────────────────────────────────────────────────────────────


def test_there_are_enough_of_them_in_arithmetic_and_in_algebra() -> None:
    assert len(MALRULES) >= 25
    topics = {rule.topic for rule in MALRULES.values()}
    assert {"subtraction", "fractions", "decimals", "equations", "algebra"} <= topics


@pytest.mark.parametrize("name", RULES)
@given(seed=SEEDS)
def test_it_is_wrong_and_the_right_answer_is_right(name: str, seed: int) -> None:
    made = MALRULES[name].case(Random(seed))
    assert made.wrong.value != made.right.value
    assert is_right(made.question, made.right.value)
    assert not is_right(made.question, made.wrong.value)


@pytest.mark.parametrize("name", RULES)
@given(seed=SEEDS)
def test_the_same_seed_makes_the_same_task(name: str, seed: int) -> None:
    assert MALRULES[name].case(Random(seed)) == MALRULES[name].case(Random(seed))


@pytest.mark.parametrize("name", RULES)
@given(seed=SEEDS)
def test_what_is_written_is_what_was_computed(name: str, seed: int) -> None:
    made = MALRULES[name].case(Random(seed))
    for way in (made.right, made.wrong):
        assert Fraction(way.said) == way.value
        assert way.steps
        assert all(way.steps)


@pytest.mark.parametrize("name", RULES)
@given(seed=SEEDS)
def test_a_task_of_its_kind_is_found_in_a_tutors_words(name: str, seed: int) -> None:
    rule = MALRULES[name]
    made = rule.case(Random(seed))
    ((_, again),) = rule.answers(f"Good thinking so far! Tell me: {made.question}")
    assert again == made


@pytest.mark.parametrize("name", RULES)
def test_it_says_what_is_believed_when_and_who_found_it(name: str) -> None:
    rule = MALRULES[name]
    assert re.fullmatch(r"[A-Z][^.]+\.", rule.belief), "one sentence"
    first, last = rule.grades
    assert 1 <= first <= last <= 12
    assert not rule.source or re.search(r"\((?:ed\., )?\d{4}\)", rule.source)


# ── some of them by hand ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "numbers", "wrong"),
    [
        ("smaller-from-larger", (253, 118), "145"),
        ("borrows-from-zero", (103, 45), "158"),
        ("zero-minus-is-the-digit", (140, 21), "121"),
        ("borrows-without-paying", (143, 28), "125"),
        ("writes-both-digits", (28, 35), "513"),
        ("forgets-the-carry", (28, 35), "53"),
        ("multiplies-like-digits-only", (23, 14), "212"),
        ("adds-tops-and-bottoms", (1, 2, 1, 3), "2/5"),
        ("point-splits-two-numbers", (27, 1, 16, 1), "3.13"),
        ("longer-is-larger", (355, 3, 8, 1), "0.355"),
        ("squares-term-by-term", (3, 4), "25"),
        ("equals-means-the-answer-comes-next", (8, 4, 5), "12"),
    ],
)
def test_known_examples_come_out_as_known(name: str, numbers: tuple[int, ...], wrong: str) -> None:
    assert MALRULES[name].on(numbers).wrong.said == wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What would 62 − 38 be?", ["36"]),
        ("Work out 62-38 = ?", ["36"]),
        ("Fill in: 62 - 38 = ? + 4", []),
        ("You know that 62 - 38 = 24.", []),
        ("What is 3 × 62 - 38?", []),
        ("What is 62 - 38 - 10?", []),
        ("What is 38 - 62?", []),
        ("Compare 62 - 38 with 71 - 5, please.", ["36", "74"]),
        ("What is 62.5 - 38?", []),
    ],
)
def test_a_question_in_between_is_answered_by_the_rule(text: str, said: list[str]) -> None:
    rule: Malrule = MALRULES["smaller-from-larger"]
    assert [case.wrong.said for _, case in rule.answers(text)] == said


def test_a_question_without_an_answer_is_not_answered() -> None:
    assert MALRULES["adds-tops-and-bottoms"].answers("What is 1/0 + 1/2?") == []
