from __future__ import annotations

import asyncio

import pytest

from synthtutor.quality.symbolic import algebra_installed, shared_equivalence
from synthtutor.recipes.verification import agreement, verified

needs_algebra = pytest.mark.skipif(not algebra_installed(), reason="math-verify is not installed")


@pytest.mark.parametrize(
    ("found", "gold", "same"),
    [
        ("29", " 29", True),
        ("$1,250.50", "1250.5", True),
        ("0.75", "3/4", True),
        ("x = 2", "2", True),
        ("30 pens", "31", False),
        ("many", "31", False),
        ("2(x + 1)", "2x + 2", None),
        ("2x+2", "2x + 2", True),
        ("3,5", "3.5", None),
        ("1.234", "1234", None),
        ("1,23,456", "123456", None),
        ("3,5", "4", False),
    ],
)
def test_answers_are_the_same_or_not_or_nobody_knows(
    found: str, gold: str, same: bool | None
) -> None:
    assert agreement(found, gold) is same


@pytest.mark.parametrize(
    ("gold", "found", "right"),
    [
        ("29", "29 rolls", True),
        ("29", "31", False),
        ("3/4", "0.75", True),
        ("29", "about 29 or 30", None),
        ("5 cm", "5 m", None),
        ("5 cm", "5 centimeters", True),
        ("Tuesday", "Tues", None),
        ("Tuesday", "tuesday", True),
        ("2x + 2", "2x+2", True),
        ("36", "36 m²", True),
        ("72", "72 km/h", True),
        ("3 L", "3", True),
        ("十二", "12", None),
        ("yirmi beş", "25", None),
    ],
)
async def test_an_answer_is_right_or_wrong_or_nobody_knows(
    gold: str, found: str, right: bool | None
) -> None:
    assert await verified(gold, found) is right


@pytest.mark.slow
@needs_algebra
@pytest.mark.parametrize(
    ("gold", "found", "right"),
    [
        ("2x + 2", "2(x + 1)", True),
        ("2x + 2", "2x + 3", False),
        ("(2, 3)", "(3, 2)", False),
        ("(-\\infty, 3]", "x \\le 3", True),
        ("xy", "yx", True),
        ("7:05 pm", "7:05 p.m.", None),
        ("3 to 4", "3:4", None),
        ("\\sqrt{2}", "1.41", None),
        ("\\pi", "3.5", False),
    ],
)
async def test_what_is_no_number_is_compared_by_algebra(
    gold: str, found: str, right: bool | None
) -> None:
    assert await verified(gold, found) is right


async def test_those_who_compare_beside_each_other_share_the_processes() -> None:
    async with shared_equivalence() as outer:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_equivalence()) for _ in range(3)]
        assert {task.result() for task in tasks} == {id(outer)}
    async with shared_equivalence() as later:
        assert later is not outer


async def _equivalence() -> int:
    async with shared_equivalence() as mine:
        await asyncio.sleep(0)
        return id(mine)
