"""Every example runs as it is, without a key, and does what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synthtutor.packs import read_pack
from synthtutor.reading import Reading
from tests.test_docs import environment

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
GENERATE = ("synthtutor", "generate", "--no-report")


def ran(folder: Path, *command: str, code: int = 0) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def example(folder: Path, name: str, *arguments: str) -> str:
    return ran(folder, sys.executable, str(EXAMPLES / name), *arguments)


def generated(folder: Path, *arguments: str, code: int = 0) -> str:
    return ran(folder, *GENERATE, *arguments, "--out", str(folder), code=code)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def samples(run: Path) -> list[dict[str, Any]]:
    return [*lines(run / "samples.jsonl"), *lines(run / "rejected.jsonl")]


def calls(run: Path) -> int:
    reading = Reading.open(run / "journal.sqlite")
    try:
        return reading.totals()[0]
    finally:
        reading.close()


def test_no_example_is_forgotten() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    text = Path(__file__).read_text()
    assert len(scripts) == 5
    assert not [name for name in scripts if f'"{name}"' not in text]


def test_quickstart_makes_samples_and_the_second_time_asks_nothing(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "quickstart"
    first = example(tmp_path, "01_quickstart.py")
    kept = lines(run / "finetune.jsonl")
    assert first.startswith(f"40 made, {len(kept)} kept, {calls(run)} calls, $0.00\n")
    assert "of 8 planted defects" in first
    assert len(re.findall(r"critical \d of \d", first)) == len(kept)
    before = calls(run)
    assert example(tmp_path, "01_quickstart.py") == first
    assert calls(run) == before


def test_an_example_takes_another_model(tmp_path: Path) -> None:
    example(tmp_path, "01_quickstart.py", "scripted/other")
    asked = samples(tmp_path / "runs" / "quickstart")[0]["metadata"]["lineage"]["calls"]
    assert {call["model"] for call in asked} == {"scripted/other"}


def test_own_recipe_returns_the_better_of_two_drafts(tmp_path: Path) -> None:
    told = example(tmp_path, "02_own_recipe.py")
    assert told.startswith("3 made, ")
    made = samples(tmp_path / "runs" / "better-hint")
    assert {sample["metadata"]["style"] for sample in made} <= {"ask", "show"}
    for sample in made:
        branches = [call["branch"] for call in sample["metadata"]["lineage"]["calls"]]
        assert sorted(branches) == ["/ask", "/ask", "/show", "/show"]
        assert sample["metadata"]["rubric"].startswith("socratic-turn@")


def test_async_stream_stops_early_and_keeps_what_was_answered(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "stream"
    told = example(tmp_path, "03_async_stream.py")
    assert len(re.findall(r"^\d\. (?:kept|rejected)", told, re.MULTILINE)) == 5
    assert "stopped after 5" in told
    assert 15 <= calls(run) < 1500, "three calls a sample, and far from five hundred samples"


def test_own_rubric_pays_for_the_second_judging_only(tmp_path: Path) -> None:
    told = example(tmp_path, "04_own_rubric.py")
    assert "short-reply: 5 criteria, keep if critical_rate >= 1" in told
    assert "writer calls: 3, then 0 more" in told
    assert re.search(r"judge calls: \d+, then [1-9]\d* more", told)
    made = samples(tmp_path / "runs" / "own-rubric")
    assert {sample["metadata"]["rubric"] for sample in made} == {"misconception-repair@2"}
    assert read_pack(EXAMPLES / "short_reply.yaml")


def test_own_provider_writes_what_it_was_made_to_say(tmp_path: Path) -> None:
    told = example(tmp_path, "05_own_provider.py")
    assert "writer (sample), sayings/kind: 3 calls" in told
    made = samples(tmp_path / "runs" / "own-provider")
    assert {sample["messages"][-1]["content"] for sample in made} == {
        "That is a natural idea. Which step of the explanation does it rest on?"
    }


# ── the data files ───────────────────────────────────────────────────────────────────────────


def test_the_configuration_file_is_a_run(tmp_path: Path) -> None:
    generated(tmp_path, str(EXAMPLES / "run.yaml"))
    made = samples(tmp_path)
    assert len(made) == 24
    assert {call["model"] for call in made[0]["metadata"]["lineage"]["calls"]} == {
        "scripted/writer",
        "scripted/judge",
    }


@pytest.mark.parametrize(
    "name", sorted(p.name for p in EXAMPLES.glob("*.yaml") if "recipe:" in p.read_text())
)
def test_every_configuration_is_estimated_and_runs_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    file, out = f"examples/{name}", str(tmp_path / "run")
    estimate = json.loads(ran(tmp_path, "synthtutor", "estimate", file, "--json"))
    ran(tmp_path, *GENERATE, file, "--out", out)
    assert len(samples(tmp_path / "run")) == estimate["rows"] > 0
    again = json.loads(ran(tmp_path, "synthtutor", "estimate", file, "--out", out, "--json"))
    assert again["rows"] == 0, "all that was estimated is made"


@pytest.mark.parametrize(("name", "rows"), [("seeds.jsonl", 3), ("tutorbench_style.csv", 2)])
@pytest.mark.parametrize("mode", ["answer", "scenario"])
def test_the_rows_can_be_used_in_both_modes(
    tmp_path: Path, name: str, rows: int, mode: str
) -> None:
    model = ("--model", "scripted/any", "--controls", "0")
    generated(tmp_path, "misconception", "--rows", str(EXAMPLES / name), "--mode", mode, *model)
    made = samples(tmp_path)
    assert len(made) == rows
    assert all(sample["metadata"]["outcome"] in ("kept", "rejected") for sample in made)
    own = {
        verdict["id"]
        for sample in made
        for verdict in sample["metadata"]["verdicts"]
        if verdict["id"].startswith("own.")
    }
    assert own, "the rows' own criteria are judged too"


# ── between Python and the command line ──────────────────────────────────────────────────────


def test_a_run_made_in_python_can_be_looked_at_and_judged_again(tmp_path: Path) -> None:
    example(tmp_path, "04_own_rubric.py")
    run = str(tmp_path / "runs" / "own-rubric")
    told = ran(tmp_path, "synthtutor", "status", run)
    assert told.strip().startswith("misconception: 3 samples made")
    assert not re.search(r"own criteria(?! \(critical\)|:)", told)
    before = calls(Path(run))
    ran(tmp_path, "synthtutor", "judge", run, "--rubric", "socratic-turn", "--controls", "0")
    assert calls(Path(run)) == before + 3


def test_the_configuration_in_a_runs_folder_resumes_that_run(tmp_path: Path) -> None:
    generated(tmp_path, str(EXAMPLES / "run.yaml"))
    before = calls(tmp_path)
    ran(tmp_path, "synthtutor", "generate", str(tmp_path / "run.yaml"))
    assert calls(tmp_path) == before
    assert not (tmp_path / "runs").exists()


def test_a_run_that_used_its_limit_says_what_it_needs(tmp_path: Path) -> None:
    limit = ("--max-tokens-total", "5000", "--out", "run")
    command = ("synthtutor", "generate", "misconception", "--model", "scripted/x", *limit)
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "give a higher limit" in done.stderr
    resume = done.stderr.splitlines()[-1].split()
    assert resume[:5] == list(command[:5])
    assert int(resume[resume.index("--max-tokens-total") + 1]) > 5000


# ── the plugin ───────────────────────────────────────────────────────────────────────────────


def test_the_plugin_is_found_by_its_name_and_used(tmp_path: Path) -> None:
    assert re.search(
        r"^echo +synthtutor-example-echo", ran(tmp_path, "synthtutor", "providers"), re.MULTILINE
    )
    models = ("--model", "writer=echo/any", "--model", "judge=scripted/any", "--controls", "0")
    rows = ("--rows", str(EXAMPLES / "seeds.jsonl"), "--mode", "answer")
    generated(tmp_path, "misconception", *rows, *models)
    made = samples(tmp_path)
    assert len(made) == 3
    for sample in made:
        _, question, reply = (message["content"] for message in sample["messages"])
        assert reply == question, "the writer's last message, said back"


def test_the_plugins_options_are_checked(tmp_path: Path) -> None:
    model = ("--model", "echo/any", "-n", "1", "--provider-option", "echo.times=never")
    generated(tmp_path, "misconception", *model, code=2)
    assert not (tmp_path / "journal.sqlite").exists()


def test_the_plugin_passes_the_contract() -> None:
    told = ran(EXAMPLES.parent, sys.executable, "-m", "pytest", "-q", "examples/plugin/tests")
    passed = re.search(r"(\d+) passed, (\d+) skipped", told)
    assert passed
    assert int(passed[1]) >= 7
    assert len((EXAMPLES / "plugin" / "synthtutor_example_echo.py").read_text().splitlines()) < 60
