"""Labelled files as they are published, and anybody's own."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from synthtutor.calibration.datasets import Item, form_of, items
from synthtutor.calibration.labels import NONE, dimensions
from synthtutor.errors import ConfigError, RubricError
from synthtutor.lint import lint
from synthtutor.rubric import load_rubric, parse_rubric
from synthtutor.sources import BadRow

DATA = Path(__file__).parent / "data"


def read(path: Path, **columns: str) -> list[Item]:
    found = list(items(path, columns))
    assert all(isinstance(item, Item) for item in found), found
    return [item for item in found if isinstance(item, Item)]


def test_mrbench_gives_an_item_for_each_tutor_with_eight_labels() -> None:
    found = read(DATA / "mrbench_two.json")
    assert form_of(DATA / "mrbench_two.json") == "mrbench"
    assert len(found) == 8 + 9
    assert {item.writer for item in found} >= {"GPT4", "Expert", "Novice"}
    assert len({item.group for item in found}) == 2
    known = dimensions(load_rubric("mrbench"))
    for item in found:
        assert item.labels.keys() == known.keys()
        assert all(
            choice.human(item.labels[name]) in choice.labels for name, choice in known.items()
        )
        assert "\u00a0" not in item.context
    assert "Solution:" in found[0].context
    assert "Solution:" not in found[-1].context, "a Bridge conversation has none"


def test_the_later_form_of_mrbench_is_read_and_replies_without_labels_are_left_out(
    tmp_path: Path,
) -> None:
    replies = {"Expert": {"response": "Look again.", "annotation": {"Actionability": "No"}}}
    record = {
        "conversation_id": "1",
        "conversation_history": "Tutor: hi",
        "tutor_responses": replies,
    }
    replies["GPT4"] = {"response": "Hm."}
    path = tmp_path / "dev.json"
    path.write_bytes(orjson.dumps([record]))
    (item,) = read(path)
    assert (item.writer, item.text, item.labels) == (
        "Expert",
        "Look again.",
        {"Actionability": "No"},
    )


def test_bridge_gives_the_experts_reply_with_what_they_decided_before() -> None:
    found = read(DATA / "bridge_three.jsonl")
    assert form_of(DATA / "bridge_three.jsonl") == "bridge"
    assert [item.labels["error"] for item in found[:2]] == ["right-idea", "diagnose"]
    assert found[1].text == "Great try! Can you explain how you got 27,000?"
    assert found[1].context.endswith("Student: 27,000")
    assert found[1].group == found[1].id.partition("_")[0], "one chat spans several rows"
    known = dimensions(load_rubric("bridge"))
    said = [known[name].human(label) for item in found for name, label in item.labels.items()]
    assert "provided_a_visual_aid" in said, "free text is spelt as the pack spells it"
    assert all(any(label in choice.labels for choice in known.values()) for label in said)


def test_stepverify_gives_the_steps_up_to_the_first_wrong_one() -> None:
    found = read(DATA / "stepverify_two.jsonl")
    assert form_of(DATA / "stepverify_two.jsonl") == "stepverify"
    first = [item for item in found if item.group == "line 1"]
    assert [item.labels["first_error"] for item in first] == ["sound", "sound", "wrong"]
    assert "error_category" not in first[0].labels
    assert first[1].context.endswith(first[0].text), "the steps before are shown"
    assert first[2].text not in first[2].context


def test_what_is_not_in_the_published_form_is_a_bad_row(tmp_path: Path) -> None:
    good = (DATA / "stepverify_two.jsonl").read_bytes().splitlines()
    shifted = {**orjson.loads(good[0]), "incorrect_index": 0}
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join([good[0], orjson.dumps(shifted), b'{"incorrect_index": 1}', b"{"]))
    bad = [item for item in items(path, {}) if isinstance(item, BadRow)]
    assert [row.where.rpartition(", ")[2] for row in bad] == ["line 2", "line 3", "line 4"]
    assert "does not point to" in bad[0].reason
    assert "no field 'student_incorrect_solution'" in bad[1].reason


def test_an_own_file_is_read_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("reply,turn,chat,model,leaks\nIt is 5.,2+3?,a,m1,1\nTry it.,2+3?,a,m2,\n")
    columns = {"text": "reply", "context": "turn", "group": "chat", "writer": "model"}
    found = read(path, **columns, labels="st.reveals-answer=leaks")
    assert [item.labels for item in found] == [{"st.reveals-answer": "1"}, {}]
    assert (found[0].text, found[0].context, found[0].group) == ("It is 5.", "2+3?", "a")
    assert (found[0].writer, found[1].writer) == ("m1", "m2")
    choice = dimensions(load_rubric("socratic-turn"))["st.reveals-answer"]
    assert [choice.human(said) for said in ("1", "Yes", "FALSE", "maybe")] == [
        *("true", "true", "false", "maybe")
    ]
    assert (choice.merit("true"), choice.merit("false"), choice.merit("maybe")) == (-1, 0, None)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": "a=b"}, "no column 'b'; there are text, x"),
        ({"labels": "a"}, "write DIMENSION=COLUMN"),
        ({"text": "t", "labels": "a=x"}, "no column 't'"),
        ({}, "which columns hold people's labels"),
    ],
)
def test_columns_that_do_not_fit_are_refused_at_once(
    tmp_path: Path, columns: dict[str, str], message: str
) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"text": "a", "x": 1}\n')
    with pytest.raises(ConfigError, match=message):
        items(path, columns)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with pytest.raises(ConfigError, match="no rows"):
        form_of(tmp_path / "empty.jsonl")


# ── labels ───────────────────────────────────────────────────────────────────────────────────


def test_the_first_statement_that_holds_gives_the_label() -> None:
    choice = dimensions(load_rubric("mrbench"))["Actionability"]
    clear, vague = (criterion.id for criterion in choice.criteria)
    cases: list[tuple[bool | None, bool | None, str | None]] = [
        (True, True, "Yes"),
        (True, None, "Yes"),
        (False, True, "To some extent"),
        (False, False, "No"),
        (False, None, None),
        (None, True, None),
    ]
    for first, second, label in cases:
        assert choice.label({clear: first, vague: second}) == label
    assert [choice.merit(label) for label in choice.labels] == [1, 0.5, 0]


def test_where_none_holds_and_nothing_is_left_over_that_is_no_label() -> None:
    choice = dimensions(load_rubric("bridge"))["strategy"]
    assert choice.label(dict.fromkeys((c.id for c in choice.criteria), False)) == NONE
    assert NONE not in choice.labels
    assert choice.merit("ask_question") is None, "no strategy is better than another"


def test_a_choice_that_is_not_whole_is_refused() -> None:
    text = (Path(__file__).parents[2] / "rubrics" / "mrbench.yaml").read_text()
    with pytest.raises(RubricError, match="needs a tag otherwise"):
        dimensions(parse_rubric(text.replace(', "otherwise:No"', "", 1)))
    with pytest.raises(RubricError, match="the same label"):
        dimensions(parse_rubric(text.replace("label:To some extent", "label:Yes", 1)))


@pytest.mark.parametrize("name", ["mrbench", "bridge", "stepverify"])
def test_the_statements_of_the_packs_are_worded_as_packs_should_be(name: str) -> None:
    worded = ("double-negative", "negated-merit", "one-claim", "too-long", "near-identical")
    assert [str(fault) for fault in lint(load_rubric(name)) if fault.rule in worded] == []
    assert name != "mrbench" or lint(load_rubric(name)) == []
