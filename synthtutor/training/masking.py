"""A row as tokens and labels: only what the tutor says is learned.

The tutor's part is found in characters: what the chat template adds to a conversation when the
tutor's turn is added to it, its end-of-turn token included. A token is learned if it lies wholly in
such a part. So any template works as it is, and the model is trained with the template it is used
with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import TemplateError

from synthtutor.errors import ConfigError
from synthtutor.export.tagged import tutor_spans as tutor_spans_of_tags
from synthtutor.training.data import Example, messages_of

__all__ = ["IGNORED", "Shortened", "encode", "encode_all", "tutor_spans"]

IGNORED = -100  # the label that torch's cross entropy leaves out
Render = Callable[[Sequence[Mapping[str, Any]], bool], str]


class Shortened(NamedTuple):
    """Rows longer than ``max_length``: ``left_out`` has no tutor's token within it, ``cut`` has some."""

    left_out: int
    cut: int


def encode_all(
    examples: Sequence[Example], tokenizer: Any, max_length: int
) -> tuple[list[dict[str, list[int]]], Shortened]:
    """Every row encoded, and how many are longer than that.

    Raises ConfigError, naming the row, where the template cannot render it.
    """
    learned, left_out, cut = [], 0, 0
    for example in examples:
        try:
            row = encode(example.row, tokenizer)
        except ConfigError as error:
            raise ConfigError(f"{example.where}: {error}") from None
        short = {name: tokens[:max_length] for name, tokens in row.items()}
        if any(label != IGNORED for label in short["labels"]):
            learned.append(short)
            cut += len(row["labels"]) > max_length
        else:
            left_out += 1
    return learned, Shortened(left_out, cut)


def encode(row: Mapping[str, Any], tokenizer: Any) -> dict[str, list[int]]:
    """``input_ids`` and ``labels`` of a whole row."""
    if "text" in row:
        # Nothing in the text says that it is over; the model must learn to stop all the same.
        text, spans = row["text"], tutor_spans_of_tags(row["text"])
        if not spans:
            raise ConfigError("text: has no tutor's turn: it is not what the export tagged writes")
        if spans[-1][1] == len(text):
            text += tokenizer.eos_token
            spans[-1] = (spans[-1][0], len(text))
    else:
        if tokenizer.chat_template is None:
            raise ConfigError(
                "the model's tokenizer has no chat template (a base model?): give "
                "--set chat_template=chatml, or a file"
            )
        messages = messages_of(row)

        def render(said: Sequence[Mapping[str, Any]], generation: bool) -> str:
            plain = [{"role": m["role"], "content": m["content"]} for m in said]
            return str(
                tokenizer.apply_chat_template(
                    plain, tokenize=False, add_generation_prompt=generation
                )
            )

        text, spans = tutor_spans(messages, render)
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(tokens["input_ids"])
    return {"input_ids": ids, "labels": list(_labels(ids, tokens["offset_mapping"], spans))}


def tutor_spans(
    messages: Sequence[Mapping[str, Any]], render: Render
) -> tuple[str, list[tuple[int, int]]]:
    """The conversation's text, and the parts of it that the tutor says.

    Turns of weight 0 are not among them. Raises ConfigError where the template does not render a
    conversation turn by turn.
    """
    try:
        whole = render(messages, False)
        spans = []
        for at, message in enumerate(messages):
            if message["role"] != "assistant" or not message.get("weight", 1):
                continue
            before, after = render(messages[:at], True), render(messages[: at + 1], False).rstrip()
            if not (after.startswith(before) and whole.startswith(after)):
                raise ConfigError(
                    "the chat template says earlier turns anew when later ones come, so that the "
                    "tutor's part cannot be told: give --set chat_template=chatml"
                )
            spans.append((len(before), len(after)))
    except (TemplateError, ValueError, TypeError) as error:
        raise ConfigError(f"the chat template cannot render this row: {error}") from error
    return whole, spans


def _labels(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> Iterator[int]:
    remaining = iter(spans)
    span = next(remaining, None)
    for token, (start, end) in zip(ids, offsets, strict=True):
        while span is not None and start >= span[1]:
            span = next(remaining, None)
        inside = span is not None and start >= span[0] and end <= span[1]
        yield token if inside else IGNORED
