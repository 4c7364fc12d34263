from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from synthtutor import arun
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.export import export
from synthtutor.export.tagged import tagged_text
from synthtutor.export.validate import validate
from synthtutor.journal import Journal
from synthtutor.lint import lint
from synthtutor.messages import Request
from synthtutor.recipes.k12_mix import (
    K12_MIX,
    NEAR_DUPLICATE,
    k12_mix,
    reject_near_duplicates,
    rows,
)
from synthtutor.recipes.k12_schema import GRADES, K12Sample, level_of
from synthtutor.recipes.quotas import Row, builtin_plan
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer
from synthtutor.tutoring import Sample
from tests.doubles import context
from tests.recipes.lessons import HARD, LESSON, content, on_the_wire, said, with_tutor

ROOT = Path(__file__).parents[2]
ROW = Row(
    "grade_specific_conversations",
    "elementary_tutoring_sessions",
    0,
    "A tutoring session in elementary school, about something from class.",
    {
        "grade": "3",
        "subject": "mathematics",
        "emotion": "frustrated",
        "technique": "error_analysis",
        "difficulty": "beginner",
        "intensity": "0.7",
        "topic": "subtracting two-digit numbers",
        "exchanges": "2",
    },
)


# ── a sample ─────────────────────────────────────────────────────────────────────────────────


def telling(*made: Any, verdicts: str = "") -> Callable[[Request], str]:
    left: Iterator[Any] = iter(made)

    def script(request: Request) -> str:
        if request.schema is not None and request.schema.name == "Verdicts":
            return verdicts or content()
        return orjson.dumps(next(left)).decode()

    return script


async def sample(
    journal: Journal, script: Callable[[Request], str], row: Row = ROW, **options: str
) -> tuple[Sample, list[Request]]:
    provider = ScriptedProvider(script)
    run = context(journal, provider, rubric=load_rubric("k12-conversation"), options=options)
    return await k12_mix(Session(run, b"s"), row), provider.requests


async def test_a_sound_conversation_takes_one_call_and_one_judgement(journal: Journal) -> None:
    made, asked = await sample(journal, telling(LESSON))
    assert (made.outcome, len(asked)) == ("kept", 2)
    found = K12Sample.model_validate(made.metadata["k12"])
    assert found.conversation_id == "elementary_tutoring_sessions_000001"
    assert found.academic_context.grade_level == "elementary"
    assert found.academic_context.topic == "subtracting two-digit numbers"
    assert found.emotional_context.student_emotion_intensity == 0.7
    assert found.academic_context.learning_objective == "subtract_with_regrouping"
    assert [turn.speaker for turn in found.conversation] == ["student", "tutor"] * 2
    assert [m.role for m in made.messages] == ["system", *["user", "assistant"] * 2]
    assert made.metadata["file"] == "grade_specific_conversations/elementary_tutoring_sessions"
    assert made.metadata["reading"]["fits"] is None, "too few words to tell"
    orjson.dumps(dict(made.metadata))


async def test_the_writer_is_told_the_slot_and_the_judge_sees_the_same(journal: Journal) -> None:
    _, (writing, judging) = await sample(journal, telling(LESSON))
    for told in (
        "grade: 3 (elementary)",
        "frustrated, intensity 0.7",
        "error_analysis (examines with",
    ):
        assert told in said(writing)
    assert writing.schema is not None
    assert writing.schema.strict["properties"]["exchanges"]["minItems"] == 2
    for told in (
        "Grade: 3 (elementary)",
        "Teaching technique: error analysis",
        "Student: 52 minus",
    ):
        assert told in said(judging)
    assert "kc.words-of-grade" not in said(writing), "the rubric stays out of the writer's prompt"


async def test_a_fault_is_told_and_the_conversation_asked_for_again(journal: Journal) -> None:
    wrong = with_tutor(HARD)
    made, asked = await sample(journal, telling(wrong, LESSON))
    assert (made.outcome, made.metadata["attempts"], len(asked)) == ("kept", 2, 3)
    assert "use shorter sentences" in said(asked[1])


async def test_what_stays_wrong_is_rejected_unjudged(journal: Journal) -> None:
    wrong = with_tutor(HARD)
    made, asked = await sample(journal, telling(wrong, wrong, wrong))
    assert (made.outcome, len(asked)) == ("rejected", 3)
    assert "the tutor's words read at school grade" in made.reasons[0]
    assert made.metadata["reading"]["fits"] is False


