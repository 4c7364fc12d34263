"""A reply that was paid for is kept, and asked for once, however oddly its envelope is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthtutor.testing.server import Reply
from tests.faults.running import Scene, keys, played, said_back
from tests.faults.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

BY_NAME = {vendor.name: vendor for vendor in VENDORS}
CHAT = ["openai", "compatible", "fireworks"]


def chat(content: Any = "Here.", usage: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    choice["finish_reason"] = "stop"
    completion = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10} if usage is None else usage
    return json.dumps({**completion, "choices": [choice], "usage": usage, **more}).encode()


def anthropic(usage: Any, text: str = "Here.") -> bytes:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "usage": usage}
    blocks = [{"type": "text", "text": text}]
    return json.dumps({**message, "content": blocks, "stop_reason": "end_turn"}).encode()


def google(usage: Any, text: str = "Here.") -> bytes:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()


async def kept(vendor: Vendor, folder: Path, reply: Reply) -> str:
    """The text of a reply that is asked for once, booked, and makes its row's sample."""
    # The others are priced by the table, which is strict about counts.
    priced: dict[str, Any] = {} if vendor.model == "test-model" else {"prices": {}}
    with keys():
        happened = await played(
            vendor, folder, Scene(lambda _row, _nth: reply), rows=1, chosen=said_back, **priced
        )
    assert happened.outcomes == {0: "kept"}, happened.reasons
    assert len(happened.asked[0]) == happened.calls == 1
    return happened.replies[0][0][1]


USAGES = {
    "counts as text": {"prompt_tokens": "100", "completion_tokens": "10"},
    "counts with a point": {"prompt_tokens": 100.0, "completion_tokens": 10.5},
    "counts below nothing": {"prompt_tokens": -1, "completion_tokens": -1},
    "counts beyond 64 bits": {"prompt_tokens": 1 << 70, "completion_tokens": 1 << 70},
    "more cached than there was": {
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 20},
    },
    "details that are none": {"prompt_tokens": 10, "prompt_tokens_details": [], "x": None},
    "details as numbers": {"prompt_tokens": 10, "prompt_tokens_details": 3},
    "a list": [1, 2],
}


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("usage", USAGES.values(), ids=list(USAGES))
async def test_counts_of_tokens_that_make_no_sense_cost_no_reply(
    tmp_path: Path, name: str, usage: Any
) -> None:
    assert await kept(BY_NAME[name], tmp_path, Reply(raw=chat(usage=usage))) == "Here."


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("anthropic", anthropic({"input_tokens": "7", "output_tokens": -1})),
        ("anthropic", anthropic([])),
        ("google", google({"promptTokenCount": 5, "cachedContentTokenCount": 9})),
        ("google", google({"promptTokenCount": "5", "candidatesTokenCount": 1.5})),
    ],
)
async def test_nor_at_vendors_with_a_wire_of_their_own(
    tmp_path: Path, name: str, raw: bytes
) -> None:
    assert await kept(BY_NAME[name], tmp_path, Reply(raw=raw)) == "Here."


HALF = b'A face: \\ud83d"'  # what is left where a reply is cut within an emoji


@pytest.mark.parametrize("name", [*CHAT, "anthropic", "google"])
async def test_half_a_surrogate_pair_costs_no_reply(tmp_path: Path, name: str) -> None:
    usage = {"input_tokens": 7, "output_tokens": 1}
    raw = {"anthropic": anthropic(usage), "google": google({})}.get(name) or chat()
    text = await kept(BY_NAME[name], tmp_path, Reply(raw=raw.replace(b'Here."', HALF)))
    assert text == "A face: \ufffd"


@pytest.mark.parametrize("name", CHAT)
async def test_a_header_beyond_ascii_costs_no_reply(tmp_path: Path, name: str) -> None:
    reply = Reply(raw=chat(), headers={"x-served-by": "café"})
    assert await kept(BY_NAME[name], tmp_path, reply) == "Here."


@pytest.mark.parametrize("name", CHAT)
async def test_a_text_in_parts_is_put_together(tmp_path: Path, name: str) -> None:
    parts = [{"type": "text", "text": "He"}, {"type": "text", "text": "re."}]
    assert await kept(BY_NAME[name], tmp_path, Reply(raw=chat(parts))) == "Here."


@pytest.mark.parametrize("name", CHAT)
async def test_a_model_that_is_no_text_costs_no_reply(tmp_path: Path, name: str) -> None:
    assert await kept(BY_NAME[name], tmp_path, Reply(raw=chat(model=7))) == "Here."


@pytest.mark.parametrize("name", CHAT)
async def test_nul_and_a_megabyte_are_text_too(tmp_path: Path, name: str) -> None:
    text = "nul \x00 " + "long " * 200_000
    assert await kept(BY_NAME[name], tmp_path, Reply(raw=chat(text))) == text
