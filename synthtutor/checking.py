"""Five calls that say what works with a model: `check`.

1. A plain question: does the key work, is usage counted, what do the headers say?
2. A small schema: does the reply fit it?
3. and 4. One request twice, with a long beginning, a temperature, a seed and room for 16 tokens: is
   the beginning cached, are the settings taken, is a cut reply told as cut?
5. A model that there is not: is that told as what it is, so that a run stops at once?

Nothing is asked again: a check shows what one call gets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from synthtutor.asking import first_request
from synthtutor.errors import ConfigError, InvalidOutput, ProviderError, Rejected, Unauthorized
from synthtutor.messages import Message, Request, Response, Settings, Usage, system, user
from synthtutor.prices import UNKNOWN, Price
from synthtutor.provider import BatchProvider, Capabilities, Provider
from synthtutor.structured import shape_of

__all__ = ["Call", "Checked", "Finding", "check"]

Effort = Literal["minimal", "low", "medium", "high"]
State = Literal["works", "does not", "not offered", "not tried"]
Outcome = Response | ProviderError | ConfigError

_OTHERS = (
    *("usage", "structured output", "prompt caching", "cut replies", "temperature", "seed"),
    *("reasoning", "rate limits", "request id", "unknown model"),
)
_ROOM = 16  # tokens for the replies that are to be cut
_QUESTION = "A student adds 1/2 and 1/3 and gets 2/5. Ask one short question that helps."
# Vendors cache nothing shorter than 1,024 to 4,096 tokens: this is some 6,000.
_LONG = "Rules for tutors.\n" + "\n".join(
    f"Rule {n}: when a student adds 1/{n} and 1/{n + 1}, ask which of the two parts is larger, and why."
    for n in range(2, 202)
)


class TutorMove(BaseModel):
    """What the second call must answer with: a text, a choice, a list and a value that may be missing."""

    question: str
    kind: Literal["hint", "question", "example"]
    steps: list[str]
    answer: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it stands, and why in one line."""

    what: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made: how long it took, and its reply or its error."""

    what: str
    seconds: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. ``cost_usd`` is None where the price is unknown; ``price`` is its source."""

    model: str
    findings: Sequence[Finding]
    calls: Sequence[Call]
    cost_usd: float | None
    price: str

    @property
    def ok(self) -> bool:
        """Whether the basics work: a plain reply, and one that fits a schema."""
        states = {finding.what: finding.state for finding in self.findings}
        basics = (states["plain text"], states["structured output"])
        return not {"does not", "not tried"} & set(basics)

    @property
    def usage(self) -> Usage:
        """The tokens of all calls."""
        return sum((reply.usage for reply in _replies(self.calls)), Usage())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "calls": [_told(call) for call in self.calls],
            "usage": asdict(self.usage),
            "cost_usd": self.cost_usd,
            "price": self.price,
        }


async def check(
    provider: Provider,
    model: str,
    *,
    price: Price = UNKNOWN,
    reasoning_effort: Effort | None = None,
    on_call: Callable[[str], None] = lambda _what: None,
) -> Checked:
    """Make the five calls to ``provider/model`` and say what was seen.

    ``reasoning_effort`` goes with the first two calls; ``on_call`` hears of each before it is made.
    Raises Unauthorized for a bad key, Rejected for an unknown model and ConfigError, at the first
    call that meets one; any other error is a finding.
    """
    capabilities = provider.capabilities(model.partition("/")[2])
    asking = _Asking(provider, on_call)
    plain = Request(
        model, [user(_QUESTION)], settings=_room_to_think(capabilities, reasoning_effort)
    )
    text = await asking.ask("plain text", plain)
    if isinstance(text, Response):
        await asking.ask("structured output", _structured(plain, capabilities))
        repeated = _repeated(model, capabilities)
        first = await asking.ask("long prompt", repeated)
        if isinstance(first, Rejected) and first.reason == "context":
            repeated = Request(model, repeated.messages[1:], settings=repeated.settings)
        await asking.ask("the same again", repeated)
        await asking.ask_for_nobody(model.partition("/")[0])
    costs = [price.cost(reply.usage) for reply in _replies(asking.calls)]
    known = [cost for cost in costs if cost is not None]
    findings = _findings(asking.calls, capabilities, reasoning_effort)
    return Checked(
        model,
        [*findings, _batches(provider)],
        asking.calls,
        sum(known) if len(known) == len(costs) else None,
        price.source,
    )


