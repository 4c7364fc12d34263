"""The provider on a checkpoint of random weights, made here: shapes and rules, not sense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
Transformers: Any = pytest.importorskip("synthtutor_transformers").Transformers

from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

from synthtutor.errors import ConfigError, Rejected, Unavailable  # noqa: E402
from synthtutor.messages import Message, Request, Settings, user  # noqa: E402
from synthtutor.provider import Endpoint, Provider  # noqa: E402
from synthtutor.testing.contract import ProviderContract  # noqa: E402
from synthtutor.testing.server import FakeServer  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # torch and its neighbours warn of their own affairs
]
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('system first') }}{% endif %}<s> {{ m['content'] }} </s>{% endfor %}<s>"
)
WORDS = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{n}" for n in range(60))]


def made_tokenizer() -> Any:
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    found.chat_template = TEMPLATE
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    made_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter far from zero, so that its texts differ from the base's."""
    folder = tmp_path_factory.mktemp("adapter")
    base = transformers.LlamaForCausalLM.from_pretrained(checkpoint)
    model = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj", "lm_head"]))
    for name, weights in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=2.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
async def provider() -> AsyncIterator[Any]:
    made = Transformers(Endpoint(options={"device": "cpu"}))
    yield made
    await made.aclose()


def asked(place: Path, *texts: str, **settings: Any) -> Request:
    messages = [user(text) for text in texts or ("w1 w2 w3",)]
    return Request(
        f"transformers/{place}", messages, None, Settings(**{"max_tokens": 8, **settings})
    )


class TestTransformers(ProviderContract):
    @pytest.fixture(autouse=True)
    def here(self, checkpoint: Path) -> None:
        type(self).model = f"transformers/{checkpoint}"

    cannot = dict.fromkeys(
        ProviderContract.of_the_wire | {"structured_output"}, "random weights, no wire"
    )

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        found: Provider = Transformers(replace(endpoint, options={"device": "cpu"}))
        return found


async def test_a_reply_has_the_model_s_text_and_its_tokens_counted(
    provider: Any, checkpoint: Path
) -> None:
    reply = await provider.complete(asked(checkpoint, temperature=0))
    assert reply.usage.input_tokens == await provider.count_tokens(asked(checkpoint)) == 6
    assert 0 < reply.usage.output_tokens <= 8
    assert reply.finish == ("length" if reply.usage.output_tokens == 8 else "stop")


async def test_a_seed_repeats_a_text_and_another_seed_does_not(
    provider: Any, checkpoint: Path
) -> None:
    texts = [
        (await provider.complete(asked(checkpoint, temperature=1.0, seed=seed, max_tokens=24))).text
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


async def test_calls_decoded_together_get_the_replies_they_would_get_alone(
    provider: Any, checkpoint: Path
) -> None:
    prompts = ["w1 w2 w3", "w9", "w4 w5 w6 w7 w8 w10", "w11 w12"]
    alone = [(await provider.complete(asked(checkpoint, p, temperature=0))).text for p in prompts]
    together = Transformers(Endpoint(options={"device": "cpu", "batch": "4"}))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(together.complete(asked(checkpoint, p, temperature=0)))
                for p in prompts
            ]
        assert [task.result().text for task in tasks] == alone
    finally:
        await together.aclose()
    assert not together.capabilities("x").seed


async def test_an_adapter_changes_what_is_said_and_names_its_base(
    provider: Any, checkpoint: Path, adapter: Path
) -> None:
    plain = await provider.complete(asked(checkpoint, temperature=0, max_tokens=20))
    tuned = await provider.complete(asked(adapter, temperature=0, max_tokens=20))
    given = Transformers(Endpoint(options={"device": "cpu", "adapter": str(adapter)}))
    try:
        same = await given.complete(asked(checkpoint, temperature=0, max_tokens=20))
    finally:
        await given.aclose()
    assert tuned.text == same.text != plain.text


async def test_an_adapter_s_added_tokens_find_room_in_the_base(
    checkpoint: Path, tmp_path: Path
) -> None:
    tokenizer = made_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": ["<GRADE_3_5>", "<MATH>"]})
    tokenizer.save_pretrained(tmp_path)
    base = transformers.LlamaForCausalLM.from_pretrained(checkpoint)
    base.resize_token_embeddings(len(tokenizer))
    config = peft.LoraConfig(
        r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]
    )
    peft.get_peft_model(base, config).save_pretrained(tmp_path)
    made = Transformers(Endpoint(options={"device": "cpu", "adapter": str(tmp_path)}))
    try:
        request = asked(checkpoint, "<MATH> w1", temperature=0)
        assert await made.count_tokens(request) == 5, "an added token is one token"
        assert (await made.complete(request)).usage.output_tokens
    finally:
        await made.aclose()


async def test_what_the_model_cannot_take_is_refused_before_it_is_decoded(
    provider: Any, checkpoint: Path
) -> None:
    with pytest.raises(Rejected) as long:
        await provider.complete(asked(checkpoint, " ".join(["w1"] * 80)))
    assert long.value.reason == "context"
    odd = replace(asked(checkpoint), messages=(user("w1"), Message("system", "w2")))
    with pytest.raises(Rejected, match="chat template does not take"):
        await provider.complete(odd)


async def test_a_folder_without_a_model_is_a_mistake_in_the_configuration(
    provider: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        await provider.complete(asked(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="names no base"):
        await provider.complete(asked(tmp_path))


@pytest.mark.parametrize(
    "options", [{"batch": "0"}, {"dtype": "int8"}, {"adaptor": "x"}], ids=lambda o: next(iter(o))
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"transformers.{next(iter(options))}"):
        Transformers(Endpoint(options=options))


async def test_a_cancelled_call_leaves_the_model_to_the_next(
    provider: Any, checkpoint: Path
) -> None:
    first = asyncio.create_task(provider.complete(asked(checkpoint, temperature=0, max_tokens=50)))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises((asyncio.CancelledError, Unavailable)):
        await first
    assert (await provider.complete(asked(checkpoint, temperature=0))).usage.output_tokens
