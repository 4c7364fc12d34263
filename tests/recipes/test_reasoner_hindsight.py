"""A belief knows what was said so far: hindsight is planted, and caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.journal import Journal
from synthtutor.messages import Request
from synthtutor.prompts import Prompts
from synthtutor.recipes.problems import Problem
from synthtutor.recipes.reasoner import reasoner
from synthtutor.session import RunContext, Session
from synthtutor.testing import ScriptedProvider
from tests.doubles import roles
from tests.recipes.reasoning import (
    DUE,
    PROBLEM,
    as_asked,
    believed,
    honest,
    made,
    prompt,
    solved,
    turn_of,
)


async def test_a_prompt_holds_what_was_said_so_far_and_nothing_later(journal: Journal) -> None:
    _, asked = await made(journal)
    said = PROBLEM.said()
    for due, request in zip(DUE, asked[1:], strict=True):
        shown = [turn.text in prompt(request) for turn in said]
        assert shown == [number <= due for number in range(len(said))]


async def test_the_end_of_a_dialogue_changes_no_call_before_it(
    journal: Journal, tmp_path: Path
) -> None:
    _, whole = await made(journal)
    for due in DUE:
        cut = Problem(
            PROBLEM.question,
            PROBLEM.answer,
            PROBLEM.solution,
            PROBLEM.student_solution,
            PROBLEM.turns[:due],
        )
        (tmp_path / str(due)).mkdir()
        async with Journal(tmp_path / str(due) / "journal.sqlite", ballast_bytes=0) as other:
            await other.begin("{}")
            _, asked = await made(other, row=cut)
        before = [request.to_json() for request in asked]
        assert before == [request.to_json() for request in whole[: len(asked)]]


async def test_notes_and_profile_enter_no_prompt_and_stay_with_the_sample(
    journal: Journal,
) -> None:
    sample, asked = await made(journal)
    everything = "\n".join(map(prompt, asked)) + "".join(m.content for m in sample.messages)
    assert "took the sum of unlike things" not in everything
    assert "choosing an operation" not in everything
    assert sample.metadata["notes_after_the_dialogue"] == dict(PROBLEM.notes)


async def test_not_even_a_users_template_that_shows_all_it_is_given_sees_later_turns(
    journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "reasoner").mkdir()
    (tmp_path / "reasoner" / "belief.md.j2").write_text(
        "{% block user %}{% for n in [question, solution, said, since, before] %}{{ n }}{% endfor %}"
        "{{ row is defined }} {{ moment is defined }} {{ later is defined }}{% endblock %}"
    )
    provider = ScriptedProvider(
        lambda r: solved() if r.schema and r.schema.name == "Solution" else "{}"
    )
    run = RunContext(journal, roles(provider, "reasoner"), Prompts(tmp_path), reasks=0)
    await reasoner(Session(run, b"sample"), PROBLEM)
    first = provider.requests[1].messages[-1].content
    assert "4 + 6 = 10" in first
    assert first.endswith("False False False")
    assert not [turn for turn in PROBLEM.turns if turn.text in first]


LATER = PROBLEM.turns[5].text  # turn 6, which turn 2 cannot know
PLANTED = {
    "the later turn by its number": believed(6, LATER),
    "the later turn's words under an earlier number": believed(2, LATER),
    "the later turn's words as its own": believed(
        2, "I added the trays", says="sees that every tray has six rolls of its own"
    ),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
async def test_a_model_that_knows_the_end_by_heart_is_caught(
    journal: Journal, planted: dict[str, Any]
) -> None:
    def knows_the_end(request: Request) -> str:
        belief = request.schema is not None and request.schema.name == "Update"
        if belief and turn_of(request) == 2:
            return as_asked(request, planted)
        return honest(request)

    sample, asked = await made(journal, knows_the_end)
    assert sample.outcome == "rejected"
    assert sample.reasons == ["no belief with sound evidence at turn 2"]
    assert sample.metadata["belief_states"][1]["fault"]
    assert len(asked) == 1 + len(DUE) + 2, "it was asked again, twice"
    for request in asked[2:5]:
        assert LATER not in prompt(request)
    taught = "".join(m.content for m in sample.messages[:5])
    assert "of its own" not in taught, "what was caught is not taught"
    assert sample.metadata["belief_states"][-1]["belief"]["evidence"][0]["turn"] == 6


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
async def test_one_that_mends_it_when_asked_again_is_kept(
    journal: Journal, planted: dict[str, Any]
) -> None:
    def learns(request: Request) -> str:
        again = "cannot be used" in request.messages[-1].content
        belief = request.schema is not None and request.schema.name == "Update"
        if belief and not again and turn_of(request) == 2:
            return as_asked(request, planted)
        return honest(request)

    sample, asked = await made(journal, learns)
    assert sample.outcome == "kept"
    assert len(asked) == 1 + len(DUE) + 1


async def test_words_that_have_been_said_are_no_hindsight(journal: Journal) -> None:
    def repeats(request: Request) -> str:
        if request.schema and request.schema.name == "Update" and turn_of(request) == 6:
            return as_asked(request, believed(6, LATER, says=LATER))
        return honest(request)

    sample, asked = await made(journal, repeats)
    assert sample.outcome == "kept"
    assert len(asked) == 1 + len(DUE)
