"""`synthtutor evaluate`: from replies to figures, goals and a page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest

from synthtutor.testing.server import OpenAIServer, Reply
from tests.evaluation.systems import conversation, judge_reading_levels, replied, write
from tests.threads import serving

pytestmark = pytest.mark.slow

Say = Callable[..., tuple[int, str, str]]
MODEL = "compatible/test-model"
FEW = ("--resamples", "100")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)


def found_in(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads((folder / "evaluation.json").read_bytes())
    return value


@pytest.mark.slow
def test_a_judge_s_levels_become_figures_with_intervals_and_breakdowns(
    say: Say, tmp_path: Path
) -> None:
    rows = [replied(n, f"L{n % 10 + 1} what next?", grade=3 if n < 5 else 9) for n in range(10)]
    path = write(tmp_path / "r.jsonl", [*rows, replied(10, None)])
    with serving(OpenAIServer(judge_reading_levels())) as server:
        words = ("evaluate", path, "--judge", MODEL, "--base-url", server.base_url, "-o", "out")
        code, out, _ = say(*words, *FEW)
        assert (code, server.calls) == (0, 20), "two packs a reply, and none for the missing one"
        assert say(*words, *FEW)[0] == 0
        assert server.calls == 20
    found = found_in(tmp_path / "out")
    relevance = found["scales"]["relevance"]
    assert relevance["mean"]["value"] == 5.5
    assert relevance["levels"] == {str(n): 1 for n in range(1, 11)}
    assert 3 < relevance["mean"]["low"] < 5.5 < relevance["mean"]["high"] < 8
    assert relevance["share"]["value"] == pytest.approx(4 / 11, abs=1e-4), "a missing reply is none"
    support = found["scales"]["emotional_support"]
    assert (support["highest"], support["mean"]["value"]) == (4, 3.4)
    assert (found["replies"], found["missing"], found["students"]) == (10, 1, 11)
    assert found["packs"] == ["tutor-evaluation@1", "personalization@1"]
    assert found["by"]["grade"]["3–5"]["means"]["relevance"] == 3
    assert found["by"]["grade"]["9–12"]["means"]["relevance"] == 8
    assert set(found["by"]["feeling"]) == {"anxious", "curious"}
    assert "Relevance" in out
    scores = (tmp_path / "out" / "scores.jsonl").read_bytes().splitlines()
    assert orjson.loads(scores[4])["scores"]["relevance"] == 5


def test_goals_pass_or_fail_and_what_was_not_measured_never_passes(
    say: Say, tmp_path: Path
) -> None:
    path = write(tmp_path / "r.jsonl", [replied(n, "L9 go on?") for n in range(6)])
    goals = ("Accuracy", "Grade fit", "Response time")
    assert say("evaluate", path, "-o", "without", *FEW)[0] == 0
    without = found_in(tmp_path / "without")
    assert [(g["name"], g["state"]) for g in without["goals"]] == [
        (name, "not measured") for name in goals
    ]
    write(path, [replied(n, f"L{9 if n else 3} go on?", seconds=1.5 + n / 10) for n in range(6)])
    with serving(OpenAIServer(judge_reading_levels())) as server:
        words = ("--judge", MODEL, "--base-url", server.base_url)
        assert say("evaluate", path, "-o", "with", *words, *FEW)[0] == 0
    states = {g["name"]: (g["state"], g["value"]) for g in found_in(tmp_path / "with")["goals"]}
    assert states["Accuracy"] == ("fail", 0.8333)
    assert states["Grade fit"] == ("fail", 0.8333)
    assert states["Response time"] == ("fail", 2.0), "less than 2 s, not 2 s"
    page = (tmp_path / "without" / "evaluation.html").read_text()
    assert page.count("not measured") == 3
    assert 'class="pass"' not in page


def test_the_page_is_whole_escaped_and_has_no_script(say: Say, tmp_path: Path) -> None:
    rows = [replied(n, "L5 <script>x</script>", model="<b>m</b>", subject="<i>") for n in range(6)]
    path = write(tmp_path / "r.jsonl", rows)
    with serving(OpenAIServer(judge_reading_levels())) as server:
        assert (
            say("evaluate", path, "--judge", MODEL, "--base-url", server.base_url, "-o", "o")[0]
            == 0
        )
    page = (tmp_path / "o" / "evaluation.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert not tags.seen & {"script", "b", "i", "img", "link", "iframe"}
    assert "&lt;b&gt;m&lt;/b&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_no_judge_is_paid_before_a_library_is_found_missing(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    path = write(tmp_path / "r.jsonl", [replied(1, "L5", reference="L6")])
    with serving(OpenAIServer(judge_reading_levels())) as server:
        words = ("evaluate", path, "--judge", MODEL, "--base-url", server.base_url, "-o", "o")
        code, _, err = say(*words)
        assert (code, server.calls) == (2, 0)
        assert 'pip install "synthtutor[evaluation]"' in err
        assert say(*words, "--no-text", *FEW)[0] == 0


def test_a_judge_that_wrote_replies_is_named(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [replied(n, "L5", model=MODEL) for n in range(5)])
    with serving(OpenAIServer(judge_reading_levels())) as server:
        words = ("evaluate", path, "--judge", MODEL, "--base-url", server.base_url, "-o", "o")
        assert say(*words, "--pack", "personalization", "--apart", *FEW)[0] == 0
        assert server.calls == 10
    assert any("also wrote replies" in note for note in found_in(tmp_path / "o")["notes"])


def test_a_level_that_the_judge_does_not_give_is_left_out_and_counted(
    say: Say, tmp_path: Path
) -> None:
    path = write(tmp_path / "r.jsonl", [replied(n, f"L{n}") for n in range(6)])

    def judge(body: dict[str, Any]) -> Reply:
        return Reply('{"personalization": {"reason": "x", "level": 6}}')

    with serving(OpenAIServer(judge)) as server:
        words = ("evaluate", path, "--judge", MODEL, "--base-url", server.base_url, "-o", "o")
        assert say(*words, "--pack", "personalization", *FEW)[0] == 0
    found = found_in(tmp_path / "o")
    scales = found["scales"]
    assert (scales["personalization"]["answered"], scales["personalization"]["mean"]["value"]) == (
        6,
        6,
    )
    assert (scales["relevance"]["answered"], scales["relevance"]["mean"]["value"]) == (0, None)
    assert scales["relevance"]["share"]["value"] is None
    assert any("without a level" in note for note in found["notes"])


def test_a_model_is_asked_first_where_there_is_no_file(say: Say, tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [conversation(n) for n in range(5)])
    with serving(OpenAIServer(lambda _: Reply("What does buying do?"))) as server:
        words = ("evaluate", "-m", MODEL, "--test", path, "--base-url", server.base_url, "-o", "o")
        assert say(*words, "--json", *FEW)[0] == 0
    found = found_in(tmp_path / "o")
    assert found["models"] == {MODEL: 5}
    assert found["latency"]["count"] == 5
    assert found["checks"]["leaks_answer"] == {"value": 0.0, "low": 0.0, "high": 0.5218, "n": 5}
    assert found["text"]["references"] == 5
    assert found["judge"] is None


def test_a_classifier_s_file_gives_figures_a_matrix_and_a_picture(say: Say, tmp_path: Path) -> None:
    pairs = (
        [("yes", "yes")] * 40 + [("yes", "no")] * 10 + [("no", "no")] * 20 + [("no", "yes")] * 10
    )
    rows = "".join(f"{label},{said}\n" for label, said in pairs)
    (tmp_path / "c.csv").write_text("truth,guess\n" + rows)
    code, out, _ = say("evaluate", "c.csv", "--label", "truth", "--prediction", "guess", "-o", "o")
    assert code == 0
    made = found_in(tmp_path / "o")["classifier"]
    assert made["accuracy"]["value"] == 0.75
    assert made["macro_f1"]["value"] == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-4)
    assert made["majority"]["accuracy"] == 0.625
    assert made["confusion"] == {"no": {"no": 20, "yes": 10}, "yes": {"no": 10, "yes": 40}}
    picture = (tmp_path / "o" / "confusion.svg").read_text()
    assert picture.startswith("<svg")
    assert picture.count("<rect") == 4
    assert "always “yes”" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give a file of replies, or --model with --test"),
        (("r.jsonl", "--model", "scripted/x"), "give a file of replies, or"),
        (("r.jsonl", "-m", "scripted/x", "--test", "r.jsonl"), "give a file of replies, or"),
        (("r.jsonl", "--label", "x"), "--label and --prediction go together"),
        (("r.jsonl", "--label", "x", "--prediction", "y"), "line 1: no x; name the columns"),
        (("nowhere.jsonl",), "nowhere.jsonl: there is no such file"),
        (("r.jsonl", "--judge", "scripted/j", "--pack", "mrbench"), "no graded pack 'mrbench'"),
        (("r.jsonl", "--goals", "nowhere.yaml"), "nowhere.yaml: No such file"),
        (("bad.jsonl",), "bad.jsonl, line 1: no conversation"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_two(
    say: Say, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "r.jsonl", [replied(1, "L5")])
    write(tmp_path / "bad.jsonl", [{"reply": "x"}])
    code, _, err = say("evaluate", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
