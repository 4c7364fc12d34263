from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from math import gcd
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from synthtutor import arun
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.journal import Journal
from synthtutor.messages import Message, Request, Schema
from synthtutor.quality.attributes import Attributes
from synthtutor.recipes.own_schema import choices, own_type
from synthtutor.recipes.personas import (
    NEAR_DUPLICATE,
    PERSONAS,
    Row,
    personas,
    reject_near_duplicates,
    rows,
)
from synthtutor.recipes.profiles import ATTRIBUTES, Profile, faults_of
from synthtutor.recipes.recipe import RowOptions
from synthtutor.session import Session
from synthtutor.sources import BadRow
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer, Reply
from synthtutor.testing.students import Students
from synthtutor.tutoring import Sample
from tests.doubles import context, in_turn

ROOT = Path(__file__).parents[2]
DRAW = {"class_level": "7", "syllabus": "ICSE", "performance": "steady", "first_initial": "M"}
PROFILE: dict[str, Any] = {
    "name": "Mira Sen",
    "age": 12,
    "class_level": 7,
    "syllabus": "ICSE",
    "interests": ["comets", "old maps"],
    "personality": "Asks why after each answer and forgets the time.",
    "hobbies": ["mends radios", "bakes bread"],
    "study_routine_start": "17:00",
    "study_routine_end": "18:30",
    "marks_last_year_final": [
        {"subject": "Mathematics", "mark": 72},
        {"subject": "Science", "mark": 68},
        {"subject": "English", "mark": 60},
    ],
    "marks_last_internals": [
        {"subject": "Mathematics", "mark": 75},
        {"subject": "Science", "mark": 66},
        {"subject": "English", "mark": 58},
    ],
    "emotional_traits": ["hopeful", "restless"],
    "group_behavior": "Hands out the tasks and loses patience with long talk.",
    "learning_style": "visual",
    "strengths": ["Mathematics", "asking for help"],
    "struggles": ["English", "planning ahead"],
}


def profile(**changes: Any) -> Profile:
    return Profile.model_validate({**PROFILE, **changes})


def marks(*values: int) -> list[dict[str, Any]]:
    names = ("Mathematics", "Science", "English")
    return [{"subject": s, "mark": mark} for s, mark in zip(names, values, strict=True)]


# ── one profile ──────────────────────────────────────────────────────────────────────────────


def test_a_sound_profile_has_no_fault() -> None:
    assert faults_of(profile(), DRAW) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"age": 9}, "age does not fit class 7: students there are 11 to 14"),
        ({"age": 16}, "age does not fit class 7"),
        ({"class_level": 8}, "class_level must be 7, not 8"),
        ({"syllabus": "IB"}, "syllabus must be ICSE, not IB"),
        ({"name": "Asha Sen"}, "the first name must begin with M"),
        ({"name": "Mira"}, "name must be a first name and a family name"),
        ({"name": "Student 7"}, "name must be a first name and a family name"),
        ({"marks_last_year_final": marks(95, 92, 90)}, "marks do not fit a student who is steady"),
        ({"marks_last_year_final": marks(90, 60, 45)}, "marks do not fit a student who is steady"),
        ({"marks_last_year_final": marks(60, 60, 60)}, "the same in every subject"),
        (
            {"marks_last_internals": marks(30, 66, 58)},
            "marks in mathematics differ by more than 30",
        ),
        ({"marks_last_internals": marks(75, 66, 58)[:2] * 2}, "names a subject twice"),
        (
            {"marks_last_internals": [*marks(75, 66, 58)[:2], {"subject": "Art", "mark": 58}]},
            "same",
        ),
        ({"struggles": ["Mathematics", "haste"]}, "mathematics is among both strengths"),
        (
            {"strengths": ["English essays", "calm"], "struggles": ["science", "haste"]},
            "lower mark",
        ),
        ({"study_routine_end": "16:00"}, "end after it starts"),
        ({"study_routine_end": "23:30"}, "study must"),
        ({"study_routine_start": "5 pm"}, "must be HH:MM"),
        ({"study_routine_start": "27:00"}, "must be HH:MM"),
    ],
)
def test_a_field_that_contradicts_another_is_named(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults_of(profile(**changes), DRAW))


def test_a_child_learns_neither_physics_nor_late_at_night() -> None:
    young = {
        "class_level": 3,
        "age": 8,
        "study_routine_start": "20:00",
        "study_routine_end": "22:00",
    }
    physics = [
        {**mark, "subject": "Physics"} if mark["mark"] == 68 else mark for mark in marks(72, 68, 60)
    ]
    found = faults_of(profile(**young, marks_last_year_final=physics), {})
    assert "physics is not taught in class 3" in found
    assert "study must lie between 05:00 and 21:00 in class 3" in found


