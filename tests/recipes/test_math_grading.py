from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor import arun
from synthtutor.api import Result
from synthtutor.config import RunConfig
from synthtutor.errors import ConfigError
from synthtutor.estimating import estimate
from synthtutor.export import export
from synthtutor.recipes.grading_rows import Row, math_rows
from synthtutor.recipes.math_grading import MATH_GRADING, Work, examined
from synthtutor.recipes.problems import Problem
from synthtutor.recipes.recipe import RowOptions
from synthtutor.recipes.student_work import ABILITIES, ERROR_TYPES, MISAPPLIED_RULE
from synthtutor.recipes.verification import verified
from synthtutor.sources import BadRow
from synthtutor.testing.server import OpenAIServer
from tests.recipes.graders import honest, prompt_of, students, worked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recipes" / "grading.md"
EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")


async def ran(server: OpenAIServer, folder: Path, rows: Any, **more: Any) -> Result:
    return await arun(
        MATH_GRADING,
        models={"writer": "compatible/test-model"},
        rows=rows,
        base_urls={"compatible": server.base_url},
        max_failed=1.0,
        out=folder / "run",
        **more,
    )


def dropped(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "run" / "rejected.jsonl").read_bytes()
    return [orjson.loads(line) for line in text.splitlines()]


def taken(count: int = 100, **more: Any) -> list[Row]:
    rows = list(islice(math_rows(RowOptions(**more)).rows, count))
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [row for row in rows if isinstance(row, Row)]


