from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor import arun
from synthtutor.api import Result
from synthtutor.config import RunConfig
from synthtutor.defects import Gold
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.export import export
from synthtutor.export.pairs import Pairs
from synthtutor.export.validate import validate
from synthtutor.messages import user
from synthtutor.recipes.degradations import DEGRADATIONS, judged_by, targets
from synthtutor.recipes.pair_contexts import Context, contexts
from synthtutor.recipes.preference import PREFERENCE
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.sources import BadRow, canonical
from synthtutor.testing.server import OpenAIServer
from tests.recipes.pairing import (
    GOOD,
    MARKS,
    PARTS,
    good_judge,
    judge_of_length,
    tying_judge,
    world,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recipes" / "preference.md"


def asked(folder: Path, count: int, about: str = "plain") -> Path:
    """A user's own file of ``count`` conversations."""
    path = folder / "rows.jsonl"
    rows = [{"prompt": f"Is 1/2 + 1/3 = 2/5? ({about} {n})"} for n in range(count)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


async def ran(server: OpenAIServer, folder: Path, rows: Any = None, **more: Any) -> Result:
    return await arun(
        PREFERENCE,
        models="compatible/test-model",
        rows=rows,
        base_urls={"compatible": server.base_url},
        controls=0,
        out=folder / "run",
        **more,
    )


@pytest.fixture(autouse=True)
def _a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")


def all_samples(folder: Path) -> list[dict[str, Any]]:
    return [
        orjson.loads(line)
        for name in ("samples", "rejected")
        for line in (folder / "run" / f"{name}.jsonl").read_bytes().splitlines()
    ]


def reasons(folder: Path) -> Counter[str]:
    found = (sample["metadata"]["reasons"] for sample in all_samples(folder))
    return Counter(reason for each in found for reason in each)


def balance(folder: Path) -> dict[str, Any]:
    pairs = Pairs()
    for sample in all_samples(folder):
        pairs.add(sample)
    return pairs.summary()


# ── degraded ─────────────────────────────────────────────────────────────────────────────────


async def test_each_defect_is_made_by_the_rival_and_seen_by_a_good_judge(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        result = await ran(server, tmp_path, asked(tmp_path, 60))
        assert server.calls == 60 * 4, "two replies, two verdicts"
    assert result.summary.outcomes == {"kept": 60}
    pack = load_rubric("misconception-repair")
    for sample in result.samples():
        data, pair = sample["metadata"], sample["metadata"]["pair"]
        assert sample["messages"][-1]["content"] == GOOD
        assert data["weighted"] - data["rejected_judged"]["weighted"] == pytest.approx(
            pair["margin"], abs=2e-4
        )
        assert pair["margin"] >= 0.02
        assert tuple(pair["must_break"]) == targets(pack, pair["defect"])
        assert set(pair["must_break"]) <= set(pair["broken"])
        failed = [v["id"] for v in data["rejected_judged"]["verdicts"] if v["passed"] is False]
        assert set(pair["must_break"]) <= set(failed)
        assert pair["made_by"] == "model"
        if mark := MARKS.get(pair["defect"]):
            assert mark in pair["rejected"]
    assert balance(tmp_path)["defects"] == {
        name: {"made": 10, "kept": 10} for name in sorted(DEGRADATIONS)
    }


async def test_the_chosen_reply_is_as_often_the_shorter_as_the_longer_one(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        await ran(server, tmp_path, asked(tmp_path, 120))
    found = balance(tmp_path)
    assert found["kept"] == 120
    low, high = found["longer_share_95"]
    assert low <= 0.5 <= high
    for sample in all_samples(tmp_path):
        pair = sample["metadata"]["pair"]
        one, other = pair["chosen_words"], pair["rejected_words"]
        if pair["defect"] == "too_long":
            assert pair["side"] is None
            assert other > 1.4 * one
        else:
            assert max(one, other) <= 1.3 * min(one, other)
            assert one >= other if pair["side"] == "chosen longer" else one <= other


async def test_the_banks_model_replies_are_spoilt_without_a_model(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        result = await ran(server, tmp_path, n=28, options={"defects": "leaks_answer,wrong_step"})
        assert server.calls == 28 * 2, "the judge alone is asked"
    assert result.summary.outcomes == {"kept": 28}
    made = Counter(sample["metadata"]["pair"]["made_by"] for sample in result.samples())
    assert made == {"code: leak_answer": 14, "code: false_content": 14}
    assert balance(tmp_path)["longer_share"] == 0.0, "said, not hidden: code makes these longer"


async def test_a_run_can_leave_everything_to_the_rival(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        await ran(server, tmp_path, n=6, options={"by": "model", "defects": "cold_tone"})
        prompts = [a.body["messages"][-1]["content"] for a in server.asked]
    assert len({prompt for prompt in prompts if "The change:" in prompt}) >= 6
    assert {s["metadata"]["pair"]["made_by"] for s in all_samples(tmp_path)} == {"model"}


async def test_a_judge_that_sees_no_difference_keeps_nothing(tmp_path: Path) -> None:
    async with OpenAIServer(world(tying_judge)) as server:
        result = await ran(
            server, tmp_path, asked(tmp_path, 5), options={"defects": "wrong_step,wrong_level"}
        )
    assert result.summary.outcomes == {"rejected": 5}
    assert reasons(tmp_path) == {
        "rejected: does not show its defect (wrong_step)": 3,
        "rejected: does not show its defect (wrong_level)": 2,
    }


async def test_a_chosen_reply_with_a_defect_of_its_own_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    row = {"prompt": "Is it?", "reply": f"{GOOD} {MARKS['cold_tone']}", "id": "r"}
    path.write_bytes(orjson.dumps(row))
    async with OpenAIServer(world()) as server:
        await ran(server, tmp_path, path, options={"defects": "wrong_step"})
    assert reasons(tmp_path) == {"chosen: shows a defect itself (cold_tone)": 1}


async def test_exact_pairs_differ_by_one_defect_only(tmp_path: Path) -> None:
    def also_cold(name: str, statement: str, text: str) -> bool:
        cold = name == "pair.cold_tone" and MARKS["wrong_step"] in text
        return cold or good_judge(name, statement, text)

    for exact, outcome in (("no", "kept"), ("yes", "rejected")):
        async with OpenAIServer(world(also_cold)) as server:
            options = {"defects": "wrong_step", "exact": exact}
            folder = tmp_path / exact
            folder.mkdir()
            result = await ran(server, folder, asked(folder, 2), options=options)
        assert result.summary.outcomes == {outcome: 2}


async def test_a_rejected_reply_of_the_wrong_length_is_asked_for_again_and_then_dropped(
    tmp_path: Path,
) -> None:
    plain = world()

    def wordy(body: dict[str, Any]) -> Any:
        reply = plain(body)
        prompt = body["messages"][-1]["content"]
        return type(reply)("word " * 400) if "The change:" in prompt else reply

    async with OpenAIServer(wordy) as server:
        await ran(server, tmp_path, asked(tmp_path, 1), options={"defects": "cold_tone"})
        assert server.calls == 3, "the good reply, and two tries at the other; nothing is judged"
        assert "had 400 words" in server.asked[-1].body["messages"][-1]["content"]
    assert reasons(tmp_path) == {"length: the rejected reply is not as long as it should be": 1}


# ── ranked ───────────────────────────────────────────────────────────────────────────────────


async def test_ranking_keeps_the_widest_margin_within_the_window(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        rows = asked(tmp_path, 40, "ranked")
        result = await ran(server, tmp_path, rows, mode="rank", options={"balance": "no"})
        temperatures = Counter(a.body.get("temperature") for a in server.asked)
        assert server.calls == 40 * (4 + 4 + 2)
    assert {temperatures[t] for t in (0.4, 0.6, 0.8, 1.0)} == {40}
    assert result.summary.outcomes == {"kept": 40}
    for sample in result.samples():
        pair, data = sample["metadata"]["pair"], sample["metadata"]
        scores = pair["scores"]
        best, worse = pair["alternatives"]
        assert scores[best] == max(scores)
        assert scores[worse] == min(scores)
        assert pair["margin"] == pytest.approx(scores[best] - scores[worse], abs=2e-4)
        assert pair["broken"] == ["mr.repairs"]
        assert data["rejected_judged"]["weighted"] < data["weighted"]
    assert balance(tmp_path)["comparisons"]["agreed"] == 40


async def test_a_ranked_pair_is_on_the_side_that_was_drawn(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        rows = asked(tmp_path, 80, "ranked")
        await ran(server, tmp_path, rows, mode="rank", options={"compare": "no"})
    found = balance(tmp_path)
    assert found["kept"] == 80
    low, high = found["longer_share_95"]
    assert low <= 0.5 <= high


async def test_a_judge_that_prefers_the_longer_reply_is_bounded_and_shows_in_the_balance(
    tmp_path: Path,
) -> None:
    async with OpenAIServer(world(judge_of_length)) as server:
        rows = asked(tmp_path, 40, "ranked")
        await ran(server, tmp_path, rows, mode="rank")
    found = balance(tmp_path)
    assert 0 < found["kept"] < 40, "where the shorter was to win, there is no pair"
    assert found["longer_share"] == 1.0
    assert found["words_ratio"] <= 1.3
    assert reasons(tmp_path) == {
        "length: no two alternatives are as long as they should be": 40 - found["kept"]
    }


async def test_alternatives_that_score_alike_are_a_tie(tmp_path: Path) -> None:
    async with OpenAIServer(world(tying_judge)) as server:
        result = await ran(server, tmp_path, asked(tmp_path, 4, "ranked"), mode="rank")
    assert result.summary.outcomes == {"rejected": 4}
    assert reasons(tmp_path) == {"tie: no two alternatives differ by the margin": 4}


async def test_alternatives_that_all_fail_are_no_pair(tmp_path: Path) -> None:
    async with OpenAIServer(world(lambda *_: False)) as server:
        await ran(server, tmp_path, asked(tmp_path, 2, "ranked"), mode="rank")
    assert reasons(tmp_path) == {"no alternative passes the rubric": 2}


# ── compared ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("says", "reason", "counted"),
    [
        ("A", "tie: the comparison depends on the order", "always_first"),
        ("B", "tie: the comparison depends on the order", "always_second"),
        ("tie", "tie: the comparison sees no clear difference", "tied"),
    ],
)
async def test_a_judge_that_goes_by_the_place_is_found_out(
    tmp_path: Path, says: str, reason: str, counted: str
) -> None:
    async with OpenAIServer(world(compare=lambda *_: says)) as server:
        rows = asked(tmp_path, 3)
        result = await ran(server, tmp_path, rows, options={"compare": "yes"})
        prompts = [a.body["messages"][-1]["content"] for a in server.asked]
    assert result.summary.outcomes == {"rejected": 3}
    assert reasons(tmp_path) == {reason: 3}
    assert balance(tmp_path)["comparisons"][counted] == 3
    compared = [prompt for prompt in prompts if "<reply_A>" in prompt]
    assert sum(f"<reply_A>\n{GOOD}" in prompt for prompt in compared) == 3
    assert sum(f"<reply_B>\n{GOOD}" in prompt for prompt in compared) == 3


async def test_a_comparison_that_prefers_the_rejected_reply_drops_the_pair(tmp_path: Path) -> None:
    def contrary(_: object, a: str, b: str) -> str:
        return "B" if a == GOOD else "A"

    async with OpenAIServer(world(compare=contrary)) as server:
        await ran(server, tmp_path, asked(tmp_path, 2), options={"compare": "yes"})
    assert reasons(tmp_path) == {"the comparison prefers the rejected reply": 2}
    assert balance(tmp_path)["comparisons"]["agreed"] == 2


async def test_the_judge_is_never_told_which_reply_is_which(tmp_path: Path) -> None:
    async with OpenAIServer(world()) as server:
        await ran(server, tmp_path, asked(tmp_path, 6), options={"compare": "yes"})
        judged = [
            "\n".join(m["content"] for m in a.body["messages"])
            for a in server.asked
            if "response_format" in a.body
        ]
    assert len(judged) == 6 * 4
    for prompt in judged:
        assert not re.search(r"chosen|rejected|defect|degrad|the good reply", prompt, re.IGNORECASE)
    statements = {tuple(re.findall(r"^- (\S+):", p, re.MULTILINE)) for p in judged if "<text>" in p}
    assert len(statements) == 1, "each reply is asked about every defect"


# ── in runs ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["degrade", "rank"])
async def test_a_run_resumes_without_new_calls_and_exports_what_validates(
    tmp_path: Path, mode: str
) -> None:
    rows = asked(tmp_path, 12, "ranked" if mode == "rank" else "plain")
    async with OpenAIServer(world()) as server:
        first = await ran(server, tmp_path, rows, mode=mode)
        calls, samples = server.calls, (tmp_path / "run" / "samples.jsonl").read_bytes()
        again = await ran(server, tmp_path, rows, mode=mode)
        assert server.calls == calls
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == samples
    assert first.summary.kept == again.summary.kept == 12
    path = tmp_path / "preference.jsonl"
    assert export(again.samples(), path, format="preference") == 12
    report = validate(path, "preference")
    assert (report.ok, report.lines, report.errors) == (True, 12, 0)
    assert (tmp_path / "run" / "finetune.jsonl").read_bytes().count(b"\n") == 12


async def test_the_samples_of_a_misconception_run_are_contexts(tmp_path: Path) -> None:
    said = [
        {"role": "system", "content": "You are a tutor."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": GOOD},
    ]
    rubric = [{"text": "Says so.", "weight": 5, "dimension": "own"}]
    data = {"subject": "algebra", "rubrics": rubric, "outcome": "kept"}
    lines = [
        {"id": "a", "messages": said, "metadata": data},
        {"id": "b", "messages": said, "metadata": {**data, "outcome": "rejected"}},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    async with OpenAIServer(world()) as server:
        result = await ran(server, tmp_path, path, options={"defects": "wrong_level"})
        assert server.calls == 3 + 4, "a kept reply is there already, a rejected one is no use"
    for sample, name in zip(result.samples(), "ab", strict=True):
        assert sample["messages"] == said
        assert sample["metadata"]["source_id"] == name
        assert sample["metadata"]["subject"] == "algebra"
        assert "own.c1" in {verdict["id"] for verdict in sample["metadata"]["verdicts"]}


async def test_an_estimate_has_a_line_for_each_kind_of_call(tmp_path: Path) -> None:
    for mode, stages in (
        ("degrade", {"reply", "degrade"}),
        ("rank", {"reply", "compare"}),
    ):
        config = RunConfig(
            recipe="preference", models={"default": "scripted/any"}, mode=mode, n=60, controls=0
        )
        found = await estimate(config, tmp_path / "none", recipe=PREFERENCE)
        names = {stage.stage for stage in found.stages}
        assert {f"preference/{stage}.md.j2" for stage in stages} | {"judge.md.j2"} == names


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked(tmp_path: Path) -> None:
    """A model of 135 million parameters is no tutor and no judge; its pairs are sorted all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    if not any(
        entry["name"] == "local/smollm2-135m" and entry["here"] for entry in local.MODELS.list()
    ):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    row = Context(prompt=(user("Is 1/2 + 1/3 = 2/5?"),), reply=GOOD, defect="drops_diagnosis")
    result = await arun(
        PREFERENCE,
        models="local/smollm2-135m",
        rows=[replace(row, parts=Gold(reply=GOOD, diagnosis=PARTS["mr.names-confusion"]))],
        rubric=str(ROOT / "examples" / "short_reply.yaml"),
        controls=0,
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        settings={"judge": {"max_tokens": 150}},
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    assert not result.summary.outcomes.get("failed")
    (sample,) = all_samples(tmp_path)
    assert sample["metadata"]["pair"]["made_by"] == "code: drop_diagnosis"
    assert sample["metadata"]["rejected_judged"]["verdicts"]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def taken(count: int | None = None, **options: Any) -> list[Context | BadRow]:
    return list(islice(contexts(RowOptions(**options)).rows, count))


def of(found: list[Context | BadRow]) -> list[Context]:
    assert all(isinstance(row, Context) for row in found), found
    return [row for row in found if isinstance(row, Context)]


def test_every_defect_is_as_frequent_as_any_other_and_each_context_meets_all() -> None:
    rows = of(taken(per_seed=6))
    assert set(Counter(row.defect for row in rows).values()) == {84}
    assert len({(row.about["seed_id"], row.defect) for row in rows}) == 84 * 6
    assert len({canonical(row) for row in rows}) == len(rows)


def test_a_pair_without_a_model_is_not_made_twice() -> None:
    rows = of(taken(84 * 3, options={"defects": "leaks_answer,cold_tone"}))
    assert [bool(row.parts) for row in rows[:28]] == [True] * 28
    assert not any(row.parts or row.reply for row in rows[168:])


def test_more_per_seed_adds_rows_and_changes_none() -> None:
    few, many = taken(per_seed=1), taken(per_seed=3)
    assert many[: len(few)] == few


def test_ranked_contexts_of_the_bank_have_no_reply_of_ours() -> None:
    assert not any(row.reply or row.parts or row.defect for row in of(taken(84, mode="rank")))


def test_a_csv_of_prompts_and_one_of_seeds_are_both_read(tmp_path: Path) -> None:
    for name, fields in (
        ("prompts", {"prompt": "Why is the sky blue?", "reply": GOOD}),
        ("seeds", {"question": "Q", "first_explanation": "E", "follow_up": "F"}),
    ):
        path = tmp_path / f"{name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(fields))
            writer.writeheader()
            writer.writerow(fields)
        (row,) = of(taken(path=path))
        assert (row.reply, row.seed is None) == ((GOOD, True) if name == "prompts" else ("", False))


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "user"}]}, "needs a role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "take turns"),
        ({"prompt": "Why?", "rubric": "{"}, ""),
        ({"prompt": "Why?", "rubric": [{"text": "x"}]}, "weight"),
    ],
)
def test_a_row_that_is_no_conversation_is_said_with_its_place(
    tmp_path: Path, record: dict[str, Any], fault: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(orjson.dumps(record))
    (row,) = taken(path=path)
    assert isinstance(row, BadRow)
    assert fault in row.reason
    assert "line 1" in row.where


@pytest.mark.parametrize(
    "options",
    [
        {"defects": "rudeness"},
        {"defects": ","},
        {"margin": "much"},
        {"window": "0.5"},
        {"compare": "perhaps"},
        {"alternatives": "1"},
        {"temperatures": "0.3,hot"},
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        contexts(RowOptions(options=options))


@pytest.mark.parametrize("pack", ["misconception-repair", "socratic-turn", "care-and-age"])
def test_any_pack_gets_a_criterion_for_each_defect_and_keeps_its_rule(pack: str) -> None:
    rubric = load_rubric(pack)
    judged = judged_by(rubric, 100)
    for name in DEGRADATIONS:
        assert all(judged.criterion(target) for target in targets(rubric, name))
    own = judged.criteria[len(rubric.criteria) :]
    assert not any(criterion.is_critical for criterion in own)
    assert judged.scoring == rubric.scoring


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_what_comes_out(tmp_path: Path) -> None:
    (text,) = re.findall(r"```json golden\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    golden = orjson.loads(text)
    good, bad = (golden[side][0]["content"] for side in ("chosen", "rejected"))
    plain = world(lambda name, statement, shown: good_on_the_page(name, statement, shown, bad))

    def model(body: dict[str, Any]) -> Any:
        reply = plain(body)
        if "response_format" in body:
            return reply
        return type(reply)(bad if "The change:" in body["messages"][-1]["content"] else good)

    async with OpenAIServer(model) as server:
        rows = ROOT / "examples" / "seeds.jsonl"
        options = {"defects": "leaks_answer", "balance": "no"}
        result = await ran(server, tmp_path, rows, options=options)
    path = tmp_path / "preference.jsonl"
    export([next(iter(result.samples()))], path, format="preference")
    assert orjson.loads(path.read_bytes()) == golden


def good_on_the_page(name: str, statement: str, shown: str, bad: str) -> bool:
    """What a good judge says of the page's two replies."""
    fault = name in ("mr.gives-answer", "own.c3") or tying_judge(name, statement, shown) is False
    return (name == "mr.gives-answer" and shown == bad) if fault else True