@pytest.mark.parametrize("seed", range(5))
def test_what_the_scripted_writer_invents_is_sound_in_every_cell(seed: int) -> None:
    students = Students()
    for row in drawn(200, seed=seed):
        asked = Request("m/m", [prompt_of(row)], Schema("Profile", {}, {}))
        made = Profile.model_validate_json(students(asked))
        assert faults_of(made, row.draw) == []


def prompt_of(row: Row) -> Message:
    return Message("user", "\n".join(f"- {name}: {value}" for name, value in row.draw.items()))


# ── a sample ─────────────────────────────────────────────────────────────────────────────────


async def sample(journal: Journal, *replies: dict[str, Any]) -> tuple[Sample, ScriptedProvider]:
    provider = ScriptedProvider(in_turn(*(orjson.dumps(reply).decode() for reply in replies)))
    return await personas(Session(context(journal, provider), b"s"), Row(4, DRAW)), provider


async def test_a_sound_profile_takes_one_call(journal: Journal) -> None:
    made, provider = await sample(journal, PROFILE)
    assert (made.outcome, provider.calls) == ("kept", 1)
    assert made.metadata["profile"] == PROFILE
    assert made.metadata["student_id"] == "S00005"
    assert made.metadata["draw"] == DRAW
    assert orjson.loads(made.messages[-1].content) == PROFILE
    assert "performance: steady (middling everywhere: finals average 55" in made.messages[0].content


async def test_a_contradiction_is_told_and_the_profile_asked_for_again(journal: Journal) -> None:
    made, provider = await sample(journal, {**PROFILE, "age": 9}, PROFILE)
    assert (made.outcome, made.metadata["attempts"]) == ("kept", 2)
    again = provider.requests[1].messages[-1].content
    assert "age does not fit class 7" in again
    assert "Mira" not in again, "no profile is ever shown, not even its own"
    assert "could not be used" not in made.messages[0].content


async def test_what_stays_contradictory_is_rejected_with_its_reasons(journal: Journal) -> None:
    made, provider = await sample(journal, *[{**PROFILE, "age": 9}] * 3)
    assert (made.outcome, provider.calls) == ("rejected", 3)
    assert list(made.reasons) == ["age does not fit class 7: students there are 11 to 14"]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def drawn(count: int, **options: Any) -> list[Row]:
    made = list(islice(rows(RowOptions(**options)).rows, count))
    assert all(isinstance(row, Row) for row in made)
    return made  # type: ignore[return-value]


@given(st.integers(0, 2**20))
def test_960_rows_fill_every_cell_of_class_syllabus_performance_and_style(seed: int) -> None:
    made = drawn(960, seed=seed)
    assert len({tuple(row.draw[name] for name in ATTRIBUTES[0]) for row in made}) == 960


def test_no_two_groups_of_attributes_run_in_step() -> None:
    sizes = [1, 1, 1]
    for place, group in enumerate(ATTRIBUTES):
        for values in group.values():
            sizes[place] *= len(values)
    assert sizes == [960, 91, 437]
    assert all(gcd(a, b) == 1 for a in sizes for b in sizes if a != b)
    assert len({str(row.draw) for row in drawn(5_000)}) == 5_000


def test_growing_a_run_changes_no_earlier_draw() -> None:
    assert drawn(100, seed=3)[:40] == drawn(40, seed=3)
    assert drawn(40, seed=4) != drawn(40, seed=3)


def test_a_file_of_draws_is_taken_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "draws.csv"
    path.write_text("class_level,syllabus\n7,IB\n9,CBSE,extra\n8,CBSE\n")
    first, bad, second = rows(RowOptions(path=path)).rows
    assert isinstance(bad, BadRow)
    assert first == Row(0, {"class_level": "7", "syllabus": "IB"})
    assert second == Row(1, {"class_level": "8", "syllabus": "CBSE"})


# ── a schema of one's own ────────────────────────────────────────────────────────────────────


class Adult(BaseModel):
    """A schema that a user's module would hold."""

    name: str
    stage: Literal["beginner", "returner"]
    evening: bool


OWN = {
    "type": "object",
    "title": "Pupil",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "house": {"enum": ["red", "blue", "green"]},
        "age": {"type": "integer", "minimum": 6, "maximum": 9},
        "pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}, "maxItems": 2},
        "nickname": {"type": ["string", "null"]},
    },
    "$defs": {"Pet": {"type": "object", "properties": {"kind": {"type": "string"}}}},
}


def schema_file(folder: Path, schema: object) -> str:
    path = folder / "pupil.json"
    path.write_bytes(orjson.dumps(schema))
    return str(path)


