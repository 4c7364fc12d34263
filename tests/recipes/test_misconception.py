from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.journal import Journal
from synthtutor.messages import Request, user
from synthtutor.recipes.bank import Seed, bank, gold
from synthtutor.recipes.misconception import (
    MISCONCEPTION,
    Row,
    Scenario,
    _example,
    misconception,
    rows,
)
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.session import Session
from synthtutor.sources import BadRow, canonical
from synthtutor.structured import shape_of
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.scripted import plausible
from synthtutor.tutoring import MISCONCEPTION_TYPES, SUBJECTS, Sample
from tests.doubles import context

SCENARIO = Scenario.model_validate(
    {
        "topic": "a topic",
        "question": "What is the question?",
        "first_explanation": "This is the explanation.",
        "follow_up": "But why?",
        "rubric": [
            {"text": "Says so.", "kind": "wanted", "critical": True},
            {"text": "Says more.", "kind": "wanted", "critical": False},
            {"text": "States a lie.", "kind": "fault", "critical": True},
            {"text": "Drifts away.", "kind": "fault", "critical": False},
        ],
    }
)
REPLY = "You mix up two things. Which one is it?"


def taken(count: int | None = None, **options: Any) -> list[Row | BadRow]:
    return list(islice(rows(RowOptions(**options)).rows, count))


def of_bank(count: int | None = None, **options: Any) -> list[Row]:
    made = taken(count, **options)
    assert all(isinstance(row, Row) for row in made)
    return made  # type: ignore[return-value]


# ── a sample ─────────────────────────────────────────────────────────────────────────────────


def verdicts(request: Request, fault: bool = False) -> str:
    assert request.schema is not None
    return orjson.dumps(
        {
            name: {"evidence": "words", "observed": (not bad) or fault}
            for name in request.schema.definition["properties"]
            for bad in [name in FAULTS]
        }
    ).decode()


FAULTS = {
    *(c.id for c in load_rubric("misconception-repair").criteria if c.is_fault),
    "own.c3",
    "own.c4",
}


def tutor(request: Request, *, fault: bool = False) -> str:
    if request.schema is None:
        return REPLY
    if request.schema.name == "Scenario":
        return SCENARIO.model_dump_json()
    return verdicts(request, fault)


async def sample(
    journal: Journal, row: Row, *, fault: bool = False, **options: str
) -> tuple[Sample, ScriptedProvider]:
    provider = ScriptedProvider(lambda request: tutor(request, fault=fault))
    run = context(journal, provider, rubric=load_rubric("misconception-repair"), options=options)
    return await misconception(Session(run, b"sample"), row), provider


async def test_a_sample_is_written_answered_and_judged_in_three_calls(journal: Journal) -> None:
    row = of_bank(1)[0]
    made, provider = await sample(journal, row)
    assert provider.calls == 3
    assert made.outcome == "kept"
    assert [message.role for message in made.messages] == ["system", "user", "assistant"]
    assert made.messages[-1].content == REPLY
    for part in (SCENARIO.question, SCENARIO.first_explanation, SCENARIO.follow_up):
        assert part in made.messages[1].content
    assert made.metadata["subject"] == row.subject
    assert made.metadata["misconception_type"] == row.misconception_type
    assert made.metadata["topic"] == "a topic"
    assert made.metadata["critical"].split(" of ")[0] == made.metadata["critical"].split()[-1]
    orjson.dumps(dict(made.metadata))


async def test_the_scenarios_own_criteria_are_judged_with_the_packs(journal: Journal) -> None:
    made, provider = await sample(journal, of_bank(1)[0])
    judged = {verdict["id"]: verdict for verdict in made.metadata["verdicts"]}
    assert {f"own.c{number}" for number in (1, 2, 3, 4)} < set(judged)
    assert [judged[f"own.c{n}"]["weight"] for n in (1, 2, 3, 4)] == [5, 1, -5, -1]
    assert "own.c3: States a lie." in provider.requests[-1].messages[-1].content


async def test_a_reply_with_faults_is_rejected_with_reasons(journal: Journal) -> None:
    made, _ = await sample(journal, of_bank(1)[0], fault=True)
    assert made.outcome == "rejected"
    assert any("mr.false-content" in reason for reason in made.reasons)


