"""Tokens a second and memory of ``train sft`` beside a bare TRL script with the same settings.

    python benchmarks/train_speed.py [--layers N] [--hidden N] [--vocabulary N] [--rows 256] [--steps 30] [--rounds 4]

On a GPU the model has the shape of Qwen2 1.5B, in bf16 with gradient checkpointing; on a CPU it is
a small one in fp32. Weights are random, so that nothing has to be fetched: speed and memory do not
depend on their values. Each round trains once by either, in a process of its own, the order turned
each time; what is compared are the medians. The goal is to be no slower. On a CPU that others use
too, the seconds of the processor itself, which do not count theirs, are the figure to go by.
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
MEASURED = ("tokens_per_second", "cpu_seconds_per_step", "memory_gib")


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, help="[28; on a CPU 4]")
    parser.add_argument("--hidden", type=int, help="[1536; on a CPU 384]")
    parser.add_argument("--vocabulary", type=int, help="[151936; on a CPU 4096]")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--one", choices=("ours", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure = ours if given.one == "ours" else bare
        print("MEASURED " + json.dumps(measure(given.folder, given.steps)))
        return
    device, usual = machine()
    shape = [getattr(given, name) or default for name, default in usual.items()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model", *shape)
        make_rows(folder / "rows.jsonl", given.rows)
        found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
        for turn in range(given.rounds):
            for which in ("ours", "bare") if turn % 2 == 0 else ("bare", "ours"):
                found[which].append(in_a_process(which, folder, given.steps))
    settings = {"device": device, **dict(zip(usual, shape, strict=True))}
    settings |= {"rows": given.rows, "steps": given.steps, "rounds": given.rounds}
    print(json.dumps({**settings, **compared(found)}, indent=2))


def machine() -> tuple[str, dict[str, int]]:
    """What is trained on, and the model's usual shape there."""
    import torch

    if torch.cuda.is_available():
        large = {"hidden": 1536, "layers": 28, "vocabulary": 151_936}
        return torch.cuda.get_device_name(), large
    return "cpu", {"hidden": 384, "layers": 4, "vocabulary": 4096}


def compared(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """The medians of both, their ratio, and all that was measured."""
    medians = {
        which: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for which, runs in found.items()
    }
    by_bare = {name: round(medians["ours"][name] / medians["bare"][name], 3) for name in MEASURED}
    return {"median": medians, "ours_by_bare": by_bare, "runs": found}


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
        eval_every=steps + 1,  # no checkpoint between steps: the bare script writes none
        save_every=steps + 1,
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
        begun = ended = busy_before = busy = 0.0

        def on_step_end(self, *said: Any, **_: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if said[1].global_step == 2:
                self.begun, self.busy_before = time.perf_counter(), time.process_time()
            self.ended, self.busy = time.perf_counter(), time.process_time()

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
        "cpu_seconds_per_step": round((clock.busy - clock.busy_before) / (steps - 2), 4),
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
