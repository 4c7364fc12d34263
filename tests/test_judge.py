from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthtutor.errors import InvalidOutput
from synthtutor.journal import Journal
from synthtutor.judge import Judgement, criteria_shape, judgement, lenient
from synthtutor.messages import Response
from synthtutor.rubric import Rubric, parse_rubric
from synthtutor.session import Session
from synthtutor.testing import ScriptedProvider
from tests.doubles import context, in_turn, reply

RUBRIC = parse_rubric(
    """
pack: {id: t, version: 1, applies_to: [reply], license: MIT}
scale: binary
scoring: {keep_if: {metric: critical_rate, op: ">=", value: 1.0}, min_weighted: 0.0}
criteria:
  - {id: good, text: The reply is good., weight: 5}
  - {id: nice, text: The reply is nice., weight: 1}
  - {id: wrong, text: The reply is wrong., weight: -5}
"""
)
TEXT = "An answer."


def answers(**observed: Any) -> str:
    return orjson.dumps(
        {name: {"evidence": f"e {name}", "observed": value} for name, value in observed.items()}
    ).decode()


ALL_WELL = answers(good=True, nice=True, wrong=False)


async def judged(
    journal: Journal, *replies: str | Response | Exception
) -> tuple[Judgement, ScriptedProvider]:
    provider = ScriptedProvider(in_turn(*replies))
    session = Session(context(journal, provider), b"sample")
    return await session.judge(TEXT, RUBRIC, context="the question"), provider


async def test_a_sound_text_is_kept(journal: Journal) -> None:
    result, _ = await judged(journal, ALL_WELL)
    assert result.score.outcome == "kept"
    assert {name: verdict.state for name, verdict in result.verdicts.items()} == dict.fromkeys(
        ["good", "nice", "wrong"], "answered"
    )


async def test_answers_are_matched_by_id_and_never_by_position(journal: Journal) -> None:
    result, _ = await judged(journal, answers(wrong=True, nice=False, good=True))
    assert result.verdicts["good"].observed is True
    assert result.verdicts["wrong"].observed is True
    assert result.score.outcome == "rejected"


async def test_the_judge_sees_texts_and_ids_and_no_weights(journal: Journal) -> None:
    _, provider = await judged(journal, ALL_WELL)
    asked = "\n".join(message.content for message in provider.requests[0].messages)
    for criterion in RUBRIC.criteria:
        assert f"{criterion.id}: {criterion.text}" in asked
    assert TEXT in asked
    assert "the question" in asked
    for word in ("weight", "critical", "fault", "-5"):
        assert word not in asked


async def test_the_judge_quotes_before_it_decides(journal: Journal) -> None:
    schema = criteria_shape(RUBRIC).schema
    assert schema is not None
    for form in (schema.definition, schema.strict):
        assert list(form["properties"]) == ["good", "nice", "wrong"]
        assert form["required"] == ["good", "nice", "wrong"]
        for entry in form["properties"].values():
            assert list(entry["properties"]) == ["evidence", "observed"]
            assert entry["additionalProperties"] is False


async def test_an_incomplete_answer_is_asked_again(journal: Journal) -> None:
    result, provider = await judged(journal, answers(good=True, nice=True), ALL_WELL)
    assert result.score.outcome == "kept"
    assert provider.calls == 2
    assert "wrong" in provider.requests[1].messages[-1].content


async def test_a_judge_that_never_answers_a_critical_one_leaves_the_sample_undetermined(
    journal: Journal,
) -> None:
    result, provider = await judged(journal, *[answers(good=True, nice=True)] * 3)
    assert provider.calls == 3
    assert result.verdicts["wrong"].state == "missing"
    assert result.verdicts["wrong"].observed is None
    assert result.verdicts["good"].observed is True, "what was answered counts"
    assert result.score.outcome == "undetermined"


async def test_an_answer_that_cannot_be_read_is_failed_and_neither_true_nor_false(
    journal: Journal,
) -> None:
    result, _ = await judged(journal, *[answers(good=True, nice=True, wrong="perhaps")] * 3)
    assert result.verdicts["wrong"].state == "failed"
    assert result.score.outcome == "undetermined"
    assert "perhaps" in result.verdicts["wrong"].evidence


