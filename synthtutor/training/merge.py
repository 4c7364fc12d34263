"""An adapter and its base made one model, as safetensors that any runtime loads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing_folder

__all__ = ["adapted", "merge"]


def merge(adapter: Path, out: Path, *, model: str | None = None) -> None:
    """Write the merged model, its tokenizer and its card into a folder.

    ``model`` is the base, where it is not the one the adapter names. Raises ConfigError where the
    folder holds no adapter or the base cannot be had.
    """
    merged, tokenizer = adapted(adapter, model=model)
    merged = merged.merge_and_unload()
    with replacing_folder(out, known_by=("config.json",)) as folder:
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for name in ("README.md", "labels.json", "splits.json", "metrics.json"):
            if (adapter / name).is_file():
                shutil.copy(adapter / name, folder / name)


def adapted(adapter: Path, *, model: str | None = None) -> tuple[Any, Any]:
    """The base in fp32 with the adapter on it, and the tokenizer; a grader where it has labels.

    Raises ConfigError where the folder holds no adapter or the base cannot be had.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    from synthtutor.training.embedded import checkpoint_of
    from synthtutor.training.heads import register
    from synthtutor.training.models import resize

    try:
        named = orjson.loads((adapter / "adapter_config.json").read_bytes())
    except OSError:
        raise ConfigError(f"{adapter}: holds no adapter (no adapter_config.json)") from None
    checkpoint = checkpoint_of(model or str(named["base_model_name_or_path"]))
    tokenizer = AutoTokenizer.from_pretrained(str(adapter))
    labels = _labels(adapter)
    try:
        if labels:
            register()
            base = AutoModelForSequenceClassification.from_pretrained(
                checkpoint,
                dtype=torch.float32,
                num_labels=len(labels),
                id2label=dict(enumerate(labels)),
                label2id={label: at for at, label in enumerate(labels)},
            )
            base.config.pad_token_id = tokenizer.pad_token_id
        else:
            base = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"{checkpoint}: cannot be loaded: {first}: say --model") from error
    resize(base, tokenizer)  # before the adapter: it has rows for added tokens
    if not labels:
        _end_with(base, tokenizer.eos_token_id)
    return PeftModel.from_pretrained(base, str(adapter)), tokenizer


def _end_with(model: Any, end: int | None) -> None:
    """Let a reply also end with the tokenizer's end: a template given in training may have set it."""
    said = model.generation_config.eos_token_id
    known = said if isinstance(said, list) else [said]
    if end is not None and end not in known:
        model.generation_config.eos_token_id = [end, *(each for each in known if each is not None)]
        model.config.eos_token_id = end


def _labels(adapter: Path) -> list[str]:
    try:
        found = orjson.loads((adapter / "labels.json").read_bytes())
    except OSError:
        return []
    return list(found)