async def test_the_writer_does_not_see_the_rubric_unless_it_is_asked_for(journal: Journal) -> None:
    for option, seen in (("no", False), ("yes", True)):
        _, provider = await sample(journal, of_bank(1)[0], rubric_in_prompt=option)
        reply_prompt = "\n".join(m.content for m in provider.requests[1].messages)
        assert ("States a lie." in reply_prompt) is seen
        assert SCENARIO.follow_up in reply_prompt


async def test_the_scenario_is_asked_for_in_the_drawn_cell_with_a_seed_as_example(
    journal: Journal,
) -> None:
    row = of_bank(1)[0]
    _, provider = await sample(journal, row)
    asked = provider.requests[0].messages[-1].content
    assert f"Subject: {row.subject.replace('_', ' ')}" in asked
    assert MISCONCEPTION_TYPES[row.misconception_type] in asked
    assert row.seed.question in asked


async def test_in_answer_mode_the_seeds_own_situation_is_answered(journal: Journal) -> None:
    row = of_bank(1, mode="answer")[0]
    made, provider = await sample(journal, row)
    assert provider.calls == 2
    assert row.seed.follow_up in made.messages[1].content
    assert made.metadata["seed_id"] == row.seed.id
    assert len([v for v in made.metadata["verdicts"] if v["id"].startswith("own.")]) == len(
        row.seed.rubric
    )


@pytest.mark.parametrize("seed", bank(), ids=lambda seed: seed.id)
def test_the_writer_is_never_shown_the_answer_to_its_very_question(seed: Seed) -> None:
    row = Row(seed, seed.subject, seed.misconception_type, 0, "answer")
    shown, model = _example(row)
    assert shown.id != seed.id
    assert model.follow_up != seed.follow_up


def test_the_example_is_of_the_drawn_subject_where_there_is_one() -> None:
    row = of_bank(1)[0]
    assert _example(row)[0].subject == row.subject
    assert _example(Row(Seed("q", "e", "f"), "astrology", ""))[0] == gold(SUBJECTS[0])[0]


# ── rows of the bank ─────────────────────────────────────────────────────────────────────────


@given(st.integers(0, 2**20))
def test_the_first_224_rows_fill_all_cells_with_an_example_of_their_subject(seed: int) -> None:
    made = of_bank(224, seed=seed)
    assert len({(row.subject, row.misconception_type) for row in made}) == 224
    assert all(row.seed.subject == row.subject for row in made)


def test_rows_of_the_bank_have_no_end_unless_they_are_counted() -> None:
    assert len(of_bank(1000)) == 1000
    assert len(of_bank(per_seed=2)) == rows(RowOptions(per_seed=2)).total == 168
    assert rows(RowOptions()).total is None


@pytest.mark.parametrize("mode", ["scenario", "answer"])
def test_no_two_rows_of_the_bank_are_the_same(mode: str) -> None:
    made = of_bank(1000, mode=mode)
    different = {canonical(row) for row in made}
    assert len(different) >= (1000 if mode == "answer" else 672)


@pytest.mark.parametrize("mode", ["scenario", "answer"])
def test_more_variations_add_rows_at_the_end(mode: str) -> None:
    fewer, more = of_bank(mode=mode, per_seed=2), of_bank(mode=mode, per_seed=4)
    assert more[: len(fewer)] == fewer
    assert of_bank(mode=mode, count=100) == fewer[:100]


def test_answer_mode_takes_each_seed_with_its_own_kind() -> None:
    made = of_bank(mode="answer", per_seed=1)
    assert [row.seed.id for row in made] == [seed.id for seed in bank()]
    assert all(row.misconception_type == row.seed.misconception_type for row in made)


# ── rows of a file ───────────────────────────────────────────────────────────────────────────

