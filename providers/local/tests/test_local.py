"""The local provider on its real embedded model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from synthtutor_local import Local
from synthtutor_local_models import DEFAULT, MODELS, located

from synthtutor.errors import ConfigError, Rejected
from synthtutor.messages import Request, Settings, system, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.structured import shape_of
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.server import OpenAIServer


def model_is_here() -> bool:
    return any(entry["name"] == f"local/{DEFAULT}" and entry["here"] for entry in MODELS.list())


needs_model = pytest.mark.skipif(
    not model_is_here() and not os.environ.get("SYNTHTUTOR_REQUIRE_ALL"),
    reason=f"the embedded model is not here: synthtutor models pull {DEFAULT}",
)


class Grade(BaseModel):
    subject: Literal["maths", "history"]
    correct: bool
    reason: str = Field(max_length=40)


@pytest.fixture
async def provider() -> AsyncIterator[Local]:
    made = Local(Endpoint(options={"parallel": "2", "context": "512", "threads": "2"}))
    yield made
    await made.aclose()


def asked(text: str, max_tokens: int = 12, seed: int | None = None) -> Request:
    messages = [system("Answer in one sentence."), user(text)]
    return Request(f"local/{DEFAULT}", messages, settings=Settings(max_tokens, seed=seed))


@needs_model
@pytest.mark.slow
class TestLocal(ProviderContract):
    model = f"local/{DEFAULT}"
    settings = Settings(max_tokens=300)
    cannot = dict.fromkeys(ProviderContract.of_the_wire, "the model runs in this process")

    def make(self, server: OpenAIServer, endpoint: Endpoint) -> Provider:
        return Local(replace(endpoint, options={"context": "512", "threads": "2"}))


@needs_model
async def test_a_reply_has_text_and_its_own_token_counts(provider: Local) -> None:
    reply = await provider.complete(asked("What is a fraction?"))
    assert reply.text
    assert reply.usage.input_tokens > 5
    assert 0 < reply.usage.output_tokens <= 12


@needs_model
async def test_a_seed_reproduces_the_text_also_beside_other_calls(provider: Local) -> None:
    alone = await provider.complete(asked("Why do leaves fall?", seed=7))
    async with asyncio.TaskGroup() as group:
        same = group.create_task(provider.complete(asked("Why do leaves fall?", seed=7)))
        group.create_task(provider.complete(asked("Why is the sky blue?", seed=8)))
    assert same.result().text == alone.text


@needs_model
@pytest.mark.slow
async def test_a_schema_is_kept_to_the_letter_lengths_included(provider: Local) -> None:
    shape = shape_of(Grade)
    request = Request(
        f"local/{DEFAULT}",
        [user("Grade the answer: 1/2 + 1/3 = 2/5.")],
        shape.schema,
        Settings(max_tokens=120, seed=1),
    )
    grade = shape.parse(await provider.complete(request))
    assert grade.subject in ("maths", "history")
    assert len(grade.reason) <= 40


@needs_model
async def test_a_reply_cut_by_max_tokens_says_so(provider: Local) -> None:
    reply = await provider.complete(asked("Tell me a very long story.", max_tokens=4))
    assert reply.finish == "length"


@needs_model
async def test_a_prompt_over_the_context_is_rejected_naming_both_sizes(provider: Local) -> None:
    with pytest.raises(Rejected, match=r"tokens.*512") as caught:
        await provider.complete(asked("word " * 2000))
    assert caught.value.reason == "context"


@needs_model
async def test_more_calls_than_slots_wait_their_turn(provider: Local) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(provider.complete(asked(f"Name {n} animals.", max_tokens=3)))
            for n in range(5)
        ]
    assert all(call.result().usage.output_tokens for call in calls)


@needs_model
async def test_a_cancelled_call_leaves_the_provider_usable(provider: Local) -> None:
    await provider.complete(asked("Warm up.", max_tokens=2))
    call = asyncio.create_task(provider.complete(asked("A long story, please.", max_tokens=400)))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.complete(asked("And now?", max_tokens=3))).usage.output_tokens


@needs_model
def test_only_the_embedded_default_is_marked_as_a_demonstration() -> None:
    provider = Local(Endpoint())
    assert provider.capabilities(DEFAULT).demonstration_only
    assert not provider.capabilities("some/model.gguf").demonstration_only
    assert provider.capabilities(DEFAULT).free


async def test_a_file_that_is_no_model_is_a_configuration_error(
    provider: Local, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ConfigError, match=r"broken\.gguf"):
        await provider.complete(Request(f"local/{broken}", [user("hi")]))


def test_what_is_not_here_is_said_with_the_command_that_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTHTUTOR_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=f"synthtutor models pull {DEFAULT}"):
        located(DEFAULT)


def test_a_model_with_another_digest_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTHTUTOR_CACHE", str(tmp_path))
    folder = tmp_path / "models"
    folder.mkdir()
    forged = folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    with forged.open("wb") as file:
        file.truncate(98_362_432)
    with pytest.raises(ConfigError, match="digest"):
        located(DEFAULT)


@pytest.mark.parametrize("name", ["nope", "missing/file.gguf", "a/b/c"])
def test_a_name_that_is_nothing_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigError):
        located(name)


def test_an_option_that_is_no_number_names_itself() -> None:
    with pytest.raises(ConfigError, match=r"local\.threads"):
        Local(Endpoint(options={"threads": "many"}))
