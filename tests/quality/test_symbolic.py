from __future__ import annotations

import asyncio

import pytest

from synthtutor.errors import ConfigError
from synthtutor.quality.symbolic import Equivalence, algebra_installed

needs_algebra = pytest.mark.skipif(not algebra_installed(), reason="math-verify is not installed")


async def test_what_numbers_decide_needs_no_algebra() -> None:
    async with Equivalence() as equivalence:
        assert await equivalence.same("1/2", "0.5") is True


@pytest.mark.slow
@needs_algebra
@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("2x+3", "3+2x", True),
        ("(x+2)(x-2)", "x^2-4", True),
        (r"\sqrt{12}", r"2\sqrt{3}", True),
        ("x^2-4", "x^2+4", False),
    ],
)
async def test_algebra_tells_forms_of_one_answer_from_two(
    gold: str, answer: str, same: bool
) -> None:
    async with Equivalence(timeout_s=30) as equivalence:
        assert await equivalence.same(gold, answer) is same


@pytest.mark.slow
@needs_algebra
async def test_a_comparison_without_end_is_stopped_and_the_next_one_is_made() -> None:
    async with Equivalence(timeout_s=3) as equivalence:
        assert await equivalence.same("9^{9^{9^{9}}}", "9^{9^{9^{8}}}") is None
    async with Equivalence(timeout_s=30) as equivalence:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(equivalence.same("x+1", "1+x")) for _ in range(3)]
        assert [task.result() for task in asked] == [True, True, True]


@pytest.mark.parametrize(("processes", "timeout_s"), [(0, 1.0), (1, 0.0)])
def test_no_processes_or_no_time_are_refused(processes: int, timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="at least one process"):
        Equivalence(processes=processes, timeout_s=timeout_s)