OURS = {"question": "q", "first_explanation": "e", "follow_up": "f"}
CRITERION = {"text": "Says so.", "weight": 5, "dimension": "truth", "skill": "examples"}
TUTORBENCH = {
    "TASK_ID": "t1",
    "SUBJECT": "Statistics",
    "PROMPT": "q",
    "UC1_INITIAL_EXPLANATION": "e",
    "FOLLOW_UP_PROMPT": "f",
    "RUBRICS": orjson.dumps(
        [
            {
                "criteria": "The response must say so.",
                "attributes": {
                    "severity": "critical",
                    "tutoring_skill": "Not applicable",
                    "eval_dimension": "truthfulness",
                },
            }
        ]
    ).decode(),
}


def of_file(folder: Path, *records: dict[str, Any], **options: Any) -> list[Row | BadRow]:
    path = folder / "seeds.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return taken(path=path, **options)


def test_a_users_seeds_come_with_our_field_names(tmp_path: Path) -> None:
    (row,) = of_file(tmp_path, {**OURS, "rubric": [CRITERION], "extra": 1}, mode="answer")
    assert isinstance(row, Row)
    assert (row.seed.question, row.seed.follow_up) == ("q", "f")
    assert list(row.seed.rubric) == [CRITERION]


def test_a_users_seeds_come_with_tutorbenchs_columns(tmp_path: Path) -> None:
    (row,) = of_file(tmp_path, TUTORBENCH, mode="answer")
    assert isinstance(row, Row)
    assert (row.seed.id, row.seed.subject) == ("t1", "Statistics")
    assert [entry["weight"] for entry in row.seed.rubric] == [5]


def test_a_csv_holds_the_rubric_as_json_in_a_field(tmp_path: Path) -> None:
    path = tmp_path / "seeds.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*OURS, "rubric"])
        writer.writeheader()
        writer.writerow({**OURS, "rubric": orjson.dumps([CRITERION]).decode()})
    (row,) = taken(path=path, mode="answer")
    assert isinstance(row, Row)
    assert list(row.seed.rubric) == [CRITERION]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "q"}, "no first_explanation"),
        ({**OURS, "follow_up": "  "}, "no follow_up"),
        ({**OURS, "rubric": [{"weight": 5}]}, "rubric: "),
        ({**OURS, "rubric": [{"text": "Says so.", "weight": 0}]}, "rubric: "),
        ({**OURS, "rubric": ["Says so."]}, "rubric: "),
        ({**OURS, "rubric": "not JSON"}, "rubric: "),
        ({**OURS, "rubric": 5}, "rubric: "),
        ({**TUTORBENCH, "FOLLOW_UP_PROMPT": ""}, "column FOLLOW_UP_PROMPT is empty or missing"),
        ({**TUTORBENCH, "RUBRICS": "not JSON"}, "JSON"),
    ],
)
def test_a_seed_that_lacks_something_is_a_bad_row_with_its_place(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    bad, good = of_file(tmp_path, record, OURS, mode="answer")
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert bad.where.endswith("line 1")
    assert isinstance(good, Row)


def test_a_bad_row_is_reported_once_and_not_for_each_variation(tmp_path: Path) -> None:
    made = of_file(tmp_path, OURS, {"question": "q"}, per_seed=3)
    assert len([row for row in made if isinstance(row, BadRow)]) == 1
    assert [row.variation for row in made if isinstance(row, Row)] == [0, 1, 2]


def test_more_variations_of_a_file_add_rows_at_the_end(tmp_path: Path) -> None:
    seeds = [{**OURS, "question": f"q{number}"} for number in range(5)]
    fewer, more = of_file(tmp_path, *seeds, per_seed=2), of_file(tmp_path, *seeds, per_seed=4)
    assert (len(fewer), len(more)) == (10, 20)
    assert more[:10] == fewer


def test_250_seeds_of_4_variations_fill_all_cells(tmp_path: Path) -> None:
    seeds = [{**OURS, "question": f"q{number}"} for number in range(250)]
    made = of_file(tmp_path, *seeds, per_seed=4)
    cells = {(row.subject, row.misconception_type) for row in made if isinstance(row, Row)}
    assert len(cells) == MISCONCEPTION.cells == 224


def test_filler_is_a_scenario() -> None:
    shape = shape_of(Scenario)
    for number in range(20):
        text = plausible(Request("s/m", [user(str(number))], shape.schema))
        Scenario.model_validate_json(text)
