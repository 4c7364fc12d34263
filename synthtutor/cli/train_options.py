"""The options that ``train sft``, ``train classify`` and ``train prefer`` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["overrides"]

_PLAIN = (
    *("epochs", "max_steps", "batch_size", "accumulation", "learning_rate", "max_length"),
    *("lora_rank", "quantize", "special_tokens", "patience", "seed", "deepspeed", "fsdp"),
    *("stratify",),
)

Data = Annotated[
    Path, typer.Argument(help="An exporter's file (JSONL, JSON, CSV, Parquet), or a run's folder.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Hugging Face name, folder, .gguf file or local/NAME."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the adapter and its records.")]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="A documented recipe (see train presets), or a .yaml file."),
]
Evaluation = Annotated[
    Path | None, typer.Option(help="Rows to validate with; DATA is then trained on whole.")
]
Contaminated = Annotated[
    bool, typer.Option("--allow-contamination", help="Train though rows repeat the evaluation's.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest whole checkpoint.")]
Epochs = Annotated[float | None, typer.Option(help="Passes over the training rows [3].")]
MaxSteps = Annotated[int | None, typer.Option(help="Stop after so many optimizer steps.")]
BatchSize = Annotated[int | None, typer.Option(help="Rows per device and forward pass [2].")]
Accumulation = Annotated[int | None, typer.Option(help="Forward passes per optimizer step [8].")]
LearningRate = Annotated[float | None, typer.Option(help="Peak learning rate [2e-4].")]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of a row; more are cut [2048].")]
LoraRank = Annotated[int | None, typer.Option(help="Rank of LoRA; 0 trains all weights [16].")]
Quantize = Annotated[
    str | None, typer.Option(help="nf4: QLoRA, four bits for frozen weights; or none [none].")
]
Packing = Annotated[
    bool | None, typer.Option("--packing/--no-packing", help="Several rows in one sequence.")
]
SpecialTokens = Annotated[
    str | None, typer.Option(help="Tokens to add: tagged, or a file with one a line.")
]
SplitShares = Annotated[
    str | None, typer.Option("--split", help="Shares of training, validation, test [0.8,0.1,0.1].")
]
Group = Annotated[
    list[str] | None, typer.Option(help="Field whose equal rows stay on one side. Repeatable.")
]
Stratify = Annotated[str | None, typer.Option(help="Field that all sides have alike.")]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many evaluations without a better loss.")
]
Seed = Annotated[int | None, typer.Option(help="Of split, weights and order [0].")]
ReportTo = Annotated[list[str] | None, typer.Option(help="wandb or tensorboard. Repeatable.")]
DeepSpeed = Annotated[str | None, typer.Option("--deepspeed", help="A DeepSpeed JSON file.")]
Fsdp = Annotated[str | None, typer.Option("--fsdp", help="An FSDP JSON file, for torchrun.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE of any other setting. Repeatable.")
]
Hub = Annotated[
    str | None, typer.Option("--push-to-hub", help="OWNER/NAME to upload the result to.")
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object.")]


def overrides(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were said on the command line.

    Raises ConfigError for a ``--set`` or ``--split`` that is not of its form.
    """
    import yaml

    from synthtutor.errors import ConfigError

    said: dict[str, Any] = {}
    for pair in given.get("set_") or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair!r}: write NAME=VALUE")
        said[name] = yaml.safe_load(value)
    said |= {name: given[name] for name in _PLAIN if given.get(name) is not None}
    for name in ("group", "report_to"):
        if given.get(name):
            said[name] = given[name]
    if given.get("packing") is not None:
        said["packing"] = given["packing"]
    if given.get("split") is not None:
        try:
            said["split"] = [float(share) for share in given["split"].split(",")]
        except ValueError:
            raise ConfigError(
                f"--split {given['split']!r}: write three shares: 0.8,0.1,0.1"
            ) from None
    return said
