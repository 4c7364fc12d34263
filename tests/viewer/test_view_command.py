from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import orjson
import pytest

from synthtutor.cli.app import run
from synthtutor.ratings import Rating, append
from tests.viewer.viewed import journal, name_of, sample


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    folder = journal(tmp_path / "run", [sample(0)])
    command = [
        sys.executable,
        "-m",
        "synthtutor",
        "view",
        str(folder),
        "--no-browser",
        "--rater",
        "Ada",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", address)
        with httpx2.Client(timeout=60) as client:
            assert client.get(address).status_code == 200
            assert "Reply 0" in client.get(address.partition("?")[0] + "run/0").text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([], "no journal"), (["--rater", " "], "--rater"), (["--port", "99999"], "port")],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["view", str(tmp_path), "--no-browser", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


# ── exports go by what people said ───────────────────────────────────────────────────────────


def exported(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    assert run(["export", str(folder), "--json", "--out", str(folder / "out.jsonl"), *options]) == 0
    found: dict[str, object] = orjson.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def rated(tmp_path: Path) -> Path:
    """Six samples, of which the judge kept 0 and 3; people rejected 0, accepted 1, edited 3."""
    folder = journal(tmp_path / "run", [sample(number) for number in range(6)])
    said = [
        Rating(name_of(0), "Ada", "reject"),
        Rating(name_of(1), "Ada", "accept", {}, {"c.two": False}),
        Rating(name_of(3), "Ada", None, {2: "Edited."}),
        Rating(name_of(4), "Ada", "accept"),
        Rating(name_of(4), "Ben", "reject"),
    ]
    for rating in said:
        append(folder / "ratings.jsonl", rating)
    return folder


def test_people_decide_what_is_exported(rated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = exported(rated, capsys)
    lines = [orjson.loads(line) for line in (rated / "out.jsonl").read_bytes().splitlines()]
    assert [line["messages"][-1]["content"] for line in lines] == [
        "Reply 1: compare the parts first.",
        "Edited.",
    ]
    assert found["rows"] == 2
    assert found["people"] == {"accepted": 1, "rejected": 1, "edited": 1, "undecided": 1}


def test_the_judge_alone_decides_when_asked(
    rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(rated, capsys, "--no-ratings")["rows"] == 2
    lines = (rated / "out.jsonl").read_text().splitlines()
    assert ["Reply 0" in lines[0], "Reply 3" in lines[1]] == [True, True]


def test_what_is_left_out_is_among_the_rejected(
    rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(rated, capsys, "-f", "rejected")["rows"] == 4
    lines = [orjson.loads(line) for line in (rated / "out.jsonl").read_bytes().splitlines()]
    assert lines[0]["metadata"]["reasons"] == ["people: Ada: reject"]
    assert lines[2]["metadata"]["reasons"] == ["people: as many accept as reject"]


def test_the_summary_says_what_people_changed(
    rated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(rated)]) == 0
    said = capsys.readouterr().out
    assert "1 brought in against the judge, 1 left out against the judge, 1 edited" in said


def test_ratings_become_labels_that_calibrate_reads(
    rated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    assert run(["export", str(rated), "-f", "labels", "-o", str(labels)]) == 0
    lines = [orjson.loads(line) for line in labels.read_bytes().splitlines()]
    assert [(line["id"], line["accept"], line["c.two"]) for line in lines] == [
        (name_of(0), "false", None),
        (name_of(1), "true", "false"),
    ]
    assert lines[0]["writer"] == "scripted/writer"
    assert lines[0]["context"].startswith("Student: Question 0")

    from synthtutor.calibration.datasets import Item, items

    read = list(
        items(labels, {"labels": "accept=accept,c.two=c.two", "context": "context", "id": "id"})
    )
    assert [each.labels for each in read if isinstance(each, Item)] == [
        {"accept": "false"},
        {"accept": "true", "c.two": "false"},
    ]


def test_labels_need_somebody_who_rated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = journal(tmp_path / "run", [sample(0)])
    assert run(["export", str(folder), "-f", "labels"]) == 2
    assert "nobody has rated" in capsys.readouterr().err
