from __future__ import annotations

import pytest

from synthtutor.quality.checks import CHECKS, check
from synthtutor.rubric import builtin_packs, load_rubric

DIALOGUE = "Student: I think both add up.\nTutor: Which parts are equal?\nStudent: The halves."


@pytest.mark.parametrize(
    ("name", "text", "holds"),
    [
        ("longer_than:3", "one two three", False),
        ("longer_than:3", "one two three four", True),
        ("grade_at_most:12", "The cat sat. The dog ran.", True),
        (
            "grade_at_most:3",
            "Thermodynamic irreversibility necessarily characterises macroscopic equilibration.",
            False,
        ),
        ("grade_at_most:12", "", None),
        ("student_share:0.5", DIALOGUE, True),
        ("student_share:0.9", DIALOGUE, False),
        ("student_share:0.5", "No turns are marked here.", None),
        ("student_share:0.5", "", None),
    ],
)
def test_a_check_says_whether_its_statement_holds(name: str, text: str, holds: bool | None) -> None:
    assert check(name, text) is holds


def test_every_check_that_a_shipped_pack_names_exists() -> None:
    named = {
        criterion.check.partition(":")[0]
        for pack in builtin_packs()
        for criterion in load_rubric(pack).criteria
        if criterion.check
    }
    assert named
    assert named <= set(CHECKS)
