"""A row as tokens and labels: only what the tutor says is learned.

The tutor's part is found in characters: what the chat template adds to a conversation when the
tutor's turn is added to it, its end-of-turn token included. A token is learned if it lies wholly in
such a part. So any template works as it is, and the model is trained with the template it is used
with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from synthtutor.errors import ConfigError
from synthtutor.export.tagged import tutor_spans as tutor_spans_of_tags
from synthtutor.training.data import Example, messages_of

__all__ = ["IGNORED", "encode", "encode_all", "tutor_spans"]

IGNORED = -100  # the label that torch's cross entropy leaves out
Render = Callable[[Sequence[Mapping[str, Any]], bool], str]


def encode_all(
    examples: Sequence[Example], tokenizer: Any, max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Every row encoded, and how many were left out since no tutor's token came within the length.

    Raises ConfigError, naming the row, where the template cannot render it.
    """
    rows = []
    for example in examples:
        try:
            rows.append(encode(example.row, tokenizer, max_length))
        except ConfigError as error:
            raise ConfigError(f"{example.where}: {error}") from None
    learned = [row for row in rows if any(label != IGNORED for label in row["labels"])]
    return learned, len(rows) - len(learned)


def encode(row: Mapping[str, Any], tokenizer: Any, max_length: int) -> dict[str, list[int]]:
    """``input_ids`` and ``labels`` of a row, cut at ``max_length`` tokens."""
    if "text" in row:
        # Nothing in the text says that it is over; the model must learn to stop all the same.
        text, spans = row["text"], tutor_spans_of_tags(row["text"])
        if not spans:
            raise ConfigError("text: has no tutor's turn: it is not what the export tagged writes")
        if spans[-1][1] == len(text):
            text += tokenizer.eos_token
            spans[-1] = (spans[-1][0], len(text))
    else:
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
    labels = list(_labels(ids, tokens["offset_mapping"], spans))
    return {"input_ids": ids[:max_length], "labels": labels[:max_length]}


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
                    "tutor's part cannot be told: give --chat-template chatml"
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
