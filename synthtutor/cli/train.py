"""``synthtutor train``: from exported rows to a tutor, a grader or a preference-tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthtutor.cli import train_options as option

if TYPE_CHECKING:
    from synthtutor.training.settings import Task

__all__ = ["train"]

_SHORTENED = {
    "rows_cut": "are longer than max_length and were cut: what comes after it is not learned",
    "rows_left_out": "were left out: nothing to learn comes within max_length",
}

train = typer.Typer(
    help="Train a tutor, a grader or by preference; merge and convert.", no_args_is_help=True
)


@train.command("sft")
def sft(
    data: option.Data,
    out: option.Out,
    model: option.Model = None,
    preset: option.PresetName = None,
    evaluation: option.Evaluation = None,
    allow_contamination: option.Contaminated = False,
    resume: option.Resume = False,
    epochs: option.Epochs = None,
    max_steps: option.MaxSteps = None,
    batch_size: option.BatchSize = None,
    accumulation: option.Accumulation = None,
    learning_rate: option.LearningRate = None,
    max_length: option.MaxLength = None,
    lora_rank: option.LoraRank = None,
    quantize: option.Quantize = None,
    packing: option.Packing = None,
    special_tokens: option.SpecialTokens = None,
    split: option.SplitShares = None,
    group: option.Group = None,
    stratify: option.Stratify = None,
    patience: option.Patience = None,
    seed: option.Seed = None,
    report_to: option.ReportTo = None,
    deepspeed: option.DeepSpeed = None,
    fsdp: option.Fsdp = None,
    set_: option.Set = None,
    push_to_hub: option.Hub = None,
    json: option.Json = False,
) -> int:
    """Train a tutor on conversations; the loss is on what the tutor says."""
    return _trained("sft", locals().copy())


@train.command("classify")
def classify(
    data: option.Data,
    out: option.Out,
    model: option.Model = None,
    preset: option.PresetName = None,
    evaluation: option.Evaluation = None,
    allow_contamination: option.Contaminated = False,
    resume: option.Resume = False,
    epochs: option.Epochs = None,
    max_steps: option.MaxSteps = None,
    batch_size: option.BatchSize = None,
    accumulation: option.Accumulation = None,
    learning_rate: option.LearningRate = None,
    max_length: option.MaxLength = None,
    lora_rank: option.LoraRank = None,
    quantize: option.Quantize = None,
    split: option.SplitShares = None,
    group: option.Group = None,
    stratify: option.Stratify = None,
    patience: option.Patience = None,
    seed: option.Seed = None,
    report_to: option.ReportTo = None,
    deepspeed: option.DeepSpeed = None,
    fsdp: option.Fsdp = None,
    set_: option.Set = None,
    push_to_hub: option.Hub = None,
    json: option.Json = False,
) -> int:
    """Train a grader on rows of input and label."""
    return _trained("classify", locals().copy())


@train.command("prefer")
def prefer(
    data: option.Data,
    out: option.Out,
    model: option.Model = None,
    preset: option.PresetName = None,
    evaluation: option.Evaluation = None,
    allow_contamination: option.Contaminated = False,
    resume: option.Resume = False,
    epochs: option.Epochs = None,
    max_steps: option.MaxSteps = None,
    batch_size: option.BatchSize = None,
    accumulation: option.Accumulation = None,
    learning_rate: option.LearningRate = None,
    max_length: option.MaxLength = None,
    lora_rank: option.LoraRank = None,
    quantize: option.Quantize = None,
    split: option.SplitShares = None,
    group: option.Group = None,
    stratify: option.Stratify = None,
    patience: option.Patience = None,
    seed: option.Seed = None,
    report_to: option.ReportTo = None,
    deepspeed: option.DeepSpeed = None,
    fsdp: option.Fsdp = None,
    set_: option.Set = None,
    push_to_hub: option.Hub = None,
    json: option.Json = False,
) -> int:
    """Train on pairs of a chosen and a rejected reply (DPO)."""
    return _trained("prefer", locals().copy())


@train.command("merge")
def merge(
    adapter: Annotated[Path, typer.Argument(help="The folder that a training wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the merged model.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The base [the one the adapter names].")
    ] = None,
) -> int:
    """Merge an adapter into its base: one model, as safetensors."""
    _needed()
    from synthtutor.training.merge import merge as merged
    from synthtutor.training.quiet import quiet

    with quiet():
        merged(adapter, out, model=model)
    typer.echo(str(out))
    return 0


@train.command("gguf")
def gguf(
    merged: Annotated[Path, typer.Argument(help="A merged model's folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .gguf file to write.")],
    kind: Annotated[str, typer.Option("--type", help="q8_0, f16, bf16 or f32.")] = "q8_0",
) -> int:
    """Write a merged model as a GGUF file; local/FILE.gguf then runs it."""
    _needed()
    from synthtutor.training.gguf import export_gguf

    export_gguf(merged, out, kind=kind)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:,.0f} MB; as a model: local/{out}")
    return 0


@train.command("convert")
def convert(
    model: Annotated[str, typer.Argument(help="local/NAME or a .gguf file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the checkpoint.")],
) -> int:
    """Write GGUF weights as a Hugging Face checkpoint that can be trained."""
    _needed()
    from synthtutor.errors import ConfigError
    from synthtutor.training.embedded import convert_gguf, weights_of
    from synthtutor.training.quiet import quiet

    weights = weights_of(model)
    if weights is None:
        raise ConfigError(f"{model}: is no .gguf file and no model of a provider's catalogue")
    with quiet():
        convert_gguf(weights, out)
    typer.echo(str(out))
    return 0


@train.command("presets")
def presets(
    name: Annotated[str | None, typer.Argument(help="One of them, whole.")] = None,
    json: option.Json = False,
) -> int:
    """List the presets, or show one with all its settings."""
    import yaml

    from synthtutor.training.preset import load_preset, preset_names

    found = [load_preset(each) for each in ([name] if name else preset_names())]
    if json:
        import orjson

        rows = [{**each.model_dump(), "settings": _resolved(each)} for each in found]
        typer.echo(orjson.dumps(rows[0] if name else rows).decode())
    elif name:
        shown = {**found[0].model_dump(mode="json"), "settings": _resolved(found[0])}
        typer.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())
    else:
        for each in found:
            typer.echo(f"{each.name:<24} {each.task:<9} {each.model or '(say --model)'}")
            typer.echo(f"{'':<24} {each.source}")
    return 0


def _resolved(preset: Any) -> dict[str, Any]:
    settings: dict[str, Any] = preset.resolved({}).model_dump(mode="json")
    return settings


def _needed() -> None:
    from importlib.util import find_spec

    from synthtutor.errors import ConfigError

    if any(find_spec(name) is None for name in ("torch", "transformers", "peft", "trl")):
        raise ConfigError('training needs torch: pip install "synthtutor[training]"')


def _trained(task: Task, given: Mapping[str, Any]) -> int:
    from synthtutor.sources import existing
    from synthtutor.training.job import is_main, prepare
    from synthtutor.training.preset import load_preset
    from synthtutor.training.settings import settings_of

    preset = load_preset(given["preset"]) if given["preset"] else None
    model, said = _model(task, preset, given["model"]), option.overrides(given)
    settings = preset.resolved(said) if preset else settings_of(said, source="settings")
    if not given["data"].is_dir():  # a run's folder has its samples in it
        existing(given["data"])
    _needed()
    if given["push_to_hub"] and is_main():
        from synthtutor.training.hub import check_access

        check_access(given["push_to_hub"])
    job = prepare(
        task,
        given["data"],
        model,
        given["out"],
        settings,
        preset=given["preset"],
        evaluation=given["evaluation"],
        allow_contamination=given["allow_contamination"],
        resume=given["resume"],
    )
    result = _run(task, job)
    if is_main():
        _tell(result, given["out"], given["json"])
        if given["push_to_hub"]:
            from synthtutor.training.hub import push

            typer.echo(push(given["out"], given["push_to_hub"]), err=given["json"])
    return 0


def _model(task: Task, preset: Any, model: str | None) -> str:
    from synthtutor.errors import ConfigError

    if preset is not None and preset.task != task:
        raise ConfigError(f"preset {preset.name} is for train {preset.task}")
    found: str | None = model or (preset.model if preset is not None else None)
    if found is None:
        raise ConfigError("say which model to start from: --model")
    return found


def _run(task: Task, job: Any) -> dict[str, Any]:
    if task == "sft":
        from synthtutor.training.sft import train_sft as trained
    elif task == "classify":
        from synthtutor.training.classify import train_classify as trained
    else:
        from synthtutor.training.prefer import train_prefer as trained
    return trained(job)


def _tell(result: Mapping[str, Any], out: Path, json: bool) -> None:
    if json:
        import orjson

        typer.echo(orjson.dumps({"out": str(out), **result}, default=float).decode())
        return
    loss = result["held_out_loss"]
    if loss["before"] is not None:
        worse = "" if loss["best"] < loss["before"] else ": training has not lowered it"
        typer.echo(
            f"validation loss {loss['before']:.3f} before, {loss['best']:.3f} at its best{worse}"
        )
    if "grades" in result:
        grades, majority = result["grades"], result["majority_class"]["grades"]
        typer.echo(
            f"accuracy {grades['accuracy']:.3f}, macro-F1 {grades['macro_f1']:.3f} on "
            f"{grades['rows']} held-out rows (always {result['majority_class']['label']!r}: "
            f"{majority['accuracy']:.3f})"
        )
    if "held_out_margin" in result:
        margin = result["held_out_margin"]
        typer.echo(
            f"margin chosen − rejected {margin['before']:.3f} before, {margin['best']:.3f} now"
        )
    for name, fate in _SHORTENED.items():
        if n := sum(result.get(name, {}).values()):
            typer.echo(f"{n:,} of {sum(result['rows'].values()):,} rows {fate}")
    typer.echo(f"{out}: {result['steps']:,} steps in {result['seconds']:,} s; README.md tells all")
