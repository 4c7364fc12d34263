from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from synthtutor.errors import ConfigError
from synthtutor.journal import Journal
from synthtutor.messages import Request
from synthtutor.recipes.dialogue import rows
from synthtutor.recipes.leak_judging import CRITERION
from synthtutor.recipes.recipe import RowOptions
from synthtutor.tutoring import Sample
from tests.recipes.dialogues import PROBLEM, ROW, Script, cast, made, name_of, tutor
from tests.recipes.reasoning import prompt

# The student has 24 on paper and goes on from it: whether it is the answer now, words hardly tell.
ON_PAPER = replace(
    PROBLEM, student_solution="62 - 38 = 24\n24 + 12 = 36\nSo my answer is 36.", answer="24"
)
DOUBTFUL = "You found 24 on your way; why did you go on?"
GIVEN = "The answer is 24, is it not?"
CLEAR = "Why did you go on from there?"


def judging(says: bool | None, first: str = DOUBTFUL) -> Script:
    """A tutor who begins with ``first``, and a judge who says that of it, or nothing at all."""
    others = cast(tutors=(tutor(first), tutor(CLEAR)))

    def script(request: Request) -> str:
        if name_of(request) == "Verdicts" and CRITERION in prompt(request):
            answer = {CRITERION: {"evidence": first, "observed": says}}
            return "?" if says is None else orjson.dumps(answer).decode()
        return others(request)

    return script


async def talked(journal: Journal, script: Script, **options: str) -> tuple[Sample, list[Request]]:
    """The dialogue, and what the judge was asked about leaks."""
    row = replace(ROW, problem=ON_PAPER, malrule="", numbers=())
    sample, asked = await made(journal, script, row, turns="1", unsolved="judge", **options)
    return sample, [each for each in asked if CRITERION in prompt(each)]


def tutored(sample: Sample) -> list[str]:
    return [turn["text"] for turn in sample.metadata["turns"] if turn["speaker"] == "tutor"]


@pytest.mark.parametrize(("says", "first"), [(True, CLEAR), (False, DOUBTFUL)])
async def test_the_judge_decides_where_the_detector_is_not_sure(
    journal: Journal, says: bool, first: str
) -> None:
    sample, asked = await talked(journal, judging(says))
    assert len(asked) == 1
    assert ON_PAPER.question in prompt(asked[0])
    assert ON_PAPER.student_solution in prompt(asked[0])
    assert tutored(sample)[0] == first
    assert sample.metadata["leak_doubts"] == [
        {"turn": 1, "text": DOUBTFUL, "code": False, "judge": says}
    ]


async def test_a_turn_that_only_the_judge_saw_through_goes_back_with_the_reason(
    journal: Journal,
) -> None:
    sample, _ = await talked(journal, judging(says=True))
    assert sample.metadata["violations"][0]["faults"] == [
        "gives the final answer away; leave it to the student"
    ]


@pytest.mark.parametrize(("first", "taken"), [(GIVEN, CLEAR), (CLEAR, CLEAR)])
async def test_nobody_is_asked_where_the_detector_is_sure(
    journal: Journal, first: str, taken: str
) -> None:
    sample, asked = await talked(journal, judging(says=True, first=first))
    assert asked == []
    assert tutored(sample)[0] == taken
    assert sample.metadata["leak_doubts"] == []


async def test_a_judge_that_does_not_answer_leaves_it_to_the_detector(journal: Journal) -> None:
    sample, asked = await talked(journal, judging(says=None))
    assert asked
    assert tutored(sample)[0] == DOUBTFUL
    assert sample.metadata["leak_doubts"][0]["judge"] is False


async def test_the_detector_decides_alone_where_no_judge_is_wanted(journal: Journal) -> None:
    sample, asked = await talked(journal, judging(says=True), leaks="code")
    assert asked == []
    assert tutored(sample)[0] == DOUBTFUL
    assert sample.metadata["leak_doubts"] == []


def test_another_word_for_who_decides_is_refused() -> None:
    with pytest.raises(ConfigError, match="option leaks='both': choose judge or code"):
        rows(RowOptions(options={"leaks": "both"}))
