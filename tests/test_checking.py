from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from synthtutor.checking import Checked, Finding, check
from synthtutor.errors import ConfigError, RateLimited, Rejected, Unauthorized, Unavailable
from synthtutor.messages import RateLimitStatus, Request, Response, Usage
from synthtutor.prices import FREE, UNKNOWN, parse_price
from synthtutor.provider import Capabilities
from synthtutor.testing.replies import Reply, plausible_reply
from synthtutor.testing.scripted import ScriptedProvider, plausible
from synthtutor.testing.server import OpenAIServer

MODEL = "vendor/some/model"
Answer = str | Response | Exception

NO_SUCH_MODEL = Rejected("HTTP 404: The model does not exist.", reason="model", status=404)
LIMITS = RateLimitStatus(requests_limit=500, requests_remaining=499, input_tokens_limit=30_000)


def kind(request: Request) -> str:
    """Which of the five calls a request is."""
    if request.model != MODEL:
        return "unknown"
    if request.schema is not None or "JSON schema" in request.messages[-1].content:
        return "structured"
    return "long" if request.settings.max_tokens == 16 else "plain"


def good(request: Request) -> Answer:
    """A vendor with which everything works."""
    if kind(request) == "unknown":
        return NO_SUCH_MODEL
    reply = Response(
        plausible(request),
        Usage(20, 30, reasoning_tokens=5),
        model="model-2026",
        request_id="req-1",
        rate_limits=LIMITS,
    )
    if kind(request) == "long":
        return replace(reply, finish="length", usage=Usage(6000, 16, cache_read_tokens=5888))
    return reply


def but(which: str, answer: Answer | Callable[[Response], Response]) -> Callable[[Request], Answer]:
    """The good vendor, except for one of the calls."""

    def script(request: Request) -> Answer:
        usual = good(request)
        if kind(request) != which:
            return usual
        if callable(answer):
            assert isinstance(usual, Response)
            return answer(usual)
        return answer

    return script


async def found(
    script: Callable[[Request], Answer], capabilities: Capabilities | None = None, **options: Any
) -> tuple[Checked, dict[str, Finding], ScriptedProvider]:
    provider = ScriptedProvider(script, capabilities=capabilities or Capabilities())
    checked = await check(provider, MODEL, **options)
    return checked, {finding.what: finding for finding in checked.findings}, provider


# ── five calls ───────────────────────────────────────────────────────────────────────────────


async def test_five_calls_say_what_works_and_what_it_cost() -> None:
    _, price = parse_price(f"{MODEL}=1/10")
    told: list[str] = []
    checked, findings, provider = await found(good, price=price, on_call=told.append)
    assert provider.calls == len(checked.calls) == len(told) == 5
    assert checked.ok
    works = {what for what, finding in findings.items() if finding.state == "works"}
    assert set(findings) - works == {"batches"}
    assert findings["batches"].state == "not offered"
    assert "5,888 of 6,000" in findings["prompt caching"].reason
    limits = "requests: 499 left of 500 allowed; input tokens: 30,000 allowed"
    assert findings["rate limits"].reason == limits
    assert "model-2026" in findings["plain text"].reason
    assert "the same words" in findings["seed"].reason
    assert checked.usage == Usage(12_040, 92, 11_776, 0, 10)
    assert checked.cost_usd == pytest.approx((12_040 * 1 + 92 * 10) / 1e6)


async def test_the_long_request_is_made_twice_and_its_prompt_is_long_enough_to_cache() -> None:
    _, _, provider = await found(good)
    first, second = provider.requests[2:4]
    assert first == second
    assert first.settings.temperature == 0.0
    assert first.settings.seed is not None
    assert len(first.messages[0].content) > 4.5 * 4096  # some characters make a token


async def test_an_unknown_price_is_unknown_and_a_free_model_is_free() -> None:
    checked, _, _ = await found(good, price=UNKNOWN)
    assert checked.cost_usd is None
    checked, _, _ = await found(good, price=FREE)
    assert checked.cost_usd == 0


