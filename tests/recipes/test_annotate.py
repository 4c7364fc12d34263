from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor import arun
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.export import export
from synthtutor.export.validate import validate
from synthtutor.journal import Journal
from synthtutor.messages import Message, Request
from synthtutor.prompts import Prompts
from synthtutor.recipes.annotate import (
    ANNOTATE,
    Annotation,
    annotate,
    annotated,
    annotation_faults,
)
from synthtutor.recipes.k12_schema import K12Sample
from synthtutor.recipes.problems import Turn
from synthtutor.recipes.recipe import RowOptions
from synthtutor.recipes.transcripts import COLUMNS, Transcript, read_transcript, transcript_rows
from synthtutor.session import RunContext, Session
from synthtutor.sources import BadRow, Record
from synthtutor.testing import ScriptedProvider
from synthtutor.testing.server import OpenAIServer
from synthtutor.tutoring import Sample
from tests.doubles import roles
from tests.recipes.lessons import noted, on_the_wire, said

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "transcripts.jsonl"
TURNS = (
    Turn("student", "I hate fractions,  they're  “weird”."),
    Turn("tutor", "What is odd about 1/2 + 1/3?"),
    Turn("student", "That it is not 2/5!"),
    Turn("tutor", "Let us draw a bar."),
)
ROW = Transcript(TURNS, "t1", "What is 1/2 + 1/3?")


def of_file(path: Path, **options: Any) -> list[Transcript | BadRow]:
    return list(transcript_rows(RowOptions(path=path, **options)).rows)


def of_records(folder: Path, *records: object, **options: Any) -> list[Transcript | BadRow]:
    path = folder / "transcripts.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, records)))
    return of_file(path, **options)


# ── transcripts ──────────────────────────────────────────────────────────────────────────────


def test_the_three_forms_of_the_example_are_read() -> None:
    turns, messages, mathdial_form = of_file(EXAMPLE)
    assert isinstance(turns, Transcript)
    assert isinstance(messages, Transcript)
    assert isinstance(mathdial_form, Transcript)
    assert [t.speaker for t in messages.turns] == ["student", "tutor"] * 2
    assert mathdial_form.turns[2] == Turn(
        "tutor", "Good that you doubt it. 25 % of what?", "probing"
    )
    assert turns.question == "What is 402 - 157?"


SAID = [{"speaker": "Student", "text": " Why? "}, {"speaker": "teacher", "text": "Look."}]


@pytest.mark.parametrize(
    "record",
    [
        {"turns": SAID},
        {"conversation": [{"speaker": "student", "message": " Why? "}, SAID[1]]},
        {
            "conversations": [
                {"from": "human", "value": " Why? "},
                {"from": "gpt", "value": "Look."},
            ]
        },
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": " Why? "},
                {"role": "assistant", "content": "Look."},
            ]
        },
        {"messages": [], "metadata": {"turns": SAID, "question": "Is it?"}},
        {"conversation": orjson.dumps(SAID).decode()},
    ],
)
def test_every_form_gives_the_same_turns_untouched(tmp_path: Path, record: dict[str, Any]) -> None:
    column = {"conversation": "conversations"} if "conversations" in record else {}
    (found,) = of_records(tmp_path, record, options=column)
    assert isinstance(found, Transcript)
    assert found.turns == (Turn("student", " Why? "), Turn("tutor", "Look."))
    assert re.fullmatch(r"[0-9a-f]{12}", found.id)


