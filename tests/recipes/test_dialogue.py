from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor import arun
from synthtutor.api import Result
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError, Unauthorized
from synthtutor.estimating import estimate
from synthtutor.export.turns import tutor_turns
from synthtutor.journal import Journal
from synthtutor.malrules import MALRULES
from synthtutor.messages import Request
from synthtutor.recipes.dialogue import DIALOGUE, rows
from synthtutor.recipes.dialogue_modes import Row
from synthtutor.recipes.recipe import RowOptions
from synthtutor.sources import BadRow
from synthtutor.testing.server import OpenAIServer, Reply
from tests.recipes.dialogues import (
    LEARNS,
    PERSONA,
    ROW,
    cast,
    made,
    name_of,
    on_the_wire,
    student,
    tutor,
)
from tests.recipes.reasoning import prompt

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
ROLES = ("tutor", "reasoner", "student", "judge")

# ── simulate ─────────────────────────────────────────────────────────────────────────────────


async def test_a_dialogue_goes_on_until_the_student_states_the_right_answer(
    journal: Journal,
) -> None:
    sample, asked = await made(journal)
    assert sample.outcome == "kept", sample.reasons
    assert sample.metadata["solved"] is True
    assert [name_of(r) for r in asked] == [
        *["Belief", "TutorTurn", "StudentTurn"],
        *["Update", "TutorTurn", "StudentTurn"] * 2,
        *["Update", "TutorTurn", "Verdicts"],
    ]
    assert [m.role for m in sample.messages] == ["system", *["user", "assistant"] * 4]
    assert sample.messages[1].content.startswith("What is 62 - 38?")
    assert [state["turn"] for state in sample.metadata["belief_states"]] == [0, 2, 4, 6]
    moves = [t["move"] for t in sample.metadata["turns"] if t["speaker"] == "tutor"]
    assert moves == ["probing", "focus", "probing", "generic"]
    assert sample.metadata["malrule"]["wrong_answer"] == "36"
    orjson.dumps(dict(sample.metadata))


async def test_a_student_who_never_gets_it_ends_at_the_limit(journal: Journal) -> None:
    script = cast((student("But 8 - 2 is 6."),), (tutor("Why is that?"),))
    sample, asked = await made(journal, script, turns="3")
    assert (sample.outcome, list(sample.reasons)) == ("rejected", ["not solved: turn limit"])
    assert [name_of(r) for r in asked].count("TutorTurn") == 3
    assert "Verdicts" not in [name_of(r) for r in asked]
    assert sample.messages[-1].role == "assistant"
    assert len(sample.metadata["turns"]) == 1 + 2 * 3


async def test_an_unsolved_dialogue_can_be_left_to_the_judge(journal: Journal) -> None:
    script = cast((student("But 8 - 2 is 6."),), (tutor("Why is that?"),))
    sample, asked = await made(journal, script, turns="1", unsolved="judge")
    assert (sample.outcome, name_of(asked[-1])) == ("kept", "Verdicts")
    assert sample.metadata["ended"] == "turn limit"


async def test_a_student_who_only_says_that_it_understands_has_not_solved_it(
    journal: Journal,
) -> None:
    sample, _ = await made(journal, cast((student("I get it now!", "dropped"),)), turns="2")
    assert sample.metadata["solved"] is False


# ── who knows what ───────────────────────────────────────────────────────────────────────────


async def test_the_tutor_and_the_reasoner_never_see_what_is_hidden(journal: Journal) -> None:
    _, asked = await made(journal)
    hidden = ("HIDDEN", MALRULES[ROW.malrule].belief, ROW.malrule, "struggles")
    for request in asked:
        seen = [text for text in hidden if text in prompt(request)]
        assert bool(seen) is (name_of(request) == "StudentTurn"), name_of(request)
    tutors = [r for r in asked if name_of(r) == "TutorTurn"]
    assert all('"misconceptions"' in prompt(r) and "birds" in prompt(r) for r in tutors)


async def test_the_student_sees_neither_belief_nor_solution(journal: Journal) -> None:
    _, asked = await made(journal)
    students = [prompt(r) for r in asked if name_of(r) == "StudentTurn"]
    assert not [p for p in students if "12 - 8 = 4" in p or "misconceptions" in p or "24" in p]
    _, asked = await made(journal, row=Row(**{**fields(ROW), "number": 1}), student_knows="yes")
    assert "12 - 8 = 4" in prompt(next(r for r in asked if name_of(r) == "StudentTurn"))


async def test_no_prompt_holds_a_turn_that_is_still_to_come(journal: Journal) -> None:
    sample, asked = await made(journal)
    said = [turn["text"] for turn in sample.metadata["turns"]]
    beliefs = [r for r in asked if name_of(r) in ("Belief", "Update")]
    for state, request in zip(sample.metadata["belief_states"], beliefs, strict=True):
        seen = [text for text in said if text in prompt(request)]
        assert seen == said[: state["turn"] + 1]


