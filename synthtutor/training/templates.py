"""Chat templates given for models that have none of their own, and the token that ends a turn in them.

A base model ends a document, not a turn. Trained with a template whose end of turn it does not take
for an end, it would learn to say that token and then go on; so the token becomes the tokenizer's end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthtutor.errors import ConfigError

__all__ = ["CHATML", "give_template"]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
_SAID = "said"


def give_template(tokenizer: Any, source: str) -> list[str]:
    """Set a tokenizer's template (``chatml``, or a file) and its end; the tokens this wants added.

    Raises ConfigError for a file that is not there, that cannot be rendered, or in which no token
    ends the tutor's turn.
    """
    if source == "chatml":
        tokenizer.chat_template = CHATML
        tokenizer.eos_token = _CHATML_TOKENS[1]
        return list(_CHATML_TOKENS)
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"chat_template: {source}: there is no such file, and it is not 'chatml'")
    tokenizer.chat_template = path.read_text(encoding="utf-8")
    tokenizer.eos_token = _end_of_turn(tokenizer, source)
    return []


def _end_of_turn(tokenizer: Any, source: str) -> str:
    """The special token right after what the tutor says."""
    asked, answered = ({"role": role, "content": _SAID} for role in ("user", "assistant"))
    try:
        text = tokenizer.apply_chat_template([asked, answered], tokenize=False)
    except Exception as error:  # whatever jinja or the template itself makes of it
        raise ConfigError(f"chat_template: {source}: {error}") from error
    after = text.rpartition(_SAID)[2].strip()
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    ends = [token for token in special if after.startswith(token)]
    if not ends:
        raise ConfigError(
            f"chat_template: {source}: no special token ends the tutor's turn, so the model could "
            "not learn to stop: write {{ eos_token }} after it"
        )
    return str(max(ends, key=len))
