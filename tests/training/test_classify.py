from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.classify import labels_of
from synthtutor.training.data import Example
from synthtutor.training.merge import adapted, merge
from synthtutor.training.quiet import quiet
from synthtutor.training.settings import Settings
from tests.training.jobs import job, train
from tests.training.rows import grade, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("labels", "rows"), [(2, 60), (6, 180)])
def test_a_grader_beats_the_commonest_label(
    labels: int, rows: int, tiny: Path, tmp_path: Path
) -> None:
    # One word of each text says its label; a third of the rows more have label 0.
    data = [grade(n, labels) for n in range(rows)] + [
        grade(labels * n, labels) for n in range(rows, rows + rows // 3)
    ]
    write_rows(tmp_path / "classify.jsonl", data)
    result = train(job("classify", tiny, tmp_path, epochs=6, batch_size=4, labels=labels))
    grades, majority = result["grades"], result["majority_class"]
    assert majority["label"] == "0"
    assert majority["grades"]["accuracy"] < 0.75
    assert grades["accuracy"] > majority["grades"]["accuracy"] + 0.2
    assert grades["macro_f1"] > majority["grades"]["macro_f1"] + 0.4
    assert sum(map(sum, grades["confusion"])) == grades["rows"] == result["rows"]["test"]


@pytest.fixture(scope="module")
def graded(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grader")
    rows: list[dict[str, Any]] = [
        {**grade(n), "label": ("wrong", "right")[n % 2]} for n in range(40)
    ]
    write_rows(folder / "classify.jsonl", rows)
    train(job("classify", tiny, folder, epochs=4))
    return folder / "out"


def test_the_labels_names_are_saved_and_come_back(graded: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    assert json.loads((graded / "labels.json").read_bytes()) == ["right", "wrong"]
    with quiet():
        model, tokenizer = adapted(graded)
        merge(graded, tmp_path / "merged")
        merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged")
    assert merged.config.id2label == {0: "right", 1: "wrong"}
    texts = [grade(n)["input"] for n in range(100, 106)]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model.eval()(**tokens).logits
        assert torch.allclose(found, merged.eval()(**tokens).logits, atol=1e-3)
    said = [merged.config.id2label[int(at)] for at in found.argmax(-1)]
    assert said == ["wrong", "right"] * 3


def test_a_number_of_labels_that_is_not_the_presets_is_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the rows have 2 labels \(0, 1\), 6 are set"):
        train(job("classify", tiny, tmp_path, labels=6))


def test_rows_of_one_label_are_told(tiny: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "classify.jsonl", [{**grade(n), "label": 1} for n in range(30)])
    with pytest.raises(ConfigError, match="all rows have the same one, '1'"):
        train(job("classify", tiny, tmp_path))


def test_a_label_that_no_training_row_has_is_told(tiny: Path, tmp_path: Path) -> None:
    rows = [grade(n) for n in range(12)]
    rows[11]["label"] = 7
    write_rows(tmp_path / "classify.jsonl", rows[:10])
    held = write_rows(tmp_path / "held.jsonl", rows[10:])
    with pytest.raises(ConfigError, match="no training row has '7', but held-out rows do"):
        train(job("classify", tiny, tmp_path, evaluation=held, max_steps=1))


def test_answers_that_are_cut_are_counted_and_new_tokens_alone_are_saved(
    tiny: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "split": (1, 0, 0),
        "max_steps": 1,
        "max_length": 8,
        "special_tokens": "tagged",
    }
    rows = [grade(n) for n in range(10)]
    rows[0]["input"] += " It goes on and on." * 9
    write_rows(tmp_path / "classify.jsonl", rows)
    assert train(job("classify", tiny, tmp_path, **given))["rows_cut"]["train"] == 1
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size < 100_000


def test_sides_that_the_export_grading_made_are_taken_as_they_are(
    tiny: Path, tmp_path: Path
) -> None:
    from synthtutor.training.job import prepare
    from synthtutor.training.settings import Settings
    from tests.training.jobs import SMALL

    (tmp_path / "grading").mkdir()
    for side, start, count in (("train", 0, 16), ("validation", 50, 4), ("test", 60, 6)):
        rows = [grade(n) for n in range(start, start + count)]
        write_rows(tmp_path / "grading" / f"{side}.jsonl", rows)
    settings = Settings.model_validate({**SMALL, "max_steps": 2})
    result = train(prepare("classify", tmp_path, str(tiny), tmp_path / "out", settings))
    assert result["rows"] == {"train": 16, "validation": 4, "test": 6}


def test_gemma_3n_gets_a_head() -> None:
    from transformers import AutoModelForSequenceClassification, Gemma3nTextConfig

    from synthtutor.training.heads import register

    with quiet():
        register()
        model = AutoModelForSequenceClassification.from_config(
            Gemma3nTextConfig(
                vocab_size=64,
                vocab_size_per_layer_input=64,
                hidden_size=16,
                hidden_size_per_layer_input=4,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                num_kv_shared_layers=0,
                layer_types=["sliding_attention", "full_attention"],
                activation_sparsity_pattern=[0.0, 0.0],
                laurel_rank=4,
                altup_num_inputs=2,
                num_labels=6,
                pad_token_id=0,
            )
        )
        assert model(torch.tensor([[3, 4, 5]])).logits.shape == (1, 6)


def test_a_label_is_the_same_as_a_number_and_as_a_text() -> None:
    rows = [Example({"input": "x", "label": label}, "") for label in (10, "10", 2, "2", "-1")]
    assert labels_of(rows, Settings()) == ["-1", "2", "10"]
    words = [Example({"input": "x", "label": label}, "") for label in ("right", 1, True)]
    assert labels_of(words, Settings()) == ["1", "True", "right"]
