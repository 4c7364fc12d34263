from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.defects import original, plant
from synthtutor.journal import Journal
from synthtutor.messages import Request
from synthtutor.packs import builtin_packs
from synthtutor.recipes.controls import ControlRow, control, control_rows
from synthtutor.rubric import load_rubric
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.tutoring import Sample
from tests.doubles import context, reply

RUBRIC = load_rubric("misconception-repair")
PACKS = sorted(builtin_packs())


def drawn(count: int, seed: int = 0) -> list[ControlRow]:
    return list(control_rows(RUBRIC, count, seed))


@given(st.integers(0, 60), st.integers(0, 2**20))
def test_controls_take_every_defect_in_turn(count: int, seed: int) -> None:
    made = drawn(count, seed)
    assert len(made) == count
    counts = Counter(row.defect for row in made)
    assert set(counts) <= {entry.mutate for entry in RUBRIC.controls}
    if count >= len(RUBRIC.controls):
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(counts) == len(RUBRIC.controls)


def test_more_controls_change_none_of_the_earlier() -> None:
    assert drawn(40)[:8] == drawn(8)


def test_the_seed_decides_which_golds_come_first() -> None:
    assert drawn(8, 1) == drawn(8, 1)
    assert drawn(8, 1) != drawn(8, 2)
    assert len({row.gold.subject for row in drawn(28)}) == 28


@pytest.mark.parametrize("name", PACKS)
def test_every_control_of_every_pack_can_be_planted(name: str) -> None:
    rubric = load_rubric(name)
    for row in control_rows(rubric, 28 * max(1, len(rubric.controls)), 0):
        assert plant(row.defect, row.gold) != original(row.defect, row.gold)


# ── what a judge makes of them ───────────────────────────────────────────────────────────────


async def controlled(journal: Journal, row: ControlRow, judge: Any) -> Sample:
    provider = ScriptedProvider(judge)
    return await control(Session(context(journal, provider, rubric=RUBRIC), b"control"), row)


def saying(request: Request, holds: dict[str, bool]) -> str:
    assert request.schema is not None
    return orjson.dumps(
        {
            name: {"evidence": "", "observed": holds[name]}
            for name in request.schema.definition["properties"]
        }
    ).decode()


def perfect(row: ControlRow) -> Any:
    """A judge that sees exactly what was planted."""
    sound = {c.id: not c.is_fault for c in RUBRIC.criteria}
    spoilt = sound | {name: RUBRIC.criterion(name).is_fault for name in row.must_flip}
    text = plant(row.defect, row.gold)
    return lambda request: saying(
        request, spoilt if f"<text>\n{text}\n</text>" in request.messages[-1].content else sound
    )


@pytest.mark.parametrize("row", drawn(7), ids=lambda row: row.defect)
async def test_a_judge_that_sees_the_defect_has_caught_it(
    journal: Journal, row: ControlRow
) -> None:
    made = await controlled(journal, row, perfect(row))
    assert made.metadata["caught"] is True
    assert made.metadata["sound_outcome"] == "kept"
    assert made.metadata["defect"] == row.defect
    assert made.metadata["must_flip"] == list(row.must_flip)
    assert made.messages[-1].content == plant(row.defect, row.gold)


@pytest.mark.parametrize("kind", ["praises", "blames"])
async def test_a_judge_that_always_says_the_same_has_caught_nothing(
    journal: Journal, kind: str
) -> None:
    holds = {c.id: c.is_fault == (kind == "blames") for c in RUBRIC.criteria}
    for row in drawn(7):
        made = await controlled(journal, row, lambda request: saying(request, holds))
        assert made.metadata["caught"] is False


async def test_a_judge_that_does_not_answer_has_neither_caught_nor_missed(
    journal: Journal,
) -> None:
    row = drawn(1)[0]
    made = await controlled(journal, row, lambda _: reply("I can't.", finish="refusal"))
    assert made.metadata["caught"] is None
    assert made.outcome == "undetermined"


async def test_a_judge_is_not_told_what_was_planted(journal: Journal) -> None:
    row = drawn(1)[0]
    provider = ScriptedProvider(perfect(row))
    await control(Session(context(journal, provider, rubric=RUBRIC), b"control"), row)
    for request in provider.requests:
        asked = "\n".join(message.content for message in request.messages)
        assert row.defect not in asked
        assert "plant" not in asked.lower()
        assert row.seed.follow_up in asked
