"""Classification heads for models that transformers has without one."""

from __future__ import annotations

__all__ = ["register"]


def register() -> None:
    """Let ``AutoModelForSequenceClassification`` load Gemma 3n, as it loads Gemma 3.

    The weights' names are those of the published checkpoint; the head is new. Does nothing where a
    release of transformers has the head itself.
    """
    from transformers import AutoModelForSequenceClassification, Gemma3nConfig, Gemma3nTextConfig
    from transformers.modeling_layers import GenericForSequenceClassification
    from transformers.models.gemma3n.modeling_gemma3n import Gemma3nPreTrainedModel

    if Gemma3nConfig in AutoModelForSequenceClassification._model_mapping:
        return
    for config in (Gemma3nConfig, Gemma3nTextConfig):
        head = type(
            config.__name__.removesuffix("Config") + "ForSequenceClassification",
            (GenericForSequenceClassification, Gemma3nPreTrainedModel),
            {"config_class": config, "__module__": __name__},
        )
        AutoModelForSequenceClassification.register(config, head, exist_ok=True)