# ── asking ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Asking:
    provider: Provider
    on_call: Callable[[str], None]
    calls: list[Call] = field(default_factory=list)

    async def ask(self, what: str, request: Request) -> Outcome:
        """One call, noted. What would end a run is raised."""
        outcome = await self._outcome(what, request)
        if isinstance(outcome, Exception) and _is_fatal(outcome):
            raise outcome
        return outcome

    async def ask_for_nobody(self, provider: str) -> None:
        """A call to a model that there is not."""
        nobody = f"{provider}/no-such-model-of-synthtutor"
        request = Request(nobody, [user("Hello.")], settings=Settings(max_tokens=_ROOM))
        await self._outcome("unknown model", request)

    async def _outcome(self, what: str, request: Request) -> Outcome:
        self.on_call(what)
        started = time.monotonic()
        outcome: Outcome
        try:
            outcome = await self.provider.complete(request)
        except (ProviderError, ConfigError) as error:
            outcome = error
        self.calls.append(Call(what, time.monotonic() - started, outcome))
        return outcome


def _is_fatal(error: ProviderError | ConfigError) -> bool:
    """Whether it would stop a run at its first row."""
    if isinstance(error, Rejected):
        return error.reason == "model"
    return isinstance(error, Unauthorized | ConfigError)


def _room_to_think(capabilities: Capabilities, effort: Effort | None) -> Settings:
    taken = effort if capabilities.reasoning_effort else None
    return Settings(reasoning_effort=taken)


def _structured(plain: Request, capabilities: Capabilities) -> Request:
    """The plain question, to be answered in the form of a TutorMove, as a session would ask it."""
    return first_request(
        plain.model, capabilities, plain.messages, shape_of(TutorMove), plain.settings
    )


def _repeated(model: str, capabilities: Capabilities) -> Request:
    messages: list[Message] = [system(_LONG), user("Write out the first ten rules, word by word.")]
    settings = Settings(
        max_tokens=_ROOM,
        temperature=0.0 if capabilities.temperature else None,
        seed=7 if capabilities.seed else None,
    )
    return Request(model, messages, settings=settings)


# ── what was seen ────────────────────────────────────────────────────────────────────────────


def _findings(
    calls: Sequence[Call], capabilities: Capabilities, effort: Effort | None
) -> list[Finding]:
    plain = _plain(calls[0])
    if len(calls) == 1:
        return [plain, *(Finding(what, "not tried") for what in _OTHERS)]
    _, structured, first, second, unknown = (call.outcome for call in calls)
    settled = second if isinstance(second, Response) else first
    return [
        plain,
        _usage(_replies(calls)[0]),
        _structure(structured, capabilities),
        _caching(first, second),
        _cut(settled),
        _setting("temperature", capabilities.temperature, settled),
        _seed(capabilities.seed, first, second),
        _reasoning(_replies(calls), effort, takes=capabilities.reasoning_effort),
        _limits(_replies(calls)),
        _request_id(_replies(calls)),
        _unknown_model(unknown),
    ]


def _plain(call: Call) -> Finding:
    reply = call.outcome
    if not isinstance(reply, Response):
        return Finding("plain text", "does not", _why(reply))
    served = f", served by {reply.model}" if reply.model else ""
    if reply.finish != "stop" or not reply.text.strip():
        said = f"{len(reply.text)} characters, finish {reply.finish!r} {reply.detail or ''}"
        return Finding("plain text", "does not", said.strip() + served)
    return Finding("plain text", "works", f"a whole reply in {call.seconds:.1f} s{served}")


def _usage(reply: Response) -> Finding:
    counted = reply.usage
    tokens = f"{counted.input_tokens:,} input and {counted.output_tokens:,} output tokens"
    good = counted.input_tokens > 0 and counted.output_tokens > 0
    return Finding("usage", "works" if good else "does not", f"{tokens} in the first call")


def _structure(outcome: Outcome, capabilities: Capabilities) -> Finding:
    what, promised = "structured output", capabilities.structured_output
    if not isinstance(outcome, Response):
        return Finding(what, "does not", _why(outcome))
    try:
        shape_of(TutorMove).parse(outcome)
    except InvalidOutput as error:
        return Finding(what, "does not", f"({promised}) {error.kind}: {_line(error)}")
    mended = "" if _is_json(outcome.text) else ", once mended"
    if promised == "none":
        return Finding(what, "not offered", f"the schema is in the prompt; the reply fits{mended}")
    return Finding(what, "works", f"({promised}) the reply fits{mended}")


