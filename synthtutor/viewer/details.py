"""One sample in full: what was said, what was believed, what the judge found, and every call.

Nothing of a sample's form is taken for granted: recipes are other people's, and a sample that has no
turns, no verdicts or no messages is shown with what it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

__all__ = ["Belief", "Call", "Details", "Said", "Suspicion", "Verdict", "details"]

_APART = """
verdicts turns belief_states outcome reasons lineage text pair weighted critical critical_needed rubric
people
"""
_SHOWN_APART = frozenset(_APART.split())


class Suspicion(NamedTuple):
    """A misconception that was suspected; ``quotes`` are (words, turn) of the student."""

    misconception: str
    probability: float | None
    quotes: Sequence[tuple[str, str]]


class Belief(NamedTuple):
    """A belief state. ``held`` is False where the one before still stood; ``rest`` is what else it says."""

    turn: int
    fault: str
    held: bool
    suspicions: Sequence[Suspicion]
    rest: Sequence[tuple[str, str]]


class Verdict(NamedTuple):
    """What the judge said of a criterion; ``passed`` is None where it was not answered."""

    id: str
    criterion: str
    weight: str
    passed: bool | None
    evidence: str

    @property
    def mark(self) -> str:
        """The result in words and a sign; a criterion of negative weight describes a fault."""
        fault = self.weight.startswith("-")
        if self.passed is None:
            return "? not answered"
        if self.passed:
            return "✓ fault not found" if fault else "✓ passed"
        return "✕ fault found" if fault else "✕ not met"


class Said(NamedTuple):
    """A message or a turn. ``beliefs`` are what was believed of the student after it."""

    number: int
    role: str
    text: str
    move: str
    beliefs: Sequence[Belief]


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was paid for: ``prompt`` is what was sent, ``reply`` what came back, raw."""

    role: str
    stage: str
    model: str
    finish: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    seconds: float
    attempt: int
    batched: bool
    prompt: Sequence[tuple[str, str]]
    asked_for: str
    settings: str
    reply: str
    reasoning: str
    detail: str
    kind: str


@dataclass(frozen=True, slots=True)
class Details:
    """A sample. ``failure`` is the raw text of one that failed; ``rest`` the metadata as JSON."""

    id: str
    kind: str
    position: int
    outcome: str
    reasons: Sequence[str]
    messages: Sequence[Said]
    turns: Sequence[Said]
    rejected_reply: str
    verdicts: Sequence[Verdict]
    score: float | None
    critical: str
    rubric: str
    failure: str
    rest: str
    calls: Sequence[Call]

    @property
    def cost_usd(self) -> float | None:
        """What its calls cost together; None where a price is not known."""
        costs = [call.cost_usd for call in self.calls]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def tokens(self) -> tuple[int, int]:
        """Input and output tokens of its calls."""
        return sum(c.input_tokens for c in self.calls), sum(c.output_tokens for c in self.calls)


def details(source: sqlite3.Connection, sample: bytes) -> Details | None:
    """The sample as the journal has it; None where there is none of that id."""
    found = source.execute(
        "SELECT kind, position, outcome, reason, body FROM samples WHERE sample = ?", (sample,)
    ).fetchone()
    if found is None:
        return None
    kind, position, outcome, reason, data = found
    body = orjson.loads(data)
    metadata = _mapping(body.get("metadata"))
    states = [_mapping(state) for state in _list(metadata.get("belief_states"))]
    turns = [_mapping(turn) for turn in _list(metadata.get("turns"))]
    reasons = metadata.get("reasons")
    rest = {name: value for name, value in metadata.items() if name not in _SHOWN_APART}
    return Details(
        id=sample.hex(),
        kind=kind,
        position=position,
        outcome=outcome,
        reasons=[str(each) for each in _list(reasons)] or ([reason] if reason else []),
        messages=[
            Said(number, str(m.get("role", "")), str(m.get("content", "")), "", ())
            for number, m in enumerate(map(_mapping, _list(body.get("messages"))))
        ],
        turns=list(_turns(turns, states)),
        rejected_reply=str(_mapping(metadata.get("pair")).get("rejected") or ""),
        verdicts=[_verdict(v) for v in map(_mapping, _list(metadata.get("verdicts")))],
        score=_float(metadata.get("weighted")),
        critical=str(metadata.get("critical") or ""),
        rubric=str(metadata.get("rubric") or ""),
        failure=str(metadata.get("text") or ""),
        rest=orjson.dumps(rest, option=orjson.OPT_INDENT_2).decode() if rest else "",
        calls=list(_calls(source, sample)),
    )  # fmt: skip


