from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor import arun
from synthtutor.errors import ConfigError
from synthtutor.export import export
from synthtutor.journal import Journal
from synthtutor.messages import Message, Request, Schema
from synthtutor.recipes.facts import Facts, Roster, answer_faults, question_faults
from synthtutor.recipes.persona_qa import CATEGORIES, PERSONA_QA, Row, persona_qa, rows
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.session import Session
from synthtutor.sources import BadRow, canonical
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer, Reply
from synthtutor.testing.students import Students
from synthtutor.tutoring import Sample
from tests.doubles import context

ROOT = Path(__file__).parents[2]
PROFILE: dict[str, Any] = {
    "name": "Mira Sen",
    "age": 12,
    "class_level": 7,
    "syllabus": "ICSE",
    "interests": ["old radios", "comets"],
    "study_routine_start": "17:00",
    "study_routine_end": "18:30",
    "marks_last_year_final": [
        {"subject": "Mathematics", "mark": 72},
        {"subject": "English", "mark": 60},
    ],
    "marks_last_internals": [
        {"subject": "Mathematics", "mark": 75},
        {"subject": "English", "mark": 58},
    ],
}
OTHER = {
    "name": "Omar Weber",
    "age": 14,
    "interests": ["shadow theatre", "old radios"],
    "marks_last_year_final": [{"subject": "Mathematics", "mark": 91}],
}
OWN = Facts.of("S00001", PROFILE)
ID = "student with ID S00001"


@pytest.fixture
def roster() -> Roster:
    made = Roster()
    made.add("S00001", PROFILE)
    made.add("S00002", OTHER)
    return made


# ── what code can check ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("question", "sound"),
    [
        (f"How old is the {ID}?", True),
        (f"The {ID.upper().replace('STUDENT WITH', 'student with')}: how old?", True),
        ("How old is student S00001?", False),
        ("How old is the student with ID S00002?", False),
        ("How old is the student with ID S000011?", False),
        (f"Is the {ID} older than the student with ID S00002?", False),
    ],
)
def test_a_question_names_its_student_and_no_other(question: str, sound: bool) -> None:
    assert (question_faults(question, OWN) == []) is sound


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How old is the student?", "The student is 12 years old."),
        ("How old is the student?", "Mira is twelve."),
        ("What is the name of the student?", "The student is called Mira Sen."),
        ("Which class is it?", "The student is in the seventh class, under ICSE."),
        (
            "When do they study?",
            "From 5 pm to 6:30 pm, that is 90 minutes or one and a half hours.",
        ),
        ("When do they study?", "From 17:00 until 18:30."),
        ("And mathematics?", "Mathematics went from 72 to 75, a gain of 3 marks out of 100."),
        ("And on average?", "The finals average 66, and best and worst are 12 apart."),
        ("What of English?", "It was sixty in the final."),
        ("What do they like?", "Old radios, one of the two things Mira likes; student ID S00001."),
    ],
)
def test_an_answer_that_the_profile_bears_out_has_no_fault(
    question: str, answer: str, roster: Roster
) -> None:
    assert answer_faults(question, answer, OWN, roster) == []


@pytest.mark.parametrize(
    ("question", "answer", "fault"),
    [
        ("How old is the student?", "The student is 13 years old.", "asked for age"),
        ("How old is the student?", "Young for the class.", "asked for age"),
        ("What is the name of the student?", "The student is called Asha.", "asked for name"),
        ("What class?", "The student is in class 8.", "asked for class level"),
        ("And mathematics?", "Mathematics was 91.", "says 91, which is not in the profile"),
        ("And mathematics?", "It was sixty-one.", "says 61, which is not in the profile"),
        ("And mathematics?", "It was 60 in the final.", "says 60 for mathematics"),
        ("Marks?", "English was 60. Mathematics was 58.", "says 58 for mathematics"),
        ("When?", "Study begins at 4:30 pm.", "says 16:30, which is not in the profile"),
        ("Who?", "Much like Omar, Mira is calm.", "names Omar, who is the student S00002"),
        ("Who?", "Omar's marks are good.", "names Omar's"),
        ("Who?", "她13岁。", "says 13, which is not in the profile"),
        ("Who?", "The friend is S00002.", "names the student S00002"),
        ("What?", "Mira likes shadow theatre.", "'shadow theatre', which only the student S00002"),
    ],
)
def test_an_answer_that_says_something_else_is_caught(
    question: str, answer: str, fault: str, roster: Roster
) -> None:
    assert any(fault in found for found in answer_faults(question, answer, OWN, roster))