def sums(folder: Path, count: int) -> Path:
    path = folder / "sums.jsonl"
    rows = [
        {"question": f"Ann has {n} and gets 3. How many?", "answer": n + 3} for n in range(count)
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


# ── over http ────────────────────────────────────────────────────────────────────────────────


async def test_right_and_wrong_answers_come_in_equal_parts_and_the_label_is_what_was_verified(
    tmp_path: Path,
) -> None:
    async with OpenAIServer(students()) as server:
        for _ in range(2):
            result = await ran(server, tmp_path, sums(tmp_path, 10))
            assert server.calls == 20, "and the second run is paid by the first"
    assert result.summary.outcomes == {"kept": 20}
    samples = result.samples()
    assert Counter(s["metadata"]["label"] for s in samples) == {0: 10, 1: 10}
    for sample in samples:
        data = sample["metadata"]
        assert (data["final_answer"] == data["gold_answer"]) is (data["label"] == 1)
        assert (data["first_wrong_step"] is None) is (data["label"] == 1)
        shown = data["grading"]["input"]
        assert shown == f"Q: {data['question']} Student Answer: {data['grading']['answer']}"
        assert [m["content"] for m in sample["messages"]] == [shown, str(data["label"])]
    by_group: dict[str, set[int]] = {}
    for sample in samples:
        by_group.setdefault(sample["metadata"]["grading"]["group"], set()).add(
            sample["metadata"]["label"]
        )
    assert list(by_group.values()) == [{0, 1}] * 10, "each problem is answered both ways"


async def test_a_writer_that_is_always_right_is_asked_again_and_its_wrong_answers_are_dropped(
    tmp_path: Path,
) -> None:
    async def always_right() -> Result:
        def work(prompt: str) -> Any:
            return honest(prompt.replace("gets it wrong", "gets it right."))

        async with OpenAIServer(students(work)) as server:
            found = await ran(server, tmp_path, sums(tmp_path, 2))
            assert server.calls == 2 + 2 * 3
            assert "was not to be right" in prompt_of(server.asked[-1].body)
            return found

    result = await always_right()
    assert result.summary.outcomes == {"kept": 2, "rejected": 2}
    assert {s["metadata"]["label"] for s in result.samples()} == {1}
    for sample in dropped(tmp_path):
        assert sample["metadata"]["reasons"] == ["asked for: the final answer was not to be right"]
        assert sample["metadata"]["label"] == 1, "the label stays the truth"


async def test_the_cosine_label_replaces_the_trusted_one_and_pays_for_nothing(
    tmp_path: Path,
) -> None:
    rows = tmp_path / "rows.jsonl"
    question = "A box holds 4 rows of 6 rolls and 5 loose rolls. How many rolls are there in it?"
    solution = "I look at what is given.\nSo it is 29.\nAnswer: 29"
    rows.write_bytes(orjson.dumps({"question": question, "answer": "29", "solution": solution}))
    async with OpenAIServer(students()) as server:
        await ran(server, tmp_path, rows)
        before = server.calls
        result = await ran(server, tmp_path, rows, options={"label": "cosine"})
        assert server.calls == before
    found = {s["metadata"]["grading"]["trusted"]: s["metadata"] for s in result.samples()}
    assert (found[1]["label"], found[0]["label"]) == (1, 1), "30 and 29 are nearly the same text"
    assert found[0]["grading"]["cosine"]["measure"] == "ngrams"
    assert 0.85 <= found[0]["grading"]["cosine"]["similarity"] < 1
    told = orjson.loads((tmp_path / "run" / "statistics.json").read_bytes())["labels"]
    assert told["label_by"] == {"cosine": 2}
    assert told["cosine"]["confusion"] == {"0": {"1": 1}, "1": {"1": 1}}
    assert told["cosine"]["agreement"] == told["cosine"]["majority"] == 0.5
    assert told["cosine"]["measures"] == {"ngrams": 2}


async def test_the_tasks_of_the_misconceptions_are_answered_as_they_come_to(tmp_path: Path) -> None:
    async with OpenAIServer(students()) as server:
        result = await ran(server, tmp_path, None, n=92)
    assert result.summary.outcomes == {"kept": 92}
    wrong = [s["metadata"] for s in result.samples() if s["metadata"]["label"] == 0]
    assert len({data["malrule"] for data in wrong}) == 46
    assert {data["error_type"] for data in wrong} == {MISAPPLIED_RULE}


async def test_the_run_can_be_exported(tmp_path: Path) -> None:
    async with OpenAIServer(students()) as server:
        result = await ran(server, tmp_path, sums(tmp_path, 30))
    assert export(result.samples(), tmp_path / "graded", format="grading") == 60
    line = orjson.loads((tmp_path / "graded" / "train.jsonl").read_bytes().splitlines()[0])
    assert list(line) == ["input", "label"]


async def test_an_estimate_has_a_call_for_each_answer(tmp_path: Path) -> None:
    config = RunConfig(
        recipe="math-grading", models={"writer": "scripted/any"}, rows=str(sums(tmp_path, 8))
    )
    found = await estimate(config, tmp_path / "none", recipe=MATH_GRADING)
    (stage,) = found.stages
    assert (stage.stage, found.rows) == ("math_grading/answer.md.j2", 16)


PROBLEM = Problem("A baker has 4 trays with 6 rolls on each, and 5 loose rolls. How many?", "29")


@pytest.mark.parametrize(
    ("wanted", "work", "faults"),
    [
        (True, worked(["4 x 6 = 24", "24 + 5 = 29"], "29"), []),
        (
            True,
            worked(["4 x 6 = 26", "26 + 5 = 31, no, 29"], "29"),
            ["a sum in the steps is wrong"],
        ),
        (True, worked(["4 x 6 = 24", "24 + 5 = 29"], "29", 1), ["a wrong step is named"]),
        (False, worked(["4 + 6 = 10", "10 + 5 = 15"], "15", 1), []),
        (False, worked(["4 x 6 = 24", "24 + 5 = 28"], "28", 2), []),
        (False, worked(["4 x 6 = 26", "26 + 5 = 31"], "31", 2), ["before the step that is named"]),
        (False, worked(["4 + 6 = 10", "10 + 5 = 15"], "15"), ["no step of the answer is named"]),
        (False, worked(["4 + 6 = 10", "10 + 5 = 15"], "15", 3), ["no step of the answer is named"]),
        (False, worked(["4 x 6 = 24", "24 + 5 = 29"], "31", 2), ["does not come to the final"]),
        (False, worked(["4 x 6 = 24", "24 + 5 = 29"], "29"), ["was not to be right"]),
    ],
)
async def test_steps_are_held_against_the_label_and_against_arithmetic(
    wanted: bool, work: dict[str, Any], faults: list[str]
) -> None:
    row = Row(PROBLEM, wanted, "steady")
    checked = examined(
        Work.model_validate(work), row, await verified(PROBLEM.answer, work["final_answer"])
    )
    assert len(checked.faults) == len(faults)
    assert all(part in fault for part, fault in zip(faults, checked.faults, strict=True))
    assert checked.outcome == ("rejected" if faults else "kept")


async def test_a_first_wrong_step_says_whether_it_was_proven(tmp_path: Path) -> None:
    def work(prompt: str) -> Any:
        right = "The student gets it right." in prompt
        return (
            worked(["4 x 6 = 24", "24 + 5 = 29"], "29")
            if right
            else worked(["4 x 6 = 24", "24 + 5 = 28"], "28", 2)
        )

    async with OpenAIServer(students(work)) as server:
        result = await ran(
            server, tmp_path, [Row(PROBLEM, right, "steady") for right in (True, False)]
        )
    right, wrong = (s["metadata"] for s in result.samples())
    assert (right["first_wrong_step_is"], right["wrong_sum"]) == (None, None)
    assert wrong["first_wrong_step_is"] == "proven"
    assert wrong["wrong_sum"]["step"] == 2
    assert wrong["wrong_sum"]["value"] == "29"


async def test_another_error_than_the_misconceptions_is_refused() -> None:
    (_, row) = taken(2)
    assert row.case is not None
    other = "12345"
    work = Work.model_validate(worked([f"It is {other}."], other, 1))
    checked = examined(work, row, await verified(row.problem.answer, other))
    assert checked.faults == ("asked for: the final answer is not what the misconception comes to",)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def test_every_ability_meets_right_answers_and_every_error_type(tmp_path: Path) -> None:
    rows = taken(96, path=sums(tmp_path, 48))
    assert Counter(row.right for row in rows) == {True: 48, False: 48}
    wrong = Counter((row.ability, row.error_type) for row in rows if not row.right)
    assert wrong.keys() == {(a, e) for a in ABILITIES for e in ERROR_TYPES}
    assert set(wrong.values()) == {2}
    right = Counter(row.ability for row in rows if row.right)
    assert set(right.values()) == {16}


def test_the_first_rows_alone_are_balanced_too(tmp_path: Path) -> None:
    assert Counter(row.right for row in taken(10, path=sums(tmp_path, 48))) == {True: 5, False: 5}


def test_mathx_columns_are_known_and_a_misconception_is_found_for_a_bare_task() -> None:
    rows = taken(path=EXAMPLES / "mathx_style.jsonl")
    assert len(rows) == 8
    problems = [row.problem for row in rows[:4]]
    assert [problem.answer for problem in problems] == ["28", "60", "\\frac{3}{4}", "3x + 6"]
    assert "<think>" not in problems[0].solution
    assert problems[0].solution.startswith("The rows hold")
    (fractions,) = [row for row in rows if row.malrule]
    assert fractions.problem.question == "What is 1/4 + 3/6?"
    assert fractions.case is not None
    left_out = taken(path=EXAMPLES / "mathx_style.jsonl", options={"malrules": "no"})
    assert not [row for row in left_out if row.malrule]


def test_instruction_rows_and_other_columns_are_read(tmp_path: Path) -> None:
    eggs, paint = taken(2, path=EXAMPLES / "instruction_rows.jsonl")
    assert eggs.problem.question.startswith("A hen house")
    assert (eggs.problem.answer, paint.problem.answer) == ("6", "7")
    assert (eggs.problem.id, eggs.problem.source) == ("eggs", "instruction")
    other = tmp_path / "other.csv"
    other.write_text("Frage,Ergebnis\nWie viel ist 2 + 2?,4\n")
    (row, _) = taken(path=other, options={"question": "Frage", "answer": "Ergebnis"})
    assert (row.problem.question, row.problem.answer) == ("Wie viel ist 2 + 2?", "4")


def test_a_row_without_turns_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = orjson.loads((EXAMPLES / "instruction_rows.jsonl").read_bytes().splitlines()[0])
    path.write_bytes(orjson.dumps(good) + b'\n{"text": "hello"}\n')
    bad = [row for row in math_rows(RowOptions(path=path)).rows if isinstance(row, BadRow)]
    assert [each.where for each in bad] == [f"{path}, line 2"]


@pytest.mark.parametrize("options", [{"label": "maybe"}, {"measure": "eye"}, {"malrules": "some"}])
def test_an_option_that_cannot_be_used_is_named(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        math_rows(RowOptions(options=options))


# ── models ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_the_embedded_model_can_be_asked_for_answers(tmp_path: Path) -> None:
    """A model of 135 million parameters seldom does what it is told; its labels are true all the same."""
    local = pytest.importorskip("synthtutor_local_models")
    if not any(
        entry["name"] == "local/smollm2-135m" and entry["here"] for entry in local.MODELS.list()
    ):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    result = await arun(
        MATH_GRADING,
        models={"writer": "local/smollm2-135m"},
        rows=[Row(Problem("Ann has 2 apples and 3 pears. How many pieces?", "5"), True, "steady")],
        provider_options={"local": {"threads": "1"}},
        max_failed=1.0,
        settings={"writer": {"max_tokens": 120}},
        out=tmp_path / "run",
    )
    assert sum(result.summary.outcomes.values()) == 1
    for sample in result.samples():
        assert sample["metadata"]["label"] == 1


# ── what the page shows ──────────────────────────────────────────────────────────────────────


async def test_the_page_shows_the_lines_that_come_out(tmp_path: Path) -> None:
    golden = [
        orjson.loads(line)
        for line in re.findall(
            r"```json golden-math\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
        )[0].splitlines()
    ]
    texts = {row["label"]: row["input"].partition("Student Answer: ")[2] for row in golden}

    def work(prompt: str) -> Any:
        right = "The student gets it right." in prompt
        *steps, last = texts[int(right)].splitlines()
        return worked(steps, last.removeprefix("Answer: "), None if right else 1)

    first = next(iter(math_rows(RowOptions(path=EXAMPLES / "mathx_style.jsonl")).rows))
    assert isinstance(first, Row)
    rows = [first, Row(first.problem, False, "unsure", "wrong operation")]
    async with OpenAIServer(students(work)) as server:
        result = await ran(server, tmp_path, rows)
    assert result.summary.outcomes == {"kept": 2}
    shown = [
        {"input": s["metadata"]["grading"]["input"], "label": s["metadata"]["label"]}
        for s in result.samples()
    ]
    assert shown == golden