def test_a_record_of_mathdial_is_read_as_it_is_published(tmp_path: Path) -> None:
    record = {
        "qid": 7,
        "question": "2 + 2?",
        "ground_truth": "It is 4\n 4",
        "student_incorrect_solution": "2 + 2 = 22",
        "student_profile": "Cody is a 7th grade student. He is hasty.",
        "conversation": "Teacher: (probing)How so?|EOM|Cody: I put them together.",
    }
    (found,) = of_records(tmp_path, record)
    assert isinstance(found, Transcript)
    assert (found.id, found.source, found.work) == ("7", "mathdial", "2 + 2 = 22")
    assert [turn.text for turn in found.turns] == ["How so?", "I put them together."]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": "x"}, "no 'conversation', 'turns' or 'messages'"),
        ({"turns": [SAID[0]]}, "a turn of the student and one of the tutor"),
        ({"turns": [*SAID, {"speaker": "parent", "text": "x"}]}, "turns[2]: speaker 'parent'"),
        ({"turns": [*SAID, {"speaker": "student"}]}, "turns[2]: needs speaker or role"),
        ({"turns": [*SAID, "x"]}, "turns[2]: needs speaker or role"),
        ({"turns": [*SAID, {"speaker": "student", "text": " "}]}, "turns[2]: the turn is empty"),
        ({"conversation": "[{]"}, "conversation: not JSON"),
        ({"conversation": "Hello"}, "turn 1 does not say who speaks"),
    ],
)
def test_a_line_that_is_no_transcript_is_a_bad_row_once(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    found = of_records(tmp_path, {"turns": SAID}, record, per_seed=2)
    (bad,) = [row for row in found if isinstance(row, BadRow)]
    assert reason in bad.reason
    assert bad.where.endswith("line 2")
    assert len(found) == 3


def test_without_a_file_it_is_said_what_to_give() -> None:
    with pytest.raises(ConfigError, match="give --rows FILE"):
        transcript_rows(RowOptions())


# ── what an annotation is held to ────────────────────────────────────────────────────────────


def asked_of(row: Transcript) -> Request:
    lines = [
        f"{number}. {turn.speaker.title()}: {turn.text}" for number, turn in enumerate(row.turns, 1)
    ]
    return Request("m/m", [Message("system", ""), Message("user", "\n".join(lines))])


def note(**changes: Any) -> dict[str, Any]:
    return noted(asked_of(ROW), **changes)


def faults(made: dict[str, Any]) -> list[str]:
    return annotation_faults(Annotation.model_validate(made), TURNS)


def test_a_sound_annotation_has_no_fault() -> None:
    assert faults(note()) == []


@pytest.mark.parametrize(
    "quote", ["i hate  FRACTIONS", 'they\'re "weird"', "They’re “weird”", "...fractions, they're…"]
)
def test_a_quote_may_differ_in_case_spaces_and_kinds_of_marks(quote: str) -> None:
    assert faults(note(emotion_evidence=[{"turn": 1, "quote": quote}])) == []


@pytest.mark.parametrize(
    ("turn", "quote", "fault"),
    [
        (1, "I love fractions", "does not occur in turn 1"),
        (3, "I hate fractions", "does not occur in turn 3"),
        (1, "hate frac", "does not occur in turn 1"),
        (1, "…", "does not occur in turn 1"),
        (9, "I hate fractions", "there is no turn 9"),
        (4, "draw a bar", "turn 4 is the tutor's"),
    ],
)
def test_evidence_that_does_not_stand_there_is_told(turn: int, quote: str, fault: str) -> None:
    (found,) = faults(note(emotion_evidence=[{"turn": turn, "quote": quote}]))
    assert fault in found


def test_each_turn_has_one_note_of_its_own_kind() -> None:
    one, three = note()["student_turns"]
    assert faults(note(student_turns=[one])) == ["student_turns lacks turn 3"]
    assert faults(note(student_turns=[one, three, one])) == [
        "student_turns names turn 1 more than once"
    ]
    two, _ = note()["tutor_turns"]
    assert faults(note(tutor_turns=[two, {**two, "turn": 3, "quote": "2/5"}])) == [
        "tutor_turns lacks turn 4",
        "tutor_turns names turn 3, not the tutor's",
    ]


def test_feelings_without_words_of_the_student_are_told() -> None:
    one, three = note()["student_turns"]
    assert faults(note(student_turns=[{**one, "quote": ""}, three])) == [
        "turn 1 has emotional_markers and no quote that shows them"
    ]
    (found,) = faults(note(emotion_evidence=[]))
    assert "student_emotion frustrated has no evidence" in found
    assert faults(note(emotion_evidence=[], student_emotion="Neutral")) == []


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_an_intensity_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match="student_emotion_intensity"):
        Annotation.model_validate(note(student_emotion_intensity=value))


