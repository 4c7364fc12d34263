"""Tokens a second and memory of ``train sft`` beside a bare TRL script with the same settings.

    python benchmarks/train_speed.py [--layers 28] [--hidden 1536] [--vocabulary 151936] [--rows 256] [--steps 30] [--rounds 3]

Weights are random, in a real model's shape, so that nothing has to be fetched: speed and memory do
not depend on their values. Each round trains once by either, in a process of its own, the order
turned each time; what is compared are the medians. The goal is to be no slower.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BATCH, LENGTH = 4, 512


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--hidden", type=int, default=1536)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=("ours", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure = ours if given.one == "ours" else bare
        print("MEASURED " + json.dumps(measure(given.folder, given.steps)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model", given.hidden, given.layers, given.vocabulary)
        make_rows(folder / "rows.jsonl", given.rows)
        found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
        for turn in range(given.rounds):
            for which in ("ours", "bare") if turn % 2 == 0 else ("bare", "ours"):
                found[which].append(in_a_process(which, folder, given.steps))
    print(json.dumps(compared(found), indent=2))


def compared(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The medians of both, their ratio, and all that was measured."""
    medians = {
        which: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for which, runs in found.items()
    }
    speed = medians["ours"]["tokens_per_second"] / medians["bare"]["tokens_per_second"]
    return {"median": medians, "ours_by_bare": round(speed, 3), "runs": found}


def in_a_process(which: str, folder: Path, steps: int) -> dict[str, float]:
    """One training, measured in a process that nothing else has warmed up or filled."""
    command = [sys.executable, __file__, "--one", which, "--folder", str(folder)]
    done = subprocess.run([*command, "--steps", str(steps)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    line = next(text for text in done.stdout.splitlines() if text.startswith("MEASURED "))
    measured: dict[str, float] = json.loads(line.removeprefix("MEASURED "))
    return measured


def ours(folder: Path, steps: int) -> dict[str, float]:
    """By ``synthtutor train sft``, less the evaluation that a bare script does not have."""
    from synthtutor.training.job import prepare
    from synthtutor.training.settings import Settings
    from synthtutor.training.sft import sft_trainer

    settings = Settings(
        max_steps=steps,
        batch_size=BATCH,
        accumulation=1,
        max_length=LENGTH,
        lora_dropout=0.0,
        warmup=0,
        split=(1.0, 0.0, 0.0),
    )
    out = Path(tempfile.mkdtemp(dir=folder))
    job = prepare("sft", folder / "rows.jsonl", str(folder / "model"), out, settings)
    trainer, *_ = sft_trainer(job)
    return timed(trainer)


def bare(folder: Path, steps: int) -> dict[str, float]:
    """The script one would write with TRL alone: marks in the template, loss on the assistant."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    on_gpu = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tokenizer.chat_template = MARKED
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(
            folder / "model", dtype=torch.bfloat16 if on_gpu else torch.float32
        ),
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(dir=folder),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=1,
            learning_rate=2e-4,
            lr_scheduler_type="cosine",
            max_length=LENGTH,
            bf16=on_gpu,
            use_cpu=not on_gpu,
            gradient_checkpointing=on_gpu,
            assistant_only_loss=True,
            save_strategy="no",
            report_to="none",
            seed=0,
        ),
        train_dataset=Dataset.from_list(
            [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        ),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=16,
            lora_alpha=32,
            lora_dropout=0.0,
            target_modules="all-linear",
        ),
    )
    return timed(trainer)


def timed(trainer: Any) -> dict[str, float]:
    """Tokens a second from the third step on, and the most memory that was held, in GiB."""
    import resource
    import time

    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        begun = 0.0
        ended = 0.0

        def on_step_end(self, *said: Any, **_: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if said[1].global_step == 2:
                self.begun = time.perf_counter()
            self.ended = time.perf_counter()

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    steps = trainer.state.global_step
    tokens = sum(map(len, trainer.train_dataset["input_ids"])) / len(trainer.train_dataset)
    memory = (
        torch.cuda.max_memory_allocated() / 2**30
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    )
    seconds = clock.ended - clock.begun
    return {
        "tokens_per_second": round(tokens * BATCH * (steps - 2) / seconds, 1),
        "memory_gib": round(memory, 3),
    }


def make_rows(path: Path, rows: int) -> None:
    """Conversations of a few hundred tokens, no two alike."""
    words = [
        "why",
        "does",
        "the",
        "rule",
        "for",
        "sums",
        "not",
        "hold",
        "for",
        "halves",
        "and",
        "thirds",
        "of",
        "one",
        "cake",
    ]

    def said(number: int, length: int) -> str:
        return " ".join(words[(number * 7 + at * at) % len(words)] for at in range(length))

    with path.open("w") as file:
        for number in range(rows):
            messages = [
                {
                    "role": ("user", "assistant")[at % 2],
                    "content": f"{number}: {said(number + at, 50)}",
                }
                for at in range(6)
            ]
            file.write(json.dumps({"messages": messages}) + "\n")


def make_model(folder: Path, hidden: int, layers: int, vocabulary: int) -> None:
    """A Qwen2 of the given shape with random weights, and a tokenizer that has the words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    from synthtutor.training.models import CHATML

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        [], trainers.BpeTrainer(special_tokens=marks, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 35 // 6,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 128,
        num_key_value_heads=max(1, hidden // 768),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

if __name__ == "__main__":
    main()
