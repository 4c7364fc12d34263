from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.prefer import prefer_trainer
from synthtutor.training.quiet import quiet
from tests.training.jobs import job, train
from tests.training.rows import pair, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")
AutoModelForCausalLM = pytest.importorskip("transformers").AutoModelForCausalLM

pytestmark = pytest.mark.slow


def test_the_margin_between_chosen_and_rejected_rises(tiny: Path, tmp_path: Path) -> None:
    result = train(job("prefer", tiny, tmp_path, epochs=2))
    margin = result["held_out_margin"]
    assert margin["before"] == pytest.approx(0, abs=1e-6)  # nothing is preferred to begin with
    assert margin["best"] > 0.5
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 0.2


def test_prompts_that_leave_no_room_for_a_reply_are_told(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every prompt for train alone fills max_length 8"):
        train(job("prefer", tiny, tmp_path, max_length=8))
    rows = [pair(n) for n in range(30)]
    for row in rows[::2]:
        row["prompt"][0]["content"] += " Why?" * 100
    write_rows(tmp_path / "prefer.jsonl", rows)
    result = train(job("prefer", tiny, tmp_path, out="some", split=(1, 0, 0), max_steps=2))
    assert result["rows_left_out"] == {"train": 15}


def test_pairs_that_are_cut_are_counted(tiny: Path, tmp_path: Path) -> None:
    rows = [pair(n) for n in range(12)]
    rows[3]["rejected"][0]["content"] *= 30
    write_rows(tmp_path / "prefer.jsonl", rows)
    result = train(job("prefer", tiny, tmp_path, split=(1, 0, 0), max_steps=1))
    assert result["rows_cut"] == {"train": 1}


def test_new_tokens_are_learned_from_pairs_too(tiny: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"split": (1, 0, 0), "max_steps": 2, "special_tokens": "tagged"}
    train(job("prefer", tiny, tmp_path, **given))
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size < 100_000


def test_the_reference_is_the_model_without_its_adapter(tiny: Path, tmp_path: Path) -> None:
    with quiet():
        trainer, _, _ = prefer_trainer(job("prefer", tiny, tmp_path))
        assert trainer.ref_model is None
        model = trainer.model.eval()
        ids = torch.arange(5, 40).unsqueeze(0)
        plain = AutoModelForCausalLM.from_pretrained(tiny).eval()(ids).logits
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights)
        assert not torch.allclose(model(ids).logits, plain, atol=1e-2)
        with model.disable_adapter():
            assert torch.equal(model(ids).logits, plain)


def test_an_adapter_is_no_model_to_start_from(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="is an adapter: synthtutor train merge"):
        train(job("prefer", tmp_path / "adapter", tmp_path))


def test_pairs_of_plain_texts_train_too(tiny: Path, tmp_path: Path) -> None:
    rows = [{side: said[-1]["content"] for side, said in pair(n).items()} for n in range(30)]
    write_rows(tmp_path / "prefer.jsonl", rows)
    result = train(job("prefer", tiny, tmp_path))
    assert result["held_out_margin"]["best"] > 0.1
