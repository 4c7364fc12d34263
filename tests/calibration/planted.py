"""What the tests of judges share: labelled texts, and judges whose worth is known."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from synthtutor import arun
from synthtutor.calibration.calibrate import Agreement, Calibration, calibrate
from synthtutor.calibration.labels import dimensions
from synthtutor.messages import Request
from synthtutor.outputs import finished
from synthtutor.provider import Capabilities
from synthtutor.reading import Reading
from synthtutor.recipes.calibration import CALIBRATION
from synthtutor.rubric import Rubric, load_rubric
from synthtutor.testing import ScriptedProvider

DATA = Path(__file__).parent / "data"
MRBENCH = load_rubric("mrbench")
CHOICES = dimensions(MRBENCH)
TWO = "Actionability,Revealing_of_the_Answer"

# What a judge says of each statement of one text, given the row and the ids in the order asked.
Verdicts = Callable[[Mapping[str, str], list[str]], Mapping[str, bool]]


def labelled() -> list[dict[str, str]]:
    """330 rows with the labels of MRBench's annotators, and texts of the length of theirs."""
    with (DATA / "mrbench_labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["text"] = " ".join([f"r{number}", *["word"] * (int(row["words"]) - 1)])
    return rows


ROWS = labelled()


def row_of(request: Request) -> dict[str, str]:
    asked = "\n".join(message.content for message in request.messages)
    found = re.search(r"<text>\s*r(\d+)\b", asked)
    assert found is not None
    return ROWS[int(found[1])]


def judge_saying(verdicts: Verdicts) -> Callable[[Request], str]:
    def script(request: Request) -> str:
        assert request.schema is not None
        asked = list(request.schema.definition["properties"])
        said = verdicts(row_of(request), asked)
        return orjson.dumps({n: {"evidence": "", "observed": said[n]} for n in asked}).decode()

    return script


def perfect(row: Mapping[str, str], asked: list[str]) -> dict[str, bool]:
    """What people say."""
    return {
        criterion.id: row[choice.name] == label
        for choice in CHOICES.values()
        for criterion, label in zip(choice.criteria, choice.given, strict=True)
        if criterion.id in asked
    }


def labels_file(folder: Path, rows: list[dict[str, str]] | None = None) -> Path:
    path = folder / "labels.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows or ROWS))
    return path


OWN = {"group": "conversation", "writer": "writer"}


async def calibrated(
    folder: Path,
    script: Callable[[Request], Any],
    *,
    judge: str = "scripted/judge",
    only: str = TWO,
    again: str = "0.5",
    count: int | None = None,
    provider: ScriptedProvider | None = None,
    resamples: int = 200,
    rubric: Rubric = MRBENCH,
    **options: str,
) -> Calibration:
    """A whole run over the labels, and what comes out of it."""
    if provider is None:
        provider = ScriptedProvider(script, capabilities=Capabilities(free=True, seed=True))
    labels = ",".join(f"{name}={name}" for name in only.split(","))
    await arun(
        CALIBRATION,
        models={"judge": judge},
        rows=labels_file(folder),
        rubric=rubric.id,
        controls=0,
        n=count,
        options={**OWN, "labels": labels, "dimensions": only, "again": again, **options},
        providers={"scripted": provider},
        out=folder / "run",
    )
    reading = Reading.open(folder / "run" / "journal.sqlite")
    try:
        samples = list(finished(reading, ("kept", "rejected", "undetermined", "failed")))
    finally:
        reading.close()
    return calibrate(samples, rubric, judge, resamples=resamples)


def part(found: Calibration, name: str) -> Agreement:
    return next(each for each in found.dimensions if each.name == name)