def _caching(first: Outcome, second: Outcome) -> Finding:
    what = "prompt caching"
    if not isinstance(first, Response):
        return Finding(what, "not tried", _why(first))
    if not isinstance(second, Response):
        return Finding(what, "not tried", _why(second))
    read, asked = second.usage.cache_read_tokens, second.usage.input_tokens
    if read:
        return Finding(what, "works", f"{read:,} of {asked:,} input tokens cached the second time")
    wrote = first.usage.cache_write_tokens
    told = f", though {wrote:,} were written to one" if wrote else ""
    return Finding(what, "does not", f"none of {asked:,} input tokens came from a cache{told}")


def _cut(outcome: Outcome) -> Finding:
    what = "cut replies"
    if not isinstance(outcome, Response):
        return Finding(what, "not tried", _why(outcome))
    if outcome.finish == "length":
        return Finding(what, "works", f"told as cut with max_tokens {_ROOM}")
    tokens = outcome.usage.output_tokens
    reason = f"finish {outcome.finish!r} after {tokens:,} tokens with max_tokens {_ROOM}"
    return Finding(what, "does not", reason)


def _setting(name: str, takes: bool, outcome: Outcome) -> Finding:
    if not takes:
        return Finding(name, "not offered", "not sent: the model does not take it")
    if isinstance(outcome, Response):
        return Finding(name, "works", "taken")
    return Finding(
        name, "does not" if isinstance(outcome, Rejected) else "not tried", _why(outcome)
    )


def _seed(takes: bool, first: Outcome, second: Outcome) -> Finding:
    if not isinstance(second, Response):
        return _setting("seed", takes, first)
    if not (takes and isinstance(first, Response) and first.text.strip()):
        return _setting("seed", takes, second)
    words = "the same words" if first.text == second.text else "other words"
    return Finding("seed", "works", f"taken; the same request again gave {words}")


def _reasoning(replies: Sequence[Response], effort: Effort | None, *, takes: bool) -> Finding:
    what = "reasoning"
    tokens = sum(reply.usage.reasoning_tokens for reply in replies)
    shown = sum(len(reply.reasoning) for reply in replies)
    if any("<think>" in reply.text or "</think>" in reply.text for reply in replies):
        return Finding(what, "does not", "it stands in the answer's text")
    if tokens or shown:
        return Finding(what, "works", f"{tokens:,} tokens counted, {shown:,} characters of text")
    if effort is None:
        return Finding(what, "not tried", "none seen, and none was asked for")
    if not takes:
        return Finding(what, "not offered", "not sent: the model does not take reasoning_effort")
    return Finding(what, "does not", f"none seen, though reasoning_effort {effort} was asked for")


def _limits(replies: Sequence[Response]) -> Finding:
    told = [reply.rate_limits for reply in replies if reply.rate_limits is not None]
    parts = []
    for kind in ("requests", "tokens", "input_tokens", "output_tokens"):
        left = getattr(told[-1], f"{kind}_remaining") if told else None
        most = getattr(told[-1], f"{kind}_limit") if told else None
        figures = [
            f"{n:,} {word}" for n, word in ((left, "left"), (most, "allowed")) if n is not None
        ]
        if figures:
            parts.append(f"{kind.replace('_', ' ')}: {' of '.join(figures)}")
    if not parts:
        return Finding("rate limits", "not offered", "no header tells of any")
    return Finding("rate limits", "works", "; ".join(parts))


def _request_id(replies: Sequence[Response]) -> Finding:
    if any(reply.request_id for reply in replies):
        return Finding("request id", "works", "kept with each reply, for the vendor's support")
    return Finding("request id", "not offered")


def _unknown_model(outcome: Outcome) -> Finding:
    what = "unknown model"
    if isinstance(outcome, Response):
        return Finding(what, "not offered", "it answers to any model's name")
    if _is_fatal(outcome):
        return Finding(what, "works", f"stops a run at once: {_why(outcome)}")
    return Finding(what, "does not", f"would not stop a run at once: {_why(outcome)}")


def _batches(provider: Provider) -> Finding:
    if isinstance(provider, BatchProvider):
        return Finding("batches", "not tried", "offered, for half the price: generate --batch")
    return Finding("batches", "not offered")


def _replies(calls: Sequence[Call]) -> list[Response]:
    return [call.outcome for call in calls if isinstance(call.outcome, Response)]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {_line(error)}"


def _line(error: Exception) -> str:
    """Its words in one line that is not too long."""
    return " ".join(str(error).split())[:200]


def _told(call: Call) -> dict[str, Any]:
    told: dict[str, Any] = {"what": call.what, "seconds": round(call.seconds, 3)}
    if isinstance(call.outcome, Response):
        return {**told, "finish": call.outcome.finish, "usage": asdict(call.outcome.usage)}
    return {**told, "error": _why(call.outcome)}