async def test_what_the_judge_finds_wrong_is_rejected(journal: Journal) -> None:
    made, _ = await sample(journal, telling(LESSON, verdicts=content("kc.false-content")))
    assert made.outcome == "rejected"
    assert any("kc.false-content" in reason for reason in made.reasons)


async def test_without_a_judge_only_code_decides(journal: Journal) -> None:
    made, asked = await sample(journal, telling(LESSON), judge="no")
    assert (made.outcome, len(asked)) == ("kept", 1)
    assert "verdicts" not in made.metadata


async def test_what_a_file_draws_besides_is_told(journal: Journal) -> None:
    row = Row(ROW.folder, ROW.file, 0, ROW.about, {**ROW.draw, "horizon": "this week"})
    _, asked = await sample(journal, telling(LESSON), row)
    assert "- horizon: this week" in said(asked[0])


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def drawn(count: int, **options: Any) -> list[Row]:
    made = list(islice(rows(RowOptions(**options)).rows, count))
    assert all(isinstance(row, Row) for row in made)
    return made  # type: ignore[return-value]


def test_each_slot_has_a_topic_of_its_subject_and_grade() -> None:
    made = drawn(2_300)
    assert rows(RowOptions()).total == 230_000
    topics = builtin_plan().topics
    for row in made:
        assert row.draw["topic"] in topics[row.draw["subject"]][level_of(row.draw["grade"])]
    assert {row.draw["grade"] for row in made} == set(GRADES)
    science = {r.draw["topic"] for r in made if r.file == "science_explanations"}
    wanted = {t for level in list(topics["science"])[:3] for t in topics["science"][level]}
    assert science == wanted, "every topic of kindergarten to grade 12 occurs"


def test_a_file_keeps_to_its_own_grades_subject_and_feelings() -> None:
    made = drawn(2_300)
    assert {r.draw["subject"] for r in made if r.file == "history_discussions"} == {"history"}
    assert {r.draw["grade"] for r in made if r.file == "middle_school_support"} == {"6", "7", "8"}
    exams = {r.draw["emotion"] for r in made if r.file == "exam_stress_reduction"}
    assert exams == {"stressed", "panicky", "tired"}
    assert all("horizon" in r.draw for r in made if r.file == "academic_goal_setting")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"path": Path("x.jsonl")}, "leave out --rows"),
        ({"per_seed": 2}, "leave out --rows and --per-seed"),
        ({"options": {"judge": "maybe"}}, "choose yes or no"),
        ({"options": {"plan": "nowhere.yaml"}}, "nowhere.yaml: No such file"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        rows(RowOptions(**options))


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("grade", ["13"], "grade '13': choose of kindergarten, 1"),
        ("technique", ["magic"], "technique 'magic'"),
        ("intensity", ["2"], "intensity '2': give 0 to 1"),
        ("exchanges", ["0"], "exchanges '0'"),
        ("subject", ["alchemy"], "alchemy has none for elementary"),
    ],
)
def test_a_plan_of_ones_own_is_drawn_from_or_refused(
    tmp_path: Path, field: str, value: list[str], fault: str
) -> None:
    data = builtin_plan().model_dump(mode="json")
    data["folders"] = {
        "own": {"samples": 9, "files": {"only": {"about": "A talk.", "draw": {}}}},
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(data))
    assert len(drawn(99, options={"plan": str(path)})) == 9
    data["folders"]["own"]["files"]["only"]["draw"] = {field: value}
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=re.escape(fault)):
        rows(RowOptions(options={"plan": str(path)}))


# ── across rows ──────────────────────────────────────────────────────────────────────────────


def finished(number: int, *messages: str, outcome: str = "kept") -> dict[str, Any]:
    conversation = [{"speaker": "tutor", "message": message} for message in messages]
    return {
        "id": f"{number:032x}",
        "metadata": {
            "k12": {"conversation_id": f"c{number}", "conversation": conversation},
            "outcome": outcome,
            "reasons": [] if outcome == "kept" else ["grade"],
        },
    }