# ── a sample ─────────────────────────────────────────────────────────────────────────────────


def telling(*made: dict[str, Any]) -> Callable[[Request], str]:
    left: Iterator[dict[str, Any]] = iter(made)
    return lambda _: orjson.dumps(next(left)).decode()


def session(journal: Journal, provider: ScriptedProvider) -> Session:
    return Session(RunContext(journal, roles(provider, "annotator"), Prompts()), b"s")


async def sample(
    journal: Journal, script: Callable[[Request], str], row: Transcript = ROW
) -> tuple[Sample, list[Request]]:
    provider = ScriptedProvider(script)
    return await annotate(session(journal, provider), row), provider.requests


async def test_the_sample_is_in_the_schema_with_its_evidence_beside_it(journal: Journal) -> None:
    made, asked = await sample(journal, telling(note()))
    assert (made.outcome, len(asked)) == ("kept", 1)
    found = K12Sample.model_validate(made.metadata["k12"])
    assert [turn.message for turn in found.conversation] == [turn.text for turn in TURNS]
    assert found.academic_context.grade_level == "elementary"
    assert found.emotional_context.student_emotion_intensity == 0.6
    assert made.metadata["evidence"]["student_emotion"][0]["turn"] == 1
    assert [each["turn"] for each in made.metadata["evidence"]["turns"]] == [1, 2, 3, 4]
    assert made.metadata["file"] == "annotated_transcripts/elementary"
    assert [m.role for m in made.messages] == ["system", *["user", "assistant"] * 2]
    assert "What is 1/2 + 1/3?" in said(asked[0])


async def test_a_false_quote_is_told_and_what_stays_false_is_rejected(journal: Journal) -> None:
    false = note(emotion_evidence=[{"turn": 1, "quote": "I love them"}])
    made, asked = await sample(journal, telling(false, note()))
    assert (made.outcome, made.metadata["attempts"]) == ("kept", 2)
    assert "the quote 'I love them' does not occur in turn 1" in said(asked[1])


async def test_what_stays_false_is_rejected_with_its_reasons(journal: Journal) -> None:
    false = note(emotion_evidence=[{"turn": 1, "quote": "I love them"}])
    made, asked = await sample(journal, telling(false, false, false))
    assert (made.outcome, len(asked)) == ("rejected", 3)
    assert list(made.reasons) == [
        "the quote 'I love them' does not occur in turn 1; copy its words"
    ]
    turns = made.metadata["k12"]["conversation"]
    assert [turn["message"] for turn in turns] == [turn.text for turn in TURNS]


async def test_turns_that_an_annotation_forgot_are_in_the_rejected_sample(journal: Journal) -> None:
    one, _ = note()["student_turns"]
    two, _ = note()["tutor_turns"]
    short = note(student_turns=[one], tutor_turns=[two])
    made, _ = await sample(journal, telling(short, short, short))
    turns = made.metadata["k12"]["conversation"]
    assert [turn["message"] for turn in turns] == [turn.text for turn in TURNS]
    assert turns[3]["teaching_technique"] == "none"


async def test_a_tutor_who_speaks_first_answers_the_problem(journal: Journal) -> None:
    row = Transcript(TURNS[1:], "t2", "What is 1/2 + 1/3?", "2/5")
    made, _ = await sample(journal, telling(noted(asked_of(row))), row)
    assert made.outcome == "kept"
    assert [m.role for m in made.messages] == ["system", *["user", "assistant"] * 2]
    assert made.messages[1].content == "What is 1/2 + 1/3?\n\n2/5"
    bare = Transcript(TURNS[1:], "t3")
    alone, _ = await sample(journal, telling(noted(asked_of(bare))), bare)
    assert [m.content for m in alone.messages[1:]] == [turn.text for turn in TURNS[2:]]