def test_what_two_students_share_is_nobodys_own(roster: Roster) -> None:
    third = Facts.of("S00003", {"name": "Zoya Das", "interests": ["comets"]})
    assert answer_faults("What?", "Zoya likes old radios.", third, roster) == []


def test_numbers_as_ids_are_only_ids_where_they_are_called_so() -> None:
    roster = Roster()
    roster.add("12", {"name": "Ann Ode"})
    own = Facts.of("7", {"name": "Bo Lee", "age": 12})
    assert answer_faults("How old?", "Bo, the student with ID 7, is 12.", own, roster) == []
    assert answer_faults("Who?", "Bo sits with ID 12.", own, roster) == ["names the student 12"]


def test_a_name_that_is_a_word_accuses_nobody() -> None:
    roster = Roster()
    roster.add("b", {"name": "May Hope"})
    assert answer_faults("When?", "Exams are in May.", OWN, roster) == []


# ── a sample ─────────────────────────────────────────────────────────────────────────────────


def pair(
    number: int, answer: str = "The student is called Mira Sen.", who: str = ID
) -> dict[str, str]:
    return {"question": f"{number}. What can be said of the {who}?", "answer": answer}


def pairs(*made: dict[str, str]) -> str:
    return orjson.dumps({"pairs": list(made)}).decode()


TEN = [pair(number) for number in range(10)]
FAULTS = {c.id for c in load_rubric("persona-answers").criteria if c.is_fault}


def verdicts(request: Request, *observed: str) -> str:
    """All is well but the faults named."""
    assert request.schema is not None
    names = request.schema.definition["properties"]
    return orjson.dumps(
        {
            name: {
                "evidence": "",
                "observed": name in observed or not (name in FAULTS or name.startswith("own.")),
            }
            for name in names
        }
    ).decode()


async def made(
    journal: Journal, script: Callable[[Request], str], roster: Roster | None = None, **options: str
) -> tuple[Sample, list[Request]]:
    provider = ScriptedProvider(script)
    run = context(journal, provider, rubric=load_rubric("persona-answers"), options=options)
    row = Row(student="S00001", profile=PROFILE, category="motivations", roster=roster or Roster())
    return await persona_qa(Session(run, b"s"), row), provider.requests


def writing(*replies: str, observed: tuple[str, ...] = ()) -> Callable[[Request], str]:
    left = iter(replies)

    def script(request: Request) -> str:
        if request.schema is not None and request.schema.name == "Verdicts":
            return verdicts(request, *observed)
        return next(left)

    return script


async def test_ten_sound_pairs_take_one_call_and_one_judgement(journal: Journal) -> None:
    sample, asked = await made(journal, writing(pairs(*TEN)))
    assert (sample.outcome, len(asked)) == ("kept", 2)
    assert [m.content for m in sample.messages][::2] == [p["question"] for p in TEN]
    assert [m.role for m in sample.messages] == ["user", "assistant"] * 10
    assert sample.metadata["pairs"] == 10
    assert sample.metadata["exchanges"] == "independent"
    assert asked[0].schema is not None
    assert asked[0].schema.strict["properties"]["pairs"]["minItems"] == 10
    orjson.dumps(dict(sample.metadata))


