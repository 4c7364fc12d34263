from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synthtutor.cli.app import run
from synthtutor.reading import Reading
from synthtutor.testing.server import OpenAIServer
from tests.threads import serving

pytestmark = pytest.mark.slow

Say = Callable[..., tuple[int, str, str]]
PRICED = ("-m", "scripted/m", "--price", "scripted/m=1/4")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The command line: (exit code, stdout, stderr), where no key can be found."""
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> tuple[int, str, str]:
        code = run(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return said


def test_the_bill_comes_before_the_run(say: Say, tmp_path: Path) -> None:
    code, out, err = say("estimate", "misconception", "-m", "openai/gpt-5-mini", "-n", "500")
    assert (code, err) == (0, "")
    assert out.startswith("estimate: 500 rows · 1,516 calls · ")
    for words in (
        "in batches: $",
        "writer, scenario",
        "judge (controls)",
        "total",
        "--batch would",
    ):
        assert words in out
    assert "declared lengths" in out
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_every_option_of_generate_is_one_of_estimate(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, theirs, _ = say("generate", "--help")
    _, ours, _ = say("estimate", "--help")
    named = {word.strip(",") for word in theirs.split() if word.startswith("--") and len(word) > 2}
    missing = {name for name in named if name.isascii() and name not in ours}
    assert missing <= {"--no-report", "--report", "--retry-failed", "--yes"}


def test_json_is_one_object_that_adds_up(say: Say) -> None:
    code, out, _ = say("estimate", "misconception", *PRICED, "-n", "12", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["rows"] == 12
    stages = told["stages"]
    assert told["calls"] == sum(stage["figures"]["calls"] for stage in stages) == 3 * 12 + 16
    expected = sum(stage["cost_usd"]["expected"] for stage in stages)
    assert told["cost_usd"]["expected"] == pytest.approx(expected)
    assert told["prices"] == {"scripted/m": "given"}
    assert told["cost_usd"]["low"] < expected < told["cost_usd"]["high"]


def test_a_cost_above_the_most_is_exit_code_5(say: Say) -> None:
    command = ("estimate", "misconception", *PRICED, "-n", "12", "--json")
    code, out, err = say(*command, "--max-cost", "0.001")
    assert code == 5
    assert json.loads(out)["cost_usd"]["expected"] > 0.001
    assert "more than --max-cost 0.001" in err
    assert say(*command, "--max-cost", "100")[0] == 0


def test_an_unknown_price_cannot_be_below_anything(say: Say) -> None:
    url = ("--base-url", "http://127.0.0.1:9/v1")
    command = ("estimate", "misconception", "-m", "compatible/some-model", *url, "-n", "3")
    code, out, err = say(*command, "--max-cost", "100")
    assert code == 5
    assert "price is unknown" in err
    assert "price unknown" in out
    assert "$0.00" not in out
    assert say(*command)[0] == 0


def test_a_free_model_costs_nothing(say: Say) -> None:
    code, out, _ = say(
        "estimate", "misconception", "-m", "scripted/m", "-n", "3", "--max-cost", "0"
    )
    assert code == 0
    assert "$0.00" in out.splitlines()[0]


def test_a_run_yaml_is_taken_as_generate_takes_it(say: Say, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "recipe: misconception\nmodels: {default: scripted/m}\nn: 7\ncontrols: 0\n"
        "prices: {scripted/m: [1, 4]}\n"
    )
    code, out, _ = say("estimate", "run.yaml", "--json")
    assert code == 0
    assert json.loads(out)["calls"] == 21
    _, out, _ = say("estimate", "run.yaml", "--json", "-n", "9")
    assert json.loads(out)["calls"] == 27


def test_a_pilot_is_kept_and_is_not_paid_again(say: Say, tmp_path: Path) -> None:
    options = ("misconception", *PRICED, "-n", "12", "--controls", "2", "--out", "run")
    code, out, err = say("estimate", *options, "--pilot", "4", "--json")
    assert code == 0
    assert "4 of 4 rows" in err, "progress, apart from the JSON"
    told = json.loads(out)
    calls, paid = billed(tmp_path / "run")
    assert calls == 4 * 3
    assert (told["rows"], told["paid_usd"]) == (8, paid)
    assert {stage["basis"] for stage in told["stages"]} == {"4 samples of this run"}
    assert (tmp_path / "run" / "run.yaml").is_file()
    assert say("estimate", *options)[1].splitlines()[1].startswith("  paid already: $")
    assert say("estimate", "run/run.yaml", "--json")[1] == out
    assert billed(tmp_path / "run") == (calls, paid), "an estimate asks nothing"
    assert say("generate", *options, "--yes", "--json")[0] == 0
    calls, whole = billed(tmp_path / "run")
    assert calls == 12 * 3 + 4
    assert paid + told["cost_usd"]["expected"] == pytest.approx(whole, rel=0.1)


def test_a_pilot_goes_on_until_the_bill_is_known_well_enough(say: Say, tmp_path: Path) -> None:
    options = ("misconception", *PRICED, "-n", "90", "--out", "run", "--json")
    told = json.loads(say("estimate", *options, "--pilot", "4", "--within", "4")[1])
    made = told["all_rows"] - told["rows"]
    assert 4 < made < 90
    assert told["enough"] <= made
    assert told["near"] == 0.04
    assert billed(tmp_path / "run")[0] == made * 3


def billed(folder: Path) -> tuple[int, float]:
    reading = Reading.open(folder / "journal.sqlite")
    try:
        calls, _, dollars, _ = reading.totals()
        return calls, dollars
    finally:
        reading.close()


def test_a_pilot_over_http_is_as_many_calls_as_the_server_saw(say: Say, tmp_path: Path) -> None:
    with serving(OpenAIServer()) as server:
        model = ("-m", "compatible/m", "--price", "compatible/m=1/4", "--base-url", server.base_url)
        code, _, _ = say(
            "estimate", "misconception", *model, "-n", "9", "--pilot", "2", "-o", "run"
        )
        assert code == 0
        assert server.calls == billed(tmp_path / "run")[0] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "estimate what? give a recipe's name, a run.yaml, or --plan FILE"),
        (("no-such-recipe", "-m", "scripted/m", "-n", "3"), "no-such-recipe"),
        (("misconception", "-m", "scripted/m"), "say how many with -n COUNT"),
        (("misconception", "-m", "m", "-n", "3"), "provider/model"),
        (("misconception", *PRICED[:3], "m=1", "-n", "3"), "write provider/model=IN/OUT"),
        (("no-such.yaml",), "no-such.yaml"),
        (("misconception", "-m", "scripted/m", "--within", "0"), "--within 0: give a percentage"),
        (("misconception", "-m", "scripted/m", "--pilot", "0"), "--pilot 0: give a number of rows"),
        (("misconception", "-m", "scripted/m", "-n", "3", "--mode", "x"), "its modes:"),
        (("misconception", "-m", "openai/gpt-4.1", "-n", "3", "--exact"), "OPENAI_API_KEY"),
    ],
)
def test_what_cannot_be_estimated_is_one_line_and_exit_code_2(
    words: tuple[str, ...], told: str, say: Say
) -> None:
    code, out, err = say("estimate", *words)
    assert code == 2
    assert out == ""
    assert told in err
    assert err.count("\n") == 1
