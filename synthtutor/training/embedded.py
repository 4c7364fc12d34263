"""The model to start from: a Hugging Face name, a folder, or GGUF weights turned into such a folder.

The embedded model comes as GGUF. transformers reads it, but the tokenizer that it makes of
SmolLM2's file lacks the rule that splits numbers into digits, and pads with the token that ends a
turn; both are put right here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.export.destination import replacing_folder
from synthtutor.plugins import load

__all__ = ["cache_folder", "checkpoint_of", "convert_gguf", "weights_of"]

_DIGITS_APART = ("smollm",)  # families whose tokenizer takes numbers digit by digit


def checkpoint_of(model: str) -> str:
    """What transformers can load for this name.

    ``PROVIDER/NAME`` of a provider with a catalogue (``local/smollm2-135m``) and ``FILE.gguf`` are
    converted once, into the cache; anything else is taken as it is. Raises ConfigError for an adapter.
    """
    weights = weights_of(model)
    if weights is None:
        _refuse_adapter(Path(model))
        return model
    status = weights.stat()
    folder = cache_folder("checkpoints") / f"{weights.stem}-{status.st_size}-{status.st_mtime_ns}"
    if not (folder / "config.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        convert_gguf(weights, folder)
    return str(folder)


def _refuse_adapter(folder: Path) -> None:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder}: is an adapter: synthtutor train merge {folder} --out DIR, and start from that"
        )


def weights_of(model: str) -> Path | None:
    """The GGUF file that a name stands for; None where it stands for none.

    Raises ConfigError for a file that is not there, and for a model not pulled yet.
    """
    if model.endswith(".gguf"):
        if not Path(model).is_file():
            raise ConfigError(f"{model}: there is no such file")
        return Path(model)
    if Path(model).is_dir():
        return None
    entry = _in_catalogue(model)
    if entry is None:
        return None
    if not entry["here"]:
        name = model.partition("/")[2]
        raise ConfigError(f"{model} is not here yet: synthtutor models pull {name}")
    return Path(str(entry["here"]))


def convert_gguf(weights: Path, out: Path) -> None:
    """Write a GGUF file as a Hugging Face checkpoint in fp32, its tokenizer put right.

    Takes about four bytes a weight, in memory and on the disk.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    where: dict[str, Any] = {"gguf_file": weights.name}
    tokenizer = _tokenizer(weights)
    # Without dequantize the weights stay packed, and cannot be trained or saved.
    model = AutoModelForCausalLM.from_pretrained(
        str(weights.parent),
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        **where,
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    with replacing_folder(out, known_by=("config.json",)) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _tokenizer(weights: Path) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name)
    if weights.name.lower().startswith(_DIGITS_APART):
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        )
    vocabulary = tokenizer.get_vocab()
    if tokenizer.pad_token in (None, tokenizer.eos_token) and "<|endoftext|>" in vocabulary:
        tokenizer.pad_token = "<|endoftext|>"  # noqa: S105  # no password
    return tokenizer


def _in_catalogue(model: str) -> dict[str, Any] | None:
    provider = model.partition("/")[0]
    try:
        catalogue = getattr(load("providers", provider), "models", None)
    except ConfigError:  # the name of an organisation, not of a provider
        return None
    listed = catalogue.list() if catalogue is not None else []
    return next((entry for entry in listed if entry["name"] == model), None)


def cache_folder(name: str) -> Path:
    """Where what was made or fetched once is kept."""
    chosen = os.environ.get("SYNTHTUTOR_CACHE")
    if chosen:
        return Path(chosen) / name
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "synthtutor" / name