async def test_the_finding_is_json() -> None:
    checked, _, _ = await found(but("structured", Unavailable("no reply")))
    told = json.loads(json.dumps(checked.to_dict()))
    assert told["ok"] is False
    assert len(told["findings"]) == 12
    assert [call["what"] for call in told["calls"]] == [call.what for call in checked.calls]
    assert told["calls"][0]["usage"]["input_tokens"] == 20
    assert told["calls"][1]["error"] == "Unavailable: no reply"


# ── what stops it ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [Unauthorized("bad key"), NO_SUCH_MODEL, ConfigError("no file")])
async def test_what_would_stop_a_run_is_raised(error: Exception) -> None:
    for which, calls in (("plain", 1), ("structured", 2), ("long", 3)):
        provider = ScriptedProvider(but(which, error), capabilities=Capabilities())
        with pytest.raises(type(error), match=str(error)):
            await check(provider, MODEL)
        assert provider.calls == calls


@pytest.mark.parametrize(
    "error", [RateLimited("slow down"), Unavailable("no reply"), Rejected("bad\n  parameter")]
)
async def test_where_the_first_call_fails_no_other_is_made(error: Exception) -> None:
    checked, findings, provider = await found(but("plain", error))
    assert provider.calls == 1
    assert not checked.ok
    line = " ".join(str(error).split())
    assert findings["plain text"] == Finding(
        "plain text", "does not", f"{type(error).__name__}: {line}"
    )
    _, all_of_them, _ = await found(good)
    assert list(findings) == list(all_of_them)
    others = {finding.state for what, finding in findings.items() if what != "plain text"}
    assert others == {"not tried", "not offered"}


async def test_an_error_is_told_in_one_short_line() -> None:
    _, findings, _ = await found(but("plain", Unavailable("a\nb " * 500)))
    reason = findings["plain text"].reason
    assert "\n" not in reason
    assert len(reason) < 250


# ── what does not work ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("which", "change", "what", "said"),
    [
        ("plain", {"text": " "}, "plain text", "finish 'stop'"),
        ("plain", {"finish": "refusal", "detail": "declined"}, "plain text", "declined"),
        ("plain", {"usage": Usage(0, 0)}, "usage", "0 input"),
        ("structured", {"text": "As you like."}, "structured output", "no JSON"),
        (
            "structured",
            {"text": '{"question": "Why?"}'},
            "structured output",
            "kind: Field required",
        ),
        ("structured", {"finish": "length"}, "structured output", "truncated"),
        ("long", {"usage": Usage(6000, 16)}, "prompt caching", "none of 6,000"),
        (
            "long",
            {"usage": Usage(6000, 16, cache_write_tokens=5888)},
            "prompt caching",
            "though 5,888 were written",
        ),
        ("long", {"finish": "stop"}, "cut replies", "finish 'stop'"),
        ("plain", {"text": "<think>Hm.</think>Why?"}, "reasoning", "in the answer's text"),
    ],
)
async def test_a_fault_is_found(which: str, change: dict[str, Any], what: str, said: str) -> None:
    checked, findings, _ = await found(but(which, lambda reply: replace(reply, **change)))
    assert findings[what].state == "does not"
    assert said in findings[what].reason
    assert checked.ok is (what not in ("plain text", "structured output"))
    wrong = [finding.what for finding in checked.findings if finding.state == "does not"]
    assert wrong == [what]


async def test_json_that_needs_mending_is_said() -> None:
    def fenced(reply: Response) -> Response:
        return replace(reply, text=f"Here:\n```json\n{reply.text}\n```")

    checked, findings, _ = await found(but("structured", fenced))
    assert checked.ok
    assert findings["structured output"].reason == "(schema) the reply fits, once mended"


async def test_a_wrong_model_that_is_told_as_a_passing_fault_is_found() -> None:
    checked, findings, _ = await found(but("unknown", Unavailable("HTTP 503: no channel")))
    assert checked.ok
    assert findings["unknown model"].state == "does not"
    assert "HTTP 503" in findings["unknown model"].reason


async def test_a_server_that_answers_to_any_name_is_said() -> None:
    _, findings, _ = await found(but("unknown", Response("Hello.")))
    assert findings["unknown model"].state == "not offered"