def test_a_conversation_that_repeats_an_earlier_kept_one_is_rejected() -> None:
    text = "Which of the two parts is larger, and how can the picture show it to your friend?"
    given = [
        finished(1, text, outcome="rejected"),
        finished(2, text),
        finished(3, "Something else is said here about tides and the moon, is it not?"),
        finished(4, text),
    ]
    looked = list(reject_near_duplicates(given))
    found = [(s["metadata"]["outcome"], s["metadata"].get("near_duplicate_of")) for s in looked]
    assert found == [("rejected", None), ("kept", None), ("kept", None), ("rejected", "c2")]
    assert looked[3]["metadata"]["reasons"] == [NEAR_DUPLICATE]
    assert list(reject_near_duplicates(looked)) == looked


# ── the rubric ───────────────────────────────────────────────────────────────────────────────


def test_the_pack_is_clean_and_asks_for_the_grade_twice() -> None:
    pack = load_rubric("k12-conversation")
    assert lint(pack) == []
    fit = [c for c in pack.criteria if c.dimension == "grade_fit"]
    assert len(fit) == 2
    assert all(c.is_critical for c in fit)


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


async def test_a_fraction_over_http_fills_the_tree_and_resumes_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    async with OpenAIServer(on_the_wire()) as server:
        for _ in range(2):
            result = await arun(
                "k12-mix",
                models="compatible/test-model",
                n=46,
                controls=0,
                base_urls={"compatible": server.base_url},
                out=tmp_path / "run",
            )
            assert server.calls == 92, "one of the writer and one of the judge, once"
    assert result.summary.outcomes == {"kept": 46}
    assert export(result.samples(), tmp_path / "tree", format="k12") == 46
    folders = {
        folder.name: sum(len(file.read_bytes().splitlines()) for file in folder.iterdir())
        for folder in (tmp_path / "tree").iterdir()
        if folder.is_dir()
    }
    assert folders == {
        "grade_specific_conversations": 12,
        "subject_specific_data": 20,
        "emotional_learning_support": 8,
        "adaptive_learning_data": 6,
    }
    for file in (tmp_path / "tree").rglob("*.jsonl"):
        for line in file.read_bytes().splitlines():
            K12Sample.model_validate_json(line)
    assert export(result.samples(), tmp_path / "tagged.jsonl", format="tagged") == 46
    assert validate(tmp_path / "run" / "finetune.jsonl").ok


async def test_an_estimate_sees_both_roles(tmp_path: Path) -> None:
    config = RunConfig(recipe="k12-mix", models={"default": "scripted/any"}, n=23, controls=0)
    found = await estimate(config, tmp_path / "none", recipe=K12_MIX)
    calls = {stage.stage: stage.figures.calls for stage in found.stages}
    assert calls == {"k12-mix/conversation.md.j2": 23, "judge.md.j2": 23}


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters keeps no quota; what it writes must be sorted all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    models = {entry["name"]: entry["here"] for entry in local.MODELS.list()}
    if not models.get("local/smollm2-135m"):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        K12_MIX,
        models="local/smollm2-135m",
        rows=[Row(ROW.folder, ROW.file, 0, ROW.about, {**ROW.draw, "exchanges": "1"})],
        controls=0,
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        options={"judge": "no"},
        settings={"writer": {"max_tokens": 40}},  # 160 where it is asked the third time
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    for made in result.samples():
        K12Sample.model_validate(made["metadata"]["k12"])


# ── what the page shows ──────────────────────────────────────────────────────────────────────


def page() -> str:
    return (ROOT / "docs" / "recipes" / "k12-mix.md").read_text(encoding="utf-8")


async def test_the_page_shows_what_comes_out(journal: Journal) -> None:
    (golden,) = re.findall(r"```json golden\n(.*?)```", page(), re.DOTALL)
    (text,) = re.findall(r"```text golden\n(.*?)```", page(), re.DOTALL)
    made, _ = await sample(journal, telling(LESSON))
    assert orjson.loads(golden) == made.metadata["k12"]
    assert text.rstrip("\n") == tagged_text(made.metadata["k12"])


def test_the_page_has_every_file_with_its_size() -> None:
    told = dict(re.findall(r"\| `([a-z_]+)` \| ([\d,]+) \|", page()))
    for folder in builtin_plan().folders.values():
        for name in folder.files:
            assert told[name] == f"{folder.samples // len(folder.files):,}"