@pytest.mark.parametrize(
    "said",
    [
        reply("I can't judge this.", finish="refusal"),
        reply(ALL_WELL, finish="refusal"),
        "There is nothing to say.",
        "[1, 2]",
        '{"good": "\\ud800", "nice": 1, "wrong": null}',
    ],
)
async def test_a_judge_that_fails_keeps_nothing_and_rejects_nothing(
    journal: Journal, said: str | Response
) -> None:
    result, _ = await judged(journal, *[said] * 3)
    assert result.score.outcome == "undetermined"
    assert {verdict.state for verdict in result.verdicts.values()} <= {"missing", "failed"}
    orjson.dumps(result.to_metadata())


async def test_what_a_cut_judge_had_already_said_counts(journal: Journal) -> None:
    cut = reply(ALL_WELL[:-30], finish="length")
    result, _ = await judged(journal, cut, cut, cut)
    assert result.verdicts["good"].state == "answered"
    assert result.score.outcome == "undetermined"


@pytest.mark.parametrize(
    ("said", "observed"),
    [(True, True), ("true", True), ("Yes", True), (" FALSE ", False), ("no", False)],
)
async def test_true_and_false_are_read_as_models_write_them(
    journal: Journal, said: Any, observed: bool
) -> None:
    result, provider = await judged(journal, answers(good=True, nice=True, wrong=said))
    assert result.verdicts["wrong"].observed is observed
    assert provider.calls == 1


async def test_a_bare_boolean_is_an_answer_without_evidence(journal: Journal) -> None:
    result, _ = await judged(journal, '{"good": true, "nice": false, "wrong": false}')
    assert result.verdicts["good"].observed is True
    assert result.verdicts["good"].evidence == ""


def test_a_negated_fault_is_observed_when_its_statement_does_not_hold() -> None:
    negated = RUBRIC.criteria[2].model_copy(update={"negated": True})
    rubric = Rubric(**{**dict(RUBRIC), "criteria": (*RUBRIC.criteria[:2], negated)})
    holds = judgement(rubric, orjson.loads(answers(good=True, nice=True, wrong=True)), TEXT)
    assert holds.verdicts["wrong"].observed is False
    assert holds.score.outcome == "kept"


def test_metadata_has_each_verdict_with_what_it_means() -> None:
    said = orjson.loads(answers(good=True, nice=False, wrong=True))
    metadata = judgement(RUBRIC, said, TEXT).to_metadata()
    assert metadata["rubric"] == "t@1"
    assert metadata["critical"] == "1 of 2"
    good, nice, wrong = metadata["verdicts"]
    assert (good["observed"], good["passed"], good["evidence"]) == (True, True, "e good")
    assert (nice["observed"], nice["passed"]) == (False, False)
    assert (wrong["observed"], wrong["passed"], wrong["weight"]) == (True, False, -5)


@given(
    st.dictionaries(
        st.sampled_from(["good", "nice", "wrong", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=8) | st.integers() | st.floats(),
            lambda inner: (
                st.dictionaries(st.sampled_from(["observed", "evidence", "x"]), inner)
                | st.lists(inner, max_size=2)
            ),
            max_leaves=5,
        ),
    )
)
def test_whatever_a_judge_says_no_verdict_is_invented(said: dict[str, Any]) -> None:
    result = judgement(RUBRIC, said, TEXT)
    for name, verdict in result.verdicts.items():
        if name not in said:
            assert verdict.state == "missing"
        assert (verdict.observed is None) == (verdict.state != "answered")
    if any(result.verdicts[name].observed is None for name in ("good", "wrong")):
        assert result.score.outcome == "undetermined"


@given(st.text())
def test_no_last_reply_is_too_odd_to_be_lenient_with(text: str) -> None:
    for kind in ("refused", "truncated", "unparsable"):
        error = InvalidOutput("x", kind=kind, text=text)
        judgement(RUBRIC, lenient(error), TEXT)