async def test_a_refused_setting_is_found_and_caching_is_then_not_judged() -> None:
    checked, findings, _ = await found(but("long", Rejected("no parameter 'seed'")))
    assert checked.ok
    states = {what: findings[what].state for what in ("temperature", "seed", "prompt caching")}
    assert states == {"temperature": "does not", "seed": "does not", "prompt caching": "not tried"}
    assert findings["cut replies"].state == "not tried"


async def test_a_prompt_too_long_for_the_model_is_left_out_the_second_time() -> None:
    def short_context(request: Request) -> Answer:
        if any(message.role == "system" for message in request.messages):
            return Rejected("too long", reason="context")
        return good(request)

    _, findings, provider = await found(short_context)
    assert provider.calls == 5
    assert findings["prompt caching"] == Finding(
        "prompt caching", "not tried", "Rejected: too long"
    )
    assert findings["cut replies"].state == findings["seed"].state == "works"


# ── what is not offered ──────────────────────────────────────────────────────────────────────


async def test_settings_that_a_model_does_not_take_are_not_sent() -> None:
    few = Capabilities(seed=False, temperature=False, reasoning_effort=False)

    def unthinking(request: Request) -> Answer:
        usual = good(request)
        return replace(usual, usage=Usage(20, 16)) if isinstance(usual, Response) else usual

    _, findings, provider = await found(unthinking, few, reasoning_effort="low")
    states = {findings[what].state for what in ("seed", "temperature", "reasoning")}
    assert states == {"not offered"}
    assert not [r for r in provider.requests if few.left_out(r.settings) or r.settings.seed]


@pytest.mark.parametrize(("promised", "sent"), [("none", False), ("json", True), ("schema", True)])
async def test_the_schema_is_asked_for_as_a_session_asks(promised: Any, sent: bool) -> None:
    def script(request: Request) -> Answer:
        if kind(request) == "structured":
            return '{"question": "Why?", "kind": "hint", "steps": [], "answer": null}'
        return good(request)

    checked, findings, provider = await found(script, Capabilities(structured_output=promised))
    assert checked.ok
    request = provider.requests[1]
    assert (request.schema is not None) is sent
    assert ("JSON schema" in request.messages[-1].content) is (promised != "schema")
    state = "works" if sent else "not offered"
    assert findings["structured output"].state == state


async def test_reasoning_is_asked_for_on_request() -> None:
    def silent(request: Request) -> Answer:
        usual = good(request)
        return replace(usual, usage=Usage(20, 16)) if isinstance(usual, Response) else usual

    _, findings, provider = await found(silent)
    assert findings["reasoning"].state == "not tried"
    assert {request.settings.reasoning_effort for request in provider.requests} == {None}
    _, findings, provider = await found(silent, reasoning_effort="low")
    assert findings["reasoning"].state == "does not"
    efforts = [request.settings.reasoning_effort for request in provider.requests]
    assert efforts == ["low", "low", None, None, None]


# ── over a wire ──────────────────────────────────────────────────────────────────────────────


async def test_a_real_provider_at_a_real_server_is_checked() -> None:
    compatible = pytest.importorskip("synthtutor_compatible")
    from synthtutor.provider import Endpoint

    def vendor(body: dict[str, Any]) -> Reply:
        if body["model"] != "test-model":
            return Reply.failure(404, "The model does not exist.", code="model_not_found")
        headers = {"x-request-id": "req-1", "x-ratelimit-limit-requests": "60"}
        reply = replace(plausible_reply(body), headers=headers)
        if body["max_tokens"] == 16:
            usage = Usage(6000, 16, cache_read_tokens=5000)
            return replace(reply, finish_reason="length", usage=usage)
        return reply

    async with OpenAIServer(vendor) as server:
        provider = compatible.Compatible(Endpoint(base_url=server.base_url, api_key="k"))
        try:
            checked = await check(provider, "compatible/test-model")
        finally:
            await provider.aclose()
    assert server.calls == 5
    assert checked.ok
    states = {finding.what: finding.state for finding in checked.findings}
    assert {what for what, state in states.items() if state != "works"} == {"reasoning", "batches"}