# ── the tutor's rules ────────────────────────────────────────────────────────────────────────


async def test_a_leak_is_asked_again_with_its_reason(journal: Journal) -> None:
    leak = tutor("It is 24, do you see?")
    sample, asked = await made(journal, cast(LEARNS, (leak, *[tutor("How so?")] * 4)))
    assert sample.outcome == "kept"
    assert leak["says"] not in "".join(m.content for m in sample.messages)
    (noted,) = sample.metadata["violations"]
    assert (noted["turn"], noted["text"]) == (1, leak["says"])
    again = [r for r in asked if name_of(r) == "TutorTurn"][1]
    assert "gives the final answer away" in prompt(again)


async def test_a_tutor_who_cannot_keep_it_back_is_rejected(journal: Journal) -> None:
    sample, asked = await made(journal, cast(LEARNS, (tutor("The answer is 24."),)))
    assert sample.outcome == "rejected"
    assert "tutor turn 1 gives the final answer away" in sample.reasons[0]
    assert [name_of(r) for r in asked].count("TutorTurn") == 3
    assert len(sample.metadata["violations"]) == 3


# ── the student's consistency ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("slip", "fault"),
    [
        (student("It is 24.", "holds", "24"), "by which the answer is 36"),
        (student("I have it now.", "dropped", "24"), "does not occur in what you say"),
        (student("That is 27."), "by which 45 - 18 is 33"),
    ],
)
async def test_a_student_who_contradicts_itself_is_asked_again(
    journal: Journal, slip: dict[str, Any], fault: str
) -> None:
    script = cast((slip, *LEARNS), (tutor("And what is 45 - 18?"), tutor("How so?")))
    sample, asked = await made(journal, script)
    students = [prompt(r) for r in asked if name_of(r) == "StudentTurn"]
    assert "By this idea, 45 - 18 is 33." in students[0]
    assert fault in students[1]
    assert sample.outcome == "kept"
    assert [v["speaker"] for v in sample.metadata["violations"]] == ["student"]


# ── enhance ──────────────────────────────────────────────────────────────────────────────────


def given_row() -> Row:
    found = rows(RowOptions(path=DATA / "mathdial_two.jsonl", mode="enhance")).rows
    row = next(iter(found))
    assert isinstance(row, Row)
    return row


async def test_a_given_dialogue_is_said_anew_with_its_moves(journal: Journal) -> None:
    row = given_row()
    sample, asked = await made(journal, row=row)
    assert sample.outcome == "kept", sample.reasons
    turns = sample.metadata["turns"][1:]
    assert [(t["speaker"], t["move"]) for t in turns] == [
        (t.speaker, t.move) for t in row.problem.turns
    ]
    assert not {t["text"] for t in turns if t["speaker"] == "tutor"} & {
        t.text for t in row.problem.turns
    }
    assert row.problem.profile
    for request in asked:
        if name_of(request) in ("TutorAgain", "Belief", "Update"):
            assert row.problem.profile not in prompt(request)


async def test_a_student_who_loses_a_number_is_asked_again(journal: Journal) -> None:
    def script(request: Request) -> str:
        if name_of(request) == "StudentAgain" and "other numbers" not in prompt(request):
            return "Hm, 77777 I think."
        return cast()(request)

    sample, _ = await made(journal, script, given_row())
    assert sample.outcome == "kept"
    assert {v["faults"][0] for v in sample.metadata["violations"]} == {
        "has other numbers than the given turn; keep exactly those"
    }


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def test_every_malrule_gets_its_row_and_the_same_seed_the_same_rows() -> None:
    first = list(rows(RowOptions(per_seed=1, seed=3)).rows)
    assert first == list(rows(RowOptions(per_seed=1, seed=3)).rows)
    assert first != list(rows(RowOptions(per_seed=1, seed=4)).rows)
    eight = list(rows(RowOptions(per_seed=8, seed=3)).rows)
    assert eight[: len(first)] == first
    cells = {(r.malrule, r.persona["manner"]) for r in eight if isinstance(r, Row)}
    assert len(cells) == 8 * len(MALRULES) == len(eight)


