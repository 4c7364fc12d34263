"""The tutor's part of a conversation, found in whatever a template makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import pytest

from synthtutor.errors import ConfigError
from synthtutor.training.masking import Render, tutor_spans
from synthtutor.training.models import CHATML
from tests.training.rows import conversation

LLAMA = (
    "<|begin|>{% for m in messages %}<|{{ m['role'] }}|>\n\n{{ m['content'] | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
GEMMA = (
    "{% for m in messages %}<turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
FORGETFUL = (  # keeps only the last turn as it was said
    "{% for m in messages %}{{ m['content'] if loop.last else m['content'][:3] }}|{% endfor %}"
)


def rendered(template: str) -> Render:
    compiled = jinja2.Environment().from_string(template)

    def render(messages: Sequence[Mapping[str, Any]], generation: bool) -> str:
        return compiled.render(messages=messages, add_generation_prompt=generation)

    return render


@pytest.mark.parametrize(
    ("template", "end"), [(CHATML, "<|im_end|>"), (LLAMA, "<|eot|>"), (GEMMA, "</turn>")]
)
def test_the_part_is_what_the_tutor_says_and_the_end_of_its_turn(template: str, end: str) -> None:
    messages = conversation(4)["messages"]
    text, spans = tutor_spans(messages, rendered(template))
    said = [m["content"] for m in messages if m["role"] == "assistant"]
    assert [text[start:stop] for start, stop in spans] == [f"{words}{end}" for words in said]


def test_a_turn_of_weight_0_is_not_learned() -> None:
    messages = conversation(4)["messages"]
    messages[2]["weight"] = 0
    text, spans = tutor_spans(messages, rendered(CHATML))
    assert [text[start:stop] for start, stop in spans] == [f"{messages[4]['content']}<|im_end|>"]


def test_words_of_the_student_that_look_like_the_tutors_are_not_learned() -> None:
    messages = conversation(4)["messages"]
    messages[1]["content"] = messages[2]["content"]
    text, spans = tutor_spans(messages, rendered(CHATML))
    assert len(spans) == 2
    assert text[: spans[0][0]].count(messages[2]["content"]) == 1


def test_a_template_that_says_earlier_turns_anew_is_refused() -> None:
    with pytest.raises(ConfigError, match="says earlier turns anew"):
        tutor_spans(conversation(4)["messages"], rendered(FORGETFUL))


def test_a_template_that_refuses_the_row_is_told() -> None:
    def refuses(messages: Sequence[Mapping[str, Any]], generation: bool) -> str:
        raise jinja2.TemplateError("system role not supported")

    with pytest.raises(ConfigError, match="cannot render this row: system role not supported"):
        tutor_spans(conversation(4)["messages"], refuses)
