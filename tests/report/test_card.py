"""The card beside an export says what the run's journal says, and the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from synthtutor.cli.app import run as command
from synthtutor.export.card import Agreed, Card, Source, card_path, limits, render, write_card
from synthtutor.provider import Capabilities
from tests.report.made import CALL_USD, made

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute


def front(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    found = yaml.safe_load(head)
    assert isinstance(found, dict)
    return found


def plain(**more: Any) -> Card:
    given = {"name": "demo", "format": "finetune", "rows": 9, "recipe": "own", "version": "1.0"}
    return Card(**{**given, **more})


def exported(folder: Path, out: Path, *more: str) -> str:
    assert command(["export", str(folder), "--out", str(out), *more]) == 0
    return card_path(out).read_text(encoding="utf-8")


# ── what an export leaves ────────────────────────────────────────────────────────────────────


def test_an_export_is_described_by_what_the_run_did(tmp_path: Path) -> None:
    made(tmp_path / "run")
    text = exported(tmp_path / "run", tmp_path / "train.jsonl")
    assert front(text)["size_categories"] == ["n<1K"]
    assert "9 rows in the format `finetune`, made by the recipe `tutoring`" in text
    assert "| kept | 9 |" in text
    assert "| rejected | 3 |" in text
    assert "| writer | `scripted/m` |" in text
    assert "| `short-reply@1` | not known |" in text, "the pack is not the run's to find by name"
    assert f"28 calls, 2,800 input and 280 output tokens: ${28 * CALL_USD:.4f}" in text
    assert "caught 0 of 2 planted defects" in text
    assert "The judge is the writer" in text


def test_a_prompt_is_named_with_its_digest(tmp_path: Path) -> None:
    made(tmp_path / "run")
    sample = orjson.loads((tmp_path / "run" / "samples.jsonl").read_bytes().splitlines()[0])
    judged = sample["metadata"]["lineage"]["calls"][-1]
    text = exported(tmp_path / "run", tmp_path / "train.jsonl")
    assert f"| `{judged['prompt']}` | `{judged['prompt_digest']}` | 9 |" in text


@pytest.mark.slow
def test_the_card_of_a_folder_lies_in_it(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    made(tmp_path / "run")
    exported(tmp_path / "run", tmp_path / "set", "--format", "hf-dataset")
    assert (tmp_path / "set" / "README.md").is_file()
    exported(
        tmp_path / "run", tmp_path / "set", "--format", "hf-dataset"
    )  # and is replaced with it


def test_the_command_says_where_the_card_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "run")
    capsys.readouterr()
    exported(tmp_path / "run", tmp_path / "train.jsonl", "--json")
    told = orjson.loads(capsys.readouterr().out)
    assert told["card"] == str(tmp_path / "train.jsonl.card.md")


def test_the_same_export_has_the_same_card_after_a_resume(tmp_path: Path) -> None:
    made(tmp_path / "run")
    before = exported(tmp_path / "run", tmp_path / "train.jsonl")
    made(tmp_path / "run")
    assert exported(tmp_path / "run", tmp_path / "train.jsonl") == before


def test_a_calibration_beside_the_run_is_told_where_its_judge_is_the_runs(tmp_path: Path) -> None:
    made(tmp_path / "run")
    for name, judge in (("good", "scripted/m"), ("other", "scripted/else")):
        (tmp_path / name).mkdir()
        found = {
            "judge": judge,
            "rubric": "bridge@1",
            "dimensions": [
                {"name": name, "items": 40,
                 "figures": {"kappa": {"value": 0.412, "low": 0.1, "high": 0.7}}}
            ],
        }  # fmt: skip
        (tmp_path / name / "calibration.json").write_bytes(orjson.dumps(found))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "calibration.json").write_text("{")
    text = exported(tmp_path / "run", tmp_path / "train.jsonl")
    assert "| `scripted/m` | `bridge@1` | good | 40 | 0.41 (0.10 to 0.70) |" in text
    assert "other" not in text
    assert "No agreement" not in text


def test_the_models_of_the_exported_samples_decide_on_the_demonstration_mark(
    tmp_path: Path,
) -> None:
    made(tmp_path / "run")
    assert "**Not to be trained on**" in exported(tmp_path / "run", tmp_path / "a.jsonl")
    made(tmp_path / "real", capabilities=Capabilities())
    assert "**Not to be trained on**" not in exported(tmp_path / "real", tmp_path / "b.jsonl")


# ── the card itself ──────────────────────────────────────────────────────────────────────────


def test_names_with_markup_in_them_stay_names() -> None:
    text = render(
        plain(
            name="a\n# b <script>",
            models={"writer": ["x` | <img onerror=y> |\n# heading"]},
            prompts=[("p`|", "d", 1)],
        )
    )
    assert "\n# heading" not in text
    assert "<script>" not in text
    assert "| writer | `x  <img onerror=y>  # heading` |" in text
    assert front(text)["pretty_name"].split() == ["a", "b", "script"]


def test_limits_are_told_where_they_hold_and_only_there() -> None:
    sure = plain(
        models={"judge": ["m"]},
        planted=8,
        caught=7,
        agreement=[Agreed("m", "r@1", "d", 10, 0.5, None, None)],
        people="3 edited",
    )
    assert limits(sure) == ["All text was written by language models."]
    unsure = plain(models={"judge": ["m"]}, unjudged=2, judge_is_writer=True, complete=False)
    told = " ".join(limits(unsure))
    for word in ("2 of the samples", "its own texts", "No defects were planted", "not complete"):
        assert word in told


def test_an_unknown_licence_is_said_to_be_unknown() -> None:
    text = render(plain(sources=[Source("mathdial", 3, "CC BY-SA 4.0"), Source("own", 6, "")]))
    assert "| `mathdial` | 3 | CC BY-SA 4.0 |" in text
    assert "| `own` | 6 | not known |" in text
    assert front(text)["license"] == "unknown"


@pytest.mark.parametrize(
    ("rows", "size"), [(999, "n<1K"), (1_000, "1K<n<10K"), (5_000_000, "n>1M")]
)
def test_sizes_are_hugging_faces(rows: int, size: str) -> None:
    assert front(render(plain(rows=rows)))["size_categories"] == [size]


def test_two_exports_of_one_name_have_a_card_each(tmp_path: Path) -> None:
    assert card_path(tmp_path / "samples.jsonl") != card_path(tmp_path / "samples.parquet")
    path = write_card(plain(), tmp_path / "x.jsonl")
    assert path.read_text(encoding="utf-8") == render(plain())