TEXTS = st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip()))


@given(st.lists(TEXTS, min_size=2, max_size=8))
def test_whatever_was_said_is_in_the_sample_character_by_character(texts: list[str]) -> None:
    sides = ["student", "tutor"]
    record = {"turns": [{"speaker": sides[at % 2], "text": text} for at, text in enumerate(texts)]}
    row = read_transcript(Record(record, "line 1"), dict(zip(COLUMNS, COLUMNS, strict=True)))
    assert isinstance(row, Transcript)
    made = annotated(row, Annotation.model_validate(note()))
    assert [turn.message for turn in made.conversation] == texts
    assert [turn.speaker for turn in made.conversation] == [turn.speaker for turn in row.turns]


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


async def test_over_http_the_examples_are_annotated_exported_and_resumed_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    async with OpenAIServer(on_the_wire()) as server:
        for _ in range(2):
            result = await arun(
                "annotate",
                models="compatible/test-model",
                rows=EXAMPLE,
                base_urls={"compatible": server.base_url},
                out=tmp_path / "run",
            )
            assert server.calls == 3
    assert result.summary.outcomes == {"kept": 3}
    assert export(result.samples(), tmp_path / "tree", format="k12") == 3
    assert export(result.samples(), tmp_path / "tagged.jsonl", format="tagged") == 3
    file = tmp_path / "tree" / "annotated_transcripts" / "elementary.jsonl"
    given = {row.id: row for row in of_file(EXAMPLE) if isinstance(row, Transcript)}
    for line in file.read_bytes().splitlines():
        found = K12Sample.model_validate_json(line)
        wanted = [turn.text for turn in given[found.conversation_id].turns]
        assert [turn.message for turn in found.conversation] == wanted
    faults = validate(tmp_path / "run" / "finetune.jsonl").faults
    assert {fault.rule for fault in faults} == {"too-few"}, "three are few, and else all is well"


async def test_an_estimate_knows_the_one_call(tmp_path: Path) -> None:
    config = RunConfig(
        recipe="annotate", models={"default": "scripted/any"}, rows=str(EXAMPLE), controls=0
    )
    found = await estimate(config, tmp_path / "none", recipe=ANNOTATE)
    assert {stage.stage for stage in found.stages} == {"annotate/annotation.md.j2"}


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters quotes hardly anything right; it must be sorted all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    models = {entry["name"]: entry["here"] for entry in local.MODELS.list()}
    if not models.get("local/smollm2-135m"):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        ANNOTATE,
        models="local/smollm2-135m",
        rows=[Transcript(TURNS[:2], "t1")],
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        settings={"annotator": {"max_tokens": 40}},  # 160 where it is asked the third time
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    for made in result.samples():
        turns = K12Sample.model_validate(made["metadata"]["k12"]).conversation
        assert [turn.message for turn in turns] == [turn.text for turn in TURNS[:2]]


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_what_comes_out(journal: Journal) -> None:
    page = (ROOT / "docs" / "recipes" / "annotate.md").read_text(encoding="utf-8")
    (golden,) = re.findall(r"```json golden\n(.*?)```", page, re.DOTALL)
    row = of_file(EXAMPLE)[0]
    assert isinstance(row, Transcript)
    made, _ = await sample(journal, telling(noted(asked_of(row))), row)
    shown = orjson.loads(golden)
    assert shown["evidence"] == {
        name: made.metadata["evidence"][name] for name in ("grade_level", "student_emotion")
    }
    whole = made.metadata["k12"]
    assert shown["k12"] == {**whole, "conversation": whole["conversation"][:2]}
