"""`synthtutor calibrate`, from the terminal to the files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer

from synthtutor.cli.calibrate import calibrate
from synthtutor.errors import ConfigError
from synthtutor.testing.server import OpenAIServer, Reply
from tests.threads import serving

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

DATA = Path(__file__).parent / "data"
app = typer.Typer()
app.command()(calibrate)
Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command: its exit code and what it prints, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPATIBLE_API_KEY", "k")
    monkeypatch.setitem(sys.modules, "keyring", None)

    def said(*words: object) -> tuple[int, str]:
        code = app([str(word) for word in words], standalone_mode=False)
        return code, capsys.readouterr().out

    return said


def right_steps(body: dict[str, Any]) -> Reply:
    """Finds the first wrong step of the two solutions, and says nothing of its kind."""
    asked = body["messages"][-1]["content"]
    text = asked.partition("<text>")[2].partition("</text>")[0]
    wrong = "If each box can hold 6" in text or "2 + 2/3w = 18" in text
    names = re.findall(r"^- (sv\.\S+):", asked, re.MULTILINE)
    said = {n: {"evidence": "none", "observed": wrong and n == "sv.wrong"} for n in names}
    return Reply(orjson.dumps(said).decode())


def test_a_judge_behind_an_endpoint_is_compared_with_people_and_resumes_for_nothing(
    say: Say, tmp_path: Path
) -> None:
    with serving(OpenAIServer(right_steps)) as server:
        words = (
            *(DATA / "stepverify_two.jsonl", "--judge", "compatible/test-model"),
            *("--base-url", server.base_url, "--out", tmp_path / "run", "--again", "0"),
        )
        code, printed = say(*words)
        calls = server.calls
        assert (code, calls) == (0, 7)
        assert say(*words)[0] == 0
        assert server.calls == calls
    found = orjson.loads((tmp_path / "run" / "calibration.json").read_bytes())
    assert found["judge"] == "compatible/test-model"
    step, kind = found["dimensions"]
    assert step["confusion"] == {
        "wrong": {"wrong": 2, "sound": 0},
        "sound": {"wrong": 0, "sound": 5},
    }
    assert found["groups_all_right"]["first_error"]["value"] == 1
    assert kind["figures"]["accuracy"]["value"] == 0.5, "one of the two is none of the kinds"
    text = (tmp_path / "run" / "calibration.md").read_text()
    assert text in printed
    for expected in ("always “sound”", "MathTutorBench, README's table", "Cohen's κ"):
        assert expected in text


def test_the_last_line_of_json_is_the_result(say: Say, tmp_path: Path) -> None:
    code, printed = say(
        *(DATA / "mrbench_two.json", "--judge", "scripted/any", "--json", "--again", "1"),
        *("--dimension", "Actionability", "--dimension", "Tutor_Tone", "--resamples", "50"),
    )
    assert code == 0
    found = orjson.loads(printed.splitlines()[-1])
    assert found["event"] == "calibration"
    assert [each["name"] for each in found["dimensions"]] == ["Actionability", "Tutor_Tone"]
    assert [each["asked_again"] for each in found["dimensions"]] == [17, 17]
    assert found["place"]["items"] == 17
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == "calibration-mrbench-two-scripted-any"


def test_the_cost_can_be_known_before_anything_is_asked(say: Say, tmp_path: Path) -> None:
    code, printed = say(
        *(DATA / "mrbench_two.json", "--judge", "scripted/any", "--price", "scripted/any=1/4"),
        *("--estimate", "--json", "--out", tmp_path / "run", "--again", "0"),
    )
    assert code == 0
    found = orjson.loads(printed)
    assert found["cost_usd"]["expected"] > 0
    (stage,) = found["stages"]
    assert (stage["role"], stage["stage"]) == ("judge", "judge.md.j2")
    assert stage["figures"]["calls"] == pytest.approx(17, abs=2)
    assert not (tmp_path / "run").exists()


def test_own_labels_are_read_by_their_columns(say: Say, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = "".join(f"Try number {n}.,What is {n}+1?,chat{n % 6},{n % 2}\n" for n in range(12))
    path.write_text("reply,turn,chat,leaks\n" + rows)
    words = (path, "--judge", "scripted/any", "--rubric", "socratic-turn", "--out", tmp_path / "r")
    mapping = ("--label", "st.reveals-answer=leaks", "--column", "text=reply")
    code, _ = say(*words, *mapping, "--column", "context=turn", "--column", "group=chat")
    assert code == 0
    found = orjson.loads((tmp_path / "r" / "calibration.json").read_bytes())
    (each,) = found["dimensions"]
    assert (found["items"], found["groups"], each["labels"]) == (12, 6, ["true", "false"])
    assert each["majority"]["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "not a published form: say --rubric"),
        (("--rubric", "mrbench", "--label", "Actionability=x", "--column", "colour=x"), "colour"),
        (("--rubric", "mrbench", "--label", "mood=x"), "people labelled mood; rubric mrbench"),
        (
            ("--rubric", "mrbench", "--label", "Actionability=x", "--dimension", "mood"),
            "no dimension 'mood'",
        ),
        (("--rubric", "mrbench", "--label", "Actionability=x", "--again", "2"), "from 0 to 1"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(
    say: Say, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(b'{"text": "a", "x": "Yes"}\n')
    with pytest.raises(ConfigError, match=message):
        say(path, "--judge", "scripted/any", *words)


@pytest.mark.slow
def test_the_embedded_model_is_compared_with_people_however_bad_it_is(
    say: Say, tmp_path: Path
) -> None:
    local = pytest.importorskip("synthtutor_local_models")
    models = {entry["name"]: entry["here"] for entry in local.MODELS.list()}
    if not models.get("local/smollm2-135m"):
        pytest.skip("the embedded model is not here: synthtutor models pull smollm2-135m")
    code, _ = say(
        *(DATA / "stepverify_two.jsonl", "--judge", "local/smollm2-135m", "--again", "0.3"),
        *("--dimension", "first_error", "--out", tmp_path / "run"),
        *("--provider-option", "local.threads=1"),
    )
    assert code == 0
    found = orjson.loads((tmp_path / "run" / "calibration.json").read_bytes())
    (each,) = found["dimensions"]
    assert each["items"] == 7
    assert sum(n for row in each["confusion"].values() for n in row.values()) == 7
    assert each["majority"]["accuracy"] == pytest.approx(5 / 7)
    assert 0 <= each["figures"]["accuracy"]["value"] <= 1
