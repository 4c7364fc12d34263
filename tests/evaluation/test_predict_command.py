"""`synthtutor predict`: from a file of conversations to a file of replies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.evaluation.conversations import Conversation, Said
from synthtutor.evaluation.predict import checks, latency
from synthtutor.testing.server import OpenAIServer, Reply
from tests.evaluation.systems import conversation, write
from tests.threads import serving

pytestmark = pytest.mark.slow

Say = Callable[..., tuple[int, str, str]]
MODEL = "compatible/test-model"


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def sent(server: OpenAIServer, number: int = 0) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = server.asked[number].body["messages"]
    return messages


def tutor(body: dict[str, Any]) -> Reply:
    asked = body["messages"][-1]["content"]
    return Reply("The answer is 42." if "Try 2" in asked else "What happens to the sheep?")


def test_each_conversation_gets_a_reply_that_is_checked_and_timed(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(n) for n in range(4)])
    with serving(OpenAIServer(tutor)) as server:
        words = (
            "predict",
            "-m",
            MODEL,
            "--test",
            path,
            "-o",
            "r.jsonl",
            "--base-url",
            server.base_url,
        )
        code, out, _ = say(*words)
        assert code == 0
        assert sent(server) == conversation(0)["messages"][:1], "the file's own messages, unchanged"
        calls = server.calls
        assert say(*words)[0] == 0
        assert server.calls == calls, "the same command asks nothing again"
    found = lines(tmp_path / "r.jsonl")
    assert [row["id"] for row in found] == ["c0", "c1", "c2", "c3"]
    assert [row["leaks_answer"] for row in found] == [False, False, True, False]
    assert found[2]["leak"] == "The answer is 42."
    assert {row["grade_source"] for row in found} == {"given"}
    assert all(row["age_fit"] for row in found)
    assert {row["model"] for row in found} == {MODEL}
    assert all(row["seconds"] > 0 for row in found)
    assert found[0]["reference"] == "What does the farmer do with the 25 sheep?"
    assert "gives the answer away: 1 of 4" in out
    assert "95th percentile" in out


def test_nothing_of_a_test_set_is_kept_for_training(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(1)])
    assert (
        say("predict", "-m", "scripted/x", "--test", path, "-o", "r.jsonl", "--run", "run")[0] == 0
    )
    assert (tmp_path / "run" / "finetune.jsonl").read_bytes() == b""
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == b""


def test_the_unified_prompt_is_the_same_for_all_but_for_what_is_known_of_the_student(
    say: Say, tmp_path: Path
) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(1)])
    with serving(OpenAIServer(tutor)) as server:
        words = ("predict", "-m", MODEL, "--test", path, "--base-url", server.base_url)
        assert say(*words, "-o", "a.jsonl", "--run", "a", "--system", "unified")[0] == 0
        assert (
            say(*words, "-o", "b.jsonl", "--run", "b", "--system", "unified", "--profile")[0] == 0
        )
        plain, known = sent(server, 0), sent(server, 1)
    assert [m["role"] for m in plain] == ["system", "user"]
    assert "grade 6" in plain[0]["content"]
    assert "17 sheep" in plain[0]["content"]
    assert "chess" not in plain[0]["content"]
    assert known[0]["content"].startswith(plain[0]["content"])
    assert "chess" in known[0]["content"].removeprefix(plain[0]["content"])
    assert known[1:] == plain[1:]


def test_a_reasoner_says_first_what_can_be_believed_and_the_tutor_is_told(
    say: Say, tmp_path: Path
) -> None:
    belief = {
        "evidence": [{"turn": 0, "quote": "I took 17 from 25"}],
        "last_correct_step": "none",
        "misconceptions": [],
        "affect": "unsure",
        "next_move": "ask what buying does",
    }

    def behaviour(body: dict[str, Any]) -> Reply:
        return Reply(orjson.dumps(belief).decode()) if "response_format" in body else tutor(body)

    path = write(tmp_path / "test.jsonl", [conversation(1)])
    with serving(OpenAIServer(behaviour)) as server:
        code, _, _ = say(
            *("predict", "-m", MODEL, "-m", f"reasoner={MODEL}", "--test", path, "-o", "r.jsonl"),
            *("--base-url", server.base_url, "--context", "reasoner"),
        )
        assert code == 0
        assert "ask what buying does" in sent(server, 1)[0]["content"]
    (found,) = lines(tmp_path / "r.jsonl")
    assert orjson.loads(found["context"])["next_move"] == "ask what buying does"
    assert found["model"] == MODEL


def test_timed_replies_are_asked_for_one_at_a_time_and_marked(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(n) for n in range(6)])
    with serving(OpenAIServer(tutor, delay_s=0.05)) as server:
        words = (
            "predict",
            "-m",
            MODEL,
            "--test",
            path,
            "-o",
            "r.jsonl",
            "--base-url",
            server.base_url,
        )
        assert say(*words, "--run", "beside")[0] == 0
        assert server.max_in_flight > 1
        assert {row["timed"] for row in lines(tmp_path / "r.jsonl")} == {False}
        server.max_in_flight = 0
        assert say(*words, "--run", "alone", "--timed")[0] == 0
        assert server.max_in_flight == 1
        assert {row["timed"] for row in lines(tmp_path / "r.jsonl")} == {True}
        assert say(*words, "--run", "beside", "--timed", "--yes")[0] == 0
    replayed = lines(tmp_path / "r.jsonl")
    assert {row["timed"] for row in replayed} == {False}, "its seconds are those of the first run"


@pytest.mark.parametrize(
    ("how", "source", "grade"),
    [("model", "model", 4), ("none", "unknown", None), ("readability", "readability", "some")],
)
def test_a_missing_grade_is_found_out_as_one_says(
    say: Say, tmp_path: Path, how: str, source: str, grade: object
) -> None:
    text = "I think that the farmer has eight sheep, because I took the small number from it. " * 3
    row = conversation(1, grade=None, messages=[{"role": "user", "content": text}])
    path = write(tmp_path / "test.jsonl", [row])

    def behaviour(body: dict[str, Any]) -> Reply:
        return Reply('{"grade": 4}') if "response_format" in body else tutor(body)

    with serving(OpenAIServer(behaviour)) as server:
        words = ("predict", "-m", MODEL, "--test", path, "-o", "r.jsonl", "--grade", how)
        assert say(*words, "--base-url", server.base_url)[0] == 0
    (found,) = lines(tmp_path / "r.jsonl")
    assert found["grade_source"] == source
    assert found["grade"] == grade or (grade == "some" and 0 <= found["grade"] <= 12)


def test_a_refused_conversation_has_no_reply_and_says_why(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(n) for n in range(3)])

    def behaviour(body: dict[str, Any]) -> Reply:
        if "Try 1" in body["messages"][-1]["content"]:
            return Reply.failure(400, "blocked", code="content_filter")
        return tutor(body)

    with serving(OpenAIServer(behaviour)) as server:
        words = ("predict", "-m", MODEL, "--test", path, "-o", "r.jsonl", "--json")
        code, out, _ = say(*words, "--base-url", server.base_url)
    assert code == 0
    told = orjson.loads(out.splitlines()[-1])
    assert (told["event"], told["conversations"], told["without_reply"]) == ("predictions", 3, 1)
    assert told["latency"]["count"] == 2
    refused = lines(tmp_path / "r.jsonl")[1]
    assert (refused["reply"], refused["seconds"]) == (None, None)
    assert "rejected (content)" in refused["fault"]


@pytest.mark.parametrize("words", [("--grade", "model"), ("--context", "reasoner")])
def test_a_grader_or_reasoner_that_refuses_does_not_take_the_reply_away(
    say: Say, tmp_path: Path, words: tuple[str, ...]
) -> None:
    rows = [conversation(n, grade=None) for n in range(3)]

    def behaviour(body: dict[str, Any]) -> Reply:
        if "response_format" in body and "Try 1" in str(body["messages"]):
            return Reply.failure(400, "blocked", code="content_filter")
        return Reply('{"grade": 4}') if "response_format" in body else tutor(body)

    path = write(tmp_path / "test.jsonl", rows)
    with serving(OpenAIServer(behaviour)) as server:
        given = ("predict", "-m", MODEL, "--test", path, "-o", "r.jsonl", *words, "--json")
        code, out, _ = say(*given, "--base-url", server.base_url)
    assert code == 0
    found = lines(tmp_path / "r.jsonl")
    assert [row["id"] for row in found] == ["c0", "c1", "c2"]
    assert all(row["reply"] for row in found)
    assert (found[1]["grade_source"], found[1]["context"]) == ("unknown", "")
    assert orjson.loads(out.splitlines()[-1])["failed"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--grade", "guess"), "--grade guess: choose one of readability, model, none"),
        (("--context", "all"), "--context all: choose one of"),
        (("--adapter", "nowhere"), "--adapter nowhere: there is no such folder"),
        (("-m", "scripted/y"), "--model: give one tutor"),
        (("-o", "test.jsonl"), "is the test file"),
        (("-o", "no/where.jsonl"), "there is no folder no"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_two(
    say: Say, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "test.jsonl", [conversation(1)])
    code, _, err = say(
        "predict", "-m", "scripted/x", "--test", "test.jsonl", "-o", "r.jsonl", *words
    )
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_reply_for_another_age_and_one_with_personal_data_do_not_fit() -> None:
    row = Conversation("c", "s", (Said("user", "Hi."),), grade=3)
    hard = "Notwithstanding considerable computational difficulties, investigate the multiplicative relationship systematically."
    assert checks("Count the red ones. How many are there?", row).age_fit is True
    assert checks(hard, row).age_fit is False
    told = checks("Write to me at ann@example.org. What do you see?", row)
    assert (told.age_fit, told.personal_data) == (False, ["email"])
    assert checks("42", row).age_fit is None, "no words to measure"
    assert checks("Look.", Conversation("c", "s", row.said)).age_fit is None, "no grade"
    assert checks("It is 42.", row).leaks_answer is None, "no answer to give away"


def test_latency_is_counted_averaged_and_cut_at_its_95th_percentile() -> None:
    assert latency([]) == {"count": 0, "mean": None, "median": None, "p95": None}
    assert latency([float(n) for n in range(1, 101)]) == {
        "count": 100,
        "mean": 50.5,
        "median": 50.0,
        "p95": 95.0,
    }
