"""What `google` sends, model by model; judged by the vendor's own types as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from synthtutor_google import Google

from synthtutor.messages import Message, Request, Schema, Settings, system, user
from synthtutor.provider import Endpoint
from synthtutor.testing.google_wire import GoogleServer

pytestmark = pytest.mark.slow  # as a whole: the fast suite is to answer within a minute

KEY = "AIza-test-0123456789"
ALL = Settings(
    max_tokens=99, temperature=0.5, top_p=0.75, seed=7, stop=["END"], reasoning_effort="low"
)
DEFINITION = {
    "type": "object",
    "properties": {
        "my_hint": {"type": "string", "description": "½ of it"},
        "level": {"type": "string", "enum": ["easy", "hard"]},
        "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["my_hint", "level", "steps", "note"],
    "additionalProperties": False,
    "$defs": {"Step": {"type": "object", "properties": {}, "additionalProperties": False}},
}
SCHEMA = Schema("Reply", DEFINITION, {})
TALK = [system("Be kind."), user("½?"), Message("assistant", "Hm."), user("Say."), system("Short.")]


async def sent(
    model: str,
    settings: Settings | None = None,
    schema: Schema | None = None,
    messages: Sequence[Message] = (user("Hi."),),
) -> dict[str, Any]:
    """The body that reaches the server, which is as strict as the API."""
    async with GoogleServer() as server:
        provider = Google(Endpoint(base_url=server.base_url, api_key=KEY))
        request = Request(f"google/{model}", messages, schema, settings or Settings())
        await provider.complete(request)
        await provider.aclose()
    return dict(server.asked[0].body)


def thinking(body: dict[str, Any]) -> dict[str, Any] | None:
    found = body["generationConfig"].get("thinkingConfig")
    return dict(found) if found else None


async def test_all_settings_are_sent() -> None:
    body = await sent("gemini-2.5-flash", ALL, SCHEMA, TALK)
    assert body == {
        "contents": [
            {"role": "user", "parts": [{"text": "½?"}]},
            {"role": "model", "parts": [{"text": "Hm."}]},
            {"role": "user", "parts": [{"text": "Say."}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be kind."}, {"text": "Short."}]},
        "generationConfig": {
            "maxOutputTokens": 99,
            "temperature": 0.5,
            "topP": 0.75,
            "seed": 7,
            "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": DEFINITION,
            "thinkingConfig": {"include_thoughts": True, "thinking_budget": 1024},
        },
    }


async def test_what_is_not_set_is_not_sent() -> None:
    body = await sent("gemini-2.5-flash")
    assert set(body) == {"contents", "generationConfig"}
    assert set(body["generationConfig"]) == {"maxOutputTokens"}


BUDGET_MODELS = ("gemini-2.5-pro", "gemini-2.5-flash-lite", "models/gemini-flash-latest")
EFFORTS: tuple[Literal["minimal", "low", "medium", "high"], ...] = (
    "minimal",
    "low",
    "medium",
    "high",
)
LEVELS = {
    "gemini-3-flash-preview": ["MINIMAL", "LOW", "MEDIUM", "HIGH"],
    "gemini-3.1-flash-lite": ["MINIMAL", "LOW", "MEDIUM", "HIGH"],
    "gemini-3-pro-preview": ["LOW", "LOW", "HIGH", "HIGH"],
    "gemini-3.1-pro-preview": ["LOW", "LOW", "MEDIUM", "HIGH"],
    "gemini-4-argon": ["LOW", "LOW", "MEDIUM", "HIGH"],
}


@pytest.mark.parametrize("model", BUDGET_MODELS)
async def test_an_effort_is_a_budget_in_2_5(model: str) -> None:
    asked = [thinking(await sent(model, Settings(reasoning_effort=effort))) for effort in EFFORTS]
    budgets = [512, 1024, 8192, 24576]
    assert asked == [{"include_thoughts": True, "thinking_budget": n} for n in budgets]


@pytest.mark.parametrize("model", LEVELS)
async def test_an_effort_is_a_level_from_3_on(model: str) -> None:
    asked = [thinking(await sent(model, Settings(reasoning_effort=effort))) for effort in EFFORTS]
    assert asked == [{"include_thoughts": True, "thinking_level": n} for n in LEVELS[model]]


@pytest.mark.parametrize(
    "model",
    [
        "gemini-1.5-pro",
        "gemini-2.0-flash",
        "gemini-2.5-flash-image",
        "gemini-3.1-flash-tts-preview",
        "gemma-3-27b-it",
        "gemma-4-31b-it",
        "tunedModels/mine",
        "a-model-nobody-heard-of",
    ],
)
async def test_a_model_that_does_not_think_is_told_nothing_and_says_so(model: str) -> None:
    assert thinking(await sent(model, ALL)) is None
    capabilities = Google(Endpoint(api_key=KEY)).capabilities(model)
    assert capabilities.left_out(ALL) == ["reasoning_effort"]


@pytest.mark.parametrize("model", [*BUDGET_MODELS, *LEVELS])
def test_a_model_that_thinks_takes_everything(model: str) -> None:
    capabilities = Google(Endpoint(api_key=KEY)).capabilities(model)
    assert capabilities.left_out(ALL) == []
    assert capabilities.structured_output == "schema"


@pytest.mark.parametrize(
    ("model", "promise", "config"),
    [
        ("gemini-2.0-flash", "schema", {"responseMimeType", "responseJsonSchema"}),
        ("gemini-1.5-flash", "json", {"responseMimeType"}),
        ("gemini-1.0-pro-vision-001", "none", set()),
        ("gemini-pro", "none", set()),
        ("gemma-3-27b-it", "none", set()),
        ("gemini-2.5-flash-image", "none", set()),
    ],
)
async def test_a_schema_is_sent_where_it_is_understood(
    model: str, promise: str, config: set[str]
) -> None:
    body = await sent(model, schema=SCHEMA)
    assert set(body["generationConfig"]) == {"maxOutputTokens"} | config
    assert Google(Endpoint(api_key=KEY)).capabilities(model).structured_output == promise


@pytest.mark.parametrize("model", ["gemma-3-27b-it", "models/gemma-2-9b-it"])
async def test_gemma_is_instructed_by_the_user(model: str) -> None:
    body = await sent(model, messages=[system("Be kind."), user("Hi.")])
    assert "systemInstruction" not in body
    assert [c["role"] for c in body["contents"]] == ["user", "user"]
    assert body["contents"][0]["parts"] == [{"text": "Be kind."}]


async def test_an_instruction_alone_is_the_users() -> None:
    body = await sent("gemini-2.5-flash", messages=[system("Say hello.")])
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Say hello."}]}]
    assert "systemInstruction" not in body


KINDS: dict[str, tuple[Settings, Schema | None, Sequence[Message]]] = {
    "plain": (Settings(), None, [user("Hi.")]),
    "everything": (ALL, SCHEMA, TALK),
    "system only": (Settings(), None, [system("Hi.")]),
    "thinking hard": (Settings(reasoning_effort="high"), None, TALK),
    "shaped": (Settings(seed=1), SCHEMA, TALK),
}
MODELS = ("gemini-2.5-flash", "gemini-3-flash-preview", "gemini-1.5-pro", "gemma-3-27b-it")


def judged(body: dict[str, Any]) -> Any:
    """The request as the vendor's types read it; they refuse fields they do not know."""
    v1beta = pytest.importorskip("google.ai.generativelanguage_v1beta", reason="needs grpcio")
    json_format = pytest.importorskip("google.protobuf.json_format")
    kind = v1beta.GenerateContentRequest
    return kind(json_format.ParseDict(body, kind.pb(kind())))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_request_fits_the_vendors_types(kind: str, model: str) -> None:
    settings, schema, messages = KINDS[kind]
    body = await sent(model, settings, schema, messages)
    if (asked := body["generationConfig"].get("thinkingConfig")) is not None:
        asked.pop("thinking_level", None)  # younger than these types
    request = judged(body)
    assert sum(len(content.parts) for content in request.contents) + len(
        request.system_instruction.parts
    ) == len(messages)
    assert request.generation_config.max_output_tokens == settings.max_tokens


def test_the_judge_is_strict() -> None:
    with pytest.raises(Exception, match="temprature"):
        judged({"generationConfig": {"temprature": 1}})
