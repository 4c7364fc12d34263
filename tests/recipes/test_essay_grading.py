from __future__ import annotations

import re
from collections import Counter
from itertools import islice, product
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor import arun
from synthtutor.api import Result
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.recipes.essay_grading import ESSAY_GRADING, Article, Row, article_rows
from synthtutor.recipes.essay_traits import (
    CLEAR,
    FACTS,
    FAITHFUL,
    LEVELS,
    MAIN_POINT,
    ON_TOPIC,
    OWN_WORDS,
    copies,
    label_of,
    profiles,
)
from synthtutor.recipes.recipe import RowOptions
from synthtutor.rubric import load_rubric
from synthtutor.sources import BadRow
from synthtutor.testing.server import OpenAIServer
from tests.recipes.graders import (
    ARTICLE,
    COPIED,
    FALSE,
    MAIN,
    holds,
    prompt_of,
    school,
)
from tests.recipes.graders import (
    FACTS as SAID_FACTS,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recipes" / "grading.md"
EXAMPLES = ROOT / "examples"
TRAITS = (MAIN_POINT, FACTS, FAITHFUL, OWN_WORDS, CLEAR, ON_TOPIC)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")


async def ran(server: OpenAIServer, folder: Path, rows: Any, **more: Any) -> Result:
    model = "compatible/test-model"
    return await arun(
        ESSAY_GRADING,
        models={"writer": model, "judge": model},
        rows=rows,
        base_urls={"compatible": server.base_url},
        max_failed=1.0,
        out=folder / "run",
        **more,
    )


def dropped(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "run" / "rejected.jsonl").read_bytes()
    return [orjson.loads(line) for line in text.splitlines()]


def articles(folder: Path, count: int = 1) -> Path:
    path = folder / "articles.jsonl"
    rows = [
        {
            "id": n,
            "article": f"{ARTICLE} It is the {n}. year.",
            "highlights": f"{MAIN} {SAID_FACTS}",
        }
        for n in range(count)
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def taken(path: Path, count: int = 1000, **more: Any) -> list[Row]:
    rows = list(islice(article_rows(RowOptions(path=path, **more)).rows, count))
    return [row for row in rows if isinstance(row, Row)]


# ── over http ────────────────────────────────────────────────────────────────────────────────


async def test_summaries_of_every_level_get_the_label_that_their_traits_add_up_to(
    tmp_path: Path,
) -> None:
    async with OpenAIServer(school()) as server:
        for _ in range(2):
            result = await ran(server, tmp_path, articles(tmp_path, 4))
            assert server.calls == 2 * 24, "and the second run is paid by the first"
    assert result.summary.outcomes == {"kept": 24}
    assert Counter(s["metadata"]["label"] for s in result.samples()) == dict.fromkeys(LEVELS, 4)
    for sample in result.samples():
        data = sample["metadata"]
        assert data["label"] == data["wanted"]
        lacking = {name for name, has in data["traits"].items() if not has}
        also = {MAIN_POINT, FACTS} if data["wanted"] == 0 else set()
        assert lacking == {*data["lacks"], *also}
        shown = data["grading"]["input"]
        assert shown.startswith("Article: The library")
        assert shown.endswith(f" Student Summary: {data['student_summary']}")
        assert [m["content"] for m in sample["messages"]] == [shown, str(data["label"])]


async def test_the_judge_is_not_told_what_was_asked_for(tmp_path: Path) -> None:
    async with OpenAIServer(school()) as server:
        await ran(server, tmp_path, articles(tmp_path))
        judged = [prompt_of(a.body) for a in server.asked if "response_format" in a.body]
    assert len(judged) == 6
    assert not [prompt for prompt in judged if "wrong with the summary" in prompt]
    assert not [prompt for prompt in judged if "level" in prompt.lower()]


async def test_a_label_far_from_what_was_asked_for_is_kept_apart(tmp_path: Path) -> None:
    def blind(name: str, text: str) -> bool:
        return name in ("es.main-point", "es.key-facts")

    async with OpenAIServer(school(blind)) as server:
        result = await ran(server, tmp_path, articles(tmp_path))
        kept = [s["metadata"] for s in result.samples()]
        assert kept
        assert all(abs(each["label"] - each["wanted"]) <= 1 for each in kept)
        assert {s["metadata"]["reasons"][0][:12] for s in dropped(tmp_path)} == {"disagreement"}
        assert {s["metadata"]["label"] for s in dropped(tmp_path)} <= {4, 5}
        before = server.calls
        result = await ran(server, tmp_path, articles(tmp_path), options={"apart": "5"})
        assert server.calls == before
    assert result.summary.outcomes == {"kept": 6}
    wanted = orjson.loads((tmp_path / "run" / "statistics.json").read_bytes())["labels"]["wanted"]
    assert wanted["compared"] == 6
    assert 0 < wanted["agreement"] < 0.5


async def test_what_the_judge_leaves_open_or_contradicts_is_undetermined(tmp_path: Path) -> None:
    row = Row(Article(ARTICLE), 5, (), "steady")
    plain = school()

    def silent(body: dict[str, Any]) -> Any:
        reply = plain(body)
        if "response_format" not in body:
            return reply
        said = orjson.loads(reply.text or "")
        del said["es.invents"]
        return type(reply)(orjson.dumps(said).decode())

    async with OpenAIServer(silent) as server:
        result = await ran(server, tmp_path, [row])
    assert result.summary.outcomes == {"undetermined": 1}
    assert dropped(tmp_path)[0]["metadata"]["reasons"] == ["trait faithful was not judged"]
    both = school(lambda name, text: name == "es.other-topic" or holds(name, text))
    async with OpenAIServer(both) as server:
        result = await ran(server, tmp_path / "other", [row])
    assert result.summary.outcomes == {"undetermined": 1}


async def test_copied_words_are_counted_whatever_the_judge_says(tmp_path: Path) -> None:
    def copying(_: str) -> str:
        return f"{MAIN} {SAID_FACTS} {COPIED}"

    row = Row(Article(ARTICLE), 5, (), "steady")
    async with OpenAIServer(school(write=copying)) as server:
        result = await ran(server, tmp_path, [row])
    (sample,) = result.samples()
    assert sample["metadata"]["traits"]["own-words"] is False
    assert sample["metadata"]["label"] == 4


async def test_the_old_labels_are_the_bins_of_the_cosine_with_the_reference(tmp_path: Path) -> None:
    article = Article(ARTICLE, f"{MAIN} {SAID_FACTS}")
    rows = [Row(article, 5, (), "steady"), Row(article, 3, (FAITHFUL,), "steady")]
    async with OpenAIServer(school()) as server:
        await ran(server, tmp_path, rows)
        before = server.calls
        result = await ran(server, tmp_path, rows, options={"label": "cosine"})
        assert server.calls == before
    sound, false = (s["metadata"] for s in result.samples())
    assert (sound["label"], sound["grading"]["trusted"]) == (5, 5), "the reference's own words"
    assert FALSE in false["student_summary"]
    assert (false["label"], false["grading"]["trusted"]) == (5, 3), "an untrue sentence more"
    told = orjson.loads((tmp_path / "run" / "statistics.json").read_bytes())["labels"]["cosine"]
    assert told["confusion"] == {"3": {"5": 1}, "5": {"5": 1}}


async def test_a_pack_without_the_traits_is_refused(tmp_path: Path) -> None:
    async with OpenAIServer(school()) as server:
        with pytest.raises(ConfigError, match="trait:main-point"):
            await ran(server, tmp_path, articles(tmp_path), rubric="socratic-turn", controls=0)
        assert server.calls == 0


async def test_an_estimate_has_a_summary_and_a_judgement_for_each_row(tmp_path: Path) -> None:
    config = RunConfig(
        recipe="essay-grading",
        models={"writer": "scripted/any", "judge": "scripted/other"},
        rows=str(articles(tmp_path, 3)),
    )
    found = await estimate(config, tmp_path / "none", recipe=ESSAY_GRADING)
    assert found.rows == 18
    stages = {stage.stage for stage in found.stages}
    assert stages == {"essay_grading/summary.md.j2", "essay_grading/judged.md.j2"}


# ── traits and labels ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lacks", "label"),
    [
        (set(), 5),
        ({OWN_WORDS}, 4),
        ({FACTS}, 4),
        ({FAITHFUL}, 3),
        ({OWN_WORDS, CLEAR}, 3),
        ({MAIN_POINT}, 2),
        ({MAIN_POINT, FACTS}, 1),
        ({ON_TOPIC}, 0),
        (set(TRAITS) - {ON_TOPIC}, 0),
    ],
)
def test_the_label_is_a_sum_with_caps(lacks: set[str], label: int) -> None:
    assert label_of({name: name not in lacks for name in TRAITS}) == label


def test_a_trait_more_never_lowers_the_label() -> None:
    for values in product((False, True), repeat=len(TRAITS)):
        has = dict(zip(TRAITS, values, strict=True))
        for name in TRAITS:
            assert label_of(has | {name: True}) >= label_of(has)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_writer_is_asked_for_adds_up_to_the_level(level: int) -> None:
    ways = profiles(level)
    assert ways
    for lacks in ways:
        assert label_of({name: name not in lacks for name in TRAITS}) == level


def test_ten_words_in_a_row_are_copied_and_nine_are_not() -> None:
    words = ARTICLE.split()
    assert copies(f"I read that {' '.join(words[5:15]).upper()}", ARTICLE)
    assert not copies(f"I read that {' '.join(words[5:14])}", ARTICLE)


def test_the_pack_has_a_criterion_for_each_judged_trait() -> None:
    tags = {tag for c in load_rubric("essay-summary").criteria for tag in c.tags}
    assert tags == {f"trait:{name}" for name in TRAITS if name != OWN_WORDS}


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def test_each_article_meets_each_level_and_the_first_rows_are_balanced(tmp_path: Path) -> None:
    rows = taken(articles(tmp_path, 12))
    assert len(rows) == 72
    assert Counter(row.level for row in rows[:12]) == dict.fromkeys(LEVELS, 2)
    met = Counter((row.article.id, row.level) for row in rows)
    assert set(met.values()) == {1}
    lacking = {row.lacks for row in rows if row.level == 4}
    assert lacking == {(FACTS,), (OWN_WORDS,), (CLEAR,)}


def test_cnn_columns_own_columns_and_instruction_rows_are_read(tmp_path: Path) -> None:
    bridge = taken(EXAMPLES / "articles.jsonl", 1)[0].article
    assert bridge.id == "bridge"
    assert bridge.summary.startswith("The footbridge over the Arle closes")
    other = tmp_path / "other.csv"
    other.write_text(f'text_of,short\n"{ARTICLE}",{MAIN}\n')
    columns = {"article": "text_of", "summary": "short"}
    own = taken(other, 1, options=columns)[0].article
    assert (own.text, own.summary) == (ARTICLE, MAIN)
    turns = tmp_path / "turns.jsonl"
    user = f"Sum up this article:\n\n{ARTICLE}"
    said = f"<start_of_turn>user\n{user}<end_of_turn>\n<start_of_turn>model\n{MAIN}<end_of_turn>"
    turns.write_bytes(orjson.dumps({"prompt": said}))
    instructed = taken(turns, 1)[0].article
    assert (instructed.text, instructed.summary) == (ARTICLE, MAIN)


@pytest.mark.parametrize(
    ("record", "fault"),
    [({"story": ARTICLE}, "--option article="), ({"article": "Too short."}, "fewer than 30 words")],
)
def test_a_row_without_an_article_is_said_with_its_place(
    tmp_path: Path, record: dict[str, str], fault: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(orjson.dumps(record))
    (row,) = article_rows(RowOptions(path=path)).rows
    assert isinstance(row, BadRow)
    assert fault in row.reason
    assert "line 1" in row.where


def test_options_and_a_missing_file_are_named() -> None:
    with pytest.raises(ConfigError, match="--rows FILE"):
        article_rows(RowOptions())
    for options in ({"apart": "6"}, {"label": "maybe"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            article_rows(RowOptions(path=EXAMPLES / "articles.jsonl", options=options))


# ── models ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked_for_summaries(tmp_path: Path) -> None:
    """Its judgements are noise; a label comes of all traits or of none all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    model = "local/smollm2-135m"
    if not any(entry["name"] == model and entry["here"] for entry in local.MODELS.list()):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        ESSAY_GRADING,
        models={"writer": model, "judge": model},
        rows=[Row(Article(ARTICLE), 5, (), "steady")],
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        settings={"writer": {"max_tokens": 40}, "judge": {"max_tokens": 40}},
        options={"apart": "5"},
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    for sample in result.samples():
        assert sample["metadata"]["label"] == label_of(sample["metadata"]["traits"])


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_the_summaries_that_come_out(tmp_path: Path) -> None:
    golden = [
        orjson.loads(line)
        for line in re.findall(
            r"```json golden-essay\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
        )[0].splitlines()
    ]
    texts = {row["label"]: row["input"].partition("Student Summary: ")[2] for row in golden}
    bridge = taken(EXAMPLES / "articles.jsonl", 1)[0].article
    rows = [Row(bridge, 5, (), "steady"), Row(bridge, 3, (FAITHFUL,), "steady")]

    def judge(name: str, text: str) -> bool:
        return name in ("es.main-point", "es.key-facts") or (
            name == "es.contradicts" and text == texts[3]
        )

    def write(prompt: str) -> str:
        return str(texts[3 if "untrue to the article" in prompt else 5])

    async with OpenAIServer(school(judge, write)) as server:
        result = await ran(server, tmp_path, rows)
    shown = [
        {"input": s["metadata"]["grading"]["input"], "label": s["metadata"]["label"]}
        for s in result.samples()
    ]
    assert shown == golden
