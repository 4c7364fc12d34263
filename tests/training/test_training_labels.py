"""Token by token: what is learned is what the tutor says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from synthtutor.errors import ConfigError
from synthtutor.export.tagged import SPECIAL_TOKENS
from synthtutor.training.data import Example
from synthtutor.training.masking import IGNORED, encode, encode_all
from synthtutor.training.models import CHATML, loaded_tokenizer
from synthtutor.training.settings import Settings
from tests.training.rows import conversation

pytest.importorskip("transformers", reason="training's own environment: make test-training")

# The same template with the marks by which transformers itself finds what an assistant says.
MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
)

TAGGED = """<GRADE_LEVEL>elementary</GRADE_LEVEL>
<STUDENT_EMOTION>frustrated</STUDENT_EMOTION>
<LEARNING_OBJECTIVE>subtract</LEARNING_OBJECTIVE>
Student: It never comes out right!

Tutor Response:
<TUTORING_RESPONSE>error_analysis</TUTORING_RESPONSE>
<CONFIDENCE_BUILDING>acknowledge_effort</CONFIDENCE_BUILDING>
<ACADEMIC_SUPPORT>locate_the_step</ACADEMIC_SUPPORT>
<DIFFICULTY_ADAPTATION>beginner</DIFFICULTY_ADAPTATION>
You kept at it. Which step felt odd?"""


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return loaded_tokenizer(str(tiny), Settings(special_tokens="tagged"))[0]


def learned(row: dict[str, list[int]], tokenizer: Any) -> str:
    return str(tokenizer.decode([token for token in row["labels"] if token != IGNORED]))


@pytest.mark.parametrize("number", range(6))
def test_the_labels_are_those_that_marks_in_the_template_give(number: int, tokenizer: Any) -> None:
    messages = conversation(number)["messages"]
    marked = tokenizer.apply_chat_template(
        messages,
        chat_template=MARKED,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    row = encode({"messages": messages}, tokenizer)
    assert row["input_ids"] == marked["input_ids"]
    assert sum(marked["assistant_masks"]) > 10
    assert row["labels"] == [
        token if of_tutor else IGNORED
        for token, of_tutor in zip(marked["input_ids"], marked["assistant_masks"], strict=True)
    ]


def test_each_learned_token_is_the_one_to_predict(tokenizer: Any) -> None:
    row = encode(conversation(1), tokenizer)
    assert all(
        label in (IGNORED, token)
        for token, label in zip(row["input_ids"], row["labels"], strict=True)
    )


def test_the_end_of_the_turn_is_learned_and_its_beginning_is_not(tokenizer: Any) -> None:
    said = [m["content"] for m in conversation(1)["messages"] if m["role"] == "assistant"]
    text = learned(encode(conversation(1), tokenizer), tokenizer)
    assert text == "".join(f"{words}<|im_end|>" for words in said)


def test_a_turn_of_weight_0_has_no_labels(tokenizer: Any) -> None:
    row = conversation(1)
    row["messages"][2]["weight"] = 0
    assert learned(encode(row, tokenizer), tokenizer) == (
        row["messages"][4]["content"] + "<|im_end|>"
    )


def test_of_an_instruction_row_the_output_is_learned(tokenizer: Any) -> None:
    row = {"instruction": "Be kind.", "input": "Why?", "output": "What is half of six?"}
    assert learned(encode(row, tokenizer), tokenizer) == "What is half of six?<|im_end|>"


def test_of_tagged_text_the_tutors_words_and_an_end_are_learned(tokenizer: Any) -> None:
    row = encode({"text": TAGGED}, tokenizer)
    assert learned(row, tokenizer) == "You kept at it. Which step felt odd?<|im_end|>"
    ids = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    assert len(set(ids)) == 14
    assert set(ids) <= set(row["input_ids"])  # each tag is one token


def test_text_without_a_tutor_is_told(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"^here, line 3: text: has no tutor's turn"):
        encode_all([Example({"text": "Only words."}, "here, line 3")], tokenizer, 512)


@pytest.mark.parametrize(
    "reply",
    [
        "Écoute : café ½ × 3 → ?",
        "👩‍🏫 شو رأيك؟ 学生",
        "e\u0301 in two parts",
        " spaces around  ",
        "नमस्ते\n\n**नमस्ते**",
        "\u200bnothing before",
    ],
)
def test_every_character_of_the_tutors_is_learned_whatever_its_script(
    reply: str, tokenizer: Any
) -> None:
    said = [{"role": "user", "content": "学生 👩‍🏫"}, {"role": "assistant", "content": reply}] * 2
    text = learned(encode({"messages": said}, tokenizer), tokenizer)
    assert normalize("NFC", text) == normalize("NFC", f"{reply}<|im_end|>" * 2)


def test_a_row_whose_tutor_comes_too_late_is_left_out_and_counted(tokenizer: Any) -> None:
    long, longer = conversation(1), conversation(3)
    long["messages"][0]["content"] = "word " * 400
    longer["messages"][4]["content"] = "word " * 400
    examples = [Example(row, "") for row in (long, conversation(2), longer)]
    rows, found = encode_all(examples, tokenizer, 160)
    assert (len(rows), found) == (2, (1, 1))  # one left out, one cut
    assert [len(row["input_ids"]) for row in rows][1] == 160 > len(rows[0]["input_ids"])
    assert all(any(label != IGNORED for label in row["labels"]) for row in rows)


@pytest.fixture
def base(tiny: Path, tmp_path: Path) -> Path:
    """The tokenizer of a base model: documents end, turns do not, and there is no template."""
    from transformers import AutoTokenizer

    folder = tmp_path / "base"
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokenizer.eos_token, tokenizer.chat_template = "<|endoftext|>", None
    tokenizer.save_pretrained(folder)
    return folder


def test_of_a_model_without_a_template_it_is_said_how_to_give_one(base: Path) -> None:
    bare = loaded_tokenizer(str(base), Settings())[0]
    with pytest.raises(ConfigError, match=r"has no chat template.*--set chat_template=chatml"):
        encode(conversation(1), bare)


def test_a_template_that_is_given_brings_the_token_that_ends_a_turn(
    base: Path, tmp_path: Path
) -> None:
    given, new = loaded_tokenizer(str(base), Settings(chat_template="chatml"))
    assert (given.eos_token, given.pad_token, new) == ("<|im_end|>", "<|endoftext|>", [])
    row = encode(conversation(1), given)
    last = max(at for at, label in enumerate(row["labels"]) if label != IGNORED)
    assert row["labels"][last] == given.eos_token_id
    file = tmp_path / "template.jinja"
    file.write_text(CHATML)
    assert (
        loaded_tokenizer(str(base), Settings(chat_template=str(file)))[0].eos_token == "<|im_end|>"
    )
    file.write_text("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")
    with pytest.raises(ConfigError, match="no special token ends the tutor's turn"):
        loaded_tokenizer(str(base), Settings(chat_template=str(file)))


def test_the_template_that_is_trained_with_is_the_one_that_is_used(tokenizer: Any) -> None:
    assert tokenizer.chat_template == CHATML