def test_personas_of_a_run_are_taken_and_their_struggles_stay_hidden(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(orjson.dumps({"metadata": {"profile": PERSONA, "student_id": "S1"}}))
    options = {"personas": str(path), "malrules": "left-to-right, times-zero-changes-nothing"}
    found = list(islice(rows(RowOptions(options=options)).rows, 4))
    assert all(isinstance(row, Row) and row.persona == PERSONA for row in found)
    assert {row.malrule for row in found if isinstance(row, Row)} == {
        "left-to-right",
        "times-zero-changes-nothing",
    }


def test_problems_without_what_the_mode_needs_are_bad_rows() -> None:
    path = ROOT / "examples" / "problems.jsonl"
    simulated = list(rows(RowOptions(path=path)).rows)
    assert all(isinstance(r, Row) and r.problem.turns == () for r in simulated)
    enhanced = list(rows(RowOptions(path=path, mode="enhance")).rows)
    assert [type(r) for r in enhanced] == [Row, BadRow]


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("enhance", {}, "give --rows"),
        ("simulate", {"turns": "0"}, "whole number from 1"),
        ("simulate", {"malrules": "nonsense"}, "there is no nonsense"),
        ("simulate", {"unsolved": "maybe"}, "choose reject or judge"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    mode: str, options: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        rows(RowOptions(mode=mode, options=options))


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


async def generated(folder: Path, server: OpenAIServer) -> Result:
    return await arun(
        DIALOGUE,
        models=dict.fromkeys(ROLES, "compatible/test-model"),
        rows=[ROW],
        controls=0,
        base_urls={"compatible": server.base_url},
        out=folder / "run",
    )


async def test_over_http_it_resumes_for_nothing_and_makes_a_row_for_each_tutor_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    async with OpenAIServer(on_the_wire(cast())) as server:
        await generated(tmp_path, server)
        assert server.calls == 12
        result = await generated(tmp_path, server)
        assert server.calls == 12, "the second run asks nobody"
    assert result.summary.outcomes == {"kept": 1}
    assert tutor_turns(result.samples(), tmp_path / "turns.jsonl") == 4
    lines = [orjson.loads(line) for line in (tmp_path / "turns.jsonl").read_bytes().splitlines()]
    said = [turn["text"] for turn in result.samples()[0]["metadata"]["turns"]]
    for number, line in enumerate(lines):
        known = orjson.loads(line["input"])
        assert set(known) == {"student_persona", "reasoner_context", "conversation_history"}
        assert [t["text"] for t in known["conversation_history"]] == said[: 2 * number + 1]
        assert known["reasoner_context"]["belief_state"]["evidence"][0]["turn"] == 2 * number
        assert "HIDDEN" not in line["input"]
        assert line["output"] == said[2 * number + 1]


async def test_a_run_that_was_stopped_in_the_middle_goes_on_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    healthy = on_the_wire(cast())
    answers = 0

    def behave(body: dict[str, Any]) -> Reply:
        nonlocal answers
        answers += 1
        return Reply.failure(401, "not now") if answers == 7 else healthy(body)

    async with OpenAIServer(behave) as server:
        with pytest.raises(Unauthorized):
            await generated(tmp_path, server)
        stopped_at = answers
        result = await generated(tmp_path, server)
    assert stopped_at == 7
    assert answers == 12 + 1, "what was answered before is not asked again"
    assert result.summary.outcomes == {"kept": 1}
    assert result.samples()[0]["metadata"]["solved"] is True


@pytest.mark.slow
async def test_an_estimate_sees_all_the_roles(tmp_path: Path) -> None:
    roles = dict.fromkeys(ROLES, "scripted/any")
    config = RunConfig(recipe="dialogue", models=roles, n=6, controls=0)
    found = await estimate(config, tmp_path / "none", recipe=DIALOGUE)
    stages = {stage.stage for stage in found.stages}
    assert {"dialogue/tutor.md.j2", "dialogue/student.md.j2", "reasoner/belief.md.j2"} <= stages


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters teaches nobody; what it says must be sorted all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    if not any(
        entry["name"] == "local/smollm2-135m" and entry["here"] for entry in local.MODELS.list()
    ):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        DIALOGUE,
        models=dict.fromkeys(ROLES, "local/smollm2-135m"),
        rows=[ROW],
        controls=0,
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        options={"turns": "1"},
        settings={role: {"max_tokens": 40} for role in ROLES},
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    for sample in result.samples():
        assert sample["metadata"]["solved"] is True


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_what_comes_out(journal: Journal) -> None:
    page = (ROOT / "docs" / "recipes" / "dialogue.md").read_text(encoding="utf-8")
    (golden,) = re.findall(r"```json golden\n(.*?)```", page, re.DOTALL)
    sample, _ = await made(journal)
    shown = [{"role": m.role, "content": m.content} for m in sample.messages[1:]]
    assert shown == orjson.loads(golden)


def test_the_page_lists_every_malrule() -> None:
    page = (ROOT / "docs" / "recipes" / "dialogue.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)` \| \d", page, re.MULTILINE)) == set(MALRULES)


def fields(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}