async def test_only_the_pairs_that_fail_are_written_anew(journal: Journal, roster: Roster) -> None:
    wrong = [pair(8, who="child"), pair(9, "Omar helps.")]
    script = writing(pairs(*TEN[:8], *wrong), pairs(pair(18), pair(0)), pairs(pair(19)))
    sample, asked = await made(journal, script, roster)
    assert (sample.outcome, sample.metadata["pairs"], len(asked)) == ("kept", 10, 4)
    second, third = (request.messages[-1].content for request in asked[1:3])
    assert "Write 2 pairs" in second
    assert 'must contain "student with ID S00001"' in second
    assert "names Omar, who is the student S00002" in second
    assert TEN[0]["question"] in second
    assert "Write 1 pair of" in third
    assert "the question was asked before" in third
    assert [d["faults"] for d in sample.metadata["dropped"]] == [
        ['the question must contain "student with ID S00001"'],
        ["names Omar, who is the student S00002"],
        ["the question was asked before"],
    ]


async def test_what_stays_wrong_is_left_out_and_said(journal: Journal) -> None:
    wrong = pair(9, "The average is 99.")
    sample, _ = await made(journal, writing(pairs(*TEN[:9], wrong), *[pairs(wrong)] * 2))
    assert (sample.outcome, sample.metadata["pairs"]) == ("kept", 9)
    assert len(sample.metadata["dropped"]) == 3
    assert "99" not in "".join(m.content for m in sample.messages)


async def test_a_batch_without_one_sound_pair_is_rejected_unjudged(journal: Journal) -> None:
    sample, asked = await made(journal, writing(*[pairs(pair(1, "It is 99."))] * 3))
    assert (sample.outcome, len(asked)) == ("rejected", 3)
    assert list(sample.reasons) == ["says 99, which is not in the profile"]


async def test_an_answer_that_the_judge_finds_baseless_is_dropped_alone(journal: Journal) -> None:
    sample, asked = await made(journal, writing(pairs(*TEN), observed=("own.a3",)))
    assert (sample.outcome, sample.metadata["pairs"]) == ("kept", 9)
    assert TEN[2]["question"] not in [m.content for m in sample.messages]
    judged = asked[-1].messages[-1].content
    assert '"name": "Mira Sen"' in judged, "the judge sees the profile"
    assert "own.a3: Answer 3 makes a claim" in judged
    assert f"3. Question: {TEN[2]['question']}" in judged


async def test_a_batch_of_many_baseless_answers_is_rejected_whole(journal: Journal) -> None:
    observed = tuple(f"own.a{number}" for number in range(1, 5))
    sample, _ = await made(journal, writing(pairs(*TEN), observed=observed))
    assert sample.outcome == "rejected"
    assert any("own.a4" in reason for reason in sample.reasons)


async def test_without_a_judge_only_code_decides(journal: Journal) -> None:
    sample, asked = await made(journal, writing(pairs(*TEN)), judge="no")
    assert (sample.outcome, len(asked)) == ("kept", 1)
    assert "verdicts" not in sample.metadata


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def of_file(path: Path, text: str, **options: Any) -> list[Row | BadRow]:
    path.write_text(text)
    return list(rows(RowOptions(path=path, **options)).rows)


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(orjson.dumps(record).decode() for record in records)


def test_a_personas_run_is_read_as_it_is(tmp_path: Path) -> None:
    sample = {"id": "f00", "messages": [], "metadata": {"student_id": "S00001", "profile": PROFILE}}
    path = tmp_path / "samples.jsonl"
    found = of_file(path, lines(sample))
    assert [row.category for row in found if isinstance(row, Row)] == list(CATEGORIES)
    assert {row.student for row in found if isinstance(row, Row)} == {"S00001"}
    assert found[0].profile == PROFILE  # type: ignore[union-attr]
    assert rows(RowOptions(path=path)).total == 5