def test_a_class_is_drawn_by_its_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{__name__}:Adult"
    assert choices(own_type(name)) == {
        "stage": ("beginner", "returner"),
        "evening": ("true", "false"),
    }
    made = drawn(4, options={"schema": name})
    assert {tuple(row.draw.values()) for row in made} == {
        (stage, evening) for stage in ("beginner", "returner") for evening in ("true", "false")
    }


async def test_a_json_schema_is_asked_for_drawn_and_checked(
    tmp_path: Path, journal: Journal
) -> None:
    name = schema_file(tmp_path, OWN)
    (row, *_) = drawn(3, options={"schema": name})
    assert set(row.draw) == {"house"}
    pupil = {
        "name": "Ann",
        "house": row.draw["house"],
        "age": 7,
        "pets": [{"kind": "cat"}],
        "nickname": None,
    }
    other = next(house for house in ("red", "blue", "green") if house != pupil["house"])
    too_old, wrong_house = {**pupil, "age": 10}, {**pupil, "house": other}
    replies = [orjson.dumps(reply).decode() for reply in (too_old, wrong_house, pupil)]
    provider = ScriptedProvider(in_turn(*replies))
    made = await personas(Session(context(journal, provider, options={"schema": name}), b"s"), row)
    assert made.metadata["profile"] == pupil
    assert "less than or equal to 9" in provider.requests[1].messages[-1].content
    assert f"house must be {pupil['house']}" in provider.requests[2].messages[-1].content


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "array"}, "must be a JSON schema"),
        ({"type": "object", "properties": {}}, "must have properties"),
        (
            {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}},
            "format cannot",
        ),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "a: an object must have"),
        ({"type": "object", "properties": {"a": {"type": "blob"}}}, "no type"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "not a schema"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(
    tmp_path: Path, schema: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        own_type(schema_file(tmp_path, schema))


@pytest.mark.parametrize("name", ["nowhere:X", "pathlib:Path", "nothing", "no/such.json", "json:X"])
def test_a_schema_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match="schema"):
        own_type(name)


def test_quotas_of_ones_own_replace_the_built_in_ones(tmp_path: Path) -> None:
    path = tmp_path / "quotas.yaml"
    path.write_text("town: [north, south]\nclass_level: [9, 10, 11]\n")
    made = drawn(6, options={"attributes": str(path)})
    assert len({tuple(row.draw.items()) for row in made}) == 6
    for text in ("town: north", "- a", "town: []", "a: [", ""):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"quotas\.yaml"):
            drawn(1, options={"attributes": str(path)})


# ── near-duplicates ──────────────────────────────────────────────────────────────────────────


def finished(number: int, outcome: str = "kept", **changes: Any) -> dict[str, Any]:
    metadata = {
        "student_id": f"S{number}",
        "profile": {**PROFILE, **changes},
        "draw": DRAW,
        "outcome": outcome,
        "reasons": [] if outcome == "kept" else ["age"],
    }
    return {"id": f"{number:032x}", "messages": [], "metadata": metadata}


UNLIKE: dict[str, Any] = {
    "personality": "Counts steps on the stairs but never says a word about it.",
    "group_behavior": "Sits at the edge and listens until somebody makes a mistake.",
    "interests": ["ghost stories", "river towns"],
    "hobbies": ["carves soap", "keeps a beetle box"],
    "emotional_traits": ["quick to forgive", "homesick on Mondays"],
    "strengths": ["learning by heart", "English"],
    "struggles": ["writing neatly", "Science"],
}


