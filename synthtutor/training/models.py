"""Models and tokenizers as they are loaded for training, and the adapters put on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError
from synthtutor.training.devices import Device
from synthtutor.training.settings import Settings
from synthtutor.training.templates import CHATML, give_template

__all__ = [
    "CHATML",
    "adapter_for",
    "causal_model",
    "classifier",
    "let_trl_read_the_head",
    "loaded_tokenizer",
    "resize",
    "save_new_rows_only",
    "seeded",
    "special_tokens",
]

_PADS = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "[PAD]", "<unk>")


def loaded_tokenizer(checkpoint: str, settings: Settings) -> tuple[Any, list[str]]:
    """The tokenizer, with the settings' special tokens and chat template; the tokens it lacked.

    Raises ConfigError where there is none, or none that can say where in the text a token lies.
    """
    from transformers import AutoTokenizer

    tokenizer = _loaded(AutoTokenizer, checkpoint)
    if not tokenizer.is_fast:
        raise ConfigError(
            f"{checkpoint}: has no fast tokenizer, which is what marks the tutor's part"
        )
    wanted = special_tokens(settings.special_tokens)
    if settings.chat_template is not None:
        wanted += give_template(tokenizer, settings.chat_template)
    if tokenizer.pad_token in (None, tokenizer.eos_token):
        vocabulary = tokenizer.get_vocab()
        pads = (pad for pad in _PADS if pad in vocabulary and pad != tokenizer.eos_token)
        tokenizer.pad_token = next(pads, tokenizer.eos_token)
    new = [token for token in wanted if token not in tokenizer.get_vocab()]
    if new:
        tokenizer.add_special_tokens(
            {"extra_special_tokens": new}, replace_extra_special_tokens=False
        )
    return tokenizer, new


def special_tokens(source: str | None) -> list[str]:
    """The tokens to add: those of tagged text for ``tagged``, else a file's, one a line."""
    if source is None:
        return []
    if source == "tagged":
        from synthtutor.export.tagged import SPECIAL_TOKENS

        return list(SPECIAL_TOKENS)
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"special_tokens: {source}: there is no such file, and it is not 'tagged'"
        )
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def causal_model(checkpoint: str, settings: Settings, device: Device) -> Any:
    """A model that writes, in the device's precision or in four bits."""
    from transformers import AutoModelForCausalLM

    return _trainable(_loaded(AutoModelForCausalLM, checkpoint, **_how(settings, device)))


def classifier(
    checkpoint: str, settings: Settings, device: Device, labels: Sequence[str], pad: int
) -> Any:
    """A model with a fresh head of so many labels."""
    from transformers import AutoModelForSequenceClassification

    from synthtutor.training.heads import register

    register()
    model = _loaded(
        AutoModelForSequenceClassification,
        checkpoint,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
        **_how(settings, device),
    )
    model.config.get_text_config().pad_token_id = model.config.pad_token_id = pad
    return _trainable(model)


def seeded(seed: int) -> None:
    """Seed what is drawn when a model is loaded: fresh heads, and the rows of new tokens."""
    from transformers import set_seed

    set_seed(seed)


def resize(model: Any, tokenizer: Any) -> None:
    """Give the model a row for every token; spare rows that it has already stay."""
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))


def adapter_for(model: Any, settings: Settings, task: str, new_tokens: Sequence[int] = ()) -> Any:
    """The LoRA configuration, in which the rows of new tokens are trained too; None for rank 0."""
    if not settings.lora_rank:
        return None
    from peft import LoraConfig, TaskType

    targets: Any = settings.lora_targets
    return LoraConfig(
        task_type=TaskType.SEQ_CLS if task == "classify" else TaskType.CAUSAL_LM,
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets if targets == "all-linear" else list(targets),
        trainable_token_indices=_token_rows(model, new_tokens) if new_tokens else None,
    )


def save_new_rows_only(model: Any) -> None:
    """The adapter holds the trained rows of new tokens; PEFT would add the whole embedding to it."""
    model.save_pretrained = partial(model.save_pretrained, save_embedding_layers=False)


def let_trl_read_the_head(model: Any) -> None:
    """TRL 1.16 asks the wrapper around trained rows of a tied embedding for a bias it has not."""
    head = model.get_base_model().get_output_embeddings()
    if not hasattr(head, "bias"):
        head.bias = None


def _token_rows(model: Any, tokens: Sequence[int]) -> dict[str, list[int]]:
    inner, outer = model.get_input_embeddings(), model.get_output_embeddings()
    tied = outer is None or outer.weight is inner.weight
    wanted = [inner] if tied else [inner, outer]
    names = [name for name, module in model.named_modules() if any(module is w for w in wanted)]
    return {name.rpartition(".")[2]: list(tokens) for name in names}


def _how(settings: Settings, device: Device) -> dict[str, Any]:
    import torch

    # All weights are trained in fp32 beside autocast; frozen ones need no more than they are used in.
    dtype = device.dtype if settings.lora_rank else torch.float32
    how: dict[str, Any] = {"dtype": dtype}
    if settings.quantize == "nf4":
        if find_spec("bitsandbytes") is None:
            raise ConfigError("quantize: nf4 needs bitsandbytes: pip install bitsandbytes")
        from transformers import BitsAndBytesConfig

        how["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=device.dtype,
        )
    return how


def _trainable(model: Any) -> Any:
    """Keep bitsandbytes from packing four-bit weights for inference at the first evaluation.

    On CPUs with AVX512-BF16, release 0.50 does so in place, and no gradient passes them afterwards.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _loaded(kind: Any, checkpoint: str, **how: Any) -> Any:
    try:
        return kind.from_pretrained(checkpoint, **how)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"model {checkpoint!r} cannot be loaded: {first}") from error
