from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from synthtutor.cli.app import run
from synthtutor.errors import ConfigError
from synthtutor.training.masking import IGNORED, encode
from synthtutor.training.merge import adapted, merge
from synthtutor.training.quiet import quiet
from synthtutor.training.sft import sft_trainer
from tests.training.jobs import job, losses, train
from tests.training.rows import conversation, write_rows

torch = pytest.importorskip("torch", reason="training's own environment: make test-training")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sft")
    return folder / "out", train(job("sft", tiny, folder, epochs=3))


def test_the_loss_on_held_out_tutor_tokens_falls(trained: tuple[Path, dict[str, Any]]) -> None:
    _, result = trained
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 1.0
    assert result["test"]["loss"] < result["held_out_loss"]["before"] - 1.0
    assert result["steps"] == 36


def test_the_folder_holds_the_adapter_and_its_records(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    out, result = trained
    assert json.loads((out / "metrics.json").read_bytes())["steps"] == result["steps"]
    assert json.loads((out / "splits.json").read_bytes())["rows"]["train"] == 24
    card = (out / "README.md").read_text()
    assert "24 train, 3 validation, 3 test (no two sides share a prompt" in card
    assert not (out / "adapter_model.bin").exists()


def test_the_batches_are_learned_on_tutor_tokens_only(tiny: Path, tmp_path: Path) -> None:
    with quiet():
        trainer, tokenizer, _, _ = sft_trainer(job("sft", tiny, tmp_path))
    batch = next(iter(trainer.get_train_dataloader()))
    texts = [tokenizer.decode(row[row != IGNORED]) for row in batch["labels"]]
    assert all(text.startswith("Let us look at it.") for text in texts)
    assert all("Problem" not in text and "You are a tutor" not in text for text in texts)


def test_the_adapter_reloads_and_merges_to_the_same_logits(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    out, _ = trained
    ids = torch.arange(5, 60).unsqueeze(0)
    with quiet(), torch.no_grad():
        model, _ = adapted(out)
        found = model.eval()(ids).logits
        merge(out, tmp_path / "merged")
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
        assert torch.allclose(found, merged.eval()(ids).logits, atol=1e-3)
        bare = model.unload().eval()(ids).logits
    assert not torch.allclose(found, bare, atol=1e-2)
    assert (tmp_path / "merged" / "README.md").is_file()


def test_new_tokens_are_learned_saved_and_reloaded(tiny: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("<HINT>\n</HINT>\n")
    prepared = job("sft", tiny, tmp_path, special_tokens=str(tokens), max_steps=4)
    with quiet():
        trainer, tokenizer, _, _ = sft_trainer(prepared)
        rows = tokenizer.convert_tokens_to_ids(["<HINT>", "</HINT>"])
        trainer.train()
        trainer.save_model(str(tmp_path / "saved"))
        tokenizer.save_pretrained(tmp_path / "saved")
        again, same = adapted(tmp_path / "saved")
        ids = torch.tensor([[*rows, 5, 6, 7]])
        with torch.no_grad():
            assert torch.equal(trainer.model.eval()(ids).logits, again.eval()(ids).logits)
    assert same.convert_tokens_to_ids("<HINT>") == rows[0] == len(same) - 2
    # Two rows, not the whole embedding of 600 and more.
    assert (tmp_path / "saved" / "adapter_model.safetensors").stat().st_size < 60_000


def test_rows_that_were_cut_are_told(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [conversation(n) for n in range(10)])
    words = ["--model", tiny, "--out", tmp_path / "out", "--split", "1,0,0", "--max-steps", "1"]
    small = ["--max-length", "70", "--batch-size", "1", "--accumulation", "1", "--set=device=cpu"]
    assert run(["train", "sft", *map(str, [data, *words, *small])]) == 0
    assert "10 of 10 rows are longer than max_length and were cut" in capsys.readouterr().out
    assert "- train rows cut at max_length: 10" in (tmp_path / "out" / "README.md").read_text()


def test_a_base_model_ends_with_the_turns_of_the_template_that_it_was_given(
    tiny: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tmp_path / "base"
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.eos_token, tokenizer.chat_template = "<|endoftext|>", None
    tokenizer.save_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(base)
    train(job("sft", base, tmp_path, chat_template="chatml", max_steps=1))
    with quiet():
        merge(tmp_path / "out", tmp_path / "merged")
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in merged.generation_config.eos_token_id
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").eos_token_id == end


def test_packing_trains_and_keeps_the_rows_apart(tiny: Path, tmp_path: Path) -> None:
    with quiet():
        trainer, _, _, _ = sft_trainer(job("sft", tiny, tmp_path, packing=True, max_length=480))
    batch = next(iter(trainer.get_train_dataloader()))
    begins = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    assert len(begins) > 2
    with torch.no_grad():
        packed = trainer.model.eval()(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits[0]
        for start, end in pairwise(begins):
            alone = trainer.model(input_ids=batch["input_ids"][:, start:end]).logits[0]
            assert torch.allclose(packed[start:end], alone, atol=1e-4)


def test_packing_changes_nothing_of_what_is_learned(tiny: Path, tmp_path: Path) -> None:
    prepared = job("sft", tiny, tmp_path, packing=True, max_length=480)
    with quiet():
        trainer, tokenizer, _, _ = sft_trainer(prepared)
    packed: list[int] = []
    for batch in trainer.get_train_dataloader():
        packed += batch["labels"][batch["labels"] != IGNORED].tolist()
    alone = [encode(example.row, tokenizer)["labels"] for example in prepared.division.train]
    assert sorted(packed) == sorted(label for row in alone for label in row if label != IGNORED)


def test_packing_lowers_the_loss(tiny: Path, tmp_path: Path) -> None:
    result = train(job("sft", tiny, tmp_path, packing=True, epochs=8, max_length=480))
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 0.3


def test_gradient_checkpointing_changes_no_loss(tiny: Path, tmp_path: Path) -> None:
    plain = train(job("sft", tiny, tmp_path, out="plain", max_steps=4))
    spared = train(
        job("sft", tiny, tmp_path, out="spared", max_steps=4, gradient_checkpointing=True)
    )
    for (step, loss), (same, other) in zip(losses(spared), losses(plain), strict=True):
        assert step == same
        assert loss == pytest.approx(other, rel=1e-5)


def test_all_weights_can_be_trained(tiny: Path, tmp_path: Path) -> None:
    result = train(job("sft", tiny, tmp_path, lora_rank=0, epochs=2))
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 1.0
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "out" / "adapter_config.json").exists()


def test_qlora_trains_on_weights_of_four_bits(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    prepared = job("sft", tiny, tmp_path, quantize="nf4", epochs=2)
    with quiet():
        trainer, _, _, _ = sft_trainer(prepared)
    kinds = {type(module).__name__ for module in trainer.model.modules()}
    assert "Linear4bit" in kinds
    result = train(prepared)
    assert result["held_out_loss"]["best"] < result["held_out_loss"]["before"] - 0.5
    with quiet():
        merge(tmp_path / "out", tmp_path / "merged")  # onto the base as it was, in full
    assert (tmp_path / "merged" / "model.safetensors").is_file()


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """Rows that are the worse foretold, the better the others are learned."""
    rows = [conversation(n) for n in range(100, 104)]
    for row in rows:
        for message in row["messages"]:
            if message["role"] == "assistant":
                message["content"] = "zqx vjk wpf " * 6
    return write_rows(tmp_path / "unlike.jsonl", rows)


def test_training_stops_when_the_loss_no_longer_falls(
    tiny: Path, tmp_path: Path, unlike: Path
) -> None:
    looks: dict[str, Any] = {"eval_every": 2, "save_every": 2, "keep": 1, "patience": 2}
    result = train(job("sft", tiny, tmp_path, evaluation=unlike, max_steps=60, **looks))
    assert result["steps"] < 60
    seen = [loss for step, loss in losses(result, "eval_loss") if step]
    assert min(seen) == seen[-3]


def test_the_best_weights_are_kept_and_not_the_last(
    tiny: Path, tmp_path: Path, unlike: Path
) -> None:
    looks: dict[str, Any] = {"eval_every": 4, "save_every": 4, "keep": 1}
    result = train(job("sft", tiny, tmp_path, evaluation=unlike, max_steps=24, **looks))
    seen = [loss for step, loss in losses(result, "eval_loss") if step]
    assert seen[-1] > min(seen) + 0.05  # or the test would show nothing
    with quiet():
        trainer, _, _, _ = sft_trainer(job("sft", tiny, tmp_path, out="again", evaluation=unlike))
        trainer.model.load_adapter(str(tmp_path / "out"), "default")
        assert trainer.evaluate()["eval_loss"] == pytest.approx(min(seen), abs=1e-3)


def test_the_best_weights_are_kept_also_where_they_come_between_two_savings(
    tiny: Path, tmp_path: Path, unlike: Path
) -> None:
    looks: dict[str, Any] = {"eval_every": 4, "save_every": 24, "keep": 1}
    result = train(job("sft", tiny, tmp_path, evaluation=unlike, max_steps=24, **looks))
    seen = [loss for step, loss in losses(result, "eval_loss") if step]
    assert min(seen) != seen[-1]  # or the test would show nothing
    assert result["held_out_loss"]["best"] == min(seen)
    with quiet():
        trainer, _, _, _ = sft_trainer(job("sft", tiny, tmp_path, out="again", evaluation=unlike))
        trainer.model.load_adapter(str(tmp_path / "out"), "default")
        assert trainer.evaluate()["eval_loss"] == pytest.approx(min(seen), abs=1e-3)


def test_a_training_that_only_made_it_worse_does_not_claim_the_loss_before_it(
    tiny: Path, tmp_path: Path, unlike: Path
) -> None:
    looks: dict[str, Any] = {"eval_every": 15, "save_every": 15, "learning_rate": 0.05}
    result = train(job("sft", tiny, tmp_path, evaluation=unlike, max_steps=30, **looks))
    loss = result["held_out_loss"]
    assert loss["best"] == min(found for step, found in losses(result, "eval_loss") if step)
    assert loss["best"] > loss["before"] + 0.05
    assert "training has not lowered it" in (tmp_path / "out" / "README.md").read_text()


def test_tensorboard_is_written_when_asked(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    result = train(job("sft", tiny, tmp_path, report_to=("tensorboard",), max_steps=4))
    reading = import_module("tensorboard.backend.event_processing.event_accumulator")
    board = reading.EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    for tag, name in (("train/loss", "loss"), ("eval/loss", "eval_loss")):
        written = [(event.step, event.value) for event in board.Scalars(tag)]
        assert [step for step, _ in written] == [step for step, _ in losses(result, name)]
        assert [loss for _, loss in written] == pytest.approx(
            [loss for _, loss in losses(result, name)], rel=1e-5
        )


def test_what_is_not_installed_is_told_before_training(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text("{}")
    given: dict[str, dict[str, Any]] = {
        "report_to wandb needs wandb: pip install wandb": {"report_to": ("wandb",)},
        "deepspeed needs deepspeed: pip install deepspeed": {
            "deepspeed": str(tmp_path / "zero.json")
        },
    }
    for said, settings in given.items():
        if find_spec(said.rpartition(" ")[2]) is None:
            with pytest.raises(ConfigError, match=said):
                train(job("sft", tiny, tmp_path, **settings))
            assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_model_that_there_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model 'nobody/nothing' cannot be loaded"):
        train(job("sft", Path("nobody/nothing"), tmp_path))