def _turns(turns: list[Mapping[str, Any]], states: list[Mapping[str, Any]]) -> Iterator[Said]:
    """The turns with the beliefs after each; those that no turn has stand with the nearest before."""
    numbers = [_number(turn.get("turn"), at) for at, turn in enumerate(turns)]
    beliefs: dict[int, list[Belief]] = {}
    for state in states:
        at = _number(state.get("turn"), 0)
        nearest = max((n for n in numbers if n <= at), default=min(numbers, default=0))
        beliefs.setdefault(nearest, []).append(_belief(at, state))
    for number, turn in zip(numbers, turns, strict=True):
        yield Said(
            number,
            str(turn.get("speaker", "")),
            str(turn.get("text", "")),
            str(turn.get("move") or ""),
            beliefs.get(number, ()),
        )


def _belief(turn: int, state: Mapping[str, Any]) -> Belief:
    found = state.get("belief")
    belief = found if isinstance(found, Mapping) else {"belief": found} if found else {}
    apart = ("misconceptions", "evidence")
    return Belief(
        turn,
        str(state.get("fault") or ""),
        bool(belief),
        [_suspicion(each) for each in map(_mapping, _list(belief.get("misconceptions")))],
        [(name.replace("_", " "), plain(v)) for name, v in belief.items() if name not in apart],
    )


def _suspicion(given: Mapping[str, Any]) -> Suspicion:
    quotes = map(_mapping, _list(given.get("evidence")))
    return Suspicion(
        plain(given.get("misconception")),
        _float(given.get("probability")),
        [(plain(quote.get("quote")), plain(quote.get("turn"))) for quote in quotes],
    )


def _verdict(given: Mapping[str, Any]) -> Verdict:
    passed = given.get("passed")
    return Verdict(
        str(given.get("id") or ""),
        str(given.get("criterion") or given.get("id") or ""),
        str(given.get("weight") or ""),
        passed if isinstance(passed, bool) else None,
        str(given.get("evidence") or ""),
    )


def plain(value: Any) -> str:
    """A value as words."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "none"
    return "none" if value is None else str(value)


def _calls(source: sqlite3.Connection, sample: bytes) -> Iterator[Call]:
    rows = source.execute(
        "SELECT request, response, role, stage, model, finish, input_tokens, output_tokens, "
        "cache_read_tokens AS cached_tokens, reasoning_tokens, cost_usd, seconds, attempt, batched, "
        "kind FROM calls WHERE sample = ? ORDER BY id",
        (sample,),
    )
    names = [column[0] for column in rows.description][2:]
    for request, response, *figures in rows:
        asked, got = _mapping(orjson.loads(request)), _mapping(orjson.loads(response))
        said = map(_mapping, _list(asked.get("messages")))
        schema = _mapping(asked.get("schema"))
        yield Call(
            **dict(zip(names, figures, strict=True)),
            prompt=[(str(m.get("role", "")), str(m.get("content", ""))) for m in said],
            asked_for=_pretty(schema.get("definition")) if schema else "",
            settings=_settings(_mapping(asked.get("settings"))),
            reply=_readable(str(got.get("text") or "")),
            reasoning=str(got.get("reasoning") or ""),
            detail=str(got.get("detail") or ""),
        )


def _settings(given: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in given.items() if value not in (None, [], "")
    )


def _readable(text: str) -> str:
    """JSON with its lines; anything else, half of it too, as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return _pretty(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _float(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
