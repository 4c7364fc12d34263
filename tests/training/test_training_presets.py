from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.preset import load_preset, preset_names
from synthtutor.training.settings import Settings, Task, foreign, settings_of

# As the projects' documents state them.
STATED: dict[str, dict[str, Any]] = {
    "trtutor-qwen2.5-7b": {
        "batch_size": 2,
        "accumulation": 16,
        "learning_rate": 2e-5,
        "max_length": 2048,
        "save_every": 50,
        "keep": 5,
    },
    "persona-llama3.2-3b": {
        "batch_size": 2,
        "accumulation": 4,
        "learning_rate": 1e-4,
        "epochs": 10,
        "warmup": 5,
        "optimizer": "adamw_8bit",
        "schedule": "linear",
        "seed": 3407,
    },
    "gemma3n-math-judge": {
        "labels": 2,
        "lora_rank": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.1,
        "batch_size": 1,
        "lora_targets": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "accumulation": 4,
        "epochs": 2,
        "learning_rate": 2e-4,
        "schedule": "constant_with_warmup",
        "warmup": 0.03,
    },
    "gemma3n-essay-judge": {"labels": 6, "lora_rank": 8},
    "tara-edu-7b": {
        "epochs": 4,
        "batch_size": 4,
        "accumulation": 8,
        "learning_rate": 2e-5,
        "weight_decay": 0.01,
        "warmup": 500,
        "eval_every": 300,
        "save_every": 600,
        "keep": 5,
        "special_tokens": "tagged",
    },
    "cpu-smoke": {"precision": "fp32"},
}


def test_the_presets_are_these() -> None:
    assert preset_names() == sorted(STATED)


@pytest.mark.parametrize("name", STATED)
def test_a_preset_says_what_its_document_says(name: str) -> None:
    preset = load_preset(name)
    settings = preset.resolved({})
    assert {field: getattr(settings, field) for field in STATED[name]} == STATED[name]
    assert preset.source


@pytest.mark.parametrize("name", STATED)
def test_what_is_assumed_is_not_among_what_is_stated(name: str) -> None:
    assert not set(load_preset(name).assumed) & STATED[name].keys()


def test_a_preset_that_chooses_between_documents_says_which_it_follows() -> None:
    assert "disagree" in (load_preset("gemma3n-math-judge").follows or "")


def test_an_option_overrides_a_preset() -> None:
    settings = load_preset("trtutor-qwen2.5-7b").resolved({"learning_rate": 1e-3})
    assert (settings.learning_rate, settings.accumulation) == (1e-3, 16)


def test_a_preset_that_there_is_not_is_told() -> None:
    with pytest.raises(ConfigError, match="no preset 'tara'; there are cpu-smoke"):
        load_preset("tara")
    with pytest.raises(ConfigError, match=r"mine\.yaml: there is no such file"):
        load_preset("mine.yaml")


def test_a_file_of_ones_own_is_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task: sft\nsource: us\nsettings: {lora_rank: 2}\n")
    preset = load_preset(str(file))
    assert (preset.task, preset.model, preset.resolved({}).lora_rank) == ("sft", None, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "write task, source and settings"),
        ("task: [", "is no YAML"),
        ("task: tune\nsource: x\nsettings: {}", "task: "),
        ("task: sft\nsource: x\nsettings: {lora: 1}", "no setting 'lora'"),
    ],
)
def test_a_file_that_is_no_preset_is_told(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_preset(str(file))
    assert "mine.yaml" in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning_rte": 1}, "no setting 'learning_rte'"),
        ({"learning_rate": 0}, "learning_rate: "),
        ({"split": (0.5, 0.1, 0.1)}, "split: three shares that add up to 1"),
        ({"eval_every": 5}, "give both or neither"),
        ({"eval_every": 4, "save_every": 6}, "save_every: a multiple of eval_every"),
        ({"quantize": "nf4", "lora_rank": 0}, "only adapters can be trained"),
        ({"deepspeed": "a", "fsdp": "b"}, "one of the two"),
        ({"report_to": ["mlflow"]}, "report_to.0: "),
    ],
)
def test_wrong_settings_are_told_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings_of(given, source="here")
    assert str(raised.value).startswith("here: ")
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("classify", {"packing": True}, "packing: is for train sft, not for classify"),
        ("classify", {"chat_template": "chatml"}, "chat_template: is for train sft and prefer"),
        ("sft", {"beta": 0.2}, "beta: is for train prefer"),
        ("prefer", {"labels": 2}, "labels: is for train classify"),
    ],
)
def test_what_a_task_would_not_heed_is_refused(
    task: Task, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        foreign(task, Settings.model_validate(given))
    foreign(task, Settings())


def test_the_defaults_fit_together() -> None:
    assert settings_of({}, source="defaults") == Settings()
