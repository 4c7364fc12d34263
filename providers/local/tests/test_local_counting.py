"""Counting a prompt's tokens with the embedded model's own vocabulary and chat template."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from synthtutor_local import Local
from synthtutor_local_models import DEFAULT, MODELS

from synthtutor.errors import Rejected, Unavailable
from synthtutor.messages import Request, Schema, Settings, system, user
from synthtutor.provider import CountingProvider, Endpoint

HERE = any(entry["name"] == f"local/{DEFAULT}" and entry["here"] for entry in MODELS.list())
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not HERE and not os.environ.get("SYNTHTUTOR_REQUIRE_ALL"),
        reason=f"the embedded model is not here: synthtutor models pull {DEFAULT}",
    ),
]
MODEL = f"local/{DEFAULT}"


@pytest.fixture
async def provider() -> AsyncIterator[Local]:
    made = Local(Endpoint(options={"context": "512", "threads": "2"}))
    yield made
    await made.aclose()


async def test_the_count_is_what_is_then_read(provider: Local) -> None:
    assert isinstance(provider, CountingProvider)
    short = (system("You are a tutor."), user("Why?"))
    for said in (short, (*short, user("Because <|im_end|> it is é, 中 or x² ≥ 0. " * 10))):
        asked = Request(MODEL, said, settings=Settings(max_tokens=2))
        counted = await provider.count_tokens(asked)
        assert counted == (await provider.complete(asked)).usage.input_tokens
        assert counted == await provider.count_tokens(asked), "also with the prompt in its cache"


async def test_a_schema_costs_no_prompt(provider: Local) -> None:
    definition = {"type": "object", "properties": {}, "additionalProperties": False}
    schema = Schema("Nothing", definition, definition)
    counts = [
        await provider.count_tokens(Request(MODEL, (user("Why?"),), each))
        for each in (None, schema)
    ]
    assert counts[0] == counts[1]


async def test_a_prompt_that_does_not_fit_is_refused_as_when_it_is_sent(provider: Local) -> None:
    with pytest.raises(Rejected) as caught:
        await provider.count_tokens(Request(MODEL, (user("why " * 2000),)))
    assert caught.value.reason == "context"


async def test_nothing_is_counted_after_the_end() -> None:
    made = Local(Endpoint())
    await made.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await made.count_tokens(Request(MODEL, (user("Why?"),)))