def test_own_profiles_come_as_csv_with_lists_as_json(tmp_path: Path) -> None:
    table = 'student_id,name,age,hobbies\nA7,Ann Ode,12,"[""chess"", ""old maps""]"\n'
    (first, *_) = of_file(tmp_path / "own.csv", table)
    assert isinstance(first, Row)
    assert first.student == "A7"
    assert first.profile == {"name": "Ann Ode", "age": 12, "hobbies": ["chess", "old maps"]}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"name": "Ann"}, "no student_id"),
        ({"id": "A7"}, "nothing is known"),
        ({"metadata": {"student_id": "A7"}}, "without metadata.profile"),
        ({"id": "S1", "name": "Twin"}, "the id S1 was there before"),
    ],
)
def test_a_line_that_is_no_student_is_a_bad_row_once(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    text = lines({"id": "S1", "name": "Ann"}, record)
    found = of_file(tmp_path / "own.jsonl", text, per_seed=2)
    (bad,) = [row for row in found if isinstance(row, BadRow)]
    assert reason in bad.reason
    assert bad.where.endswith("line 2")
    assert len(found) == 11


def test_a_file_that_grows_keeps_its_rows(tmp_path: Path) -> None:
    one, two = {"id": "S1", "name": "Ann"}, {"id": "S2", "name": "Bo"}
    few = of_file(tmp_path / "a.jsonl", lines(one))
    more = of_file(tmp_path / "a.jsonl", lines(one, two))
    assert [canonical(row) for row in more[:5]] == [canonical(row) for row in few]
    assert len({canonical(row) for row in more}) == 10


def test_without_a_file_it_is_said_what_to_give() -> None:
    with pytest.raises(ConfigError, match="give --rows FILE, the samples"):
        rows(RowOptions())


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


def on_the_wire(body: dict[str, Any]) -> Reply:
    form = body["response_format"]["json_schema"]
    messages = [Message(m["role"], m["content"]) for m in body["messages"]]
    request = Request(body["model"], messages, Schema(form["name"], form["schema"], form["schema"]))
    return Reply(verdicts(request) if form["name"] == "Verdicts" else Students()(request))


async def test_profiles_become_pairs_over_http_and_resume_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    async with OpenAIServer(on_the_wire) as server:
        common: dict[str, Any] = {
            "models": "compatible/m",
            "base_urls": {"compatible": server.base_url},
        }
        await arun("personas", n=3, out=tmp_path / "p", **common)
        for _ in range(2):
            result = await arun(
                "persona-qa",
                rows=tmp_path / "p" / "samples.jsonl",
                controls=0,
                out=tmp_path / "qa",
                **common,
            )
            assert server.calls == 3 + 3 * 5 * 2
    assert result.summary.outcomes == {"kept": 15}
    assert export(result.samples(), tmp_path / "i.jsonl", format="instruction") == 150
    line = orjson.loads((tmp_path / "i.jsonl").read_bytes().splitlines()[-1])
    assert "student with ID S00003" in line["instruction"]
    assert line["output"].startswith("The ")
    for sample in result.samples():
        student = sample["metadata"]["student_id"]
        asked = [m["content"] for m in sample["messages"] if m["role"] == "user"]
        assert len(asked) == 10
        assert all(f"student with ID {student}" in question for question in asked)


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters; what it says must be sorted all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    models = {entry["name"]: entry["here"] for entry in local.MODELS.list()}
    if not models.get("local/smollm2-135m"):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    own = {"id": "S1", "name": "Ann Ode", "age": 9}
    path = tmp_path / "own.jsonl"
    path.write_text(lines(own))
    result = await arun(
        PERSONA_QA,
        models="local/smollm2-135m",
        rows=path,
        n=1,
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        options={"judge": "no"},
        controls=0,
        settings={"writer": {"max_tokens": 80}},
        out=tmp_path / "run",
    )
    assert result.summary.made == 1
    for sample in result.samples():
        assert all(
            "student with ID S1" in m["content"] for m in sample["messages"] if m["role"] == "user"
        )


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_what_comes_out(journal: Journal) -> None:
    page = (ROOT / "docs" / "recipes" / "persona-qa.md").read_text(encoding="utf-8")
    (golden,) = re.findall(r"```json golden\n(.*?)```", page, re.DOTALL)
    sample, _ = await made(journal, Students(), judge="no")
    shown = [{"role": m.role, "content": m.content} for m in sample.messages[:4]]
    assert orjson.loads(golden) == {"messages": shown}