def outcomes(samples: Iterator[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(s["metadata"]["outcome"], s["metadata"].get("near_duplicate_of")) for s in samples]


def test_a_profile_that_only_changed_name_and_marks_is_a_near_duplicate() -> None:
    given = [
        finished(1),
        finished(2, **UNLIKE),
        finished(3, name="Mo Sen", marks_last_year_final=marks(71, 66, 62), age=13),
    ]
    assert outcomes(reject_near_duplicates(given)) == [
        ("kept", None),
        ("kept", None),
        ("rejected", "S1"),
    ]


def test_what_was_rejected_already_makes_nobody_a_duplicate() -> None:
    given = [finished(1, "rejected"), finished(2), finished(3)]
    assert outcomes(reject_near_duplicates(given)) == [
        ("rejected", None), ("kept", None), ("rejected", "S2"),
    ]  # fmt: skip


def test_looking_twice_changes_nothing_and_looking_anew_forgets_the_first_look() -> None:
    once = list(reject_near_duplicates([finished(1), finished(2)]))
    assert list(reject_near_duplicates(once)) == once
    assert once[1]["metadata"]["reasons"] == [NEAR_DUPLICATE]
    (alone,) = reject_near_duplicates(once[1:])
    assert alone == finished(2)


def test_coverage_counts_the_kept_values_and_pairs() -> None:
    samples = [finished(1), finished(2), finished(3, "rejected")]
    samples[1]["metadata"]["draw"] = {**DRAW, "syllabus": "IB", "class_level": "8"}
    fold = Attributes()
    for sample in samples:
        fold.add(sample)
    found = fold.summary()
    assert found["kept"] == 2
    assert found["values"]["syllabus"] == {"IB": 1, "ICSE": 1}
    # Of the six pairs of attributes one has 1 × 1 values, four have 2 × 1 and one has 2 × 2.
    assert found["pairs"] == {"filled": 1 + 4 * 2 + 2, "possible": 1 + 4 * 2 + 4}


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


def on_the_wire(body: dict[str, Any]) -> Reply:
    form = body["response_format"]["json_schema"]
    messages = [Message(m["role"], m["content"]) for m in body["messages"]]
    return Reply(Students()(Request(body["model"], messages, Schema(form["name"], {}, {}))))


async def test_profiles_over_http_are_sound_and_resume_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    written = []
    async with OpenAIServer(on_the_wire) as server:
        for _ in range(2):
            result = await arun(
                "personas",
                models="compatible/test-model",
                n=30,
                base_urls={"compatible": server.base_url},
                out=tmp_path / "run",
            )
            assert server.calls == 30
            written.append((tmp_path / "run" / "samples.jsonl").read_bytes())
    assert written[0] == written[1]
    assert result.summary.made == 30
    for sample in result.samples():
        made = Profile.model_validate(sample["metadata"]["profile"])
        assert faults_of(made, sample["metadata"]["draw"]) == []


@pytest.mark.slow
async def test_near_duplicates_are_rejected_alike_in_whatever_order_replies_come(
    tmp_path: Path,
) -> None:
    written = []
    for folder, concurrency in (("one", 1), ("many", 50), ("many", 50)):
        provider = ScriptedProvider(Students(characters=2))
        result = await arun(
            PERSONAS,
            models="scripted/x",
            n=250,
            concurrency=concurrency,
            providers={"scripted": provider},
            out=tmp_path / folder,
        )
        written.append((tmp_path / folder / "samples.jsonl").read_bytes())
    assert written[0] == written[1] == written[2]
    assert provider.calls == 0, "the third is the second again"
    assert result.summary.reasons == [(NEAR_DUPLICATE, result.summary.outcomes["rejected"])]
    kept = result.samples()
    assert len(kept) == result.summary.kept < 250
    assert outcomes(reject_near_duplicates(kept)) == [("kept", None)] * len(kept)


async def test_an_estimate_takes_one_call_a_profile(tmp_path: Path) -> None:
    config = RunConfig(recipe="personas", models={"writer": "scripted/any"}, n=20)
    (stage,) = (await estimate(config, tmp_path, recipe=PERSONAS)).stages
    assert stage.figures.calls == 20


async def test_no_prompt_grows_with_the_profiles_before_it(tmp_path: Path) -> None:
    provider = ScriptedProvider(Students())
    await arun(
        "personas", models="scripted/x", n=60, providers={"scripted": provider}, out=tmp_path
    )
    sizes = [sum(len(m.content) for m in request.messages) for request in provider.requests]
    assert max(sizes) - min(sizes) < 200


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters fills in a small schema; whether it keeps the quota is told."""
    local = pytest.importorskip("synthtutor_local_models")
    models = {entry["name"]: entry["here"] for entry in local.MODELS.list()}
    if not models.get("local/smollm2-135m"):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        PERSONAS,
        models="local/smollm2-135m",
        n=2,
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        options={"schema": f"{__name__}:Adult"},
        settings={"writer": {"max_tokens": 60}},
        out=tmp_path / "run",
    )
    assert result.summary.made == 2
    for sample in result.samples():
        made, draw = sample["metadata"]["profile"], sample["metadata"]["draw"]
        assert (made["stage"], str(made["evening"]).lower()) == (draw["stage"], draw["evening"])


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_what_comes_out(journal: Journal) -> None:
    page = (ROOT / "docs" / "recipes" / "personas.md").read_text(encoding="utf-8")
    (golden,) = re.findall(r"```json golden\n(.*?)```", page, re.DOTALL)
    provider = ScriptedProvider(Students())
    made = await personas(Session(context(journal, provider), b"s"), drawn(1)[0])
    assert orjson.loads(golden) == {
        "draw": made.metadata["draw"],
        "profile": made.metadata["profile"],
    }
